//! Connections that load the library in the middle of a query of isolated rows, where
//! `pg_tenancy.missing_context` is `empty`: they tell of no tenant's rows.

use tests::Database;
use tokio_postgres::{Client, SimpleQueryMessage};

const STUDENTS: &str = "
    create schema school;
    grant usage on schema school to tenancy_app;
    create table school.students (
        tenant_id uuid not null, id int, name text not null, primary key (tenant_id, id));
    select tenancy.isolate_table('school.students');";

/// The secret is at Globex, and the application goes to Acme.
struct School {
    database: Database,
    enter: String,
}

impl School {
    async fn new() -> Self {
        let database = Database::new().await;
        let dba = database.superuser().await;
        dba.batch_execute(STUDENTS).await.expect(STUDENTS);
        let mut ids = Vec::new();
        for name in ["Acme", "Globex"] {
            let register = format!(
                "select tenant_id::text from tenancy.register_tenant('{name}', null, 'owner@{name}.example')"
            );
            let row = dba.query_one(&register, &[]).await.expect(&register);
            ids.push(row.get::<_, String>(0));
        }
        let rest = format!(
            "insert into school.students select '{}', n, 'A' || n from generate_series(1, 3) as n;
             insert into school.students select '{}', 1, 'Secret';
             do $$ begin execute format('alter database %I set pg_tenancy.missing_context = empty', current_database()); end $$",
            ids[0], ids[1]
        );
        dba.batch_execute(&rest).await.expect(&rest);
        let enter = format!("tenancy.set_tenant_context('{}')", ids[0]);
        Self { database, enter }
    }

    /// A connection of the application's own, that hasn't called us yet.
    async fn fresh(&self) -> Client {
        let login = self.database.login(&["tenancy_gateway"]).await;
        let client = self.database.connect(&login).await;
        let scans = "set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off";
        client.batch_execute(scans).await.expect(scans);
        client
    }
}

/// The last column of the last row, or the SQLSTATE.
async fn outcome(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => messages
            .iter()
            .rev()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(row.len() - 1).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default(),
        Err(error) => error.code().expect(sql).code().to_owned(),
    }
}

/// What a leak would leave: a lock that the condition takes for a row that passes
/// the comparison before it, each under its own number.
async fn lock_of(client: &Client, key: i64) -> String {
    let sql = format!(
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and objid = {key}"
    );
    outcome(client, &sql).await
}

const PROBE: &str = "name <> 'Secret' or pg_try_advisory_xact_lock(7)";

#[tokio::test]
async fn first_query_of_a_connection_is_empty_and_asks_the_boundary_first() {
    let school = School::new().await;
    for query in [
        format!("select count(*) from school.students where {PROBE}"),
        format!(
            "select count(*) from school.students as s join school.students as t using (id) where s.{PROBE}"
        ),
        format!(
            "with gone as (delete from school.students where {PROBE} returning 1) select count(*) from gone"
        ),
        format!("declare c cursor for select count(*) from school.students where {PROBE}; fetch c"),
        format!("prepare q as select count(*) from school.students where {PROBE}; execute q"),
        format!(
            "set local plan_cache_mode = force_generic_plan; prepare q as select count(*) from school.students where {PROBE}; execute q"
        ),
    ] {
        let client = school.fresh().await;
        client.batch_execute("begin").await.unwrap();
        assert_eq!(outcome(&client, &query).await, "0", "{query}");
        assert_eq!(lock_of(&client, 7).await, "0", "{query}");
    }
    let client = school.fresh().await;
    let query = "select count(*) from school.students where name <> $1 or pg_try_advisory_lock($2)";
    let row = client.query_one(query, &[&"Secret", &7_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    assert_eq!(lock_of(&client, 7).await, "0");
}

#[tokio::test]
async fn what_was_planned_too_early_enters_no_tenant() {
    let school = School::new().await;
    let enter = &school.enter;
    for query in [
        format!("select (select count(*) from school.students where {PROBE}) from {enter}"),
        format!("select {enter}, (select count(*) from school.students where {PROBE})"),
        format!(
            "select count(*) from {enter}, lateral (select from school.students where {PROBE} offset 0) as s"
        ),
        format!(
            "update school.students set name = name where (select true from {enter} offset 0) and ({PROBE})"
        ),
        format!(
            "explain analyze select (select count(*) from school.students where {PROBE}) from {enter}"
        ),
        format!(
            "do $$ begin perform {enter}, (select count(*) from school.students where {PROBE}); end $$"
        ),
        format!(
            "select tenancy.uuid_v7(), (select count(*) from school.students where {PROBE}) from {enter}"
        ),
        format!("select count(*) from school.students; select {enter}"),
        format!("declare c cursor for select name from school.students; select {enter}"),
    ] {
        let client = school.fresh().await;
        assert_eq!(
            outcome(&client, &format!("begin; {query}")).await,
            "TN001",
            "{query}"
        );
        client.batch_execute("rollback; begin").await.unwrap();
        // The next time it's planned as all others are.
        let again = outcome(&client, &query).await;
        assert_ne!(again, "TN001", "{query}");
        if again != "TN842" {
            assert_eq!(lock_of(&client, 7).await, "0", "{query}");
        }
    }
}

#[tokio::test]
async fn a_statement_prepared_too_early_is_planned_again() {
    let school = School::new().await;
    let client = school.fresh().await;
    let prepare = "set plan_cache_mode = force_generic_plan;
        prepare q (text, bigint) as select count(*) from school.students where name <> $1 or pg_try_advisory_xact_lock($2)";
    client.batch_execute(prepare).await.expect(prepare);
    assert_eq!(outcome(&client, "execute q ('Secret', 1)").await, "0");
    let enter = format!("begin; select {}", school.enter);
    client.batch_execute(&enter).await.expect(&enter);
    assert_eq!(outcome(&client, "execute q ('Secret', 7)").await, "3");
    assert_eq!(lock_of(&client, 7).await, "0");
}

#[tokio::test]
async fn first_query_of_people_is_refused_once() {
    let school = School::new().await;
    let client = school.fresh().await;
    let query = "select count(*) from tenancy.users where email <> 'owner@globex.example' or pg_try_advisory_xact_lock(7)";
    assert_eq!(outcome(&client, query).await, "TN001");
    assert_eq!(outcome(&client, query).await, "0");
}

#[tokio::test]
async fn first_request_of_a_connection_works() {
    let school = School::new().await;
    let enter = &school.enter;
    for mode in ["empty", "error"] {
        let dba = school.database.superuser().await;
        let set = format!(
            "do $$ begin execute format('alter database %I set pg_tenancy.missing_context = {mode}', current_database()); end $$"
        );
        dba.batch_execute(&set).await.expect(&set);
        let client = school.fresh().await;
        let request = format!(
            "select json_array_length(tenancy.list_rows('school.students', '{{}}')->'data') from {enter}"
        );
        assert_eq!(outcome(&client, &request).await, "3", "{mode}");

        let client = school.fresh().await;
        let block = format!(
            "do $$ begin perform {enter};
                perform set_config('app.seen', count(*)::text, true) from school.students where {PROBE}; end $$"
        );
        client
            .batch_execute(&format!("begin; {block}"))
            .await
            .expect(&block);
        assert_eq!(outcome(&client, "show app.seen").await, "3", "{mode}");
        assert_eq!(lock_of(&client, 7).await, "0", "{mode}");
    }
}
