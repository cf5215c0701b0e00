//! Support access with real connections: what stays when a transaction doesn't, and
//! who can do what with what an operator was given.

use tests::{Cluster, Database, Durability};
use tokio_postgres::{Client, Error};

struct Office {
    database: Database,
    acme: String,
    owner: String,
    /// A tenancy_admin.
    operator: Client,
    /// A tenancy_app, as the service has it.
    support: Client,
}

impl Office {
    async fn new() -> Self {
        Self::on(Database::new().await).await
    }

    async fn on(database: Database) -> Self {
        let dba = database.superuser().await;
        let register =
            "select tenant_id::text, user_id::text from tenancy.register_tenant($1, null, $2)";
        let row = dba
            .query_one(register, &[&"Acme", &"owner@acme.example"])
            .await
            .unwrap();
        dba.query_one(register, &[&"Globex", &"owner@globex.example"])
            .await
            .unwrap();
        dba.execute(
            "insert into tenancy.tasks (tenant_id, title) select id, 'Plan of ' || name from tenancy.tenants",
            &[],
        )
        .await
        .unwrap();
        let operator = database.login(&["tenancy_admin"]).await;
        Self {
            acme: row.get(0),
            owner: row.get(1),
            operator: database.connect(&operator).await,
            support: database.connect(&database.api_login).await,
            database,
        }
    }

    /// Its id, and what enter() takes.
    async fn impersonate(&self, arguments: &str) -> (String, String) {
        impersonate(&self.operator, &self.acme, arguments).await
    }

    /// How many rows the audit log has of transactions that entered with it.
    async fn looks(&self, access: &str) -> i64 {
        let condition = format!("action = 'enter_support' and arguments ->> 'access' = '{access}'");
        self.database.count("tenancy.audit_log", &condition).await
    }

    /// What the tenant's owner reads, or does.
    async fn as_owner(&self, query: &str) -> Result<serde_json::Value, Error> {
        let login = self.database.login(&["tenancy_gateway"]).await;
        let client = self.database.connect(&login).await;
        let query = format!(
            "select ({query})::text from tenancy.set_tenant_context('{}', '{}')",
            self.acme, self.owner
        );
        let text: String = client.query_one(&query, &[]).await?.get(0);
        Ok(serde_json::from_str(&text).unwrap())
    }
}

async fn impersonate(operator: &Client, tenant: &str, arguments: &str) -> (String, String) {
    let query = format!(
        "select id::text, token from tenancy.impersonate('{tenant}', 'No list'{arguments})"
    );
    let row = operator.query_one(&query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

async fn begin_in(client: &Client, token: &str) -> Result<(), Error> {
    client.batch_execute("begin").await?;
    client.query("select tenancy.enter($1)", &[&token]).await?;
    Ok(())
}

async fn end(client: &Client, how: &str) {
    client.batch_execute(how).await.unwrap();
}

#[track_caller]
fn code<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("this should have been refused");
    error
        .code()
        .map_or(error.to_string(), |code| code.code().to_owned())
}

#[tokio::test]
async fn every_transaction_is_in_the_log_however_it_ends() {
    let office = Office::new().await;
    let (id, token) = office.impersonate("").await;
    let mut looks = 0;
    for how in ["commit", "rollback"] {
        begin_in(&office.support, &token).await.unwrap();
        looks += 1;
        // Before anything is read, and seen by everybody.
        assert_eq!(office.looks(&id).await, looks, "{how}");
        let rows = office
            .support
            .query("select title from tenancy.tasks", &[])
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].get::<_, String>(0), "Plan of Acme");
        end(&office.support, how).await;
        assert_eq!(office.looks(&id).await, looks, "{how}");
    }

    // One whose backend is killed in the middle.
    let killed = office.database.connect(&office.database.api_login).await;
    let pid: i32 = killed
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    begin_in(&killed, &token).await.unwrap();
    let dba = office.database.superuser().await;
    dba.execute("select pg_terminate_backend($1)", &[&pid])
        .await
        .unwrap();
    assert_eq!(office.looks(&id).await, looks + 1);
    let by_pid = format!(
        "action = 'enter_support' and (arguments ->> 'pid')::int = {pid} and login = '{}'",
        office.database.api_login.name
    );
    assert_eq!(office.database.count("tenancy.audit_log", &by_pid).await, 1);

    // A transaction that is read-only from its start, or has an old snapshot, is no way around.
    for kind in ["begin read only", "begin isolation level repeatable read"] {
        end(&office.support, kind).await;
        office
            .support
            .query("select tenancy.enter($1)", &[&token])
            .await
            .unwrap();
        end(&office.support, "rollback").await;
    }
    assert_eq!(office.looks(&id).await, looks + 3);
}

#[tokio::test]
async fn an_access_that_was_rolled_back_opens_nothing_and_has_left_its_trace() {
    let office = Office::new().await;
    end(&office.operator, "begin").await;
    let (id, token) = office.impersonate("").await;
    let asked = format!("action = 'impersonate' and arguments ->> 'access' = '{id}'");
    // Already, and to others.
    assert_eq!(office.database.count("tenancy.audit_log", &asked).await, 1);
    assert_eq!(code(begin_in(&office.support, &token).await), "TN020");
    end(&office.support, "rollback").await;
    end(&office.operator, "rollback").await;
    assert_eq!(code(begin_in(&office.support, &token).await), "TN020");
    end(&office.support, "rollback").await;
    assert_eq!(office.database.count("tenancy.audit_log", &asked).await, 1);
    assert_eq!(
        office
            .database
            .count("tenancy.support_access", "true")
            .await,
        0
    );
}

/// Who is both could otherwise look, roll back, and leave the owners nothing to see.
#[tokio::test]
async fn an_access_can_not_be_used_by_the_transaction_that_made_it() {
    let office = Office::new().await;
    let both = office
        .database
        .login(&["tenancy_admin", "tenancy_app"])
        .await;
    let both = office.database.connect(&both).await;
    for savepoint in ["", "; savepoint s"] {
        end(&both, &format!("begin{savepoint}")).await;
        let (id, token) = impersonate(&both, &office.acme, "").await;
        if !savepoint.is_empty() {
            end(&both, "release s").await;
        }
        let refused = both.query("select tenancy.enter($1)", &[&token]).await;
        assert_eq!(code(refused), "TN020", "{savepoint}");
        end(&both, "rollback").await;
        assert_eq!(office.looks(&id).await, 0);
    }
    let (id, token) = impersonate(&both, &office.acme, "").await;
    begin_in(&both, &token).await.unwrap();
    end(&both, "rollback").await;
    assert_eq!(office.looks(&id).await, 1);
}

#[tokio::test]
async fn an_owner_ends_it_while_it_is_in_use() {
    let office = Office::new().await;
    let (id, token) = office.impersonate(", 'T-17'").await;
    begin_in(&office.support, &token).await.unwrap();
    let list = office
        .as_owner("tenancy.list_support_access()")
        .await
        .unwrap();
    assert_eq!(list["data"][0]["id"], id.as_str());
    assert_eq!(list["data"][0]["active"], true);
    assert_eq!(list["data"][0]["ticket"], "T-17");
    assert_eq!(list["data"][0]["transactions"], 1);

    let ended = office
        .as_owner(&format!("tenancy.end_support_access('{id}')"))
        .await
        .unwrap();
    assert_eq!(ended["active"], false);
    assert_eq!(ended["endedBy"], office.owner.as_str());
    // What is under way ends as it began; the next one doesn't begin.
    office
        .support
        .query("select from tenancy.tasks", &[])
        .await
        .unwrap();
    end(&office.support, "commit").await;
    assert_eq!(code(begin_in(&office.support, &token).await), "TN020");
    end(&office.support, "rollback").await;
    // Not even with a snapshot from before.
    let condition = format!(
        "action = 'end_support_access' and user_id = '{}'",
        office.owner
    );
    assert_eq!(
        office.database.count("tenancy.audit_log", &condition).await,
        1
    );
    let list = office
        .as_owner("tenancy.list_support_access()")
        .await
        .unwrap();
    assert_eq!(list["data"][0]["transactions"], 1, "refused ones are none");
}

#[tokio::test]
async fn an_operator_ends_it_and_an_old_snapshot_does_not_help() {
    let office = Office::new().await;
    let (id, token) = office.impersonate("").await;
    end(&office.support, "begin isolation level repeatable read").await;
    office
        .support
        .query("select 1 from pg_class limit 1", &[])
        .await
        .unwrap();
    let statement = format!("select tenancy.end_support_access('{id}')");
    office.operator.execute(&statement, &[]).await.unwrap();
    let refused = office
        .support
        .query("select tenancy.enter($1)", &[&token])
        .await;
    assert_eq!(code(refused), "TN020");
    end(&office.support, "rollback").await;
}

#[tokio::test]
async fn nothing_can_be_written_by_who_only_looks() {
    let office = Office::new().await;
    let (_, token) = office.impersonate("").await;
    let dba = office.database.superuser().await;
    dba.batch_execute(
        "create sequence public.numbers; grant all on sequence public.numbers to tenancy_app;
         create table public.notes (n text); grant all on public.notes to tenancy_app",
    )
    .await
    .unwrap();
    for attempt in [
        "insert into tenancy.tasks (title) values ('x')",
        "insert into public.notes select title from tenancy.tasks",
        "select nextval('public.numbers')",
        "select setval('public.numbers', 7)",
        "copy public.notes from stdin",
        "truncate public.notes",
        "create table public.t ()",
        "set transaction read write",
        "set session characteristics as transaction read write; set transaction_read_only = off; insert into public.notes values ('x')",
        "reset transaction_read_only; insert into public.notes values ('x')",
        "set local transaction_read_only to default; insert into public.notes values ('x')",
        "select set_config('transaction_read_only', null, true); insert into public.notes values ('x')",
        "select set_config('transaction_read_only', null, true), nextval('public.numbers')",
        "savepoint s; set transaction_read_only = off; insert into public.notes values ('x')",
        "do $$ begin insert into public.notes values ('x'); end $$",
        "do $$ begin begin raise division_by_zero; exception when others then reset transaction_read_only; end; insert into public.notes values ('x'); end $$",
        "select tenancy.insert_row('tenancy.tasks', '{\"title\":\"x\"}')",
        "prepare transaction 'x'",
        "select tenancy.seal()",
    ] {
        begin_in(&office.support, &token).await.unwrap();
        let result = office.support.batch_execute(attempt).await;
        assert!(result.is_err(), "{attempt}");
        end(&office.support, "rollback").await;
    }
    // Nor where it entered behind a savepoint that is released, or in the statement that writes.
    office
        .support
        .batch_execute("begin; savepoint s")
        .await
        .unwrap();
    office
        .support
        .query("select tenancy.enter($1)", &[&token])
        .await
        .unwrap();
    let released = office
        .support
        .batch_execute("release s; insert into public.notes values ('x')")
        .await;
    assert_eq!(code(released), "25006");
    end(&office.support, "rollback").await;
    let entering = format!("insert into public.notes select 'x' from tenancy.enter('{token}')");
    assert_eq!(code(office.support.batch_execute(&entering).await), "TN204");

    // And what wasn't refused at once is refused by the commit, or undone.
    assert_eq!(office.database.count("public.notes", "true").await, 0);
    assert_eq!(
        office.database.count("tenancy.tasks", "title = 'x'").await,
        0
    );
    let untouched: bool = dba
        .query_one("select not is_called from public.numbers", &[])
        .await
        .unwrap()
        .get(0);
    assert!(untouched);

    // The connection isn't read-only afterwards.
    office
        .support
        .execute("insert into public.notes values ('after')", &[])
        .await
        .unwrap();

    // Asked for, it may.
    let (id, token) = office.impersonate(", null, 5, false").await;
    begin_in(&office.support, &token).await.unwrap();
    office
        .support
        .execute("insert into tenancy.tasks (title) values ('mended')", &[])
        .await
        .unwrap();
    end(&office.support, "commit").await;
    let here = format!("title = 'mended' and tenant_id = '{}'", office.acme);
    assert_eq!(office.database.count("tenancy.tasks", &here).await, 1);
    let list = office
        .as_owner("tenancy.list_support_access()")
        .await
        .unwrap();
    assert_eq!(list["data"][0]["id"], id.as_str());
    assert_eq!(list["data"][0]["readOnly"], false);
}

#[tokio::test]
async fn it_ends_by_the_clock() {
    let office = Office::new().await;
    let (id, token) = office.impersonate(", null, 1").await;
    let dba = office.database.superuser().await;
    begin_in(&office.support, &token).await.unwrap();
    end(&office.support, "commit").await;
    // Also in a transaction that began before.
    end(&office.support, "begin isolation level repeatable read").await;
    office.support.query("select now()", &[]).await.unwrap();
    let over = format!(
        "update tenancy.support_access set expires_at = clock_timestamp() where id = '{id}'"
    );
    dba.execute(&over, &[]).await.unwrap();
    let refused = office
        .support
        .query("select tenancy.enter($1)", &[&token])
        .await;
    assert_eq!(code(refused), "TN020");
    end(&office.support, "rollback").await;
}

#[tokio::test]
async fn a_thief_of_the_services_password_has_nothing_without_what_the_operator_was_given() {
    let office = Office::new().await;
    let (id, token) = office.impersonate("").await;
    for attempt in [
        format!("select tenancy.impersonate('{}', 'x')", office.acme),
        format!("select tenancy.end_support_access('{id}')"),
        "select tenancy.list_support_access()".to_owned(),
        "select * from tenancy.report_support_access()".to_owned(),
        "select * from tenancy.support_access".to_owned(),
        "select reason from tenancy.support_access".to_owned(),
        format!("select tenancy.enter('pgs_' || '{id}')"),
        format!(
            "select tenancy_private.audit_support('{id}', '{}')",
            office.acme
        ),
    ] {
        assert!(
            office.support.query(&attempt, &[]).await.is_err(),
            "{attempt}"
        );
    }
    assert_eq!(office.looks(&id).await, 0);
    // Only the digest is stored.
    let dba = office.database.superuser().await;
    for table in ["support_access", "audit_log"] {
        let query = format!(
            "select count(*) from tenancy.{table} as t where t::text like '%' || $1 || '%'"
        );
        let found: i64 = dba.query_one(&query, &[&token]).await.unwrap().get(0);
        assert_eq!(found, 0, "{table}");
    }
    // The operator alone enters nothing.
    assert_eq!(
        code(
            office
                .operator
                .query("select tenancy.enter($1)", &[&token])
                .await
        ),
        "42501"
    );
}

/// Without a worker there is no row in the log, and without a row no access.
#[tokio::test]
async fn where_the_log_can_not_be_written_nobody_looks() {
    let cluster = Cluster::of_its_own(Durability::None);
    let database = Database::on(cluster).await;
    let office = Office::on(database).await;
    let (id, token) = office.impersonate("").await;
    let dba = office.database.superuser().await;
    dba.batch_execute("alter system set max_worker_processes = 1")
        .await
        .unwrap();
    drop(dba);
    cluster.stop();
    cluster.start();

    let support = office.database.connect(&office.database.api_login).await;
    // The one there is belongs to logical replication.
    let refused = begin_in(&support, &token).await;
    assert_eq!(code(refused), "53400");
    end(&support, "rollback").await;
    assert_eq!(office.looks(&id).await, 0);
}
