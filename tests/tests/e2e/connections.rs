//! Which of the pool's connections a request gets: the one that was used last, and none
//! that the server has ended.

use reqwest::Method;
use tests::{Api, Cluster, Database, Durability, Person};

/// A pool with so many for rows; a fifth of all is for logins.
async fn with_connections(database: &Database, number: u32) -> Api {
    let api = Api::on(database).pool_size(number + number / 4);
    // To make many at once takes its time.
    let patient = ["CONNECT", "POOL", "STATEMENT", "REQUEST"];
    let api = patient.iter().fold(api, |api, limit| {
        api.set(&format!("{limit}_TIMEOUT"), "60s")
    });
    api.start().await
}

/// So many requests at once, each of which waits.
async fn use_at_once(database: &Database, alice: &Person<'_>, number: u32) {
    let dba = database.superuser().await;
    dba.batch_execute("begin; lock table tenancy.tasks in access exclusive mode")
        .await
        .unwrap();
    let request = || tokio::spawn(alice.request(Method::GET, "/tasks").send());
    let requests: Vec<_> = (0..number).map(|_| request()).collect();
    database.until_waiting(i64::from(number)).await;
    dba.batch_execute("commit").await.unwrap();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
}

/// A backend that was just used is warm: one request after the other goes to one of them,
/// and not to all in turns.
#[tokio::test]
async fn the_connection_that_was_used_last_is_used_first() {
    const CONNECTIONS: u32 = 8;
    let database = Database::new().await;
    let api = with_connections(&database, CONNECTIONS).await;
    let alice = api.owner_of("Acme").await;
    use_at_once(&database, &alice, CONNECTIONS).await;

    let since: String = database
        .superuser()
        .await
        .query_one("select clock_timestamp()::text", &[])
        .await
        .unwrap()
        .get(0);
    for _ in 0..4 * CONNECTIONS {
        alice.get("/tasks").await.with_status(200);
    }
    let used = format!(
        "usename = '{}' and query ~ 'list_resource' and query_start > '{since}'",
        database.api_login.name
    );
    let used = database.count("pg_stat_activity", &used).await;
    // More than one where the service itself asks something in between.
    assert!((1..=i64::from(CONNECTIONS / 2)).contains(&used), "{used}");
}

/// Nobody listens on an idle connection, so that its end is seen when somebody wants it; also
/// when that one has to look at more of them than tokio lets a task do at a time.
#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_given_to_nobody() {
    const CONNECTIONS: u32 = 140;
    let cluster = Cluster::of_its_own(Durability::None);
    let database = Database::on(cluster).await;
    let api = with_connections(&database, CONNECTIONS).await;
    let alice = api.owner_of("Acme").await;
    use_at_once(&database, &alice, CONNECTIONS).await;

    cluster.stop();
    cluster.start();
    for _ in 0..3 {
        // Not even one fails.
        alice.has_task("Plan").await;
    }
    use_at_once(&database, &alice, CONNECTIONS).await;
    assert_eq!(database.count("tenancy.tasks", "true").await, 3);
}
