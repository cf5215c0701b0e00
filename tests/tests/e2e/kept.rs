//! How long a context is kept, and for whom: for its transaction or savepoint, for the
//! workers of its queries, and for nobody else.

mod setting;
mod statements;
mod workers;

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
