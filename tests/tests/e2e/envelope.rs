//! Every answer in one shape, for clients that want it so.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Database, PASSWORD};

/// The envelope of an answer, which tells the same as the answer's head.
#[track_caller]
fn open(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let envelope = answer.json();
    assert_eq!(envelope["success"], status < 400);
    assert_eq!(envelope["statusCode"], status);
    assert_eq!(envelope["requestId"], answer.header("x-request-id"));
    assert!(envelope["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(envelope["meta"].is_object());
    assert_eq!(envelope.get("error").is_some(), status >= 400);
    assert_eq!(envelope.get("data").is_some(), status < 400);
    envelope
}

#[tokio::test]
async fn every_answer_has_its_envelope() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("RESPONSE_STYLE", "envelope")
        .start()
        .await;
    let body = json!({"tenantName": "Acme", "email": "ann@acme.example", "password": PASSWORD});
    let made = open(&api.post("/tenants/register", body).await, 201);
    assert_eq!(made["data"]["tenant"]["name"], "Acme");
    let body = json!({"email": "ann@acme.example", "password": PASSWORD});
    let login = open(&api.post("/auth/login", body).await, 200);
    let token = login["data"]["access_token"].as_str().unwrap().to_owned();
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>| {
        let request = api.request(method, path).bearer_auth(&token);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::to(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    };

    let task = send(
        Method::POST,
        "/tasks",
        &[],
        Some(json!({"title": "Buy milk"})),
    )
    .await;
    let location = task.header("location").to_owned();
    let task = open(&task, 201);
    assert_eq!(task["data"]["title"], "Buy milk");
    let minimal = [("prefer", "return=minimal")];
    let nothing = send(
        Method::POST,
        "/tasks",
        &minimal,
        Some(json!({"title": "x"})),
    )
    .await;
    assert_eq!(open(&nothing, 201)["data"], Value::Null);

    let list = open(
        &send(Method::GET, "/tasks?limit=1&count=exact&x=%22", &[], None).await,
        400,
    );
    assert_eq!(
        (&list["error"]["code"], &list["path"]),
        (&json!("TN402"), &json!("/tasks"))
    );
    let list = send(Method::GET, "/tasks?limit=1&count=exact", &[], None).await;
    let tag = list.header("etag").to_owned();
    assert!(list.header("link").contains("page=2"));
    let list = open(&list, 200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&list["meta"]["page"], &list["meta"]["total"]),
        (&json!(1), &json!(2))
    );
    for path in [
        "/members",
        "/invitations",
        "/api-keys",
        "/auth/sessions",
        "/support-access",
    ] {
        assert!(
            open(&send(Method::GET, path, &[], None).await, 200)["data"].is_array(),
            "{path}"
        );
    }

    let same = [("if-none-match", &*tag)];
    let same = send(Method::GET, "/tasks?limit=1&count=exact", &same, None).await;
    assert_eq!((same.status, &*same.body), (304, &b""[..]));
    let head = send(Method::HEAD, &location, &[], None).await;
    assert_eq!((head.status, &*head.body), (200, &b""[..]));
    assert_eq!(
        open(&send(Method::DELETE, &location, &[], None).await, 200)["data"],
        Value::Null
    );
    let gone = open(&send(Method::GET, &location, &[], None).await, 404);
    assert_eq!(gone["error"]["code"], "not_found");

    let wrong = open(
        &send(Method::POST, "/tasks", &[], Some(json!({"title": ""}))).await,
        400,
    );
    assert_eq!(wrong["error"]["errors"][0]["field"], "title");
    let unauthorized = api.get("/tasks").await;
    assert_eq!(unauthorized.header("www-authenticate"), "Bearer");
    open(&unauthorized, 401);
    open(&api.get("/none").await, 404);
    let wrong = send(Method::PUT, "/tasks", &[], None).await;
    assert_eq!(wrong.header("allow"), "GET,HEAD,POST");
    open(&wrong, 405);

    assert_eq!(api.get("/health").await.json(), json!({"status": "ok"}));
    assert_eq!(api.get("/ready").await.json()["status"], "ready");
}
