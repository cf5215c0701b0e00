//! lint() and harden() on a whole database: before and after a dump, and from a CI.

use std::process::{Command, Output};

use tests::{Database, Login, World};

/// What lint() says, one line a row.
async fn findings(database: &Database) -> Vec<String> {
    let sql =
        "select concat_ws(' | ', severity, rule, object, problem, fix) as row from tenancy.lint()";
    let rows = database.superuser().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get("row")).collect()
}

/// What harden() would still do.
async fn open_subjects(database: &Database) -> Vec<String> {
    let sql =
        "select distinct subject from tenancy.harden($1::text::regrole, keep => '{}') order by 1";
    let client = database.superuser().await;
    let rows = client
        .query(sql, &[&database.api_login.name])
        .await
        .unwrap();
    rows.iter().map(|row| row.get("subject")).collect()
}

async fn harden(database: &Database) {
    let sql = "select from tenancy.harden($1::text::regrole, true, '{}')";
    let client = database.superuser().await;
    client
        .query(sql, &[&database.api_login.name])
        .await
        .unwrap();
}

/// Everything that may log in here has a role of its own, as the README says.
#[tokio::test]
async fn database_in_use_gives_no_row_and_none_when_it_is_restored() {
    let world = World::new().await;
    world.api.owner_of("Acme").await.has_task("Alice's").await;
    assert_eq!(findings(&world.database).await, [""; 0]);

    let backup = world.database.login(&["tenancy_backup"]).await;
    let restored = Database::empty(world.database.cluster).await;
    restored.restore(&world.database.dump(&backup));
    assert_eq!(findings(&restored).await, [""; 0]);
}

#[tokio::test]
async fn hardened_database_serves_and_is_dumped_and_restored_as_one() {
    let world = World::new().await;
    let dba = world.database.superuser().await;
    dba.batch_execute("select lo_from_bytea(0, 'of the DBA')")
        .await
        .unwrap();
    drop(dba);
    harden(&world.database).await;
    assert_eq!(open_subjects(&world.database).await, [""; 0]);
    let alice = world.api.owner_of("Acme").await;
    alice.has_task("Alice's").await;
    assert_eq!(alice.tasks().await, ["Alice's"]);

    // Into a database that is there already: what belongs to the database itself is not in it.
    let backup = world.database.login(&["tenancy_backup"]).await;
    world
        .database
        .superuser()
        .await
        .batch_execute(&format!(
            "grant select on large object {} to tenancy_backup",
            only_large_object(&world.database).await
        ))
        .await
        .unwrap();
    let dump = world.database.dump(&backup);
    let restored = Database::empty(world.database.cluster).await;
    restored.restore(&dump);
    assert_eq!(
        open_subjects(&restored).await,
        ["temporary_tables", "timeouts"]
    );
    assert_eq!(findings(&restored).await, [""; 0]);

    // With --create it has all: also the login's limits, which are of this database.
    drop(world.api);
    let elsewhere = Database::empty(world.database.cluster).await;
    let admin = elsewhere.superuser().await;
    let name = &world.database.name;
    admin
        .batch_execute(&format!(
            "alter database {name} with allow_connections false"
        ))
        .await
        .unwrap();
    admin
        .batch_execute(&format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{name}'"
        ))
        .await
        .unwrap();
    admin
        .batch_execute(&format!("alter database {name} rename to {name}_before"))
        .await
        .unwrap();
    let mut command = elsewhere.program("pg_restore", None);
    tests::postgres::output_of(
        command
            .args(["--create", "--exit-on-error", "--dbname", &elsewhere.name])
            .arg(&dump),
    );
    assert_eq!(open_subjects(&world.database).await, [""; 0]);
    let api = world.database.connect(&world.database.api_login).await;
    let limit: String = api
        .query_one("show statement_timeout", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(limit, "30s");
}

async fn only_large_object(database: &Database) -> u32 {
    let sql = "select oid from pg_largeobject_metadata";
    database
        .superuser()
        .await
        .query_one(sql, &[])
        .await
        .unwrap()
        .get(0)
}

fn lint_db(database: &Database, login: &Login, format: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.make/lint-db");
    let url = format!(
        "postgres://{}:{}@127.0.0.1:{}/{}",
        login.name,
        login.password.replace('a', "%61"),
        database.cluster.port(),
        database.name
    );
    tests::postgres::run(
        Command::new(script)
            .env("DATABASE_URL", url)
            .env("FORMAT", format),
    )
}

#[tokio::test]
async fn a_ci_of_the_users_stops_at_an_error() {
    let database = Database::new().await;
    let admin = database.login(&["tenancy_admin"]).await;
    let dba = database.superuser().await;

    let clean = lint_db(&database, &admin, "json");
    assert!(clean.status.success(), "{clean:?}");
    assert_eq!(String::from_utf8_lossy(&clean.stdout).trim(), "[]");
    assert!(String::from_utf8_lossy(&clean.stderr).contains("tenancy.harden()"));

    dba.batch_execute("create sequence counter; grant select on counter to tenancy_app")
        .await
        .unwrap();
    let warned = lint_db(&database, &admin, "table");
    assert!(warned.status.success(), "{warned:?}");
    let table = String::from_utf8_lossy(&warned.stdout).into_owned();
    assert!(table.contains("sequence_within_reach"), "{table}");

    dba.batch_execute("create table students (id integer, tenant_id uuid)")
        .await
        .unwrap();
    let broken = lint_db(&database, &admin, "json");
    assert!(!broken.status.success(), "{broken:?}");
    let rows: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(rows[0]["rule"], "missing_boundary");
    assert_eq!(
        rows[0]["fix"],
        "select tenancy.isolate_table('public.students')"
    );
}

#[tokio::test]
async fn a_ci_is_told_why_it_could_not_look() {
    let database = Database::new().await;
    let empty = Database::empty(database.cluster).await;
    let app = database.login(&["tenancy_app"]).await;
    let stranger = Login {
        password: "wrong".to_owned(),
        ..app.clone()
    };
    for (database, login, format, message) in [
        (
            &empty,
            &app,
            "table",
            "the extension pg_tenancy is not in that database",
        ),
        (&database, &app, "table", "a member of tenancy_admin"),
        (&database, &stranger, "table", "can't ask that database"),
        (&database, &app, "xml", "FORMAT is xml"),
    ] {
        let output = lint_db(database, login, format);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && complaint.contains(message),
            "{complaint}"
        );
    }
}
