//! Bad input: refused with a status that fits, words for a person and a code for a
//! program, and nothing of the database in them.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, PASSWORD, Person, World};

async fn posts(person: &Person<'_>, body: impl Into<reqwest::Body>) -> Answer {
    let request = person
        .request(Method::POST, "/tasks")
        .header("Content-Type", "application/json");
    Answer::to(request.body(body)).await
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for body in [
        "",
        "{",
        "{\"title\":",
        "nonsense",
        "[]",
        "\"title\"",
        "null",
        "7",
        "{\"title\":\"a\"} x",
        "{'title':'a'}",
    ] {
        posts(&alice, body).await.is_problem(400);
    }
    posts(&alice, &b"{\"title\":\"\xff\xfe\"}"[..])
        .await
        .is_problem(400);
    posts(&alice, "[".repeat(100_000)).await.is_problem(400);
    posts(&alice, format!("{{\"description\":{}", "[".repeat(100_000)))
        .await
        .is_problem(400);
    assert!(alice.tasks().await.is_empty());
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_refused_by_its_name() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for (field, value) in [
        ("title", json!(7)),
        ("title", json!({"a": 1})),
        ("title", json!(["a"])),
        ("description", json!(true)),
        ("status", json!(1)),
        ("projectId", json!(12)),
        ("projectId", json!("not-a-uuid")),
        ("assigneeId", json!("01890000-0000-7000-8000-00000000000g")),
    ] {
        let mut body = json!({"title": "Fine"});
        body[field] = value.clone();
        let answer = alice.post("/tasks", body).await;
        answer.is_problem(400);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{value}");
    }
}

#[tokio::test]
async fn a_field_that_breaks_a_rule_is_refused_by_its_name() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Fine").await;
    for (field, value) in [
        ("title", json!("x".repeat(300))),
        ("title", json!("")),
        ("title", Value::Null),
        ("status", json!("finished")),
        ("status", Value::Null),
    ] {
        let mut body = json!({"title": "Fine"});
        body[field] = value.clone();
        for answer in [
            alice.post("/tasks", body).await,
            alice
                .patch(&format!("/tasks/{task}"), json!({field: value}))
                .await,
        ] {
            answer.is_problem(400);
            assert_eq!(answer.json()["errors"][0]["field"], field, "{value}");
        }
    }
    alice.has_task(&"ü".repeat(255)).await;
}

#[tokio::test]
async fn a_field_that_nobody_may_set_is_refused_and_never_obeyed() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let task = mallory.has_task("Own").await;
    for (field, value) in [
        ("tenantId", json!(alice.tenant_id)),
        ("tenant_id", json!(alice.tenant_id)),
        ("id", json!("01890000-0000-7000-8000-000000000000")),
        ("createdAt", json!("2020-01-01T00:00:00Z")),
        ("updatedAt", json!("2020-01-01T00:00:00Z")),
        ("unknown", json!(1)),
        ("title\"; drop table tasks; --", json!("x")),
    ] {
        let answer = mallory
            .post("/tasks", json!({"title": "Smuggled", field: value}))
            .await;
        answer.is_problem(400);
        let answer = mallory
            .patch(&format!("/tasks/{task}"), json!({field: value}))
            .await;
        answer.is_problem(400);
    }
    mallory
        .patch(&format!("/tasks/{task}"), json!({}))
        .await
        .is_problem(400);
    mallory.post("/tasks", json!({})).await.is_problem(400);
    assert!(alice.tasks().await.is_empty());
    assert_eq!(mallory.tasks().await, ["Own"]);

    mallory
        .patch(&format!("/tasks/{task}"), json!({"description": "Some"}))
        .await
        .with_status(200);
    let cleared = mallory
        .patch(&format!("/tasks/{task}"), json!({"description": null}))
        .await;
    assert_eq!(cleared.with_status(200).json()["description"], Value::Null);
}

#[tokio::test]
async fn an_id_that_is_none_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for id in [
        "7",
        "not-a-uuid",
        "01890000-0000-7000-8000-00000000000g",
        "%00",
        "a%00b",
        "%ff",
        "'",
        "*",
    ] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let mut request = alice.request(method.clone(), &format!("/tasks/{id}"));
            if method == Method::PATCH {
                request = request.json(&json!({"title": "x"}));
            }
            Answer::to(request).await.is_problem(400);
        }
    }
}

#[tokio::test]
async fn a_list_query_that_makes_no_sense_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for query in [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=99999999999999999999",
        "limit=0",
        "limit=101",
        "limit=1.5",
        "count=yes",
        "status=finished%00",
        "projectId=x",
        "unknown=1",
        "page=1&page=2",
        "tenantId=x",
        "title=%ff",
        "a=%zz",
    ] {
        let answer = alice.get(&format!("/tasks?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        answer.is_problem(400);
    }
    for query in [
        "page=1",
        "limit=100",
        "page=1000000",
        "count=exact",
        "status=done",
        "",
    ] {
        alice.get(&format!("/tasks?{query}")).await.with_status(200);
    }
}

#[tokio::test]
async fn a_nul_character_is_refused_everywhere() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Fine").await;
    for field in ["title", "description", "status", "projectId", "a\0b"] {
        let body = json!({"title": "Fine", field: "a\0b"});
        alice.post("/tasks", body.clone()).await.is_problem(400);
        alice
            .patch(&format!("/tasks/{task}"), body)
            .await
            .is_problem(400);
    }
    for field in ["tenantName", "email", "password"] {
        let mut body = json!({"tenantName": "New", "email": "a@b.example", "password": PASSWORD});
        body[field] = json!("abcdefgh\0@b.example");
        let answer = world.api.post("/tenants/register", body).await;
        // A password is hashed as it is, and a hash has no NUL in it.
        if field != "password" || answer.status != 201 {
            answer.is_problem(400);
        }
    }
    let answer = world
        .api
        .post(
            "/auth/login",
            json!({"email": "a\0b", "password": PASSWORD}),
        )
        .await;
    assert!([400, 401].contains(&answer.status), "{}", answer.text());
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let text = "x".repeat(1024 * 1024);
    alice
        .post("/tasks", json!({"title": "Long", "description": text}))
        .await
        .is_problem(413);
    let text = &text[..1000 * 1024];
    alice
        .post(
            "/tasks",
            json!({"title": "Not so long", "description": text}),
        )
        .await
        .with_status(201);
}

#[tokio::test]
async fn a_request_id_is_kept_when_it_is_safe() {
    let world = World::new().await;
    for (given, is_kept) in [
        ("checkout-7", true),
        ("<script>", false),
        (&*"x".repeat(200), false),
    ] {
        let request = world
            .api
            .request(Method::GET, "/tasks")
            .header("X-Request-Id", given);
        let answer = Answer::to(request).await;
        assert_eq!(answer.header("x-request-id") == given, is_kept, "{given}");
        answer.is_problem(401);
    }
}

#[tokio::test]
async fn other_methods_and_routes_are_problems_too() {
    let world = World::new().await;
    world.api.get("/nowhere").await.is_problem(404);
    Answer::to(world.api.request(Method::PUT, "/tasks"))
        .await
        .is_problem(405);
    let request = world
        .api
        .request(Method::POST, "/auth/login")
        .header("Content-Type", "text/plain");
    Answer::to(request.body("{}")).await.is_problem(415);
}
