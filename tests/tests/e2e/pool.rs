//! Connections are shared by all tenants, one after the other: nothing of one may be
//! left for the next, also when a client hangs up in the middle.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Database, Person};
use tokio_postgres::{Client, NoTls};

const REQUESTS: usize = 1_000;

/// Two tenants on an API that has one connection for both.
async fn one_connection() -> (Database, Api) {
    let database = Database::new().await;
    let api = Api::on(&database).pool_size(1).start().await;
    (database, api)
}

async fn sees_only_its_own(person: &Person<'_>, title: &str) {
    let titles = person.tasks().await;
    assert!(
        !titles.is_empty() && titles.iter().all(|seen| seen == title),
        "{titles:?}"
    );
}

#[tokio::test]
async fn two_tenants_alternate_on_one_connection() {
    let (database, api) = one_connection().await;
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    alice.has_task("Alice's").await;
    bob.has_task("Bob's").await;

    for turn in 0..REQUESTS {
        let (person, title) = if turn % 2 == 0 {
            (&alice, "Alice's")
        } else {
            (&bob, "Bob's")
        };
        sees_only_its_own(person, title).await;
    }
    assert_eq!(
        connections(&database).await,
        ["idle"],
        "one connection, and no open transaction"
    );
}

#[tokio::test]
async fn two_tenants_alternate_and_a_third_of_the_requests_is_cancelled_in_flight() {
    let (database, api) = one_connection().await;
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    alice.has_task("Alice's").await;
    bob.has_task("Bob's").await;
    let mut cancelled = 0;
    let mut added = 2;
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        alice.has_task("Alice's").await;
        fastest = fastest.min(started.elapsed());
        added += 1;
    }

    for turn in 0..REQUESTS {
        let (person, title) = if turn % 2 == 0 {
            (&alice, "Alice's")
        } else {
            (&bob, "Bob's")
        };
        if turn % 3 != 0 {
            sees_only_its_own(person, title).await;
            continue;
        }
        let request = person
            .request(Method::POST, "/tasks")
            .json(&json!({"title": title}));
        // From "before it was sent" to "almost answered".
        let patience = fastest.mul_f64((turn % 100) as f64 / 110.0);
        tokio::select! {
            () = passes(patience) => cancelled += 1,
            answer = Answer::to(request) => {
                answer.with_status(201);
                added += 1;
            }
        }
    }
    assert!(
        cancelled > REQUESTS / 4,
        "only {cancelled} were cancelled: the test tests little"
    );

    api.is_ready().await;
    sees_only_its_own(&alice, "Alice's").await;
    sees_only_its_own(&bob, "Bob's").await;
    let rows = database.count("tenancy.tasks", "true").await;
    assert!(
        (added..=added + cancelled as i64).contains(&rows),
        "{rows} rows, {added} were answered"
    );
    let tenants = format!(
        "(title = $$Alice's$$) = (tenant_id = '{}') and (title = $$Bob's$$) = (tenant_id = '{}')",
        alice.tenant_id, bob.tenant_id
    );
    assert_eq!(
        database.count("tenancy.tasks", &tenants).await,
        rows,
        "each in its own tenant"
    );
    // A cancelled one may just be ending.
    for _ in 0..100 {
        if connections(&database).await == ["idle"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "a connection is not idle: {:?}",
        connections(&database).await
    );
}

/// A time that tokio's clock of milliseconds is too coarse for.
async fn passes(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        tokio::task::yield_now().await;
    }
}

/// What the API's connections are doing, but for the one that only listens to the catalog.
async fn connections(database: &Database) -> Vec<String> {
    let query =
        "select state from pg_stat_activity where usename = $1 and query not like 'listen %'";
    let rows = database
        .superuser()
        .await
        .query(query, &[&database.api_login.name])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_context_does_not_outlive_its_statement_on_a_raw_connection() {
    let (database, api) = one_connection().await;
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    alice.has_task("Alice's").await;
    bob.has_task("Bob's").await;
    let client = database.connect(&database.api_login).await;

    for turn in 0..REQUESTS {
        let (person, own, other) = if turn % 2 == 0 {
            (&alice, "Alice's", "Bob's")
        } else {
            (&bob, "Bob's", "Alice's")
        };
        let list = "select tenancy.list_rows('tenancy.tasks', '{}')::text from tenancy.enter($1)";
        let seen: String = client
            .query_one(list, &[&person.token])
            .await
            .unwrap()
            .get(0);
        assert!(seen.contains(own) && !seen.contains(other), "{seen}");
        has_no_context(&client).await;
    }
}

#[tokio::test]
async fn a_context_does_not_outlive_a_cancelled_statement() {
    let (database, api) = one_connection().await;
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    alice.has_task("Alice's").await;
    let client = database.connect(&database.api_login).await;
    let mut cancelled = 0;

    for turn in 0..REQUESTS / 3 {
        let person = if turn % 2 == 0 { &alice } else { &bob };
        let cancel = client.cancel_token();
        // Entered, and then busy: long enough to be cancelled inside of it.
        let slow = "select tenancy.me(), pg_sleep(0.002) from tenancy.enter($1)";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&person.token];
        let (answer, asked) = tokio::join!(client.query(slow, &parameters), async {
            tokio::time::sleep(Duration::from_micros((turn as u64 * 37) % 3_000)).await;
            cancel.cancel_query(NoTls).await
        });
        asked.unwrap();
        if let Err(error) = answer {
            assert_eq!(
                error.code().map(|code| code.code()),
                Some("57014"),
                "{error:?}"
            );
            cancelled += 1;
        }
        has_no_context(&client).await;
    }
    assert!(
        cancelled > 20,
        "only {cancelled} were cancelled: the test tests little"
    );
}

async fn has_no_context(client: &Client) {
    // A cancellation that comes late hits the next statement, which is this one.
    for _ in 0..3 {
        let error = client
            .query("select tenancy.current_tenant_id()", &[])
            .await
            .unwrap_err();
        match error.code().map(|code| code.code()) {
            Some("TN001") => return,
            Some("57014") => continue,
            _ => panic!("{error:?}"),
        }
    }
    panic!("cancelled again and again");
}

#[tokio::test]
async fn a_transaction_that_was_left_open_ends_with_its_context() {
    let (database, api) = one_connection().await;
    let alice = api.owner_of("Acme").await;
    let client = database.connect(&database.api_login).await;
    for end in ["commit", "rollback"] {
        client.batch_execute("begin").await.unwrap();
        client
            .query("select tenancy.enter($1)", &[&alice.token])
            .await
            .unwrap();
        client
            .query("select tenancy.current_tenant_id()", &[])
            .await
            .unwrap();
        client.batch_execute(end).await.unwrap();
        has_no_context(&client).await;
    }
    client
        .batch_execute("begin; savepoint before")
        .await
        .unwrap();
    client
        .query("select tenancy.enter($1)", &[&alice.token])
        .await
        .unwrap();
    client.batch_execute("rollback to before").await.unwrap();
    has_no_context(&client).await;
}
