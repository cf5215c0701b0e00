//! Every route: nothing without a token, and nothing of somebody else with one.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, World};

/// Open to everybody, and why.
const PUBLIC: [&str; 4] = [
    "GET /health",            // Tells nothing.
    "GET /ready",             // Tells a version.
    "POST /tenants/register", // Comes before there is a person.
    "POST /auth/login",       // Comes before there is a token.
];

/// The others. `{task}` and `{project}` stand for Alice's.
const PROTECTED: [&str; 12] = [
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
];

fn parse(route: &str, task: &str, project: &str) -> (Method, String) {
    let (method, path) = route.split_once(' ').unwrap();
    (
        method.parse().unwrap(),
        path.replace("{task}", task).replace("{project}", project),
    )
}

#[tokio::test]
async fn without_a_token_every_route_but_the_public_ones_answers_401() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Secret plan").await;
    let project = alice.get("/projects").await.json()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    for route in PROTECTED {
        let (method, path) = parse(route, &task, &project);
        let request = world
            .api
            .request(method, &path)
            .json(&json!({"title": "Mine now"}));
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 401, "{route}");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{route}"
        );
        assert!(!answer.text().contains("Secret"), "{route}");
    }
    assert_eq!(alice.tasks().await, ["Secret plan"]);
}

#[tokio::test]
async fn with_a_strangers_token_every_route_to_a_row_answers_404() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let task = alice.has_task("Secret plan").await;
    let project = alice.get("/projects").await.json()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    for route in PROTECTED.into_iter().filter(|route| route.contains('{')) {
        let (method, path) = parse(route, &task, &project);
        let mut request = mallory.request(method.clone(), &path);
        if method == Method::PATCH {
            request = request.json(&json!({"title": "Mine now"}));
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, 404, "{route}: {}", answer.text());
        assert_eq!(answer.code(), "not_found", "{route}");
    }
    assert_eq!(alice.tasks().await, ["Secret plan"]);
    assert_eq!(alice.get("/projects").await.titles(), ["Getting Started"]);
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
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    for path in paths {
        let suffix = format!(" {path}");
        assert!(
            PUBLIC
                .iter()
                .chain(&PROTECTED)
                .any(|route| route.ends_with(&suffix)),
            "{path} is in no list of this file"
        );
    }

    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src/routes/rows.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let resources = source
        .split("RESOURCES: ")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let names = resources
        .split("(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    for name in names {
        let route = format!("DELETE /{name}/");
        assert!(
            PROTECTED.iter().any(|known| known.starts_with(&route)),
            "/{name} is in no list of this file"
        );
    }
}
