//! What a transaction in a tenant could leave on its connection, on a connection that
//! has not called the extension before (the library comes in the middle of a
//! statement) and on one that has.

use tokio_postgres::Client;

use crate::attacks::{notes, text};

/// What a tenant could leave.
const BODY: &str = "(select string_agg(body, '') from crm.notes)";

fn entering(tenant: &str) -> String {
    format!("tenancy.set_tenant_context('{tenant}')")
}

/// How the statements end on that connection, all of them sent at once.
async fn end(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "00000".to_owned(),
        Err(error) => error.code().map_or("", |code| code.code()).to_owned(),
    }
}

/// Functions that somebody who deploys an application could have made.
async fn functions(dba: &Client) {
    dba.batch_execute(
        "create function crm.body() returns text volatile language plpgsql as $$
         begin return (select string_agg(body, '') from crm.notes); end $$;
         create function crm.lock(text) returns text language plpgsql as $$
         begin perform pg_advisory_lock(length($1)); return $1; end $$;
         create function crm.stumble() returns text language plpgsql as $$
         begin perform 1 / 0; return ''; exception when division_by_zero then return 'x'; end $$;
         grant execute on all functions in schema crm to tenancy_app",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn the_statement_that_enters_leaves_nothing_behind() {
    let (database, dba, _, [acme, globex]) = notes().await;
    functions(&dba).await;
    let login = database.login(&["tenancy_gateway"]).await;
    let enter = entering(&acme);
    let mut left = Vec::new();
    for is_cold in [true, false] {
        for residue in [
            format!("create temp table t as select crm.body() from {enter}"),
            format!(
                "create temp table t on commit preserve rows as select crm.body() from {enter}"
            ),
            format!("create temp table t on commit delete rows as select crm.body() from {enter}"),
            format!("create temp table t as select crm.stumble(), crm.body() from {enter}"),
            format!(
                "begin; create temp table t (x text); select {enter}; insert into t values ({BODY}); commit"
            ),
            format!(
                "begin; savepoint s; create temp table t (x text); select {enter}; release s; commit"
            ),
            format!("begin; create temp sequence t; select {enter}; select setval('t', 7); commit"),
            format!(
                "begin; create temp sequence t; savepoint s; select {enter}; select setval('t', 7); rollback to s; commit"
            ),
            format!("begin; create type pg_temp.t as (x text); select {enter}; commit"),
            format!("begin; select {enter}; create type pg_temp.t as enum ('secret'); commit"),
            format!(
                "begin; select {enter}; create domain pg_temp.t as text default 'secret'; commit"
            ),
            format!("select pg_advisory_lock(length(crm.body())) from {enter}"),
            format!("select {enter}, pg_advisory_lock(4711)"),
            format!("select pg_try_advisory_lock_shared(length({enter}::text || crm.body()))"),
            format!("select crm.lock(crm.body()) from {enter}"),
            format!(
                "begin; select crm.lock(''), pg_advisory_unlock(0); select {enter}; select crm.lock(crm.body()); commit"
            ),
            format!(
                "begin; declare c cursor for select crm.lock(x::text) from generate_series(1, 2) as x; select {enter}; fetch c; commit"
            ),
            format!(
                "begin; savepoint s; select {enter}, pg_advisory_lock(4711); rollback to s; commit"
            ),
            format!("select set_config('my.note', {enter}::text || crm.body(), false)"),
            format!(
                "begin; select {enter}; select set_config('my.note', crm.body(), false); set local my.note = ''; commit"
            ),
            format!(
                "begin; set work_mem = '5MB'; select {enter}; select set_config('work_mem', '6MB', false); set local work_mem = '5MB'; commit"
            ),
            format!(
                "begin; select {enter}; select set_config('my.note', 'a', false); savepoint s; set local my.note = ''; commit"
            ),
            format!("declare c cursor with hold for select crm.body() from {enter}"),
        ] {
            let client = database.connect(&login).await;
            if !is_cold {
                for _ in 0..3 {
                    let warm = format!("select {}", entering(&globex));
                    client.batch_execute(&warm).await.unwrap();
                }
            }
            let ended = end(&client, &residue).await;
            if ended != "TN841" && ended != "TN843" {
                left.push(format!("{ended}, cold {is_cold}: {residue}"));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

/// A lock of the session outlives the transaction that took it, also one that failed.
#[tokio::test]
async fn a_lock_that_outlives_a_rollback_keeps_the_next_tenant_out() {
    let (database, dba, _, [acme, globex]) = notes().await;
    functions(&dba).await;
    let login = database.login(&["tenancy_gateway"]).await;
    let enter = entering(&acme);
    for lock in [
        format!("select {enter}, pg_advisory_lock(4711)"),
        format!("begin; select {enter}, pg_advisory_lock(4711); rollback"),
        format!("begin; select pg_advisory_lock(4711); select {enter}"),
        "select pg_advisory_lock(4711)".to_owned(),
    ] {
        let client = database.connect(&login).await;
        end(&client, &lock).await;
        client.batch_execute("rollback").await.unwrap();
        for _ in 0..2 {
            let enter = format!("select {}", entering(&globex));
            assert_eq!(end(&client, &enter).await, "TN843", "{lock}");
        }
        client
            .batch_execute("select pg_advisory_unlock_all()")
            .await
            .unwrap();
        let body = format!("select crm.body() from {}", entering(&globex));
        assert_eq!(text(&client, &body).await, "theirs");
    }
}

#[tokio::test]
async fn what_goes_with_the_transaction_may_come_before_the_tenant() {
    let (database, dba, _, [acme, globex]) = notes().await;
    functions(&dba).await;
    let login = database.login(&["tenancy_gateway"]).await;
    let enter = entering(&acme);
    for fine in [
        format!("create temp table t on commit drop as select crm.body() from {enter}"),
        format!(
            "begin; create temp table t (id serial primary key, x text) on commit drop; select {enter}; insert into t (x) values ({BODY}); commit"
        ),
        format!(
            "begin; savepoint s; create temp table t (x text) on commit drop; release s; select {enter}; commit"
        ),
        format!("select pg_advisory_xact_lock(length(crm.body())) from {enter}"),
        format!("begin; select pg_advisory_xact_lock(1); select {enter}; commit"),
        format!("select set_config('my.note', {enter}::text || crm.body(), true)"),
        format!(
            "begin; select pg_advisory_lock(1), pg_advisory_unlock(1); select {enter}; select pg_advisory_xact_lock(1); commit"
        ),
    ] {
        let client = database.connect(&login).await;
        for _ in 0..3 {
            client
                .batch_execute(&fine)
                .await
                .unwrap_or_else(|error| panic!("{fine}: {error:?}"));
            client
                .batch_execute(&format!("select {}", entering(&globex)))
                .await
                .unwrap_or_else(|error| panic!("after {fine}: {error:?}"));
        }
    }
}
