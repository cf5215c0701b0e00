//! The walk: two companies, and the wall between them.

use serde_json::json;
use tests::World;

/// A UUIDv7 that nobody was given.
const NOBODYS: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test]
async fn two_companies_share_a_database_and_see_nothing_of_each_other() {
    let world = World::new().await;
    let api = &world.api;

    let registered = api
        .register("Company A", "admin@companyA.com")
        .await
        .with_status(201)
        .json();
    assert_eq!(registered["tenant"]["name"], "Company A");
    assert_eq!(registered["tenant"]["slug"], "company-a");
    assert_eq!(registered["user"]["email"], "admin@companyA.com");
    api.register("Company B", "admin@companyB.com")
        .await
        .with_status(201);

    let a = api.person("admin@companyA.com").await;
    let b = api.person("admin@companyB.com").await;
    assert_eq!(registered["tenant"]["id"], a.tenant_id.as_str());
    assert_eq!(registered["user"]["id"], a.user_id.as_str());
    assert_ne!(a.tenant_id, b.tenant_id);

    let task = a.has_task("Task of A").await;
    b.has_task("Task of B").await;
    assert_eq!(a.tasks().await, ["Task of A"]);
    assert_eq!(b.tasks().await, ["Task of B"]);

    a.get(&format!("/tasks/{task}")).await.with_status(200);
    b.patch(&format!("/tasks/{task}"), json!({"title": "Taken over"}))
        .await
        .with_status(404);
    b.delete(&format!("/tasks/{task}")).await.with_status(404);
    let unchanged = a
        .get(&format!("/tasks/{task}"))
        .await
        .with_status(200)
        .json();
    assert_eq!(unchanged["title"], "Task of A");
    assert_eq!(unchanged["createdAt"], unchanged["updatedAt"]);

    api.get("/tasks").await.with_status(401);
    a.get("/admin/reports/tenants").await.with_status(403);
}

#[tokio::test]
async fn a_foreign_task_answers_byte_for_byte_as_one_that_does_not_exist() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let task = alice.has_task("Secret plan").await;

    for method in ["GET", "PATCH", "DELETE"] {
        let method: reqwest::Method = method.parse().unwrap();
        let mut answers = Vec::new();
        for id in [task.as_str(), NOBODYS] {
            let mut request = mallory
                .request(method.clone(), &format!("/tasks/{id}"))
                .header("X-Request-Id", "the-same");
            if method == "PATCH" {
                request = request.json(&json!({"title": "Taken over"}));
            }
            let mut answer = tests::Answer::to(request).await.with_status(404);
            answer.headers.remove("date");
            answers.push((answer.headers, answer.body));
        }
        assert_eq!(answers[0], answers[1], "{method}");
    }
}

#[tokio::test]
async fn the_report_is_for_platform_administrators() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    alice.has_task("One").await;
    bob.has_task("Two").await;
    alice.get("/admin/reports/tenants").await.with_status(403);

    let dba = world.database.superuser().await;
    dba.execute(
        "select tenancy.grant_platform_administrator($1)",
        &[&alice.email],
    )
    .await
    .unwrap();

    let report = alice
        .get("/admin/reports/tenants")
        .await
        .with_status(200)
        .json();
    let rows = report["data"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                row["members"].clone(),
                row["tasks"].clone(),
            )
        })
        .collect();
    let one_task = json!({"todo": 1, "inProgress": 0, "done": 0});
    assert_eq!(
        told,
        [
            ("Acme", json!(1), one_task.clone()),
            ("Globex", json!(1), one_task)
        ]
    );
    bob.get("/admin/reports/tenants").await.with_status(403);

    // Who looked, when: also of the look that was refused nothing else is left.
    assert_eq!(
        world
            .database
            .count("tenancy.audit_log", "action = 'platform_report_tenants'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_person_is_told_who_and_where_they_are() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let me = alice.get("/me").await.with_status(200).json();
    assert_eq!(
        me["user"],
        json!({"id": alice.user_id, "email": alice.email})
    );
    assert_eq!(me["tenant"]["id"], alice.tenant_id.as_str());
    assert_eq!(me["tenant"]["name"], "Acme");
    assert_eq!(me["role"], "owner");
}

#[tokio::test]
async fn a_new_company_starts_with_a_project_of_its_owner() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let projects = alice.get("/projects").await.with_status(200);
    assert_eq!(projects.titles(), ["Getting Started"]);
    assert_eq!(
        projects.json()["data"][0]["ownerId"],
        alice.user_id.as_str()
    );
}
