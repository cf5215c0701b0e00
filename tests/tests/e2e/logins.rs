//! Logins have connections for themselves: however many of them wait, rows are answered,
//! and however many requests for rows wait, one can log in.

use std::time::Duration;

use futures_util::future::join_all;
use tests::{Api, Database};
use tokio_postgres::Client;

/// A fifth of them is for logins: one.
const CONNECTIONS: u32 = 5;
const AT_ONCE: u32 = CONNECTIONS + 1;

/// Holds what the statement locks, until this commits.
async fn holder(database: &Database, lock: &str) -> Client {
    let dba = database.superuser().await;
    let hold = format!("begin; {lock}");
    dba.batch_execute(&hold).await.expect("the lock is free");
    dba
}

#[tokio::test]
async fn one_can_log_in_while_requests_hold_all_their_connections() {
    let database = Database::new().await;
    let api = Api::on(&database).pool_size(CONNECTIONS).start().await;
    let alice = api.owner_of("Acme").await;
    alice.has_task("Plan").await;

    let dba = holder(&database, "lock table tenancy.tasks").await;
    let lists = join_all((0..AT_ONCE).map(|_| alice.tasks()));
    let (lists, ()) = tokio::join!(lists, async {
        database.until_waiting(i64::from(CONNECTIONS) - 1).await;
        let login = api.login(&alice.email).await.with_status(200);
        api.person_of(&login).refresh().await.with_status(200);
        dba.batch_execute("commit")
            .await
            .expect("the lock is let go");
    });
    assert!(lists.iter().all(|titles| titles == &["Plan"]), "{lists:?}");
}

#[tokio::test]
async fn rows_are_answered_while_logins_wait() {
    let database = Database::new().await;
    let api = Api::on(&database).pool_size(CONNECTIONS).start().await;
    let alice = api.owner_of("Acme").await;
    alice.has_task("Plan").await;

    let lock = "select from tenancy.memberships for update";
    let dba = holder(&database, lock).await;
    let logins = join_all((0..AT_ONCE).map(|_| api.login(&alice.email)));
    let (logins, ()) = tokio::join!(logins, async {
        database.until_waiting(1).await;
        while waiting(&api).await < u64::from(AT_ONCE) - 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(alice.tasks().await, ["Plan"]);
        dba.batch_execute("commit")
            .await
            .expect("the lock is let go");
    });
    for login in logins {
        login.with_status(200);
    }
}

/// How many wait for a connection of the service.
async fn waiting(api: &Api) -> u64 {
    let ready = api.get("/ready").await.with_status(200).json();
    let waiting = ready["pool"]["waiting"].as_u64();
    waiting.expect("it says how many wait")
}
