//! Every route: nothing without a token, and nothing of somebody else with one.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{Answer, Database, Mailbox, Person, World};

/// Open to everybody, and why.
const PUBLIC: [&str; 9] = [
    "GET /health",                // Tells nothing.
    "GET /ready",                 // Tells a version.
    "POST /tenants/register",     // Comes before there is a person.
    "POST /auth/login",           // Comes before there is a token.
    "POST /auth/refresh",         // The refresh token is the proof.
    "POST /auth/password/forgot", // Answers everybody alike.
    "POST /auth/password/reset",  // The mailed token is the proof.
    "POST /invitations/peek",     // The mailed token is the proof.
    "POST /invitations/accept",   // The mailed token is the proof.
];

/// The others. What stands in braces is Alice's.
const PROTECTED: [&str; 31] = [
    "GET /me",
    "GET /tasks",
    "POST /tasks",
    "GET /tasks/{task}",
    "PATCH /tasks/{task}",
    "DELETE /tasks/{task}",
    "GET /projects",
    "POST /projects",
    "GET /projects/{project}",
    "PATCH /projects/{project}",
    "DELETE /projects/{project}",
    "GET /admin/reports/tenants",
    "POST /auth/switch",
    "POST /auth/password",
    "POST /auth/logout",
    "POST /auth/logout-all",
    "GET /auth/sessions",
    "DELETE /auth/sessions/{session}",
    "POST /tenants/revoke-sessions",
    "GET /members",
    "PATCH /members/{user}",
    "DELETE /members/{user}",
    "DELETE /members/me",
    "GET /invitations",
    "POST /invitations",
    "DELETE /invitations/{invitation}",
    "GET /api-keys",
    "POST /api-keys",
    "DELETE /api-keys/{key}",
    "GET /support-access",
    "DELETE /support-access/{support}",
];

/// What is Alice's, by its name in the list above.
struct Hers(Vec<(&'static str, String)>);

impl Hers {
    async fn of(world: &World, mailbox: &Mailbox, alice: &Person<'_>) -> Self {
        let task = alice.has_task("Secret plan").await;
        let projects = alice.get("/projects").await.json();
        let project = projects["data"][0]["id"].as_str().unwrap().to_owned();
        let body = json!({"email": "secret@example.com", "role": "member"});
        let invitation = alice.post("/invitations", body).await.with_status(201).id();
        mailbox.token_for("secret@example.com").await;
        let body = json!({"name": "Secret machine", "role": "member"});
        let key = alice.post("/api-keys", body).await.with_status(201).id();
        let dba = world.database.superuser().await;
        let support = format!(
            "select id::text from tenancy.impersonate('{}', 'Secret reason')",
            alice.tenant_id
        );
        let support = dba.query_one(&support, &[]).await.unwrap().get(0);
        Self(vec![
            ("{task}", task),
            ("{project}", project),
            ("{session}", alice.session_id.clone()),
            ("{user}", alice.user_id.clone()),
            ("{invitation}", invitation),
            ("{key}", key),
            ("{support}", support),
        ])
    }

    fn parse(&self, route: &str) -> (Method, String) {
        let (method, path) = route.split_once(' ').unwrap();
        let path = self
            .0
            .iter()
            .fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "{path}");
        (method.parse().unwrap(), path)
    }

    /// Nothing of it was touched.
    async fn is_whole(&self, alice: &Person<'_>) {
        assert_eq!(alice.tasks().await, ["Secret plan"]);
        assert_eq!(alice.get("/projects").await.titles(), ["Getting Started"]);
        for path in [
            "/invitations",
            "/api-keys",
            "/support-access",
            "/auth/sessions",
        ] {
            let list = alice.get(path).await.with_status(200).json();
            assert_eq!(list["data"].as_array().unwrap().len(), 1, "{path}: {list}");
        }
        let members = alice.get("/members").await.json();
        assert_eq!(members["data"][0]["role"], "owner");
        let keys = alice.get("/api-keys").await.json();
        assert_eq!(keys["data"][0]["revokedAt"], json!(null));
        let support = alice.get("/support-access").await.json();
        assert_eq!(support["data"][0]["endedAt"], json!(null));
    }
}

/// A body that the route would take, had the caller the right.
fn body_of(method: &Method, path: &str) -> Option<Value> {
    Some(match path {
        _ if method == Method::PATCH && path.starts_with("/members") => json!({"role": "viewer"}),
        _ if method == Method::PATCH => json!({"title": "Mine now"}),
        _ if method != Method::POST => return None,
        "/auth/switch" => json!({"tenant": "acme"}),
        "/auth/password" => json!({"oldPassword": "password123", "newPassword": "password456"}),
        "/invitations" => json!({"email": "mallory@example.com", "role": "owner"}),
        "/api-keys" => json!({"name": "x", "role": "admin"}),
        _ => json!({"title": "Mine now"}),
    })
}

fn with_body(request: RequestBuilder, body: Option<Value>) -> RequestBuilder {
    match body {
        Some(body) => request.json(&body),
        None => request,
    }
}

#[tokio::test]
async fn without_a_token_every_route_but_the_public_ones_answers_401() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let hers = Hers::of(&world, &mailbox, &alice).await;

    for route in PROTECTED {
        let (method, path) = hers.parse(route);
        let body = body_of(&method, &path);
        let request = with_body(world.api.request(method, &path), body);
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 401, "{route}");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{route}"
        );
        assert!(!answer.text().contains("Secret"), "{route}");
    }
    hers.is_whole(&alice).await;
}

#[tokio::test]
async fn with_a_strangers_token_every_route_to_a_row_answers_404() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let hers = Hers::of(&world, &mailbox, &alice).await;
    let nobodys = Hers(
        hers.0
            .iter()
            .map(|(name, _)| (*name, "01890000-0000-7000-8000-000000000000".to_owned()))
            .collect(),
    );

    for route in PROTECTED.into_iter().filter(|route| route.contains('{')) {
        let mut answers = Vec::new();
        for ids in [&hers, &nobodys] {
            let (method, path) = ids.parse(route);
            let body = body_of(&method, &path);
            let request = with_body(mallory.request(method, &path), body);
            let request = request.header("x-request-id", "the-same");
            let answer = Answer::to(request).await;
            assert_eq!(answer.status, 404, "{route}: {}", answer.text());
            answers.push(answer.body);
        }
        assert_eq!(answers[0], answers[1], "{route}");
    }
    hers.is_whole(&alice).await;
}

#[tokio::test]
async fn with_a_strangers_token_no_route_shows_anything_of_another() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let hers = Hers::of(&world, &mailbox, &alice).await;
    for (number, route) in PROTECTED.into_iter().enumerate() {
        // A new one each time: some routes end the session.
        let mallory = world.api.owner_of(&format!("Globex {number}")).await;
        let (method, path) = hers.parse(route);
        let body = body_of(&method, &path);
        let request = with_body(mallory.request(method, &path), body);
        let answer = Answer::to(request).await;
        assert!(answer.status < 500, "{route}: {}", answer.text());
        for secret in ["Secret", "secret", "acme", &alice.user_id, &alice.tenant_id] {
            assert!(
                !answer.text().contains(secret),
                "{route}: {}",
                answer.text()
            );
        }
    }
    hers.is_whole(&alice).await;
}

#[tokio::test]
async fn a_strangers_rows_can_be_neither_listed_nor_referred_to_nor_counted() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    alice.has_task("Secret plan").await;
    let project = alice.get("/projects").await.json()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let list = mallory
        .get("/tasks?count=exact")
        .await
        .with_status(200)
        .json();
    assert_eq!(list["data"], json!([]));
    assert_eq!(list["total"], 0);
    let filtered = mallory
        .get(&format!("/tasks?projectId={project}"))
        .await
        .with_status(200);
    assert!(filtered.titles().is_empty());

    for field in ["projectId", "assigneeId"] {
        let id = if field == "projectId" {
            &project
        } else {
            &alice.user_id
        };
        let answer = mallory
            .post("/tasks", json!({"title": "Spy", field: id}))
            .await
            .with_status(400);
        assert_eq!(answer.code(), "TN411");
        assert_eq!(answer.json()["errors"][0]["field"], field);
        let task = mallory.has_task("Own").await;
        let answer = mallory
            .patch(&format!("/tasks/{task}"), json!({field: id}))
            .await;
        assert_eq!(answer.with_status(400).code(), "TN411");
    }
}

#[test]
fn the_lists_above_have_every_route() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src/routes.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let paths = source
        .split(".route(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap());
    for path in paths {
        let start = path.split('{').next().unwrap();
        let is_listed = |route: &&str| {
            let (_, listed) = route.split_once(' ').unwrap();
            listed == path || (path.contains('{') && listed.starts_with(&format!("{start}{{")))
        };
        assert!(
            PUBLIC.iter().chain(&PROTECTED).any(is_listed),
            "{path} is in no list of this file"
        );
    }
}

/// What is exposed from the beginning; what a DBA exposes has tests of its own.
#[tokio::test]
async fn the_lists_above_have_every_resource() {
    let database = Database::new().await;
    let query =
        "select r ->> 'name' from json_array_elements(tenancy.resources() -> 'resources') as r";
    let resources = database.superuser().await.query(query, &[]).await.unwrap();
    assert!(!resources.is_empty());
    for resource in resources {
        let name: String = resource.get(0);
        let route = format!("DELETE /{name}/");
        assert!(
            PROTECTED.iter().any(|known| known.starts_with(&route)),
            "/{name} is in no list of this file"
        );
    }
}
