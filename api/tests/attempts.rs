//! Limits on attempts, at the door: no database is asked, or needed.

use std::net::IpAddr;

use api::app::App;
use api::limiter::Peer;
use api::routes;
use api::settings::Settings;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use clap::Parser;
use serde_json::Value;
use tower::ServiceExt;

/// A service whose database is away, so that an attempt that is let through is a 503.
fn app(limits: &[&str]) -> App {
    let always = [
        "pg_tenancy_api",
        "--jwt-secret=a-secret-for-tests-that-is-long-enough",
        "--db-port=1",
        "--mail-to-log=true",
    ];
    let settings = Settings::try_parse_from(always.iter().chain(limits));
    App::new(&settings.unwrap()).unwrap()
}

struct Attempt<'a> {
    path: &'a str,
    body: String,
    peer: &'a str,
    forwarded: Option<&'a str>,
}

fn login<'a>(email: &str, peer: &'a str) -> Attempt<'a> {
    Attempt {
        path: "/auth/login",
        body: format!(r#"{{"email":"{email}","password":"password123"}}"#),
        peer,
        forwarded: None,
    }
}

impl Attempt<'_> {
    /// Status, Retry-After and the problem.
    async fn at(&self, app: &App) -> (u16, Option<String>, Value) {
        let mut request = Request::builder()
            .method("POST")
            .uri(self.path)
            .header("x-request-id", "the-same")
            .header("content-type", "application/json");
        if let Some(forwarded) = self.forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let mut request = request.body(Body::from(self.body.clone())).unwrap();
        let peer: IpAddr = self.peer.parse().unwrap();
        request.extensions_mut().insert(Peer(peer));
        let answer = routes::router(app.clone()).oneshot(request).await.unwrap();
        let wait = answer.headers().get("retry-after");
        let wait = wait.map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, wait, serde_json::from_slice(&body).unwrap())
    }

    async fn is_let_through(&self, app: &App) -> bool {
        match self.at(app).await.0 {
            503 => true,
            429 => false,
            status => panic!("{status}"),
        }
    }
}

#[tokio::test]
async fn too_many_attempts_are_429_and_told_when_to_come_back() {
    let app = app(&["--login-limit-account=3/h"]);
    for _ in 0..3 {
        assert!(
            login("ann@acme.example", "192.0.2.1")
                .is_let_through(&app)
                .await
        );
    }
    let (status, wait, problem) = login("Ann@acme.example ", "192.0.2.2").at(&app).await;
    assert_eq!(status, 429);
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert!((1..=1201).contains(&wait), "{wait}");
    assert_eq!(problem["code"], "too_many_requests");
    assert_eq!(problem["title"], "Too Many Requests");
    assert!(!problem.to_string().contains("acme"));
    assert!(
        login("bob@acme.example", "192.0.2.1")
            .is_let_through(&app)
            .await
    );
}

#[tokio::test]
async fn each_route_that_is_guessed_at_has_its_limits() {
    let app = app(&[
        "--login-limit-address=2/h",
        "--refresh-limit-address=2/h",
        "--invitation-limit-address=2/h",
        "--reset-limit-address=2/h",
    ]);
    let attempt = |path, body: &str| Attempt {
        path,
        body: body.to_owned(),
        peer: "192.0.2.1",
        forwarded: None,
    };
    for (path, one, two, three) in [
        (
            "/auth/login",
            r#"{"email":"a","password":"x"}"#,
            r#"{"email":"b","password":"x"}"#,
            r#"{"email":"c","password":"x"}"#,
        ),
        (
            "/auth/refresh",
            r#"{"refresh_token":"a"}"#,
            r#"{"refresh_token":"b"}"#,
            r#"{"refresh_token":"c"}"#,
        ),
        (
            "/invitations/accept",
            r#"{"token":"a"}"#,
            r#"{"token":"b"}"#,
            r#"{"token":"c"}"#,
        ),
        (
            "/auth/password/reset",
            r#"{"token":"a","password":"password123"}"#,
            r#"{"token":"b","password":"password123"}"#,
            r#"{"token":"c","password":"password123"}"#,
        ),
    ] {
        assert!(attempt(path, one).is_let_through(&app).await, "{path}");
        assert!(attempt(path, two).is_let_through(&app).await, "{path}");
        assert!(!attempt(path, three).is_let_through(&app).await, "{path}");
    }
    // They share what they guess at.
    assert!(
        !attempt("/auth/password/forgot", r#"{"email":"a"}"#)
            .is_let_through(&app)
            .await
    );
    assert!(
        !attempt("/invitations/peek", r#"{"token":"d"}"#)
            .is_let_through(&app)
            .await
    );
}

#[tokio::test]
async fn an_attempt_that_is_no_attempt_is_not_counted() {
    let app = app(&["--login-limit-address=1/h"]);
    let mut bad = login("ann", "192.0.2.1");
    bad.body = r#"{"email":"ann"}"#.to_owned();
    for _ in 0..5 {
        assert_eq!(bad.at(&app).await.0, 400);
    }
    assert!(login("ann", "192.0.2.1").is_let_through(&app).await);
}

#[tokio::test]
async fn who_only_says_to_be_somebody_else_is_not() {
    let app = app(&[
        "--login-limit-address=1/h",
        "--trusted-proxies=10.0.0.0/8,::1",
    ]);
    let from = |peer, forwarded| Attempt {
        forwarded: Some(forwarded),
        ..login("ann", peer)
    };
    assert!(from("192.0.2.1", "203.0.113.1").is_let_through(&app).await);
    assert!(!from("192.0.2.1", "203.0.113.2").is_let_through(&app).await);
    // A proxy that is trusted speaks for its clients, each of them one by one.
    assert!(from("10.0.0.1", "203.0.113.1").is_let_through(&app).await);
    assert!(from("10.0.0.1", "203.0.113.2").is_let_through(&app).await);
    assert!(
        !from("10.0.0.2", "203.0.113.9, 203.0.113.2")
            .is_let_through(&app)
            .await
    );
}
