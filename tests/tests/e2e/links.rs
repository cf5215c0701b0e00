//! Walking through a list by its links: each row once, and the filters kept.

use serde_json::json;
use tests::{Answer, Person, World};

/// The path that an answer links to.
fn link(answer: &Answer, relation: &str) -> Option<String> {
    let relation = format!("; rel=\"{relation}\"");
    let links = answer.header("link").split(", ");
    let link = links
        .into_iter()
        .find_map(|link| link.strip_suffix(&*relation))?;
    Some(link.strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

async fn has_tasks(person: &Person<'_>, count: usize) {
    let tasks: Vec<_> = (0..count)
        .map(|number| json!({"title": format!("Task {number}"), "status": if number % 2 == 0 { "todo" } else { "done" }}))
        .collect();
    person.post("/tasks", json!(tasks)).await.with_status(201);
}

async fn walk(person: &Person<'_>, start: &str) -> Vec<String> {
    let mut titles = Vec::new();
    let mut path = Some(start.to_owned());
    while let Some(at) = path {
        let page = person.get(&at).await.with_status(200);
        titles.extend(page.titles());
        path = link(&page, "next");
        assert!(titles.len() < 100, "the walk ends");
    }
    titles
}

#[tokio::test]
async fn the_links_lead_through_all_pages_of_a_list() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    has_tasks(&ann, 7).await;
    let newest_first: Vec<String> = (0..7)
        .rev()
        .map(|number| format!("Task {number}"))
        .collect();
    assert_eq!(walk(&ann, "/tasks?limit=3&count=exact").await, newest_first);
    assert_eq!(walk(&ann, "/tasks?limit=3").await, newest_first);

    let second = ann
        .get("/tasks?page=2&limit=3&status[ne]=x&count=exact")
        .await;
    for (relation, page) in [("first", 1), ("prev", 1), ("next", 3), ("last", 3)] {
        let path = link(&second, relation).unwrap();
        assert_eq!(
            path,
            format!("/tasks?limit=3&status%5Bne%5D=x&count=exact&page={page}")
        );
        let there = ann.get(&path).await.with_status(200).json();
        assert_eq!(there["page"], page);
    }
    let last = ann.get("/tasks?page=3&limit=3&count=exact").await;
    assert_eq!(link(&last, "next"), None);
}

#[tokio::test]
async fn a_cursor_leads_on_from_where_a_page_ended() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    has_tasks(&ann, 7).await;
    let first = ann
        .get("/tasks?limit=2&status=todo&sort=id")
        .await
        .with_status(200);
    let cursor = first.json()["nextCursor"].as_str().unwrap().to_owned();
    let path = format!("/tasks?limit=2&status=todo&sort=id&cursor={cursor}");
    let second = ann.get(&path).await.with_status(200);
    assert_eq!(second.json().get("page"), None);
    assert_eq!(second.titles(), ["Task 4", "Task 6"]);
    // The row that comes in between moves nothing.
    let start = format!("/tasks?limit=1&status=todo&sort=id&cursor={cursor}");
    has_tasks(&ann, 1).await;
    assert_eq!(walk(&ann, &start).await, ["Task 4", "Task 6", "Task 0"]);

    let mallory = world.api.owner_of("Globex").await;
    has_tasks(&mallory, 7).await;
    for (person, path) in [
        (&mallory, path),
        (
            &ann,
            format!("/tasks?limit=2&status=done&sort=id&cursor={cursor}"),
        ),
        (
            &ann,
            format!("/tasks?limit=2&status=todo&sort=-id&cursor={cursor}"),
        ),
        (&ann, "/tasks?cursor=nonsense".to_owned()),
        (&ann, "/tasks?cursor=".to_owned()),
    ] {
        let answer = person.get(&path).await;
        answer.is_problem(400);
        assert_eq!(answer.code(), "TN415", "{path}");
    }
    ann.get("/tasks?cursor=a&cursor=b").await.is_problem(400);
    ann.get(&format!("/tasks?page=2&cursor={cursor}"))
        .await
        .is_problem(400);
}

#[tokio::test]
async fn an_estimated_count_says_that_it_is_one_and_links_no_last_page() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    has_tasks(&ann, 3).await;
    let page = ann
        .get("/tasks?count=estimated&limit=2")
        .await
        .with_status(200);
    // Few are counted.
    assert_eq!(page.json()["total"], 3);
    assert_eq!(page.json().get("totalIsEstimate"), None);
    assert!(link(&page, "last").is_some());

    let many = format!(
        "insert into tenancy.tasks (tenant_id, title) select '{}', 'x' from generate_series(1, 6000);
         analyze tenancy.tasks",
        ann.tenant_id
    );
    let dba = world.database.superuser().await;
    dba.batch_execute(&many).await.unwrap();
    let page = ann
        .get("/tasks?count=estimated&limit=2")
        .await
        .with_status(200);
    assert_eq!(page.json()["totalIsEstimate"], true);
    assert_eq!(link(&page, "last"), None);
    assert!(link(&page, "next").is_some());
}

#[tokio::test]
async fn what_a_row_refers_to_comes_with_it() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let project = ann.get("/projects").await.json()["data"][0].clone();
    let body = json!({"title": "Buy milk", "projectId": project["id"]});
    let task = ann.post("/tasks", body).await.with_status(201).id();
    let alone = ann.get(&format!("/tasks/{task}")).await;
    let both = ann
        .get(&format!("/tasks/{task}?include=project"))
        .await
        .with_status(200);
    assert_eq!(both.json()["project"]["title"], project["title"]);
    assert_ne!(both.header("etag"), alone.header("etag"));
    let list = ann
        .get("/tasks?include=project&limit=1")
        .await
        .with_status(200)
        .json();
    assert_eq!(list["data"][0]["project"]["id"], project["id"]);
    for path in [
        "/tasks?include=nobody".to_owned(),
        format!("/tasks/{task}?include=nobody"),
    ] {
        ann.get(&path).await.is_problem(400);
    }
}
