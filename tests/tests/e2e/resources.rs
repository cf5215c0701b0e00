//! Resources, as several connections see them.

use std::sync::Arc;

use serde_json::Value;
use tests::{Database, World};
use tokio_postgres::Client;

const SCHOOL: &str = "
    create schema school;
    grant usage on schema school to tenancy_app;
    create table school.students (id int primary key, full_name text not null, secret text);
    select tenancy.isolate_table('school.students');
    select tenancy.expose_table('school.students');";

/// A connection of the application, whose statements enter first.
struct Pupil {
    client: Client,
    token: String,
}

impl Pupil {
    async fn new(database: &Database, token: &str) -> Arc<Self> {
        let client = database.connect(&database.api_login).await;
        let token = token.to_owned();
        Arc::new(Self { client, token })
    }

    /// The answer as text; `None` for NULL; an error's code and message.
    async fn call(&self, call: &str) -> Result<Option<String>, String> {
        let query = format!("select (tenancy.{call})::text from tenancy.enter($1)");
        let row = self.client.query_one(&query, &[&self.token]).await;
        row.map(|row| row.get(0)).map_err(|error| {
            let error = error.as_db_error().expect(call);
            format!("{}: {}", error.code().code(), error.message())
        })
    }

    async fn row(&self, call: &str) -> Value {
        let answer = self.call(call).await.expect(call);
        serde_json::from_str(&answer.expect(call)).expect(call)
    }

    async fn pid(&self) -> i32 {
        let row = self.client.query_one("select pg_backend_pid()", &[]).await;
        row.expect("a number").get(0)
    }
}

/// Waits until somebody waits for that backend.
async fn until_blocked_by(dba: &Client, pid: i32) {
    let query = "select exists (select from pg_stat_activity as a where $1 = any (pg_blocking_pids(a.pid)))";
    while !dba
        .query_one(query, &[&pid])
        .await
        .expect(query)
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

/// The entity tag of a row's JSON, by the database's own functions.
async fn tag(dba: &Client, row: &str) -> String {
    let query = "select rtrim(translate(encode(substr(sha256(convert_to($1, 'UTF8')), 1, 16), 'base64'), '+/', '-_'), '=')";
    dba.query_one(query, &[&row]).await.expect(query).get(0)
}

/// One changes a row and has not committed; another comes with the tag of before.
async fn two_at_once(end: &str, second: &str) -> (Result<Option<String>, String>, Option<String>) {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(SCHOOL).await.expect("a school");
    let first = Pupil::new(&world.database, &alice.token).await;
    let other = Pupil::new(&world.database, &alice.token).await;
    let made = r#"insert_resource('students', '{"id":1,"fullName":"Ada"}')"#;
    let seen = first.call(made).await.expect(made).expect("a row");
    let second = second.replace("TAG", &tag(&dba, &seen).await);

    first.client.batch_execute("begin").await.expect("begin");
    let changed = first
        .row(r#"update_resource('students', '{1}', '{"fullName":"Bo"}')"#)
        .await;
    assert_eq!(changed["fullName"], "Bo");
    let coming = tokio::spawn({
        let other = Arc::clone(&other);
        async move { other.call(&second).await }
    });
    until_blocked_by(&dba, first.pid().await).await;
    first.client.batch_execute(end).await.expect(end);
    let answer = coming.await.expect("it ends");
    let left = other
        .call("get_resource('students', '{1}')")
        .await
        .expect("no error");
    (
        answer,
        left.map(|row| serde_json::from_str::<Value>(&row).expect("JSON")["fullName"].to_string()),
    )
}

#[tokio::test]
async fn a_change_that_comes_between_is_not_lost() {
    let update = r#"update_resource('students', '{1}', '{"fullName":"Cy"}', array['TAG'])"#;
    let (answer, left) = two_at_once("commit", update).await;
    assert_eq!(
        answer,
        Err("TN414: the row is another than you have seen".into())
    );
    assert_eq!(left.as_deref(), Some("\"Bo\""));

    let (answer, left) = two_at_once("rollback", update).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(left.as_deref(), Some("\"Cy\""));
}

#[tokio::test]
async fn what_was_changed_between_is_not_deleted() {
    let delete = "delete_resource('students', '{1}', array['TAG'])";
    let (answer, left) = two_at_once("commit", delete).await;
    assert_eq!(
        answer,
        Err("TN414: the row is another than you have seen".into())
    );
    assert_eq!(left.as_deref(), Some("\"Bo\""));

    let (answer, left) = two_at_once("rollback", delete).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(left, None);
}

/// Who asks for no version has the last word.
#[tokio::test]
async fn without_a_tag_the_last_change_stays() {
    let update = r#"update_resource('students', '{1}', '{"fullName":"Cy"}')"#;
    let (answer, left) = two_at_once("commit", update).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(left.as_deref(), Some("\"Cy\""));
}

/// No backend asks the registry again, and each knows at once.
#[tokio::test]
async fn every_connection_sees_what_the_dba_changes() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(SCHOOL).await.expect("a school");
    let pupils = [
        Pupil::new(&world.database, &alice.token).await,
        Pupil::new(&world.database, &alice.token).await,
    ];
    pupils[0]
        .row(r#"insert_resource('students', '{"id":1,"fullName":"Ada","secret":"x"}')"#)
        .await;
    let row = |fields: &str| Ok(Some(format!("{{{fields}}}")));
    let everywhere = async |expected: Result<Option<String>, String>| {
        for pupil in &pupils {
            let fields = r#"get_resource('students', '{1}')"#;
            assert_eq!(pupil.call(fields).await, expected);
        }
    };
    for (change, expected) in [
        (
            "select tenancy.expose_table('school.students', columns => '{id,full_name}')",
            row(r#""id":1,"fullName":"Ada""#),
        ),
        (
            "alter table school.students rename to pupils",
            row(r#""id":1,"fullName":"Ada""#),
        ),
        (
            "select tenancy.expose_table('school.pupils', 'students', columns => '{id}')",
            row(r#""id":1"#),
        ),
        (
            "revoke select on school.pupils from tenancy_app",
            Err(r#"TN401: there is no resource "students""#.into()),
        ),
        (
            "grant select on school.pupils to tenancy_app",
            row(r#""id":1"#),
        ),
        (
            "alter table school.pupils no force row level security",
            Err(r#"TN401: there is no resource "students""#.into()),
        ),
        (
            "alter table school.pupils force row level security",
            row(r#""id":1"#),
        ),
        (
            "select tenancy.hide_table('students')",
            Err(r#"TN401: there is no resource "students""#.into()),
        ),
    ] {
        dba.batch_execute(change).await.expect(change);
        everywhere(expected).await;
    }
    // A change that is taken back was none.
    dba.batch_execute("begin; select tenancy.expose_table('school.pupils', 'students'); rollback")
        .await
        .expect("rolled back");
    everywhere(Err(r#"TN401: there is no resource "students""#.into())).await;
}

/// A snapshot that is older than the change doesn't bring the old back, nor keep it.
#[tokio::test]
async fn an_old_snapshot_keeps_nothing_of_the_registry() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(SCHOOL).await.expect("a school");
    let pupil = Pupil::new(&world.database, &alice.token).await;
    pupil
        .client
        .batch_execute("begin isolation level repeatable read; select")
        .await
        .expect("begin");
    dba.batch_execute("select tenancy.hide_table('students')")
        .await
        .expect("hidden");
    let refused = pupil.call("list_resource('students')").await;
    assert_eq!(
        refused,
        Err(r#"TN401: there is no resource "students""#.into())
    );
    pupil
        .client
        .batch_execute("rollback")
        .await
        .expect("rollback");
    let refused = pupil.call("list_resource('students')").await;
    assert_eq!(
        refused,
        Err(r#"TN401: there is no resource "students""#.into())
    );
}

#[tokio::test]
async fn a_thousand_resources_are_served_by_one_connection() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(
        "create schema many;
         grant usage on schema many to tenancy_app;
         do $$
         begin
            for n in 1..1000 loop
                execute format('create table many.t%1$s (
                    tenant_id uuid not null default tenancy.current_tenant_id(), id int not null, note text, primary key (tenant_id, id))', n);
                execute format('alter table many.t%1$s enable row level security, force row level security', n);
                execute format('create policy tenant_boundary on many.t%1$s as restrictive for all to public
                    using (tenant_id = tenancy.current_tenant_id()) with check (tenant_id = tenancy.current_tenant_id())', n);
                execute format('create policy all_in_tenant on many.t%1$s to tenancy_app using (true) with check (true)', n);
                execute format('grant select, insert on many.t%1$s to tenancy_app', n);
                perform tenancy.expose_table(format('many.t%s', n)::regclass);
            end loop;
         end $$",
    )
    .await
    .expect("a thousand tables");
    let pupil = Pupil::new(&world.database, &alice.token).await;
    for n in [1, 500, 1000] {
        let made = pupil
            .row(&format!(r#"insert_resource('t{n}', '{{"id":{n}}}')"#))
            .await;
        assert_eq!(made["id"], n);
    }
    let query = "select tenancy.resources($1)::text";
    let known: Option<String> = None;
    let all: String = pupil
        .client
        .query_one(query, &[&known])
        .await
        .expect(query)
        .get(0);
    let all: Value = serde_json::from_str(&all).expect("JSON");
    assert_eq!(all["resources"].as_array().map(Vec::len), Some(1002));
    let version = all["version"].as_str();
    let nothing: Option<String> = pupil
        .client
        .query_one(query, &[&version])
        .await
        .expect(query)
        .get(0);
    assert_eq!(nothing, None);
}
