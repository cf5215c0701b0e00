//! Bad input: refused with a status that fits, words for a person and a code for a
//! program, and nothing of the database in them.

use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, PASSWORD, Person, Token, World};

/// A problem as RFC 9457 has it, that tells nothing of the inside.
#[track_caller]
fn is_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(!problem["code"].as_str().unwrap().is_empty());
    assert_eq!(problem["requestId"], answer.header("x-request-id"));
    let text = answer.text().to_lowercase();
    for inside in [
        "tenancy.",
        "select ",
        "insert ",
        "constraint",
        "sqlstate",
        "panick",
        ".rs:",
    ] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}

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
        is_problem(&posts(&alice, body).await, 400);
    }
    is_problem(&posts(&alice, &b"{\"title\":\"\xff\xfe\"}"[..]).await, 400);
    is_problem(&posts(&alice, "[".repeat(100_000)).await, 400);
    is_problem(
        &posts(&alice, format!("{{\"description\":{}", "[".repeat(100_000))).await,
        400,
    );
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
        is_problem(&answer, 400);
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
            is_problem(&answer, 400);
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
        is_problem(&answer, 400);
        let answer = mallory
            .patch(&format!("/tasks/{task}"), json!({field: value}))
            .await;
        is_problem(&answer, 400);
    }
    is_problem(
        &mallory.patch(&format!("/tasks/{task}"), json!({})).await,
        400,
    );
    is_problem(&mallory.post("/tasks", json!({})).await, 400);
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
            is_problem(&Answer::to(request).await, 400);
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
        is_problem(&answer, 400);
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
        is_problem(&alice.post("/tasks", body.clone()).await, 400);
        is_problem(&alice.patch(&format!("/tasks/{task}"), body).await, 400);
    }
    for field in ["tenantName", "email", "password"] {
        let mut body = json!({"tenantName": "New", "email": "a@b.example", "password": PASSWORD});
        body[field] = json!("abcdefgh\0@b.example");
        let answer = world.api.post("/tenants/register", body).await;
        // A password is hashed as it is, and a hash has no NUL in it.
        if field != "password" || answer.status != 201 {
            is_problem(&answer, 400);
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
    is_problem(
        &alice
            .post("/tasks", json!({"title": "Long", "description": text}))
            .await,
        413,
    );
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
async fn a_token_that_is_not_good_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let good = || Token::for_person(&world.database, &alice);
    let now = tests::token_now();
    let (head, rest) = alice.token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split('.').next().unwrap()
    );
    let swapped = format!(
        "{head}.{}.{signature}",
        bob.token.split('.').nth(1).unwrap()
    );

    for (what, token) in [
        ("expired", good().claim("exp", now - 60).sign()),
        ("not yet valid", good().claim("nbf", now + 3600).sign()),
        ("without an end", good().without("exp").sign()),
        ("without a tenant", good().without("tenantId").sign()),
        ("without a person", good().without("sub").sign()),
        (
            "a tenant that is no id",
            good().claim("tenantId", "acme").sign(),
        ),
        ("forged", good().forged().sign()),
        (
            "another algorithm",
            good().algorithm(Algorithm::HS384).sign(),
        ),
        ("an unknown key", good().kid(Some("unknown")).sign()),
        ("no key", good().kid(None).sign()),
        (
            "a key with SQL in it",
            good().kid(Some("x' or true --")).sign(),
        ),
        ("unsigned", unsigned),
        ("another's claims", swapped),
        ("cut off", alice.token[..alice.token.len() - 4].to_owned()),
        ("no token", "nonsense".to_owned()),
        ("dots", "..".to_owned()),
        ("long", "a".repeat(20_000)),
    ] {
        let answer = Answer::to(world.api.request(Method::GET, "/tasks").bearer_auth(token)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        is_problem(&answer, 401);
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer") && challenge.contains("error=\"invalid_token\""),
            "{what}: {challenge}"
        );
    }

    let token = good().claim("exp", now - 10).sign();
    let answer = Answer::to(world.api.request(Method::GET, "/tasks").bearer_auth(token)).await;
    assert_eq!(
        answer.status,
        200,
        "clocks differ a little: {}",
        answer.text()
    );
}

#[tokio::test]
async fn a_well_signed_token_opens_only_what_the_membership_does() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    alice.has_task("Secret plan").await;

    let token =
        Token::for_person(&world.database, &mallory).claim("tenantId", alice.tenant_id.as_str());
    let answer = Answer::to(
        world
            .api
            .request(Method::GET, "/tasks")
            .bearer_auth(token.sign()),
    )
    .await;
    is_problem(&answer, 403);
    assert_eq!(answer.code(), "TN002");
}

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
        is_problem(&world.api.post("/tenants/register", body).await, 400);
    }
    for body in [
        json!({"tenantName": "Acme", "email": "a@b.example"}),
        json!({"tenantName": 7, "email": "a@b.example", "password": PASSWORD}),
        json!({"tenantName": "Acme", "email": "a@b.example", "password": PASSWORD, "role": "owner"}),
    ] {
        is_problem(&world.api.post("/tenants/register", body).await, 400);
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
        is_problem(&answer, 401);
        assert_eq!(answer.json()["detail"], "Invalid credentials");
        answer.headers.remove("date");
        answers.push((answer.headers, answer.body));
    }
    assert_eq!(answers[0], answers[1]);
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
        is_problem(&answer, 401);
    }
}

#[tokio::test]
async fn other_methods_and_routes_are_problems_too() {
    let world = World::new().await;
    is_problem(&world.api.get("/nowhere").await, 404);
    is_problem(
        &Answer::to(world.api.request(Method::PUT, "/tasks")).await,
        405,
    );
    let request = world
        .api
        .request(Method::POST, "/auth/login")
        .header("Content-Type", "text/plain");
    is_problem(&Answer::to(request.body("{}")).await, 415);
}
