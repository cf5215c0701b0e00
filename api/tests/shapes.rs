//! Headers and shapes that need no rows: conditions, keys and tenants that are malformed,
//! and answers in an envelope.

use api::app::App;
use api::catalog::Catalog;
use api::routes;
use api::settings::Settings;
use api::token::Subject;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use clap::Parser;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// A service whose database is away, but which knows that there are tasks.
fn app(more: &[&str]) -> App {
    let always = [
        "pg_tenancy_api",
        "--jwt-secret=a-secret-for-tests-that-is-long-enough",
        "--db-host=127.0.0.1",
        "--db-port=1",
    ];
    let settings = Settings::try_parse_from(always.iter().chain(more)).unwrap();
    let app = App::new(&settings).unwrap();
    let tasks = json!({"name": "tasks", "kind": "table", "key": ["id"], "isWritable": true});
    let catalog = json!({"version": "1", "resources": [tasks]}).to_string();
    app.set_catalog(Catalog::read(catalog.as_bytes()).unwrap());
    app
}

/// What somebody with a good token is answered.
async fn send(app: &App, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Response<Body> {
    let nobody = Subject {
        user_id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        session_id: Uuid::nil(),
        email: "",
        role: "",
    };
    let token = app.tokens().sign(&nobody).unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let request = request.body(Body::empty()).unwrap();
    routes::router(app.clone()).oneshot(request).await.unwrap()
}

async fn json_of(response: Response<Body>) -> Value {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_malformed_header_is_refused_before_the_database_is_asked() {
    let app = app(&["--tenant-domain=example.com"]);
    for (method, path, headers) in [
        ("GET", "/tasks", &[("if-none-match", &b"abc"[..])][..]),
        ("GET", "/tasks/1", &[("if-none-match", b"\"abc")]),
        ("PATCH", "/tasks/1", &[("if-match", b"")]),
        (
            "DELETE",
            "/tasks/1",
            &[("if-match", b"*"), ("if-match", b"*")],
        ),
        (
            "POST",
            "/tasks",
            &[("idempotency-key", b"a"), ("idempotency-key", b"a")],
        ),
        ("POST", "/tasks", &[("idempotency-key", b"\xff")]),
        ("GET", "/tasks", &[("x-tenant-id", b"")]),
        (
            "GET",
            "/me",
            &[("x-tenant-id", b"a"), ("x-tenant-id", b"a")],
        ),
        ("GET", "/tasks", &[("host", b".example.com")]),
        (
            "GET",
            "/tasks",
            &[("host", b"acme.example.com"), ("x-tenant-id", b"globex")],
        ),
    ] {
        let answer = send(&app, method, path, headers).await;
        assert_eq!(answer.status(), 400, "{method} {path} {headers:?}");
        assert_eq!(json_of(answer).await["code"], "invalid_request");
    }
    // Where it means nothing, nobody reads it: the next thing missing is the database.
    for (method, path, headers) in [
        ("GET", "/tasks/1", &[("if-match", &b"abc"[..])][..]),
        ("GET", "/tasks", &[("idempotency-key", b"\xff")]),
        (
            "GET",
            "/tasks",
            &[("host", b"[::1]:3000"), ("x-tenant-id", b"acme")],
        ),
    ] {
        let answer = send(&app, method, path, headers).await;
        assert_eq!(answer.status(), 503, "{method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_id_is_refused() {
    let app = app(&[]);
    for path in ["/tasks/%", "/tasks/a,%00", "/tasks/%ff", "/tasks/%C3%A9%4"] {
        let answer = send(&app, "GET", path, &[]).await;
        assert_eq!(answer.status(), 400, "{path}");
        assert_eq!(json_of(answer).await["code"], "invalid_path");
    }
}

#[tokio::test]
async fn every_answer_of_the_api_has_its_envelope_and_health_has_none() {
    let app = app(&["--response-style=envelope"]);
    let answer = send(&app, "GET", "/none?token=secret", &[]).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = json_of(answer).await;
    assert_eq!(body["success"], false);
    assert_eq!(body["statusCode"], 404);
    assert_eq!(body["requestId"], id);
    assert_eq!(body["error"]["code"], "no_such_route");
    assert_eq!(body["path"], "/none");

    let answer = send(&app, "PUT", "/tasks", &[]).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(json_of(answer).await["statusCode"], 405);

    let health = send(&app, "GET", "/health", &[]).await;
    assert_eq!(json_of(health).await, json!({"status": "ok"}));
    let ready = send(&app, "GET", "/ready", &[]).await;
    assert_eq!(ready.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn what_an_envelope_tells_can_be_switched_off() {
    let app = app(&[
        "--response-style=envelope",
        "--envelope-timestamp=false",
        "--envelope-path=false",
        "--envelope-request-id=false",
    ]);
    let body = json_of(send(&app, "GET", "/none", &[]).await).await;
    let names: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["error", "meta", "statusCode", "success"]);
}
