//! schemathesis sends what the description allows and what it forbids, as one tenant,
//! and looks at every answer. Another tenant has rows in every exposed table; none of
//! them may be in an answer.

use serde_json::json;
use tests::{Api, ApiSettings, Person, World};

use crate::tool::{python, succeeds, workshop};

/// What it sends as one person from one address is far beyond any limit.
const LIMITS: &[&str] = &[
    "INVITATION_LIMIT_TOKEN",
    "REFRESH_LIMIT_TOKEN",
    "RESET_LIMIT_ACCOUNT",
];

/// Rows in every table that is written through the API. What they hold stands nowhere else.
async fn canaries(person: &Person<'_>) -> Vec<String> {
    let text = format!("canary-{}", tests::unique());
    // As long as the code of a course may be.
    let short = &text[..20];
    let mut canaries = vec![
        short.to_owned(),
        person.email.clone(),
        person.tenant_id.clone(),
    ];
    let mut student = String::new();
    for (path, row) in [
        ("/projects", json!({"title": text})),
        ("/tasks", json!({"title": text, "description": text})),
        ("/courses", json!({"code": short, "title": text})),
        (
            "/samples",
            json!({"label": text, "amount": 1, "tags": [text], "extra": {"a": text}}),
        ),
        ("/students", json!({"name": text})),
    ] {
        let made = person.post(path, row).await.with_status(201);
        // A key that is a number stands in many an answer.
        if let Some(id) = made.json()["id"].as_str() {
            canaries.push(id.to_owned());
            student = id.to_owned();
        }
    }
    let row = json!({"studentId": student, "course": short, "grade": 1, "remark": text});
    person.post("/enrolments", row).await.with_status(201);
    canaries
}

fn without_limits(settings: ApiSettings) -> ApiSettings {
    LIMITS
        .iter()
        .fold(settings, |settings, limit| settings.set(limit, "off"))
}

/// Tries the API at this address, in these phases.
async fn finds_nothing(world: &World, url: &str, phases: &str) {
    let canaries = canaries(&world.api.owner_of("Canaries").await).await;
    let tester = world.api.owner_of("Testers").await;

    let mut schemathesis = python("schemathesis");
    schemathesis
        .args(["--config-file", "schemathesis.toml", "run"])
        .args(["--phases", phases])
        .arg(format!("{url}/openapi.json"))
        .current_dir(workshop(world, "openapi"))
        // Where its people log in.
        .env("API", &world.api.url)
        .env("TOKEN", &tester.token)
        .env("CANARIES", canaries.join(","));
    succeeds(schemathesis).await;
}

#[tokio::test]
#[ignore = "needs schemathesis: `make test` sets it up"]
async fn no_request_finds_a_fault_or_another_tenants_row() {
    let (world, _mailbox) = World::with_samples_and(without_limits).await;
    let url = world.api.url.clone();
    finds_nothing(&world, &url, "examples,coverage,fuzzing,stateful").await;
}

#[tokio::test]
#[ignore = "needs schemathesis: `make test` sets it up"]
async fn envelopes_are_as_they_are_described() {
    let (world, mailbox) = World::with_samples().await;
    let settings = without_limits(Api::on(&world.database).mails_to(&mailbox));
    let api = settings.set("RESPONSE_STYLE", "envelope").start().await;
    finds_nothing(&world, &api.url, "examples").await;
}
