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

/// What the owner has put into an index or a materialized view runs as the owner, and
/// leaves whoever maintains it in no tenant.
#[tokio::test]
async fn maintenance_leaves_nobody_in_a_tenant() {
    let school = School::new().await;
    let dba = school.database.superuser().await;
    let grant = "grant create on schema public to tenancy_gateway";
    dba.batch_execute(grant).await.expect(grant);
    let client = school.client().await;
    let enter = format!(
        "create function enter(n int) returns int language plpgsql immutable
         as 'begin {}; return n; end'",
        school
            .acme
            .replace("select ", "perform ")
            .replace('\'', "''")
    );
    for (statement, expected) in [
        ("create index on numbers (enter(n))", "f"),
        ("refresh materialized view number", "f"),
        ("select enter(n) from numbers", "t"),
    ] {
        let statements = [
            "create table numbers as select 1 as n",
            &enter,
            "create materialized view number as select enter(1) with no data",
            statement,
            "select current_setting('pg_tenancy.context') <> ''",
        ];
        assert_eq!(
            school.last(&client, &statements).await,
            expected,
            "{statement}"
        );
    }
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

/// The tenant is a constant of each execution, and of no plan that is kept.
#[tokio::test]
async fn a_statement_that_is_kept_is_run_for_whoever_has_entered() {
    let school = School::new().await;
    let client = school.client().await;
    school.last(&client, &["enter Acme"]).await;
    // Planned once, for all: by the key, by a part of it, and in a loop.
    let generic = "set plan_cache_mode = force_generic_plan";
    client.batch_execute(generic).await.expect(generic);
    let statements = [
        "select name from school.students where id = $1",
        "select max(name) from school.students where id between $1 and $1 + 5",
        "select max(t.name) from school.students as s join school.students as t on t.id = s.id
         where s.id = $1",
    ];
    client.batch_execute("begin").await.unwrap();
    outcome(&client, &school.acme).await;
    let mut prepared = Vec::new();
    for sql in statements {
        prepared.push(client.prepare(sql).await.expect(sql));
    }
    client.batch_execute("commit").await.unwrap();
    for turn in 0..20 {
        let (enter, own) = match turn % 2 {
            0 => (&school.acme, "Acme"),
            _ => (&school.globex, "Globex"),
        };
        client.batch_execute("begin").await.unwrap();
        for statement in &prepared {
            let error = client.query(statement, &[&7]).await.unwrap_err();
            assert_eq!(error.code().expect("a code").code(), "TN001");
            client
                .batch_execute("rollback; begin; savepoint a")
                .await
                .unwrap();
            outcome(&client, enter).await;
            for _ in 0..2 {
                let row = client.query_one(statement, &[&7]).await.unwrap();
                let name: &str = row.get(0);
                assert!(name.starts_with(own), "{name}");
            }
            client.batch_execute("rollback to a").await.unwrap();
        }
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn who_may_not_ask_for_the_tenant_reads_nothing() {
    let school = School::new().await;
    let client = school.client().await;
    let dba = school.database.superuser().await;
    let one = "select name from school.students where id = 7";
    assert_eq!(school.last(&client, &["enter Acme", one]).await, "Acme 7");
    let role = "create role without_functions; grant usage on schema school to without_functions;
        grant select on school.students to without_functions;
        create policy without_functions on school.students to without_functions using (true)";
    let role = role.replace("without_functions", &format!("without_{}", tests::unique()));
    dba.batch_execute(&role).await.expect(&role);
    let name = role.split([' ', ';']).nth(2).expect("a name");
    let member: String = client
        .query_one("select quote_ident(current_user)", &[])
        .await
        .unwrap()
        .get(0);
    let grant = format!("grant {name} to {member}");
    dba.batch_execute(&grant).await.expect(&grant);
    let become_it = format!("set local role {name}");
    let all = ["enter Acme", one, &become_it, one];
    assert_eq!(school.last(&client, &all).await, "42501");
    // From the next statement on.
    let revoke = "revoke execute on function tenancy.current_tenant_id() from tenancy_app";
    let grant = "grant execute on function tenancy.current_tenant_id() to tenancy_app";
    for (change, expected) in [(revoke, "42501"), (grant, "Acme 7")] {
        assert_eq!(outcome(&client, "begin").await, "");
        outcome(&client, &school.acme).await;
        outcome(&client, "savepoint a").await;
        outcome(&client, one).await;
        outcome(&client, "rollback to a").await;
        dba.batch_execute(change).await.expect(change);
        assert_eq!(outcome(&client, one).await, expected, "{change}");
        client.batch_execute("rollback").await.unwrap();
    }
}

/// A function's statements share the memory of the query that calls it.
#[tokio::test]
async fn a_function_that_reads_a_row_many_times_takes_no_more_memory() {
    let school = School::new().await;
    let dba = school.database.superuser().await;
    let functions = "
        create function school.name_of(wanted int) returns text language sql volatile
        as 'select name from school.students where id = wanted';
        create function school.memory() returns bigint language sql volatile
        security definer set search_path = pg_catalog
        as 'select sum(total_bytes)::bigint from pg_backend_memory_contexts'";
    dba.batch_execute(functions).await.expect(functions);
    let client = school.client().await;
    let growth = "select max(x.memory) - min(x.memory) + 0 * count(x.name)
        from (select n, school.name_of(1) as name,
                  case when n in (1000, 21000) then school.memory() end as memory
              from generate_series(1, 21000) as n) as x";
    let growth = school.last(&client, &["enter Acme", growth]).await;
    let growth: i64 = growth.parse().expect("a number");
    assert!(growth < 1_000_000, "{growth} bytes");
}
