//! Dump and restore: every row comes along, and every refusal too.

use serde_json::json;
use tests::{Api, Database, World};

/// Each table of the extension with a digest of its rows.
async fn digests(database: &Database) -> Vec<(String, i64, String)> {
    let client = database.superuser().await;
    let tables = "select c.oid::regclass::text from pg_class as c
        where c.relkind = 'r' and c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
        order by 1";
    let mut digests = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let digest = format!(
            "select count(*), coalesce(md5(string_agg(t::text, '|' order by t::text collate \"C\")), '') from {table} as t"
        );
        let row = client.query_one(&digest, &[]).await.unwrap();
        digests.push((table, row.get(0), row.get(1)));
    }
    digests
}

#[tokio::test]
async fn a_restored_database_has_every_row_and_every_refusal() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    alice.has_task("Alice's").await;
    let task = bob.has_task("Bob's").await;
    bob.patch(&format!("/tasks/{task}"), json!({"status": "done"}))
        .await
        .with_status(200);
    let dba = world.database.superuser().await;
    dba.execute(
        "select tenancy.grant_platform_administrator($1)",
        &[&alice.email],
    )
    .await
    .unwrap();
    alice.get("/admin/reports/tenants").await.with_status(200);

    let backup = world.database.login(&["tenancy_backup"]).await;
    let dump = world.database.dump(&backup);
    let restored = Database::empty(world.database.cluster).await;
    restored.restore(&dump);

    let before = digests(&world.database).await;
    assert!(
        before.iter().filter(|(_, rows, _)| *rows > 0).count() >= 8,
        "{before:?}"
    );
    assert_eq!(before, digests(&restored).await);

    let api = Api::on(&restored).start().await;
    let (alice, bob) = (alice.at(&api), bob.at(&api));
    assert_eq!(alice.tasks().await, ["Alice's"]);
    assert_eq!(bob.tasks().await, ["Bob's"]);
    alice.get(&format!("/tasks/{task}")).await.with_status(404);
    alice
        .delete(&format!("/tasks/{task}"))
        .await
        .with_status(404);
    alice.get("/admin/reports/tenants").await.with_status(200);
    bob.get("/admin/reports/tenants").await.with_status(403);
    api.get("/tasks").await.with_status(401);
    api.person(&bob.email).await;
    assert_eq!(
        api.register("acme", "carol@acme.example")
            .await
            .with_status(409)
            .code(),
        "TN101"
    );
    api.owner_of("Initech").await.has_task("New").await;

    let thief = restored.connect(&restored.api_login).await;
    assert_eq!(
        code(thief.query("select from tenancy.tasks", &[]).await),
        "TN001"
    );
    assert_eq!(
        code(thief.query("select from tenancy.signing_keys", &[]).await),
        "42501"
    );
    let dba = restored.superuser().await;
    assert_eq!(
        code(dba.query("drop extension pg_tenancy", &[]).await),
        "TN901"
    );
}

#[tokio::test]
async fn a_dump_needs_the_role_that_may() {
    let world = World::new().await;
    world.api.owner_of("Acme").await;
    for roles in [
        &["tenancy_app"][..],
        &["tenancy_app", "tenancy_authenticator"],
        &["tenancy_admin"],
    ] {
        let login = world.database.login(roles).await;
        for arguments in [
            &["--data-only"][..],
            &["--data-only", "--enable-row-security"],
        ] {
            let mut command = world.database.program("pg_dump", Some(&login));
            let output = tests::postgres::run(command.args(arguments));
            let dumped = String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success(), "{roles:?} {arguments:?}");
            assert!(
                !dumped.contains("Acme") && !dumped.contains("argon2id"),
                "{roles:?} {arguments:?}"
            );
        }
    }
}

/// What the DBA has exposed and hidden is so where it is restored.
#[tokio::test]
async fn a_restored_database_serves_the_same_resources() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    dba.batch_execute(
        r#"create schema "My School"; grant usage on schema "My School" to tenancy_app;
           create table "My School"."o'clock; drop" (id int primary key, full_name text, secret text);
           create table "My School".gone (id int primary key);
           create table "My School".countries (code text primary key);
           create table "My School".gone_currencies (code text primary key);
           select tenancy.isolate_table('"My School"."o''clock; drop"'), tenancy.isolate_table('"My School".gone');
           select tenancy.share_table('"My School".countries'), tenancy.share_table('"My School".gone_currencies');
           create view "My School".names with (security_invoker) as select id, full_name from "My School"."o'clock; drop";
           grant select on "My School".names to tenancy_app;
           select tenancy.expose_table('"My School"."o''clock; drop"', 'students',
               columns => '{id,full_name}', insertable => '{id}', updatable => '{}', filterable => '{full_name}', sortable => '{full_name}');
           select tenancy.expose_table('"My School".gone'), tenancy.expose_table('"My School".countries'),
               tenancy.expose_table('"My School".gone_currencies', 'currencies'), tenancy.expose_table('"My School".names', key => '{id}');
           select tenancy.hide_table('tasks');
           select tenancy.expose_table('tenancy.projects', updatable => '{title}');
           alter table "My School"."o'clock; drop" rename to students;
           drop table "My School".gone, "My School".gone_currencies"#,
    )
    .await
    .unwrap();
    let registry =
        "select string_agg(r::text, E'\n' order by r.resource) from tenancy.exposed_resources as r
        where exists (select from pg_class as c where c.oid = r.relation)";
    let before: String = dba.query_one(registry, &[]).await.unwrap().get(0);
    assert_eq!(before.lines().count(), 5, "{before}");
    let served = "select tenancy.resources()::text";
    let application = database.connect(&database.api_login).await;
    let described: String = application.query_one(served, &[]).await.unwrap().get(0);

    let backup = database.login(&["tenancy_backup"]).await;
    let dump = database.dump(&backup);
    let restored = Database::empty(database.cluster).await;
    restored.restore(&dump);
    let dba = restored.superuser().await;
    let after: String = dba.query_one(registry, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    assert_eq!(restored.count("tenancy.exposed_resources", "true").await, 5);
    assert_eq!(restored.count("tenancy.shared_tables", "true").await, 1);
    assert!(after.contains("(tasks,tenancy.tasks,,,,,,,t)"), "{after}");
    let application = restored.connect(&restored.api_login).await;
    let again: String = application.query_one(served, &[]).await.unwrap().get(0);
    assert_eq!(described, again);
    assert!(
        !again.contains("\"secret\"") && !again.contains("\"tasks\""),
        "{again}"
    );
}

fn code<T>(result: Result<T, tokio_postgres::Error>) -> String {
    let error = result.err().expect("this should have been refused");
    error
        .code()
        .map(|code| code.code().to_owned())
        .unwrap_or_else(|| error.to_string())
}
