//! Metrics: what happened is counted, where operators look, and names nobody.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, ApiSettings, Database, PASSWORD, free_port};

/// The operators' side of an API.
struct Ops(String);

impl Ops {
    async fn of(api: ApiSettings) -> (Api, Self) {
        let port = free_port();
        let api = api.set("OPS_PORT", &port.to_string()).start().await;
        (api, Self(format!("http://127.0.0.1:{port}")))
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::to(reqwest::Client::new().get(format!("{}{path}", self.0))).await
    }

    /// The value of a series; nothing where it was never counted.
    async fn value(&self, series: &str) -> f64 {
        let text = self.get("/metrics").await.with_status(200).text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

fn requests(method: &str, route: &str, status: &str) -> String {
    format!(
        "pg_tenancy_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
    )
}

#[tokio::test]
async fn what_happens_is_counted_by_route_and_outcome() {
    let database = Database::new().await;
    let (api, ops) = Ops::of(Api::on(&database)).await;
    let alice = api.owner_of("Acme").await;
    let task = alice.has_task("Plan").await;
    for _ in 0..3 {
        alice.get(&format!("/tasks/{task}")).await.with_status(200);
    }
    alice
        .get("/tasks/01890000-0000-7000-8000-000000000000")
        .await;
    api.get("/tasks").await.is_problem(401);
    let wrong = json!({"email": alice.email, "password": "not-hers-at-all"});
    api.post("/auth/login", wrong).await.is_problem(401);
    api.get("/nowhere/else").await.is_problem(404);
    let brew = Method::from_bytes(b"BREW").unwrap();
    Answer::to(api.request(brew, "/tasks"))
        .await
        .is_problem(405);

    let one = "/tasks/{id}";
    for (series, count) in [
        (requests("GET", one, "2xx"), 3.0),
        (requests("GET", one, "4xx"), 1.0),
        (requests("POST", "/tasks", "2xx"), 1.0),
        (requests("GET", "other", "4xx"), 1.0),
        (requests("other", "/tasks", "4xx"), 1.0),
        (
            format!(
                "pg_tenancy_http_request_duration_seconds_count{{method=\"GET\",route=\"{one}\"}}"
            ),
            4.0,
        ),
        ("pg_tenancy_logins_total{outcome=\"ok\"}".to_owned(), 1.0),
        (
            "pg_tenancy_logins_total{outcome=\"refused\"}".to_owned(),
            1.0,
        ),
        (
            "pg_tenancy_denials_total{code=\"unauthorized\"}".to_owned(),
            1.0,
        ),
        (
            "pg_tenancy_denials_total{code=\"invalid_credentials\"}".to_owned(),
            1.0,
        ),
        ("pg_tenancy_pool_max".to_owned(), 10.0),
        ("pg_tenancy_pool_waiting".to_owned(), 0.0),
        ("pg_tenancy_ready".to_owned(), 1.0),
    ] {
        assert_eq!(ops.value(&series).await, count, "{series}");
    }
    assert!(ops.value("pg_tenancy_pool_size").await >= 1.0);
    assert!(ops.value("pg_tenancy_http_connections").await >= 1.0);

    let text = ops.get("/metrics").await.text();
    for secret in [
        &alice.tenant_id,
        &alice.user_id,
        &task,
        &alice.email,
        &alice.token,
    ] {
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
    }
    assert!(!text.contains("BREW") && !text.contains("nowhere"));
}

#[tokio::test]
async fn refusals_of_a_limit_are_counted() {
    let database = Database::new().await;
    let limited = Api::on(&database).set("LOGIN_LIMIT_ACCOUNT", "1/day");
    let (api, ops) = Ops::of(limited).await;
    let body = json!({"email": "ann@acme.example", "password": PASSWORD});
    api.post("/auth/login", body.clone()).await.is_problem(401);
    api.post("/auth/login", body).await.is_problem(429);
    for series in [
        "pg_tenancy_limited_total{limit=\"attempts\"}",
        "pg_tenancy_logins_total{outcome=\"limited\"}",
    ] {
        assert_eq!(ops.value(series).await, 1.0, "{series}");
    }
}

#[tokio::test]
async fn metrics_are_for_operators_unless_somebody_says_otherwise() {
    let database = Database::new().await;
    let (api, ops) = Ops::of(Api::on(&database).set("METRICS", "on")).await;
    api.get("/metrics").await.is_problem(404);
    let metrics = ops.get("/metrics").await.with_status(200);
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    ops.get("/health").await.with_status(200);
    ops.get("/ready").await.with_status(200);
    ops.get("/tasks").await.is_problem(404);

    let api = Api::on(&database).start().await;
    api.get("/metrics").await.is_problem(404);
    let api = Api::on(&database).set("METRICS", "on").start().await;
    let text = api.get("/metrics").await.with_status(200).text();
    assert!(text.contains("pg_tenancy_ready 1"), "{text}");
}

#[tokio::test]
async fn tenants_are_counted_only_where_that_is_switched_on() {
    let database = Database::new().await;
    let counting = Api::on(&database).set("METRICS_TENANTS", "on");
    let (api, ops) = Ops::of(counting).await;
    let alice = api.owner_of("Acme").await;
    let before = ops.get("/metrics").await.text();
    assert!(!before.contains(&alice.tenant_id));
    alice.tasks().await;
    let forged = tests::Token::for_person(&database, &alice).forged().sign();
    let request = api.request(Method::GET, "/tasks").bearer_auth(forged);
    Answer::to(request).await.is_problem(401);
    let series = format!(
        "pg_tenancy_tenant_requests_total{{tenant=\"{}\",status=\"2xx\"}}",
        alice.tenant_id
    );
    assert_eq!(ops.value(&series).await, 1.0);
    let text = ops.get("/metrics").await.text();
    assert_eq!(text.matches(&alice.tenant_id).count(), 1, "{text}");
}
