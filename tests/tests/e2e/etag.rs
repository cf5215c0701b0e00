//! Entity tags: nothing is sent twice, and nobody overwrites what they haven't seen.

use reqwest::Method;
use serde_json::json;
use tests::World;

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    ann.has_task("Buy bread").await;
    let task = ann.has_task("Buy milk").await;
    for path in [
        format!("/tasks/{task}"),
        format!("/tasks/{task}?fields=title"),
        "/tasks".to_owned(),
        "/tasks?count=exact".to_owned(),
        // With a cursor to the next page, which is another each time.
        "/tasks?limit=1".to_owned(),
    ] {
        let first = ann.get(&path).await.with_status(200);
        let tag = first.header("etag").to_owned();
        let is_list = !path.contains(&task);
        assert_eq!(tag.starts_with("W/"), is_list, "{path}: {tag}");
        assert_eq!(first.header("cache-control"), "private, no-cache");
        assert_eq!(first.header("vary"), "authorization, x-tenant-id");
        let list = format!("\"other\", W/{}", tag.trim_start_matches("W/"));
        for given in [&*tag, &list, "*"] {
            let headers = [("if-none-match", given)];
            let again = ann.sends(Method::GET, &path, &headers, None).await;
            assert_eq!(again.status, 304, "{path} {given}");
            assert_eq!((again.header("etag"), &*again.body), (&*tag, &b""[..]));
            assert_eq!(again.header("cache-control"), "private, no-cache");
        }
    }
    let path = format!("/tasks/{task}");
    let seen = ann.get(&path).await.header("etag").to_owned();
    ann.patch(&path, json!({"title": "Buy bread"}))
        .await
        .with_status(200);
    let headers = [("if-none-match", &*seen)];
    let changed = ann.sends(Method::GET, &path, &headers, None).await;
    assert_eq!(changed.with_status(200).json()["title"], "Buy bread");

    // Whose row it isn't learns nothing by a tag.
    let mallory = world.api.owner_of("Globex").await;
    for given in [&*seen, "*"] {
        let headers = [("if-none-match", given)];
        let foreign = mallory.sends(Method::GET, &path, &headers, None).await;
        assert_eq!(foreign.status, 404);
    }
}

#[tokio::test]
async fn every_answer_with_a_row_has_the_rows_tag() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let made = ann
        .post("/tasks", json!({"title": "Buy milk"}))
        .await
        .with_status(201);
    let path = made.header("location").to_owned();
    assert_eq!(made.header("etag"), ann.get(&path).await.header("etag"));
    let minimal = [("prefer", "return=minimal")];
    for headers in [&[][..], &minimal] {
        let body = json!({"title": format!("Buy {}", headers.len())});
        let changed = ann.sends(Method::PATCH, &path, headers, Some(body)).await;
        let tag = changed.header("etag");
        assert_eq!(tag, ann.get(&path).await.header("etag"));
        assert_ne!(tag, made.header("etag"));
    }
}

#[tokio::test]
async fn a_change_that_depends_on_what_is_no_more_is_not_made() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let task = ann.has_task("Buy milk").await;
    let path = format!("/tasks/{task}");
    let old = ann.get(&path).await.header("etag").to_owned();
    let changed = ann.patch(&path, json!({"title": "Buy bread"})).await;
    let new = changed.header("etag").to_owned();

    let weak = format!("W/{new}");
    for given in [&*old, &weak, "\"*\"", "\"\"", "\"x\", \"y\""] {
        for method in [Method::PATCH, Method::DELETE] {
            let body = (method == Method::PATCH).then(|| json!({"title": "Lost"}));
            let headers = [("if-match", given)];
            let answer = ann.sends(method, &path, &headers, body).await;
            answer.is_problem(412);
            assert_eq!(answer.code(), "TN414", "{given}");
        }
    }
    assert_eq!(ann.tasks().await, ["Buy bread"]);

    let one_of = format!("{old}, {new}");
    let headers = [("if-match", &*one_of)];
    let body = Some(json!({"title": "Buy both"}));
    ann.sends(Method::PATCH, &path, &headers, body)
        .await
        .with_status(200);
    let any = [("if-match", "*")];
    ann.sends(Method::DELETE, &path, &any, None)
        .await
        .with_status(204);
    // There is nothing that could have a tag, for nobody.
    ann.sends(Method::DELETE, &path, &any, None)
        .await
        .with_status(404);
    let mallory = world.api.owner_of("Globex").await;
    let hers = format!("/tasks/{}", ann.has_task("Secret").await);
    for given in [&*new, "*"] {
        let headers = [("if-match", given)];
        mallory
            .sends(Method::DELETE, &hers, &headers, None)
            .await
            .with_status(404);
    }
    assert_eq!(ann.tasks().await, ["Secret"]);
}

#[tokio::test]
async fn of_two_who_change_what_they_have_seen_one_succeeds() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let path = format!("/tasks/{}", ann.has_task("Buy milk").await);
    let seen = ann.get(&path).await.header("etag").to_owned();
    let headers = [("if-match", &*seen)];
    let change = |title: &'static str| {
        ann.sends(
            Method::PATCH,
            &path,
            &headers,
            Some(json!({"title": title})),
        )
    };
    let (one, other) = tokio::join!(change("One"), change("Other"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}
