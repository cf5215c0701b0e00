//! A POST that is sent again, because its answer was lost, is done once.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Person, World};

async fn post(person: &Person<'_>, path: &str, key: &str, body: Value) -> Answer {
    let headers = [("idempotency-key", key)];
    person.sends(Method::POST, path, &headers, Some(body)).await
}

#[tokio::test]
async fn the_first_answer_is_given_again() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    for body in [
        json!({"title": "Buy milk"}),
        json!([{"title": "A"}, {"title": "B"}]),
    ] {
        let key = format!("key of {}", body.is_array());
        let first = post(&ann, "/tasks", &key.replace(' ', "-"), body.clone())
            .await
            .with_status(201);
        let again = post(&ann, "/tasks", &key.replace(' ', "-"), body)
            .await
            .with_status(201);
        assert_eq!(first.body, again.body);
        for name in ["location", "etag"] {
            assert_eq!(first.header(name), again.header(name));
        }
    }
    assert_eq!(ann.tasks().await.len(), 3);
    // Another key, or none, is another request.
    post(&ann, "/tasks", "other", json!({"title": "Buy milk"}))
        .await
        .with_status(201);
    assert_eq!(ann.tasks().await.len(), 4);
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_person() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let body = json!({"title": "Buy milk"});
    post(&ann, "/tasks", "k", body.clone())
        .await
        .with_status(201);
    for (path, body) in [
        ("/tasks", json!({"title": "Buy bread"})),
        ("/projects", body.clone()),
    ] {
        let other = post(&ann, path, "k", body).await;
        other.is_problem(422);
        assert_eq!(other.code(), "TN417");
    }
    post(&bob, "/tasks", "k", body).await.with_status(201);
    assert_eq!(bob.tasks().await, ["Buy milk"]);
    assert_eq!(ann.tasks().await, ["Buy milk"]);
}

#[tokio::test]
async fn what_failed_may_be_tried_again_under_its_key() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    post(&ann, "/tasks", "k", json!({"title": ""}))
        .await
        .is_problem(400);
    post(&ann, "/tasks", "k", json!({"title": "Buy milk"}))
        .await
        .with_status(201);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = post(&ann, "/tasks", key, json!({"title": "x"})).await;
        answer.is_problem(400);
        assert_eq!(answer.code(), "TN419", "{key}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let body = Some(json!({"title": "x"}));
    ann.sends(Method::POST, "/tasks", &twice, body)
        .await
        .is_problem(400);
    assert!(ann.tasks().await.is_empty());
}

#[tokio::test]
async fn of_many_at_once_under_one_key_one_is_done() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let send = || post(&ann, "/tasks", "k", json!({"title": "Buy milk"}));
    let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
    for answer in [&a, &b, &c, &d] {
        match answer.status {
            201 => {}
            _ => assert_eq!(answer.code(), "TN418"),
        }
    }
    assert_eq!(ann.tasks().await, ["Buy milk"]);
    let after = send().await.with_status(201);
    let done = [a, b, c, d].into_iter().find(|answer| answer.status == 201);
    assert_eq!(done.unwrap().body, after.body);
}
