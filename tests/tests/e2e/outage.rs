//! The database or the service goes away: clients are told to come again, nothing is
//! half done, and it all recovers by itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Cluster, Database, Durability, PASSWORD, World};

#[tokio::test]
async fn while_the_database_is_down_the_answer_is_503_and_then_all_is_well() {
    let cluster = Cluster::of_its_own(Durability::None);
    let database = Database::on(cluster).await;
    let api = Api::on(&database).start().await;
    let alice = api.owner_of("Acme").await;
    alice.has_task("Plan").await;

    for _ in 0..2 {
        cluster.stop();
        for _ in 0..3 {
            let answer = alice.get("/tasks").await.with_status(503);
            assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
            assert!(
                !answer.text().contains("connect"),
                "nothing of the inside: {}",
                answer.text()
            );
        }
        api.login(&alice.email).await.with_status(503);
        api.get("/ready").await.with_status(503);
        api.get("/health").await.with_status(200);
        // What needs no database is refused as ever.
        api.get("/tasks").await.with_status(401);

        cluster.start();
        api.is_ready().await;
        assert_eq!(alice.tasks().await, ["Plan"]);
    }
}

#[tokio::test]
async fn an_api_that_starts_before_its_database_waits_for_it() {
    let cluster = Cluster::of_its_own(Durability::None);
    let database = Database::on(cluster).await;
    cluster.stop();
    let api = Api::on(&database).spawn();
    for _ in 0..600 {
        if let Ok(answer) = Answer::try_to(api.request(Method::GET, "/ready")).await {
            answer.with_status(503);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.start();
    api.is_ready().await;
    api.owner_of("Acme").await;
}

#[tokio::test]
async fn sigterm_finishes_the_requests_under_way() {
    let mut world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let request = alice
        .request(Method::POST, "/tasks")
        .json(&json!({"title": "Under way"}));

    // The database keeps the request waiting.
    let dba = world.database.superuser().await;
    dba.batch_execute("begin; lock table tenancy.tasks in access exclusive mode")
        .await
        .unwrap();
    let under_way = tokio::spawn(Answer::to(request));
    let waiting = "select from pg_locks where not granted and relation = 'tenancy.tasks'::regclass";
    while dba.query(waiting, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    world.api.terminate();
    while Answer::try_to(world.api.request(Method::GET, "/health"))
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!under_way.is_finished(), "it must wait for the database");
    dba.batch_execute("commit").await.unwrap();

    under_way.await.unwrap().with_status(201);
    assert!(world.api.has_ended().await.success());
    assert_eq!(
        world
            .database
            .count("tenancy.tasks", "title = 'Under way'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_half_registration() {
    let cluster = Cluster::of_its_own(Durability::Full);
    let database = Database::on(cluster).await;
    let api = Api::on(&database).start().await;

    let attempts: Vec<_> = (0..40)
        .map(|number| {
            let body = json!({
                "tenantName": format!("Company {number}"),
                "email": format!("admin@company{number}.example"),
                "password": PASSWORD,
            });
            let request = api.request(Method::POST, "/tenants/register").json(&body);
            tokio::spawn(async move { (number, Answer::to(request).await) })
        })
        .collect();
    while database.count("tenancy.tenants", "true").await < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.kill();
    cluster.start();
    api.is_ready().await;

    for attempt in attempts {
        let (number, answer) = attempt.await.unwrap();
        let condition = format!("name = 'Company {number}'");
        match answer.status {
            201 => assert_eq!(
                database.count("tenancy.tenants", &condition).await,
                1,
                "{number} was promised"
            ),
            status => assert!([500, 503].contains(&status), "{number}: {}", answer.text()),
        }
    }
    let tenants = database.count("tenancy.tenants", "true").await;
    for table in ["users", "memberships", "projects"] {
        assert_eq!(
            database.count(&format!("tenancy.{table}"), "true").await,
            tenants,
            "{table}"
        );
    }
    api.owner_of("Afterwards").await.has_task("Goes on").await;
}
