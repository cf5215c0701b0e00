//! Which of the pool's connections a request gets: the one that was used last, and none
//! that the server has ended.

use reqwest::Method;
use tests::{Api, Database, Person};

/// Connections for rows; a fifth of all is for logins.
const AT_ONCE: u32 = 8;
const POOL_SIZE: u32 = AT_ONCE + 2;

/// As many requests at once as there may be connections, each of which waits.
async fn use_all(database: &Database, alice: &Person<'_>) {
    let dba = database.superuser().await;
    dba.batch_execute("begin; lock table tenancy.tasks in access exclusive mode")
        .await
        .unwrap();
    let request = || tokio::spawn(alice.request(Method::GET, "/tasks").send());
    let requests: Vec<_> = (0..AT_ONCE).map(|_| request()).collect();
    database.until_waiting(i64::from(AT_ONCE)).await;
    dba.batch_execute("commit").await.unwrap();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
}

/// A backend that was just used is warm: one request after the other goes to one of them,
/// and not to all in turns.
#[tokio::test]
async fn the_connection_that_was_used_last_is_used_first() {
    let database = Database::new().await;
    let api = Api::on(&database).pool_size(POOL_SIZE).start().await;
    let alice = api.owner_of("Acme").await;
    use_all(&database, &alice).await;

    let since: String = database
        .superuser()
        .await
        .query_one("select clock_timestamp()::text", &[])
        .await
        .unwrap()
        .get(0);
    for _ in 0..4 * AT_ONCE {
        alice.get("/tasks").await.with_status(200);
    }
    let used = format!(
        "usename = '{}' and query ~ 'list_resource' and query_start > '{since}'",
        database.api_login.name
    );
    let used = database.count("pg_stat_activity", &used).await;
    // More than one where the service itself asks something in between.
    assert!((1..=i64::from(AT_ONCE / 2)).contains(&used), "{used}");
}

/// Nobody listens on an idle connection, so that its end is seen when somebody wants it.
#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_given_to_nobody() {
    let database = Database::new().await;
    let api = Api::on(&database).pool_size(POOL_SIZE).start().await;
    let alice = api.owner_of("Acme").await;
    use_all(&database, &alice).await;

    let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where usename = $1 and query not like 'listen %'";
    let dba = database.superuser().await;
    let login = &database.api_login.name;
    let ended = dba.query(end, &[login]).await.unwrap();
    assert!(ended.len() >= AT_ONCE as usize, "{}", ended.len());
    assert!(ended.iter().all(|row| row.get(0)));

    // None of them fails, and none is asked twice.
    for _ in 0..3 * AT_ONCE {
        alice.has_task("Plan").await;
    }
    use_all(&database, &alice).await;
    let tasks = database.count("tenancy.tasks", "true").await;
    assert_eq!(tasks, i64::from(3 * AT_ONCE));
}
