//! Behind PgBouncer in transaction mode: several services share a few connections of
//! the server, each transaction on another, and no tenant sees another's rows.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Authority, Database, Person, PgBouncer};

/// A database whose login has a limit in time, as a pooler makes it needed.
async fn database() -> Database {
    let database = Database::new().await;
    let limit = format!(
        "alter role {} set statement_timeout = '10s'",
        database.api_login.name
    );
    let superuser = database.superuser().await;
    superuser.batch_execute(&limit).await.unwrap();
    database
}

async fn works(person: &Person<'_>, title: &str, turns: usize) {
    for turn in 0..turns {
        if turn % 4 == 0 {
            person.has_task(title).await;
        }
        let titles = person.tasks().await;
        assert!(
            !titles.is_empty() && titles.iter().all(|seen| seen == title),
            "{titles:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_and_two_tenants_share_two_connections() {
    let database = database().await;
    let pgbouncer = PgBouncer::before(&database, 2).await;
    let one = pgbouncer.for_api(Api::on(&database)).start().await;
    let other = pgbouncer.for_api(Api::on(&database)).start().await;
    let (alice, bob) = (one.owner_of("Acme").await, one.owner_of("Globex").await);

    let at = [&one, &other];
    let alices = at.map(|api| alice.at(api));
    let bobs = at.map(|api| bob.at(api));
    tokio::join!(
        works(&alices[0], "Alice's", 100),
        works(&alices[1], "Alice's", 100),
        works(&bobs[0], "Bob's", 100),
        works(&bobs[1], "Bob's", 100),
        works(&alices[0], "Alice's", 100),
        works(&bobs[1], "Bob's", 100),
    );
    let connections = format!(
        "usename = '{}' and application_name is not null",
        database.api_login.name
    );
    let connections = database.count("pg_stat_activity", &connections).await;
    assert!((1..=2).contains(&connections), "{connections}");
    let mixed = format!(
        "(title = $$Alice's$$) <> (tenant_id = '{}')",
        alice.tenant_id
    );
    assert_eq!(database.count("tenancy.tasks", &mixed).await, 0);

    // The rest of the walk: what was signed in one service is good in the other.
    let bob = other.person_of(&bob.refresh().await.with_status(200));
    bob.post("/auth/logout", json!({})).await.with_status(204);
    bob.at(&one).get("/tasks").await.is_problem(401);
    Answer::to(alices[1].request(Method::GET, "/me"))
        .await
        .with_status(200);
}

#[tokio::test]
async fn nothing_is_left_for_who_gets_the_connection_next() {
    let database = database().await;
    let pgbouncer = PgBouncer::before(&database, 1).await;
    let api = pgbouncer.for_api(Api::on(&database)).start().await;
    let alice = api.owner_of("Acme").await;
    alice.has_task("Alice's").await;

    let mut stranger = pgbouncer.connect(&database).await;
    let read = "select count(*) from tenancy.tasks";
    for _ in 0..20 {
        assert_eq!(alice.tasks().await, ["Alice's"]);
        let refused = stranger.simple_query(read).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "TN001");
    }
    // In the same transaction, on the same connection, and then after it.
    let transaction = stranger.transaction().await.unwrap();
    let enter = format!("select from tenancy.enter('{}')", alice.token);
    transaction.simple_query(&enter).await.unwrap();
    transaction.simple_query(read).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(stranger.simple_query(read).await.is_err());
}

#[tokio::test]
async fn a_statement_has_a_limit_in_time_or_the_service_does_not_start() {
    let database = Database::new().await;
    let pgbouncer = PgBouncer::before(&database, 2).await;
    let mut unlimited = pgbouncer.for_api(Api::on(&database)).spawn();
    assert_eq!(unlimited.has_ended().await.code(), Some(1));
    assert!(unlimited.log().contains("statement_timeout"));

    let login = &database.api_login.name;
    let mut superuser = database.superuser().await;
    let harden = format!("select from tenancy.harden('{login}', true, statement_timeout => '2 s')");
    superuser.batch_execute(&harden).await.unwrap();
    let pgbouncer = PgBouncer::before(&database, 2).await;
    let api = pgbouncer.for_api(Api::on(&database)).start().await;
    let alice = api.owner_of("Acme").await;
    let task = alice.has_task("Plan").await;
    let holds = superuser.transaction().await.unwrap();
    let lock = "select from tenancy.tasks for update";
    holds.execute(lock, &[]).await.unwrap();
    let late = alice
        .patch(&format!("/tasks/{task}"), json!({"title": "Late"}))
        .await;
    late.is_problem(503);
    assert_eq!(late.code(), "timeout");
    holds.rollback().await.unwrap();
    assert_eq!(alice.tasks().await, ["Plan"]);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_query_behind() {
    let database = database().await;
    let pgbouncer = PgBouncer::before(&database, 1).await;
    let api = pgbouncer.for_api(Api::on(&database)).start().await;
    hangs_up(&database, &api).await;
}

#[tokio::test]
async fn nor_where_the_way_to_the_pooler_is_encrypted() {
    let database = database().await;
    let authority = Authority::new();
    let shown = authority.certifies("localhost");
    let pgbouncer = PgBouncer::encrypted(&database, 1, &shown).await;
    let file = database.file("pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let api = pgbouncer
        .for_api(Api::on(&database))
        .set("DB_HOST", "localhost")
        .set("DB_SSLMODE", "verify-full")
        .set("DB_SSLROOTCERT", &file.display().to_string());
    hangs_up(&database, &api.start().await).await;
}

/// Somebody hangs up in the middle of a change.
async fn hangs_up(database: &Database, api: &Api) {
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    let task = alice.has_task("Alice's").await;
    bob.has_task("Bob's").await;

    let mut superuser = database.superuser().await;
    let holds = superuser.transaction().await.unwrap();
    let lock = "select from tenancy.tasks where title = $$Alice's$$ for update";
    holds.execute(lock, &[]).await.unwrap();
    let request = alice.request(Method::PATCH, &format!("/tasks/{task}"));
    let request = tokio::spawn(request.json(&json!({"title": "Changed"})).send());
    database.until_waiting(1).await;
    request.abort();
    // The one connection is free again while the lock is still held.
    assert_eq!(bob.tasks().await, ["Bob's"]);
    holds.rollback().await.unwrap();
    assert_eq!(alice.tasks().await, ["Alice's"]);
}
