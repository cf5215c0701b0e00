//! The service without a database: who is refused at the door, and in which words.
//!
//! What needs rows is tested end to end, in the workspace's `tests`.

use std::sync::LazyLock;

use api::app::App;
use api::catalog::Catalog;
use api::edge;
use api::routes;
use api::settings::Settings;
use api::token::Subject;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use clap::Parser;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const LOGIN: &str = r#"{"email":"ann@acme.example","password":"password123"}"#;

const ROWS: [&str; 2] = ["/tasks", "/projects"];

/// A service whose database is away: nothing listens on port 1.
fn app() -> App {
    // One for all tests, because making one hashes a password.
    static APP: LazyLock<App> = LazyLock::new(|| {
        let app = app_with(&[]);
        app.set_catalog(catalog());
        app
    });
    APP.clone()
}

/// What the database would have said is exposed.
fn catalog() -> Catalog {
    let resource = |name: &str, is_writable: bool, key: Value| json!({"name": name, "kind": "table", "key": key, "isWritable": is_writable});
    let mut notes = resource("notes", true, json!(["id"]));
    notes["isSoftDeleted"] = json!(true);
    let catalog = json!({
        "version": "1",
        "resources": [
            notes,
            resource("tasks", true, json!(["id"])),
            resource("projects", true, json!(["id"])),
            resource("countries", false, json!(["code"])),
            resource("totals", false, json!([])),
        ],
        "functions": [{"name": "enrol"}],
    });
    Catalog::read(catalog.to_string().as_bytes()).unwrap()
}

/// The same with little patience. For what never answers alone: on a busy
/// machine anything else can take longer (a panic's backtrace did).
fn impatient() -> App {
    app_with(&["--body-timeout=100ms", "--request-timeout=200ms"])
}

fn app_with(more: &[&str]) -> App {
    let always = [
        "pg_tenancy_api",
        "--jwt-secret=a-secret-for-tests-that-is-long-enough",
        "--db-host=127.0.0.1",
        "--db-port=1",
    ];
    let settings = Settings::try_parse_from(always.iter().chain(more));
    App::new(&settings.unwrap()).unwrap()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(
            problem["requestId"],
            self.headers["x-request-id"].to_str().unwrap()
        );
        problem
    }

    fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap().to_owned()
    }
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
    }
}

async fn call(method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    send(routes::router(app()), request.body(Body::empty()).unwrap()).await
}

fn nobody() -> Subject<'static> {
    Subject {
        user_id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        session_id: Uuid::nil(),
        email: "",
        role: "",
    }
}

/// A request by somebody with a good token. It gets as far as a request can without a database.
async fn call_with_token(method: &str, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
    let app = app();
    let token = app.tokens().sign(&nobody()).unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", kind);
    send(routes::router(app), request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn health_needs_no_database() {
    let answer = call("GET", "/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, br#"{"status":"ok"}"#);
}

#[tokio::test]
async fn without_a_token_every_route_of_a_tenant_is_closed() {
    let id = "00000000-0000-0000-0000-000000000000";
    let mut routes = vec![
        ("GET", "/me".to_owned()),
        ("GET", "/admin/reports/tenants".to_owned()),
        ("POST", "/auth/logout".to_owned()),
        ("POST", "/auth/logout-all".to_owned()),
        ("POST", "/auth/switch".to_owned()),
        ("GET", "/auth/sessions".to_owned()),
        ("DELETE", format!("/auth/sessions/{id}")),
        ("POST", "/auth/password".to_owned()),
        ("POST", "/tenants/revoke-sessions".to_owned()),
        ("GET", "/members".to_owned()),
        ("DELETE", "/members/me".to_owned()),
        ("PATCH", format!("/members/{id}")),
        ("DELETE", format!("/members/{id}")),
        ("GET", "/invitations".to_owned()),
        ("POST", "/invitations".to_owned()),
        ("DELETE", format!("/invitations/{id}")),
        ("GET", "/api-keys".to_owned()),
        ("POST", "/api-keys".to_owned()),
        ("DELETE", format!("/api-keys/{id}")),
        ("GET", "/support-access".to_owned()),
        ("DELETE", format!("/support-access/{id}")),
    ];
    for path in ROWS {
        routes.extend(["GET", "POST"].map(|method| (method, path.to_owned())));
        routes.extend(["GET", "PATCH", "DELETE"].map(|method| (method, format!("{path}/{id}"))));
    }
    routes.push(("GET", "/countries/de".to_owned()));
    routes.push(("GET", "/totals".to_owned()));
    routes.push(("POST", "/rpc/enrol".to_owned()));
    routes.push(("POST", "/notes/1/restore".to_owned()));
    for (method, path) in routes {
        let answer = call(method, &path).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.code(), "unauthorized");
    }
}

#[tokio::test]
async fn a_bad_token_is_told_what_is_wrong_with_it() {
    let request = Request::builder()
        .uri("/tasks")
        .header("authorization", "Bearer not.a.token");
    let answer = send(routes::router(app()), request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer error=\"invalid_token\", error_description=\"the token is malformed\""
    );
    assert_eq!(answer.code(), "TN010");
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_that_repeats_nothing() {
    for path in [
        "/",
        "/students",
        "/tasks/",
        "/tasks/1/2",
        "/tasks/1/restore",
        "/Tasks",
        "/%74asks",
        "/totals/1",
        "/auth/tasks",
        "/rpc/other",
        "/rpc",
        "/tasks%2F1",
    ] {
        let answer = call("GET", path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.code(), "no_such_route");
        assert!(!String::from_utf8_lossy(&answer.body).contains("asks"));
        assert!(!answer.headers.contains_key("allow"), "{path}");
    }
}

#[tokio::test]
async fn before_the_database_has_told_what_is_exposed_nobody_can_tell() {
    let unaware = app_with(&[]);
    let token = unaware.tokens().sign(&nobody()).unwrap();
    for path in ["/tasks", "/tasks/1", "/students", "/rpc/enrol"] {
        let request = || Request::builder().method("POST").uri(path);
        let without = request().body(Body::empty()).unwrap();
        let answer = send(routes::router(unaware.clone()), without).await;
        assert_eq!(answer.status, 401, "{path}");
        let with = request().header("authorization", format!("Bearer {token}"));
        let with = with.body(Body::empty()).unwrap();
        let answer = send(routes::router(unaware.clone()), with).await;
        assert_eq!(answer.code(), "not_ready", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    for (method, path, allowed) in [
        ("DELETE", "/tasks", "GET,HEAD,POST"),
        ("PUT", "/projects/7", "GET,HEAD,PATCH,DELETE"),
        ("POST", "/countries", "GET,HEAD"),
        ("PUT", "/countries", "GET,HEAD"),
        ("PATCH", "/countries/de", "GET,HEAD"),
        ("DELETE", "/totals", "GET,HEAD"),
        ("GET", "/rpc/enrol", "POST"),
        ("DELETE", "/notes/1/restore", "POST"),
        ("GET", "/auth/login", "POST"),
        ("POST", "/health", "GET,HEAD"),
    ] {
        let answer = call(method, path).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed);
        assert_eq!(answer.code(), "method_not_allowed");
    }
}

#[tokio::test]
async fn while_the_database_is_away_the_answer_is_503_and_when_to_come_back() {
    let answers = [
        call("GET", "/ready").await,
        call_with_token("GET", "/me", "application/json", "").await,
        call_with_token("GET", "/tasks", "application/json", "").await,
        call_with_token("POST", "/auth/login", "application/json", LOGIN).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.code(), "not_ready");
        assert!(answer.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_not_a_refusal() {
    let app = app();
    let verdict = app.pool().ask(app.tokens()).await;
    assert!(
        matches!(verdict, api::db::Verdict::Unreachable(_)),
        "{verdict:?}"
    );
    assert!(!app.pool().is_accepted());
}

#[tokio::test]
async fn a_request_id_that_is_safe_comes_back_and_another_is_replaced() {
    for (given, kept) in [("walk-7", true), ("a b", false), ("", false)] {
        let request = Request::builder()
            .uri("/none")
            .header("x-request-id", given);
        let answer = send(routes::router(app()), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers["x-request-id"] == given, kept, "{given}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        answer.problem();
    }
}

#[tokio::test]
async fn what_is_found_missing_under_one_request_id_is_the_same_bytes() {
    let answer = async |path| {
        let request = Request::builder().uri(path).header("x-request-id", "same");
        send(routes::router(app()), request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(answer("/a").await.body, answer("/b").await.body);
}

mod with_bodies {
    //! Bodies are read after the caller and the database are known to be there, so
    //! these tests ask the extractor itself.

    use super::*;
    use api::body::JsonBody;
    use axum::extract::FromRequest;
    use axum::response::IntoResponse;

    async fn read(kind: Option<&str>, body: impl Into<Body>) -> Result<Vec<u8>, (u16, String)> {
        read_at(&app(), kind, body).await
    }

    async fn read_at(
        app: &App,
        kind: Option<&str>,
        body: impl Into<Body>,
    ) -> Result<Vec<u8>, (u16, String)> {
        let mut request = Request::builder().method("POST").uri("/tasks");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(body.into()).unwrap();
        match JsonBody::from_request(request, app).await {
            Ok(JsonBody(json)) => Ok(json.as_bytes().to_vec()),
            Err(problem) => {
                let code = problem.code.to_string();
                Err((problem.into_response().status().as_u16(), code))
            }
        }
    }

    #[tokio::test]
    async fn json_is_passed_on_as_it_came() {
        let sent = r#"{ "title":"caf\u00e9", "title":1.0 }"#;
        let read = read(Some("application/json"), sent).await;
        assert_eq!(read.unwrap(), sent.as_bytes());
    }

    #[tokio::test]
    async fn each_bad_body_has_its_status() {
        let json = Some("application/json");
        let long = "x".repeat(1024 * 1024 + 1);
        let refused = |status, code: &str| Err((status, code.to_owned()));
        assert_eq!(
            read(None, "{}").await,
            refused(415, "unsupported_media_type")
        );
        assert_eq!(
            read(Some("text/plain"), "{}").await,
            refused(415, "unsupported_media_type")
        );
        assert_eq!(read(json, "{").await, refused(400, "invalid_json"));
        assert_eq!(read(json, "").await, refused(400, "invalid_json"));
        assert_eq!(
            read(json, &b"\"\xff\""[..]).await,
            refused(400, "invalid_json")
        );
        assert_eq!(read(json, long).await, refused(413, "body_too_large"));
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_not_waited_for() {
        struct Never;
        impl axum::body::HttpBody for Never {
            type Data = bytes::Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>>
            {
                std::task::Poll::Pending
            }
        }
        let body = Body::new(Never);
        let answer = read_at(&impatient(), Some("application/json"), body).await;
        assert_eq!(answer, Err((408, "body_timeout".to_owned())));
    }
}

#[tokio::test]
async fn a_problem_has_these_members_and_no_other() {
    let problem = call("GET", "/none").await.problem();
    let names: Vec<_> = problem.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["code", "detail", "requestId", "status", "title", "type"]
    );
    assert_eq!(problem["type"], json!("about:blank"));
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_of_it() {
    async fn panics() {
        panic!("the secret is swordfish");
    }
    let router = edge::around(Router::new().route("/panics", get(panics)), app());
    let request = Request::builder().uri("/panics");
    let answer = send(router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.code(), "internal");
    assert!(!String::from_utf8_lossy(&answer.body).contains("swordfish"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let router = Router::new().route("/waits", get(std::future::pending::<()>));
    let request = Request::builder().uri("/waits");
    let request = request.body(Body::empty()).unwrap();
    let answer = send(edge::around(router, impatient()), request).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.code(), "timeout");
    assert!(answer.headers.contains_key("retry-after"));
}
