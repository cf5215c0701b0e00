//! How long a context is kept, and for whom: for its transaction or savepoint, for the
//! workers of its queries, and for nobody else.

use tests::Database;
use tokio_postgres::{Client, SimpleQueryMessage};

const STUDENTS: &str = "
    create schema school;
    grant usage on schema school to tenancy_app;
    create table school.students (
        tenant_id uuid not null, id int, name text not null, primary key (tenant_id, id));
    select tenancy.isolate_table('school.students');
    create function school.process() returns int language plpgsql parallel safe
    as 'begin return pg_catalog.pg_backend_pid(); end';";

/// So many students has each of two tenants.
const STUDENTS_EACH: i64 = 20_000;

/// How many rows one sees.
const COUNT: &str = "select count(*) from school.students";
/// How many of them a worker has read.
const COUNT_BY_WORKERS: &str = "select count(*) filter (where s.process <> pg_backend_pid())
    from (select school.process() as process from school.students) as s";

struct School {
    database: Database,
    acme: String,
    globex: String,
}

impl School {
    async fn new() -> Self {
        let database = Database::new().await;
        let dba = database.superuser().await;
        dba.batch_execute(STUDENTS).await.expect(STUDENTS);
        let mut tenants = Vec::new();
        for name in ["Acme", "Globex"] {
            let register = format!(
                "select tenant_id::text from tenancy.register_tenant('{name}', null, 'owner@{name}.example')"
            );
            let row = dba.query_one(&register, &[]).await.expect(&register);
            let id: String = row.get(0);
            let fill = format!(
                "insert into school.students select '{id}', n, '{name} ' || n
                 from generate_series(1, {STUDENTS_EACH}) as n"
            );
            dba.batch_execute(&fill).await.expect(&fill);
            tenants.push(format!("select tenancy.set_tenant_context('{id}')"));
        }
        dba.batch_execute("analyze school.students").await.unwrap();
        let globex = tenants.pop().expect("two");
        let acme = tenants.pop().expect("two");
        Self {
            database,
            acme,
            globex,
        }
    }

    /// A connection of the application's own, whose queries are read by workers alone.
    async fn client(&self) -> Client {
        let login = self.database.login(&["tenancy_gateway"]).await;
        let client = self.database.connect(&login).await;
        let settings = "set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
            set min_parallel_table_scan_size = 0; set min_parallel_index_scan_size = 0;
            set parallel_leader_participation = off;";
        client.batch_execute(settings).await.expect(settings);
        client
    }

    /// What each statement of a transaction gives.
    async fn transaction(&self, client: &Client, statements: &[&str]) -> Vec<String> {
        let mut outcomes = Vec::new();
        client.batch_execute("begin").await.expect("a transaction");
        for statement in statements {
            let statement = match *statement {
                "enter Acme" => &self.acme,
                "enter Globex" => &self.globex,
                other => other,
            };
            outcomes.push(outcome(client, statement).await);
        }
        client.batch_execute("rollback").await.expect("it ends");
        assert_eq!(outcome(client, COUNT).await, "TN001", "{statements:?}");
        outcomes
    }

    /// What the last statement gives of a transaction in which all others work.
    async fn last(&self, client: &Client, statements: &[&str]) -> String {
        let mut outcomes = self.transaction(client, statements).await;
        let last = outcomes.pop().expect("a statement");
        for (outcome, statement) in outcomes.iter().zip(statements) {
            assert!(!is_error(outcome), "{statement}: {outcome}");
        }
        last
    }
}

fn is_error(outcome: &str) -> bool {
    outcome.len() == 5 && outcome.starts_with(|first: char| first.is_ascii_uppercase())
}

/// The first column of the last row, or the SQLSTATE.
async fn outcome(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => messages
            .iter()
            .rev()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
                _ => None,
            })
            .unwrap_or_default(),
        Err(error) => match error.code() {
            Some(code) => code.code().to_owned(),
            None => panic!("{sql}: {error}"),
        },
    }
}

#[tokio::test]
async fn a_context_goes_with_the_savepoint_in_which_it_was_entered() {
    let school = School::new().await;
    let client = school.client().await;
    let all = STUDENTS_EACH.to_string();
    for (statements, expected) in [
        (
            &["savepoint a", "enter Acme", "rollback to a", COUNT][..],
            "TN001",
        ),
        (
            &[
                "savepoint a",
                "savepoint b",
                "enter Acme",
                "release b",
                COUNT,
            ],
            &all,
        ),
        (
            &[
                "savepoint a",
                "savepoint b",
                "enter Acme",
                "release b",
                "rollback to a",
                COUNT,
            ],
            "TN001",
        ),
        (
            &[
                "savepoint a",
                "enter Acme",
                "release a",
                "savepoint b",
                "rollback to b",
                COUNT,
            ],
            &all,
        ),
        (
            &[
                "enter Acme",
                "savepoint a",
                "savepoint b",
                "rollback to a",
                COUNT,
            ],
            &all,
        ),
        (
            &[
                "do $$ begin perform 1/0; exception when division_by_zero then null; end $$",
                "enter Acme",
                "do $$ begin perform 1/0; exception when division_by_zero then null; end $$",
                COUNT,
            ],
            &all,
        ),
        // The first tenant stays the only one.
        (
            &["savepoint a", "enter Acme", "rollback to a", "enter Globex"],
            "TN003",
        ),
        (
            &[
                "savepoint a",
                "enter Acme",
                "rollback to a",
                "enter Acme",
                COUNT,
            ],
            &all,
        ),
    ] {
        assert_eq!(
            school.last(&client, statements).await,
            expected,
            "{statements:?}"
        );
    }
    let within = format!(
        "do $$ begin
             begin {}; raise exception 'no'; exception when others then null; end;
             perform 1 from school.students;
         end $$",
        school.acme.replace("select ", "perform ")
    );
    assert_eq!(school.last(&client, &[&within]).await, "TN001");
}

#[tokio::test]
async fn a_context_goes_with_its_transaction() {
    let school = School::new().await;
    let client = school.client().await;
    for end in ["commit", "rollback", "select 1/0; commit"] {
        client.batch_execute("begin").await.unwrap();
        assert!(!is_error(&outcome(&client, &school.acme).await));
        assert_eq!(outcome(&client, COUNT).await, STUDENTS_EACH.to_string());
        outcome(&client, end).await;
        outcome(&client, "rollback").await;
        assert_eq!(outcome(&client, COUNT).await, "TN001", "{end}");
        let shown = outcome(&client, "show pg_tenancy.context").await;
        assert_eq!(shown, "", "{end}");
    }
    let procedure = format!(
        "do $$ begin {}; commit; perform 1 from school.students; end $$",
        school.acme.replace("select ", "perform ")
    );
    assert_eq!(outcome(&client, &procedure).await, "TN001");
    // The next tenant's, not the last one's.
    let both = format!(
        "do $$ begin {}; commit; {}; if (select count(*) from school.students
             where name not like 'Globex%') > 0 then raise exception 'a leak'; end if; end $$",
        school.acme.replace("select ", "perform "),
        school.globex.replace("select ", "perform ")
    );
    assert_eq!(outcome(&client, &both).await, "");
}

#[tokio::test]
async fn the_workers_of_a_query_are_in_its_tenant() {
    let school = School::new().await;
    let client = school.client().await;
    let all = STUDENTS_EACH.to_string();
    for statements in [
        &["enter Acme", COUNT_BY_WORKERS][..],
        &["savepoint a", "enter Acme", "release a", COUNT_BY_WORKERS],
        // Those of a savepoint that is gone leave the context to who has entered before.
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "rollback to a",
            COUNT,
        ],
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "rollback to a",
            COUNT_BY_WORKERS,
        ],
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "release a",
            "savepoint b",
            "rollback to b",
            COUNT_BY_WORKERS,
        ],
    ] {
        assert_eq!(
            school.last(&client, statements).await,
            all,
            "{statements:?}"
        );
    }
    let gone = [
        "savepoint a",
        "enter Acme",
        COUNT_BY_WORKERS,
        "rollback to a",
        COUNT,
    ];
    assert_eq!(school.last(&client, &gone).await, "TN001");
    // Each in its own transaction, on one connection.
    for (tenant, other) in [("enter Acme", "Globex"), ("enter Globex", "Acme")] {
        let strangers = format!(
            "select count(*) filter (where s.process <> pg_backend_pid() and s.name like '{other}%')
             from (select school.process() as process, name from school.students) as s"
        );
        assert_eq!(school.last(&client, &[tenant, &strangers]).await, "0");
    }
}

/// The executor of a portal is started before the tenant is entered, and runs after.
/// (Where a missing tenant is an error, it isn't even planned.)
#[tokio::test]
async fn a_query_that_was_bound_before_is_read_in_the_tenant_that_was_entered() {
    let school = School::new().await;
    let empty =
        "do $$ begin execute format('alter database %I set pg_tenancy.missing_context = empty',
        current_database()); end $$";
    let dba = school.database.superuser().await;
    dba.batch_execute(empty).await.expect(empty);
    let mut client = school.client().await;
    assert_eq!(outcome(&client, &school.acme).await.len(), 36);
    // Without a tenant nobody expects enough rows for workers.
    let forced = "set force_parallel_mode = on";
    client.batch_execute(forced).await.expect(forced);
    let own = client.query_one("select pg_backend_pid()", &[]).await;
    let own: i32 = own.expect("a process").get(0);
    let sql = "select school.process() from school.students";
    let statement = client.prepare(sql).await.expect(sql);
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind(&statement, &[]).await.expect(sql);
    transaction.batch_execute(&school.acme).await.unwrap();
    let rows = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!(rows.len() as i64, STUDENTS_EACH);
    let is_a_workers = |process: i32| process != own;
    assert!(rows.iter().all(|row| is_a_workers(row.get(0))));
}

/// Who has been given the right to the setting can hide the context, and no more.
#[tokio::test]
async fn who_may_set_the_setting_gets_nobody_elses_tenant() {
    let school = School::new().await;
    let client = school.client().await;
    let dba = school.database.superuser().await;
    let role: String = client
        .query_one("select quote_ident(current_user)", &[])
        .await
        .unwrap()
        .get(0);
    school.last(&client, &["enter Acme"]).await;
    let grant = format!("grant set on parameter pg_tenancy.context to {role}");
    dba.batch_execute(&grant).await.expect(&grant);
    let all = STUDENTS_EACH.to_string();
    let hide = "set local pg_tenancy.context = ''";
    for (statements, expected) in [
        (&["enter Acme", hide, COUNT][..], "TN001"),
        (&["enter Acme", hide, "enter Globex"], "TN003"),
        (&["enter Acme", hide, "enter Acme", COUNT], &all),
        (&["enter Acme", hide, "enter Acme", COUNT_BY_WORKERS], &all),
        (
            &["enter Acme", "savepoint a", hide, "rollback to a", COUNT],
            &all,
        ),
        (
            &[
                "enter Acme",
                "savepoint a",
                hide,
                "rollback to a",
                COUNT_BY_WORKERS,
            ],
            &all,
        ),
        (
            &[
                "savepoint a",
                "enter Acme",
                "savepoint b",
                hide,
                "rollback to a",
                COUNT,
            ],
            "TN001",
        ),
        (
            &["enter Acme", "reset pg_tenancy.context", "enter Globex"],
            "TN003",
        ),
        (&[hide, "enter Acme", COUNT], &all),
        (&[hide, "enter Acme", COUNT_BY_WORKERS], &all),
        (
            &["enter Acme", "set local pg_tenancy.context = 'x'"],
            "22023",
        ),
    ] {
        assert_eq!(
            school.last(&client, statements).await,
            expected,
            "{statements:?}"
        );
    }
    // For the session, before anybody has entered.
    client
        .batch_execute("set pg_tenancy.context = ''")
        .await
        .unwrap();
    assert_eq!(school.last(&client, &["enter Acme", COUNT]).await, all);
    assert_eq!(
        school
            .last(&client, &["enter Globex", COUNT_BY_WORKERS])
            .await,
        all
    );
}

#[tokio::test]
async fn the_setting_shows_the_context() {
    let school = School::new().await;
    let client = school.client().await;
    let show = "select current_setting('pg_tenancy.context')";
    let shown = school.last(&client, &["enter Acme", show]).await;
    let id = school.acme.split('\'').nth(1).expect("an id");
    assert!(shown.starts_with(id), "{shown}");
    let same = school
        .last(&client, &["enter Acme", COUNT_BY_WORKERS, show])
        .await;
    assert_eq!(same, shown);
    let gone = ["savepoint a", "enter Acme", "rollback to a", show];
    assert_eq!(school.last(&client, &gone).await, "");
}
