//! Who enters is looked at as it is committed at that moment, on every connection and in
//! every transaction, also where that is done without SQL: from the second time on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::{Person, World};
use tokio_postgres::Client;

/// A connection that has entered before.
async fn connected(world: &World, person: &Person<'_>) -> Client {
    let client = world.database.connect(&world.database.api_login).await;
    for _ in 0..2 {
        entering(&client, person).await.expect("a good token");
    }
    client
}

async fn entering(client: &Client, person: &Person<'_>) -> Result<String, String> {
    client
        .query_one("select tenancy.enter($1)::text", &[&person.token])
        .await
        .map(|row| row.get(0))
        .map_err(|error| error.code().map_or("", |code| code.code()).to_owned())
}

/// Begins a transaction that sees the database as it is now, whatever comes.
async fn look_away(client: &Client) {
    client
        .batch_execute("begin isolation level repeatable read; select count(*) from pg_class")
        .await
        .expect("a snapshot");
}

#[tokio::test]
async fn what_has_ended_is_over_also_in_an_old_snapshot() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let admin = world.database.superuser().await;
    for (change, back, outcome) in [
        (
            "update tenancy.sessions set ended_at = now(), end_reason = 'test'",
            "update tenancy.sessions set ended_at = null, end_reason = null",
            "TN015",
        ),
        (
            "update tenancy.tenants set status = 'suspended'",
            "update tenancy.tenants set status = 'active'",
            "TN004",
        ),
        (
            "update tenancy.signing_keys set status = 'retired'",
            "update tenancy.signing_keys set status = 'active'",
            "TN011",
        ),
    ] {
        let client = connected(&world, &alice).await;
        look_away(&client).await;
        admin.batch_execute(change).await.expect(change);
        let entered = entering(&client, &alice).await;
        assert_eq!(entered.expect_err(change), outcome, "{change}");
        client.batch_execute("rollback").await.expect("it ends");
        admin.batch_execute(back).await.expect(back);
        entering(&client, &alice).await.expect(back);
    }
}

#[tokio::test]
async fn the_role_is_that_of_now_also_in_an_old_snapshot() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let client = connected(&world, &alice).await;
    look_away(&client).await;
    let change = "update tenancy.memberships set role = 'viewer'";
    let admin = world.database.superuser().await;
    admin.batch_execute(change).await.expect(change);
    entering(&client, &alice).await.expect("still a member");
    let role: String = client
        .query_one("select tenancy.current_member_role()", &[])
        .await
        .expect("a role")
        .get(0);
    assert_eq!(role, "viewer");
}

/// The indexes that are looked into are rebuilt and replaced while others enter.
#[tokio::test]
async fn nobody_is_refused_while_indexes_are_rebuilt() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let clients = [
        connected(&world, &alice).await,
        connected(&world, &alice).await,
    ];
    let admin = world.database.superuser().await;
    // As long as it takes, however busy the machine is.
    let entered = Arc::new(AtomicUsize::new(0));
    let seen = entered.clone();
    let rebuilding = tokio::spawn(async move {
        for round in 0.. {
            if round >= 3 && seen.load(Ordering::Relaxed) > 10 {
                break;
            }
            for statement in [
                "reindex table concurrently tenancy.sessions",
                "reindex table tenancy.memberships",
                "create unique index concurrently other on tenancy.sessions (id, tenant_id)",
                "drop index concurrently tenancy.other",
                "alter table tenancy.signing_keys add column note text",
                "alter table tenancy.signing_keys drop column note",
            ] {
                admin.batch_execute(statement).await.expect(statement);
            }
        }
    });
    while !rebuilding.is_finished() {
        for client in &clients {
            let tenant = entering(client, &alice).await;
            assert_eq!(tenant.as_ref(), Ok(&alice.tenant_id));
            entered.fetch_add(1, Ordering::Relaxed);
        }
    }
    rebuilding.await.expect("nothing was refused");
}

/// Until somebody waits for that connection.
async fn is_waited_for(admin: &Client, pid: i32) {
    let query = "select exists (select from pg_stat_activity as a where $1 = any (pg_blocking_pids(a.pid)))";
    while !admin
        .query_one(query, &[&pid])
        .await
        .expect(query)
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_has_waited_for_a_table_sees_what_was_done_to_it() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let (admin, dba) = (
        world.database.superuser().await,
        world.database.superuser().await,
    );
    let query = "select pg_backend_pid()";
    let pid: i32 = dba.query_one(query, &[]).await.expect(query).get(0);
    for (table, change, back, outcome) in [
        (
            "sessions",
            "ended_at = now(), end_reason = 'test'",
            "ended_at = null, end_reason = null",
            "TN015",
        ),
        (
            "tenants",
            "status = 'suspended'",
            "status = 'active'",
            "TN004",
        ),
        (
            "signing_keys",
            "status = 'retired'",
            "status = 'active'",
            "TN011",
        ),
    ] {
        let client = connected(&world, &alice).await;
        let change = format!(
            "begin; lock table tenancy.{table} in access exclusive mode; update tenancy.{table} set {change}"
        );
        dba.batch_execute(&change).await.expect(&change);
        let (entered, ()) = tokio::join!(entering(&client, &alice), async {
            is_waited_for(&admin, pid).await;
            dba.batch_execute("commit").await.expect("it commits");
        });
        assert_eq!(entered.expect_err(table), outcome, "{table}");
        let back = format!("update tenancy.{table} set {back}");
        dba.batch_execute(&back).await.expect(&back);
    }
}
