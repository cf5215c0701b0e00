//! The door: of which tokens the service is sure by itself, and which go to the database.

use api::app::App;
use api::routes;
use api::settings::Settings;
use api::token::{Purpose, Subject};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Request};
use clap::Parser;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const SECRET: &str = "a-secret-for-tests-that-is-long-enough";

/// A service whose database is away: what would go to the database is a 503.
fn app() -> App {
    let arguments = ["pg_tenancy_api", "--jwt-secret", SECRET, "--db-port=1"];
    App::new(&Settings::try_parse_from(arguments).unwrap()).unwrap()
}

/// The status, and the code of the problem.
async fn ask(app: &App, path: &str, headers: &[(&'static str, String)]) -> (u16, String) {
    let method = if path == "/tasks" { "GET" } else { "POST" };
    let body = r#"{"token":"x","password":"password123"}"#;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let mut request = request.body(Body::from(body)).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    let answer = routes::router(app.clone()).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {token}"))]
}

fn signed(kid: Option<&str>, secret: &str, exp: i64) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
    let claims = json!({"sub": Uuid::nil(), "tenantId": Uuid::nil(), "exp": now + exp});
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&header, &claims, &key).unwrap()
}

#[tokio::test]
async fn a_token_of_the_service_is_judged_here_and_another_by_the_database() {
    let app = app();
    let ours = app.tokens().kids().remove(0);
    let ours = Some(ours.as_str());
    let good = app.tokens().sign(&Subject {
        user_id: Uuid::nil(),
        tenant_id: Uuid::nil(),
        session_id: Uuid::nil(),
        email: "ann@acme.example",
        role: "owner",
    });
    let other = "another-secret-that-is-long-enough-too";
    for (token, status, code) in [
        (good.unwrap(), 503, "not_ready"),
        (signed(ours, SECRET, 60), 503, "not_ready"),
        (signed(ours, other, 60), 401, "TN011"),
        (signed(ours, SECRET, -60), 401, "TN012"),
        (signed(Some("of-an-issuer"), other, 60), 503, "not_ready"),
        (signed(None, other, 60), 503, "not_ready"),
        ("pgt_Xk2_abc".to_owned(), 503, "not_ready"),
        ("pgc_abc".to_owned(), 503, "not_ready"),
        ("pgs_abc".to_owned(), 503, "not_ready"),
        ("pgr_abc".to_owned(), 401, "TN010"),
        ("nonsense".to_owned(), 401, "TN010"),
        (format!("pgt_{}", "x".repeat(9000)), 401, "TN010"),
        // A word is good for the database alone, which tells it from a token.
        (
            app.tokens().word(Purpose::Session, Uuid::nil()).unwrap(),
            503,
            "not_ready",
        ),
    ] {
        let answered = ask(&app, "/tasks", &bearer(&token)).await;
        assert_eq!(answered, (status, code.to_owned()), "{token}");
    }
}

#[tokio::test]
async fn where_a_token_is_not_needed_a_bad_one_is_refused_all_the_same() {
    let app = app();
    let accept = "/invitations/accept";
    let let_through = (503, "not_ready".to_owned());
    assert_eq!(ask(&app, accept, &[]).await, let_through);
    assert_eq!(ask(&app, accept, &bearer("pgt_abc")).await, let_through);
    let refused = (401, "TN010".to_owned());
    assert_eq!(ask(&app, accept, &bearer("nonsense")).await, refused);
    let basic = [("authorization", "Basic YTpi".to_owned())];
    assert_eq!(ask(&app, accept, &basic).await.0, 401);
    let twice = [bearer("pgt_abc"), bearer("pgt_def")].concat();
    assert_eq!(ask(&app, accept, &twice).await.0, 400);
}
