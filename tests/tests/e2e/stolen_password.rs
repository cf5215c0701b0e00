//! Somebody has the API's own database password. It opens the database, and not one
//! tenant's row in it.

use tests::{Database, Login, Person, World};

/// A world with something to steal, and the password that was stolen.
async fn robbed() -> (World, Login) {
    let world = World::new().await;
    let login = world.database.api_login.clone();
    (world, login)
}

/// What psql shows the thief, whatever it was refused.
fn loot(database: &Database, login: &Login, sql: &str, environment: &[(&str, &str)]) -> String {
    let output = database.psql(login, sql, environment);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn no_table_shows_a_row() {
    let (world, thief) = robbed().await;
    let alice = world.api.owner_of("Acme").await;
    alice.has_task("Secret plan").await;
    let tables = "select c.oid::regclass::text from pg_class as c
        where c.relkind in ('r', 'p', 'v', 'm', 'f')
          and c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)";
    let dba = world.database.superuser().await;
    let tables: Vec<String> = dba
        .query(tables, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(tables.len() >= 6, "{tables:?}");

    for table in tables {
        for sql in [
            format!("table {table}"),
            format!("select 1 from {table}"),
            format!("select count(*) from {table} having count(*) > 0"),
            format!("copy {table} to stdout"),
            format!("select tenant_id from {table}"),
            format!("select id from {table}"),
            format!("delete from {table} returning 1"),
            format!("update {table} set created_at = now() returning 1"),
            format!("set pg_tenancy.missing_context = 'empty'; select 1 from {table}"),
            format!("set row_security = off; select 1 from {table}"),
            format!("declare c cursor with hold for select 1 from {table}; fetch all from c"),
            format!(
                "explain (analyze, costs off, timing off, summary off) select 1 from {table} where 1/0 = 1"
            ),
        ] {
            assert_eq!(
                loot(&world.database, &thief, &sql, &[]).replace("DELETE 0\n", ""),
                "",
                "{sql}"
            );
        }
    }
    assert_eq!(alice.tasks().await, ["Secret plan"]);
}

/// Each of these is followed by a look at the tasks, in one session.
fn forgeries(alice: &Person<'_>) -> Vec<String> {
    let tenant = &alice.tenant_id;
    let full = format!("{tenant}/{}/owner", alice.user_id);
    let mut attempts = Vec::new();
    for value in [tenant, &full] {
        for name in ["pg_tenancy.context", "pg_tenancy.tenant_id", "app.tenant"] {
            attempts.extend([
                format!("set {name} = '{value}'"),
                format!("set session {name} = '{value}'"),
                format!("select set_config('{name}', '{value}', false)"),
                // Loads the library first, so that the setting is no placeholder.
                format!("select tenancy.version(); set {name} = '{value}'"),
                format!("select tenancy.version(); select set_config('{name}', '{value}', true)"),
                format!("load 'pg_tenancy'; set {name} = '{value}'"),
                format!("alter role current_user set {name} = '{value}'"),
                format!("begin; set local {name} = '{value}'; select 1 as begun"),
                format!("update pg_settings set setting = '{value}' where name = '{name}'"),
            ]);
        }
    }
    attempts.extend([
        format!("select tenancy.set_tenant_context('{tenant}')"),
        format!("select tenancy.set_tenant_context('{tenant}', '{}')", alice.user_id),
        "set role tenancy_owner".into(),
        "set role tenancy_backup".into(),
        "set role tenancy_gateway".into(),
        "set role tenancy_admin".into(),
        "set role postgres".into(),
        "set session authorization postgres".into(),
        "reset all".into(),
        "discard all".into(),
        "reset pg_tenancy.context".into(),
        "set pg_tenancy.context to default".into(),
        "set pg_tenancy.missing_context = 'all'".into(),
        "set search_path = tenancy_private, tenancy".into(),
        "set session_replication_role = replica".into(),
        "select tenancy.enter('')".into(),
        "select tenancy.enter('eyJhbGciOiJub25lIn0.e30.')".into(),
        "create function pg_temp.current_tenant_id() returns uuid language sql as 'select null::uuid'".into(),
        "create temporary table tasks (id int)".into(),
        "alter table tenancy.tasks disable row level security".into(),
        "create policy mine on tenancy.tasks using (true)".into(),
        "grant tenancy_owner to current_user".into(),
    ]);
    attempts
}

#[tokio::test]
async fn no_setting_and_no_role_opens_a_tenant() {
    let (world, thief) = robbed().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Secret plan").await;

    for attempt in forgeries(&alice) {
        for missing in ["error", "empty"] {
            let client = world.database.connect(&thief).await;
            // What an attempt is answered doesn't count; what can be seen after it does.
            let _ = client
                .simple_query(&format!("set pg_tenancy.missing_context = '{missing}'"))
                .await;
            let _ = client.simple_query(&attempt).await;
            for look in [
                "select title from tenancy.tasks".to_owned(),
                "select name from tenancy.tenants".to_owned(),
                "select email from tenancy.users".to_owned(),
                format!("select tenancy.get_row('tenancy.tasks', '{task}')"),
                "select tenancy.list_rows('tenancy.tasks', '{}')".to_owned(),
                "select tenancy.me()".to_owned(),
            ] {
                if let Ok(seen) = client.simple_query(&look).await {
                    let seen = format!("{seen:?}");
                    assert!(
                        !seen.contains("Secret")
                            && !seen.contains("Acme")
                            && !seen.contains("acme"),
                        "{attempt}; {look}: {seen}"
                    );
                }
            }
        }
    }
    assert_eq!(alice.tasks().await, ["Secret plan"]);
}

#[tokio::test]
async fn no_connection_option_opens_a_tenant() {
    let (world, thief) = robbed().await;
    let alice = world.api.owner_of("Acme").await;
    alice.has_task("Secret plan").await;
    let full = format!("{}/{}/owner", alice.tenant_id, alice.user_id);

    for value in [&alice.tenant_id, &full] {
        for options in [
            format!("-c pg_tenancy.context={value}"),
            format!("--pg_tenancy.context={value}"),
            format!("-c pg_tenancy.context={value} -c pg_tenancy.missing_context=empty"),
            format!("-c session_preload_libraries=pg_tenancy -c pg_tenancy.context={value}"),
            format!("-c local_preload_libraries=pg_tenancy -c pg_tenancy.context={value}"),
            "-c role=tenancy_owner".into(),
            "-c row_security=off".into(),
        ] {
            let sql = "select title from tenancy.tasks";
            assert_eq!(
                loot(&world.database, &thief, sql, &[("PGOPTIONS", &options)]),
                "",
                "{options}"
            );
            if let Ok(client) = world.database.connect_with(&thief, &options).await {
                let seen = client
                    .query(sql, &[])
                    .await
                    .map(|rows| rows.len())
                    .unwrap_or(0);
                assert_eq!(seen, 0, "{options}");
            }
        }
    }
}

#[tokio::test]
async fn a_setting_in_the_middle_of_a_statement_opens_nothing() {
    let (world, thief) = robbed().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    alice.has_task("Secret plan").await;
    bob.has_task("Own").await;
    let client = world.database.connect(&thief).await;
    let tenant = &alice.tenant_id;

    // Inside a tenant of the thief's own, reaching for another.
    for reach in [
        format!(
            "select title from (select set_config('pg_tenancy.context', '{tenant}', true)) as s, tenancy.tasks"
        ),
        format!(
            "select title from tenancy.tasks union all select t.title from (select set_config('pg_tenancy.context', '{tenant}', true)) as s, lateral (select title from tenancy.tasks) as t"
        ),
        format!("select title from tenancy.tasks where tenant_id = '{tenant}'"),
        format!("update tenancy.tasks set tenant_id = '{tenant}' returning title"),
        format!(
            "insert into tenancy.tasks (tenant_id, title) values ('{tenant}', 'Planted') returning title"
        ),
        "select title from tenancy.tasks where false or true".to_owned(),
    ] {
        client.batch_execute("begin").await.unwrap();
        client
            .query("select tenancy.enter($1)", &[&bob.token])
            .await
            .unwrap();
        if let Ok(seen) = client.simple_query(&reach).await {
            assert!(!format!("{seen:?}").contains("Secret"), "{reach}: {seen:?}");
        }
        client.batch_execute("rollback").await.unwrap();
    }
    client.batch_execute("begin").await.unwrap();
    client
        .query("select tenancy.enter($1)", &[&bob.token])
        .await
        .unwrap();
    let second = client
        .query("select tenancy.enter($1)", &[&alice.token])
        .await
        .unwrap_err();
    assert_eq!(
        second.code().unwrap().code(),
        "TN003",
        "not even with a good token"
    );
    assert_eq!(alice.tasks().await, ["Secret plan"]);
    assert_eq!(bob.tasks().await, ["Own"]);
}

#[tokio::test]
async fn people_can_be_asked_for_and_not_listed() {
    let (world, thief) = robbed().await;
    let alice = world.api.owner_of("Acme").await;
    let find = |email: &str| format!("select user_id from tenancy.find_credentials('{email}')");
    let found = loot(&world.database, &thief, &find(&alice.email), &[]);
    assert_eq!(found.trim(), alice.user_id, "this is what the login needs");
    for pattern in ["%", "", "owner%", "owner@acme.example' or true --"] {
        let pattern = pattern.replace('\'', "''");
        assert_eq!(
            loot(&world.database, &thief, &find(&pattern), &[]),
            "",
            "{pattern}"
        );
    }
    // Not even inside a tenant, of its own people.
    let client = world.database.connect(&thief).await;
    client.batch_execute("begin").await.unwrap();
    client
        .query("select tenancy.enter($1)", &[&alice.token])
        .await
        .unwrap();
    let hashes = client
        .query("select password_hash from tenancy.users", &[])
        .await;
    assert_eq!(hashes.unwrap_err().code().unwrap().code(), "42501");
}
