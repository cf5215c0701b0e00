//! Calls of the service itself, to a mailer and to issuers, that behave badly.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::app::App;
use api::keeper::fetch_jwks;
use api::mail::{Kind, Mail};
use api::settings::Settings;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use clap::Parser;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SECRET: &str = "a-secret-of-the-webhook";

/// The address of a server with these routes.
async fn server(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn settings(more: &[&str]) -> Settings {
    let always = [
        "pg_tenancy_api",
        "--jwt-secret=a-secret-for-tests-that-is-long-enough",
        "--db-port=1",
        "--outbound-timeout=2s",
    ];
    Settings::try_parse_from(always.iter().chain(more)).unwrap()
}

fn app(more: &[&str]) -> App {
    App::new(&settings(more)).unwrap()
}

fn invitation() -> Mail {
    Mail {
        kind: Kind::Invitation,
        email: "ann@acme.example".to_owned(),
        token: "one-time-token".to_owned(),
        expires_at: std::time::UNIX_EPOCH + Duration::from_secs(86_400),
        tenant_name: Some("Acme".to_owned()),
        role: Some("member".to_owned()),
    }
}

#[tokio::test]
async fn a_mail_is_posted_and_signed_and_again_when_that_failed() {
    type Posts = Arc<Mutex<Vec<(String, Bytes)>>>;
    let posts = Posts::default();
    let seen = posts.clone();
    let receive = async move |headers: HeaderMap, body: Bytes| {
        let signature = headers["x-signature"].to_str().unwrap().to_owned();
        assert_eq!(headers["content-type"], "application/json");
        let mut posts = seen.lock().unwrap();
        posts.push((signature, body));
        match posts.len() {
            1 => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::ACCEPTED,
        }
    };
    let url = server(Router::new().route("/mail", post(receive))).await + "/mail";
    let app = app(&["--mail-webhook-url", &url, "--mail-webhook-secret", SECRET]);
    app.mailer().place().unwrap().send(invitation());
    assert_eq!(app.mailer().finish(Duration::from_secs(30)).await, 0);

    let posts = posts.lock().unwrap();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0], posts[1]);
    let (signature, body) = &posts[0];
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let expected = aws_lc_rs::hmac::sign(&key, body);
    let expected: String = expected
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(*signature, format!("sha256={expected}"));
    assert_eq!(
        serde_json::from_slice::<Value>(body).unwrap(),
        json!({"type": "invitation", "email": "ann@acme.example", "token": "one-time-token",
               "expiresAt": "1970-01-02T00:00:00Z", "tenantName": "Acme", "role": "member"})
    );
}

#[tokio::test]
async fn mails_that_nobody_takes_have_an_end_of_their_number() {
    let never = async || std::future::pending::<()>().await;
    let url = server(Router::new().route("/", post(never))).await;
    let app = app(&["--mail-webhook-url", &url, "--mail-webhook-secret", SECRET]);
    let mut sent = 0;
    while let Ok(place) = app.mailer().place() {
        place.send(invitation());
        sent += 1;
        assert!(sent < 10_000);
    }
    let refused = app.mailer().place().err().unwrap();
    assert_eq!((refused.status.as_u16(), &*refused.code), (503, "busy"));
    assert_eq!(app.mailer().finish(Duration::from_millis(50)).await, sent);
}

#[test]
fn settings_of_the_mailer_that_make_no_sense_end_the_start() {
    for (settings_given, said) in [
        (&["--mail-to-log=true", "--listen=0.0.0.0"][..], "loopback"),
        (
            &[
                "--mail-to-log=true",
                "--mail-webhook-url=https://m.example/",
            ],
            "choose one",
        ),
        (
            &["--mail-webhook-url=https://m.example/"],
            "MAIL_WEBHOOK_SECRET",
        ),
        (
            &[
                "--mail-webhook-url=http://m.example/",
                "--mail-webhook-secret",
                SECRET,
            ],
            "https://",
        ),
    ] {
        let refused = App::new(&settings(settings_given)).err().unwrap();
        assert!(refused.contains(said), "{refused}");
    }
    // An address that was not given is none.
    assert!(app(&["--mail-webhook-url="]).mailer().check().is_err());
    assert!(app(&["--mail-to-log=true"]).mailer().check().is_ok());
}

#[tokio::test]
async fn a_key_set_is_fetched_as_it_is() {
    let set = r#"{"keys": [{"kty": "EC", "kid": "1"}], "more": 1}"#;
    let url = server(Router::new().route("/jwks", get(async move || set))).await;
    let fetched = fetch_jwks(&app(&[]), &format!("{url}/jwks")).await;
    assert_eq!(fetched.as_deref(), Ok(set));
}

#[tokio::test]
async fn what_is_no_key_set_is_not_taken_for_one() {
    let long = || format!(r#"{{"keys": ["{}"]}}"#, "x".repeat(300_000));
    let endless = async || {
        // Without a length, so that only counting helps.
        let chunks = std::iter::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 8192]));
        Body::from_stream(Chunks(chunks))
    };
    let slow = async || std::future::pending::<()>().await;
    let router = Router::new()
        .route("/long", get(async move || long()))
        .route("/endless", get(endless))
        .route("/slow", get(slow))
        .route("/moved", get(async || Redirect::temporary("/good")))
        .route("/good", get(async || r#"{"keys": []}"#))
        .route("/html", get(async || "<html>"))
        .route("/array", get(async || "[]"))
        .route("/no-keys", get(async || r#"{"key": []}"#))
        .route("/bytes", get(async || &b"{\"keys\": [\"\xff\"]}"[..]))
        .route("/gone", get(async || StatusCode::GONE))
        .route(
            "/encoded",
            get(async || ([(header::CONTENT_ENCODING, "gzip")], "\x1f\u{8b}").into_response()),
        );
    let url = server(router).await;
    let app = app(&[]);
    for (path, said) in [
        ("/long", "longer than 262144"),
        ("/endless", "longer than 262144"),
        ("/slow", "timed out"),
        ("/moved", "redirects are not followed"),
        ("/html", "not a JWK Set"),
        ("/array", "not a JWK Set"),
        ("/no-keys", "not a JWK Set"),
        ("/bytes", "not UTF-8"),
        ("/gone", "410"),
        ("/encoded", "not a JWK Set"),
    ] {
        let refused = fetch_jwks(&app, &format!("{url}{path}")).await.unwrap_err();
        assert!(refused.contains(said), "{path}: {refused}");
        assert!(!refused.contains("127.0.0.1"), "{path}: {refused}");
    }
    for elsewhere in ["http://acme.example/jwks", "file:///etc/passwd", "acme"] {
        assert!(fetch_jwks(&app, elsewhere).await.is_err());
    }
    assert!(fetch_jwks(&app, "http://127.0.0.1:1/").await.is_err());
}

/// A body in as many parts as are asked for.
struct Chunks<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Chunks<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
