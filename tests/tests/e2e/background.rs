//! Work without a person before the screen: capsules in a queue, and a gateway that
//! goes through all tenants.

use std::time::Duration;

use tests::{Database, Login};
use tokio_postgres::{Client, Error, NoTls};

const ACTIVE: &str = "select id::text from tenancy.tenants where status = 'active' order by id";

/// Tenants of these names, made in this order; their ids.
async fn with_tenants(database: &Database, names: &[&str]) -> Vec<String> {
    let dba = database.superuser().await;
    for name in names {
        let email = format!("owner@{}.example", name.to_lowercase());
        dba.execute(
            "select tenancy.register_tenant($1, null, $2)",
            &[name, &email],
        )
        .await
        .unwrap();
    }
    let rows = dba.query(ACTIVE, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn gateway(database: &Database) -> (Login, Client) {
    let login = database.login(&["tenancy_gateway"]).await;
    let client = database.connect(&login).await;
    (login, client)
}

async fn for_each(client: &Client, statement: &str) -> Result<(i64, i64), Error> {
    let row = client
        .query_one("call tenancy.for_each_tenant($1)", &[&statement])
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// Which tenants have a task of that title, by their slugs.
async fn who_has(database: &Database, title: &str) -> String {
    let query = "select coalesce(string_agg(t.slug, ' ' order by t.id), '')
        from tenancy.tasks as k join tenancy.tenants as t on t.id = k.tenant_id where k.title = $1";
    let dba = database.superuser().await;
    dba.query_one(query, &[&title]).await.unwrap().get(0)
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.expect_err("this should have been refused");
    error
        .code()
        .map_or(error.to_string(), |code| code.code().to_owned())
}

#[tokio::test]
async fn every_tenant_has_its_turn_and_sees_itself_alone() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex", "Initech"]).await;
    let dba = database.superuser().await;
    dba.execute(
        "select tenancy.suspend_tenant($1::text::uuid, 'unpaid')",
        &[&ids[1]],
    )
    .await
    .unwrap();
    let (_, client) = gateway(&database).await;

    let statement = "insert into tenancy.tasks (title)
        select 'of ' || string_agg(t.slug, ' ') from tenancy.tenants as t";
    assert_eq!(for_each(&client, statement).await.unwrap(), (2, 0));
    assert_eq!(who_has(&database, "of acme").await, "acme");
    assert_eq!(who_has(&database, "of initech").await, "initech");
    assert_eq!(who_has(&database, "of globex").await, "");
    // The connection is clean and in no tenant.
    assert_eq!(
        code(client.query("select from tenancy.tasks", &[]).await),
        "TN001"
    );
}

#[tokio::test]
async fn nobody_there_is_nothing_to_do() {
    let database = Database::new().await;
    let (_, client) = gateway(&database).await;
    assert_eq!(for_each(&client, "select 1/0").await.unwrap(), (0, 0));
}

#[tokio::test]
async fn one_that_fails_is_undone_and_noted_and_the_others_go_on() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex", "Initech"]).await;
    let (_, client) = gateway(&database).await;
    let in_globex = |deed: &str| {
        format!(
            "insert into tenancy.tasks (title) values ('tried');
             do $$ begin
                if tenancy.current_tenant_id() = '{}' then {deed} end if;
             end $$",
            ids[1]
        )
    };
    let dba = database.superuser().await;
    // One that only the commit checks, and one that somebody has locked.
    dba.batch_execute(
        "create table public.late (n int unique deferrable initially deferred);
         grant insert on public.late to tenancy_gateway;
         create table public.held ();
         grant select on public.held to tenancy_gateway",
    )
    .await
    .unwrap();
    dba.batch_execute("begin; lock table public.held in access exclusive mode")
        .await
        .unwrap();
    let mut tried = 0;
    for (deed, sqlstate) in [
        (
            "raise exception 'Secret plan' using errcode = 'ZZ123';",
            "ZZ123",
        ),
        ("perform 1/0;", "22012"),
        ("assert false;", "P0004"),
        ("perform set_config('my.own', 'x', false);", "TN841"),
        ("execute 'listen news';", "TN841"),
        ("create temporary table t (a int);", "TN841"),
        ("insert into public.late values (1), (1);", "23505"),
        ("commit;", "2D000"),
        (
            "perform tenancy.set_tenant_context('00000000-0000-0000-0000-000000000000');",
            "TN002",
        ),
        (
            "raise exception 'suspended?' using errcode = 'TN004';",
            "TN004",
        ),
        (
            "set local lock_timeout = '50ms'; perform from public.held;",
            "55P03",
        ),
    ] {
        let result = for_each(&client, &in_globex(deed)).await;
        assert_eq!(result.unwrap(), (2, 1), "{deed}");
        tried += 1;
        let noted = format!(
            "action = 'for_each_tenant' and arguments ->> 'tenant' = '{}' and arguments ->> 'failed' = '{sqlstate}'",
            ids[1]
        );
        assert!(
            database.count("tenancy.audit_log", &noted).await > 0,
            "{deed}"
        );
    }
    let both = vec!["acme"; tried].join(" ") + " " + &vec!["initech"; tried].join(" ");
    assert_eq!(who_has(&database, "tried").await, both);
    // Which statement ran is known; what it met in a tenant is not.
    let said = "action = 'for_each_tenant' and not arguments ? 'statement' and arguments::text like '%Secret%'";
    assert_eq!(database.count("tenancy.audit_log", said).await, 0);
    let ends = "action = 'for_each_tenant' and arguments ->> 'done' = '2' and arguments ->> 'failures' = '1'";
    assert_eq!(
        database.count("tenancy.audit_log", ends).await,
        i64::try_from(tried).unwrap()
    );
}

#[tokio::test]
async fn a_cancellation_stops_them_all_and_keeps_what_was_done() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex", "Initech"]).await;
    let (_, client) = gateway(&database).await;
    let statement = format!(
        "insert into tenancy.tasks (title) values ('done');
         select pg_sleep(case tenancy.current_tenant_id() when '{}' then 60 else 0 end)",
        ids[1]
    );
    let cancel = client.cancel_token();
    let (result, ()) = tokio::join!(for_each(&client, &statement), async {
        while who_has(&database, "done").await != "acme" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(code(result), "57014");
    assert_eq!(who_has(&database, "done").await, "acme");

    // A timeout is one, too.
    client
        .batch_execute("set statement_timeout = '3s'")
        .await
        .unwrap();
    assert_eq!(code(for_each(&client, &statement).await), "57014");
    assert_eq!(who_has(&database, "done").await, "acme acme");
}

/// A DBA who holds that advisory lock.
async fn holding(database: &Database, lock: i64) -> Client {
    let dba = database.superuser().await;
    dba.execute("select pg_advisory_lock($1)::text", &[&lock])
        .await
        .unwrap();
    dba
}

/// Comes back when somebody waits for what this connection holds.
async fn waits_for(dba: &Client) {
    let waits = "select exists (select from pg_stat_activity
                 where pg_backend_pid() = any (pg_blocking_pids(pid)))";
    while !dba.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_comes_and_who_goes_meanwhile() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex"]).await;
    let (_, client) = gateway(&database).await;
    let statement = format!(
        "insert into tenancy.tasks (title) values ('done');
         select case tenancy.current_tenant_id() when '{}' then pg_advisory_xact_lock(7)::text end",
        ids[0]
    );
    let dba = holding(&database, 7).await;
    let (result, ()) = tokio::join!(for_each(&client, &statement), async {
        waits_for(&dba).await;
        dba.execute(
            "select tenancy.suspend_tenant($1::text::uuid, 'unpaid')",
            &[&ids[1]],
        )
        .await
        .unwrap();
        with_tenants(&database, &["Initech"]).await;
        dba.batch_execute("select pg_advisory_unlock(7)")
            .await
            .unwrap();
    });
    // Globex neither done nor failed.
    assert_eq!(result.unwrap(), (2, 0));
    assert_eq!(who_has(&database, "done").await, "acme initech");
}

#[tokio::test]
async fn locks_of_one_are_gone_in_the_turn_of_the_next() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex"]).await;
    let (login, client) = gateway(&database).await;
    let held = format!(
        "select pg_advisory_xact_lock(hashtext(tenancy.current_tenant_id()::text));
         select case tenancy.current_tenant_id() when '{}' then pg_advisory_xact_lock(7)::text end",
        ids[1]
    );
    let dba = holding(&database, 7).await;
    let other = database.connect(&login).await;
    let is_free = |id: &str| format!("select pg_try_advisory_xact_lock(hashtext('{id}'))");
    let (result, ()) = tokio::join!(for_each(&client, &held), async {
        waits_for(&dba).await;
        let free: bool = other
            .query_one(&is_free(&ids[0]), &[])
            .await
            .unwrap()
            .get(0);
        assert!(free, "the first one's turn is over");
        let free: bool = other
            .query_one(&is_free(&ids[1]), &[])
            .await
            .unwrap()
            .get(0);
        assert!(!free, "the second one has its turn");
        dba.batch_execute("select pg_advisory_unlock(7)")
            .await
            .unwrap();
    });
    assert_eq!(result.unwrap(), (2, 0));
}

#[tokio::test]
async fn the_callers_search_path_is_the_statements_and_leads_nobody_astray() {
    let database = Database::new().await;
    with_tenants(&database, &["Acme"]).await;
    let dba = database.superuser().await;
    dba.batch_execute(
        "create schema trap;
         create function trap.plus(bigint, integer) returns bigint language sql as 'select 999::bigint';
         create operator trap.+ (leftarg = bigint, rightarg = integer, function = trap.plus);
         create function trap.differs(text, text) returns boolean language sql as 'select false';
         create operator trap.<> (leftarg = text, rightarg = text, function = trap.differs);
         create function trap.array_length(uuid[], integer) returns integer language sql as 'select null::integer';
         create type trap.uuid as enum ('x');
         grant usage on schema trap to public",
    )
    .await
    .unwrap();
    let (_, client) = gateway(&database).await;
    client
        .batch_execute("set search_path = trap, pg_catalog, tenancy")
        .await
        .unwrap();
    let found = for_each(&client, "insert into tasks (title) values ('found')").await;
    assert_eq!(found.unwrap(), (1, 0));
    assert_eq!(who_has(&database, "found").await, "acme");
    assert_eq!(
        for_each(&client, "select pg_catalog.pg_sleep('x')")
            .await
            .unwrap(),
        (0, 1)
    );
}

#[tokio::test]
async fn who_is_no_gateway_has_no_turn_and_no_transaction_either() {
    let database = Database::new().await;
    with_tenants(&database, &["Acme"]).await;
    for roles in [
        &["tenancy_app", "tenancy_authenticator"][..],
        &["tenancy_admin"],
        &["tenancy_reporter"],
    ] {
        let login = database.login(roles).await;
        let client = database.connect(&login).await;
        assert_eq!(
            code(for_each(&client, "select 1").await),
            "42501",
            "{roles:?}"
        );
    }
    // A superuser would do it to all rows, once for each tenant.
    let dba = database.superuser().await;
    assert_eq!(
        code(for_each(&dba, "delete from tenancy.tasks").await),
        "TN852"
    );

    let (_, client) = gateway(&database).await;
    client.batch_execute("begin").await.unwrap();
    assert_eq!(code(for_each(&client, "select 1").await), "2D000");
    client.batch_execute("rollback").await.unwrap();
}

/// A capsule of a gateway's word for that tenant.
async fn capsule(client: &Client, tenant: &str, arguments: &str) -> String {
    let query =
        format!("select tenancy.seal({arguments}) from tenancy.set_tenant_context('{tenant}')");
    client.query_one(&query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_job_works_with_a_capsule_in_transactions_of_its_own() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme", "Globex"]).await;
    let (_, client) = gateway(&database).await;
    let sealed = capsule(&client, &ids[0], "'1 hour', 'remind'").await;

    // The worker's login can do nothing by itself.
    let login = database.login(&["tenancy_app"]).await;
    let worker = database.connect(&login).await;
    assert_eq!(
        code(worker.query("select from tenancy.tasks", &[]).await),
        "TN001"
    );
    for turn in 0..3 {
        worker.batch_execute("begin").await.unwrap();
        worker
            .query("select tenancy.enter_sealed($1, 'remind')", &[&sealed])
            .await
            .unwrap();
        worker
            .execute("insert into tenancy.tasks (title) values ('reminder')", &[])
            .await
            .unwrap();
        let end = if turn == 0 { "rollback" } else { "commit" };
        worker.batch_execute(end).await.unwrap();
        assert_eq!(
            code(worker.query("select from tenancy.tasks", &[]).await),
            "TN001"
        );
    }
    assert_eq!(who_has(&database, "reminder").await, "acme acme");
}

#[tokio::test]
async fn what_ends_a_capsule_ends_it_for_every_connection_in_its_next_transaction() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme"]).await;
    let (_, client) = gateway(&database).await;
    let login = database.login(&["tenancy_app"]).await;
    let worker = database.connect(&login).await;
    let dba = database.superuser().await;
    let enter = "select tenancy.enter($1)";

    let sealed = capsule(&client, &ids[0], "").await;
    // Also in a transaction whose snapshot is older.
    worker
        .batch_execute("begin isolation level repeatable read")
        .await
        .unwrap();
    worker
        .query("select 1 from pg_class limit 1", &[])
        .await
        .unwrap();
    dba.execute(
        "update tenancy.tenants set tokens_valid_from = clock_timestamp()",
        &[],
    )
    .await
    .unwrap();
    assert_eq!(code(worker.query(enter, &[&sealed]).await), "TN015");
    worker.batch_execute("rollback").await.unwrap();

    let operator = database
        .connect(&database.login(&["tenancy_admin"]).await)
        .await;
    let sealed = capsule(&client, &ids[0], "").await;
    operator
        .execute("select tenancy.rotate_seal_key()", &[])
        .await
        .unwrap();
    worker.query(enter, &[&sealed]).await.unwrap();
    operator
        .execute("select tenancy.rotate_seal_key('0')", &[])
        .await
        .unwrap();
    assert_eq!(code(worker.query(enter, &[&sealed]).await), "TN019");
}

#[tokio::test]
async fn a_capsule_opens_in_the_restored_database_and_in_no_other() {
    let database = Database::new().await;
    let ids = with_tenants(&database, &["Acme"]).await;
    let operator = database
        .connect(&database.login(&["tenancy_admin"]).await)
        .await;
    operator
        .execute("select tenancy.rotate_seal_key()", &[])
        .await
        .unwrap();
    let (_, client) = gateway(&database).await;
    let sealed = capsule(&client, &ids[0], "").await;

    let backup = database.login(&["tenancy_backup"]).await;
    let dump = database.dump(&backup);
    let restored = Database::empty(database.cluster).await;
    restored.restore(&dump);
    let keys = "select number, encode(secret, 'hex'), valid_until::text from tenancy.seal_keys order by number";
    let all = |rows: Vec<tokio_postgres::Row>| -> Vec<(i32, String, Option<String>)> {
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect()
    };
    let before = all(database.superuser().await.query(keys, &[]).await.unwrap());
    let after = all(restored.superuser().await.query(keys, &[]).await.unwrap());
    assert_eq!(before.len(), 2);
    assert_eq!(before, after);
    let worker = restored.connect(&restored.api_login).await;
    worker
        .query("select tenancy.enter($1)", &[&sealed])
        .await
        .unwrap();

    let other = Database::empty(database.cluster).await;
    let dba = other.superuser().await;
    dba.batch_execute("create extension pg_tenancy")
        .await
        .unwrap();
    let worker = other.connect(&other.api_login).await;
    assert_eq!(
        code(worker.query("select tenancy.enter($1)", &[&sealed]).await),
        "TN019"
    );
}
