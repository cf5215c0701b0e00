//! Browsers: pages of other origins are let in only where that is set, and an answer
//! is data and nothing else.

use reqwest::Method;
use tests::{Answer, Api, Database, World};

const PAGE: &str = "https://app.example";

async fn preflight(api: &Api, origin: &str) -> Answer {
    let request = api
        .request(Method::OPTIONS, "/tasks/1")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "PATCH")
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,if-match",
        );
    Answer::to(request).await
}

#[tokio::test]
async fn without_a_setting_no_page_is_let_in() {
    let world = World::new().await;
    preflight(&world.api, PAGE).await.is_problem(405);
    let request = world
        .api
        .request(Method::GET, "/tasks")
        .header("Origin", PAGE);
    let answer = Answer::to(request).await;
    answer.is_problem(401);
    let mut names = answer.headers.keys();
    assert!(!names.any(|name| name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn a_page_that_is_let_in_may_ask_without_a_token_and_read_what_it_needs() {
    let database = Database::new().await;
    let origins = format!("{PAGE},http://localhost:5173");
    let api = Api::on(&database)
        .set("CORS_ORIGINS", &origins)
        .start()
        .await;
    for origin in [PAGE, "http://localhost:5173"] {
        let answer = preflight(&api, origin).await.with_status(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("PATCH")
        );
        let headers = answer.header("access-control-allow-headers").to_lowercase();
        assert!(headers.contains("authorization") && headers.contains("if-match"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }

    let alice = api.owner_of("Acme").await;
    for (request, status) in [
        (alice.request(Method::GET, "/tasks"), 200),
        (api.request(Method::GET, "/tasks"), 401),
        (api.request(Method::GET, "/nowhere"), 404),
    ] {
        let answer = Answer::to(request.header("Origin", PAGE))
            .await
            .with_status(status);
        assert_eq!(answer.header("access-control-allow-origin"), PAGE);
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let exposed = answer
            .header("access-control-expose-headers")
            .to_lowercase();
        for header in ["etag", "link", "location", "ratelimit", "x-request-id"] {
            assert!(
                exposed.split(',').any(|one| one.trim() == header),
                "{exposed}"
            );
        }
        let varies = answer.headers.get_all("vary");
        let mut varies = varies.iter().map(|by| by.to_str().unwrap());
        assert!(varies.any(|by| by.contains("origin")));
    }

    for stranger in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:8443",
        "null",
    ] {
        let answer = preflight(&api, stranger).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "",
            "{stranger}"
        );
        let request = alice
            .request(Method::GET, "/tasks")
            .header("Origin", stranger);
        let answer = Answer::to(request).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "",
            "{stranger}"
        );
    }
}

#[tokio::test]
async fn an_origin_that_no_browser_sends_ends_the_start() {
    let database = Database::new().await;
    let mut api = Api::on(&database)
        .set("CORS_ORIGINS", "https://app.example/")
        .spawn();
    assert!(!api.has_ended().await.success());
    assert!(api.log().contains("is not an origin"), "{}", api.log());
}

#[tokio::test]
async fn every_answer_is_data_and_nothing_else() {
    let database = Database::new().await;
    let api = Api::on(&database).set("HSTS", "365d").start().await;
    let alice = api.owner_of("Acme").await;
    for answer in [
        alice.get("/tasks").await.with_status(200),
        api.get("/tasks").await.with_status(401),
        api.get("/<script>").await.with_status(404),
        api.get("/health").await.with_status(200),
    ] {
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(header), value, "{header}");
        }
        // Nothing that tells what is served from.
        assert_eq!(answer.header("server"), "");
        // A secret and what a stranger sent may stand in one answer, so it isn't compressed.
        assert_eq!(answer.header("content-encoding"), "");
    }
    let plain = Api::on(&database).start().await;
    let answer = plain.get("/health").await;
    assert_eq!(answer.header("strict-transport-security"), "");
}
