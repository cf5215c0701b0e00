//! Registrations and logins that are refused: nothing is left of them, and nothing is
//! told by them.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, PASSWORD, World};

#[tokio::test]
async fn a_registration_that_is_not_sound_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    for (name, email, password) in [
        ("", "a@b.example", PASSWORD),
        ("   ", "a@b.example", PASSWORD),
        (&*"x".repeat(256), "a@b.example", PASSWORD),
        ("Acme", "", PASSWORD),
        ("Acme", "nobody", PASSWORD),
        ("Acme", "a@b@c", PASSWORD),
        ("Acme", "a@b.example", "short12"),
        ("Acme", "a@b.example", &*"x".repeat(129)),
        ("Acme", "a@b.example", &*"ü".repeat(129)),
    ] {
        let body = json!({"tenantName": name, "email": email, "password": password});
        world
            .api
            .post("/tenants/register", body)
            .await
            .is_problem(400);
    }
    for body in [
        json!({"tenantName": "Acme", "email": "a@b.example"}),
        json!({"tenantName": 7, "email": "a@b.example", "password": PASSWORD}),
        json!({"tenantName": "Acme", "email": "a@b.example", "password": PASSWORD, "role": "owner"}),
    ] {
        world
            .api
            .post("/tenants/register", body)
            .await
            .is_problem(400);
    }
    assert_eq!(world.database.count("tenancy.tenants", "true").await, 0);
    assert_eq!(world.database.count("tenancy.users", "true").await, 0);

    let longest = "ü".repeat(128);
    let body = json!({"tenantName": "Acme", "email": "a@b.example", "password": longest});
    world
        .api
        .post("/tenants/register", body)
        .await
        .with_status(201);
    world
        .api
        .post(
            "/auth/login",
            json!({"email": "A@B.example", "password": longest}),
        )
        .await
        .with_status(200);
}

#[tokio::test]
async fn a_login_tells_nobody_who_is_registered() {
    let world = World::new().await;
    world.api.owner_of("Acme").await;
    let mut answers = Vec::new();
    for email in ["owner@acme.example", "nobody@acme.example"] {
        let body = json!({"email": email, "password": "wrong-password"});
        let request = world
            .api
            .request(Method::POST, "/auth/login")
            .header("X-Request-Id", "the-same");
        let mut answer = Answer::to(request.json(&body)).await;
        answer.is_problem(401);
        assert_eq!(answer.json()["detail"], "Invalid credentials");
        answer.headers.remove("date");
        answers.push((answer.headers, answer.body));
    }
    assert_eq!(answers[0], answers[1]);
}
