//! Traces: a client's trace goes on through the service and its call of the database,
//! and tells nothing but what was done.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, ApiSettings, Collector, Database, PASSWORD, Person, free_port};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traced(database: &Database, endpoint: &str) -> ApiSettings {
    Api::on(database)
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        // Milliseconds, after which a span is exported.
        .set("OTEL_BSP_SCHEDULE_DELAY", "50")
}

async fn lists(person: &Person<'_>, traceparents: &[&str]) {
    let mut request = person.request(Method::GET, "/tasks?status=todo");
    for traceparent in traceparents {
        request = request.header("traceparent", *traceparent);
    }
    Answer::to(request).await.with_status(200);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_clients_trace_goes_on_to_the_call_of_the_database() {
    let database = Database::new().await;
    let collector = Collector::new().await;
    let api = traced(&database, &collector.endpoint).start().await;
    let alice = api.owner_of("Acme").await;
    lists(&alice, &[&format!("00-{TRACE}-{PARENT}-01")]).await;

    let request = collector
        .span(|span| span.name == "GET /tasks" && hex(&span.trace_id) == TRACE)
        .await;
    assert_eq!(hex(&request.parent_span_id), PARENT);
    let call = collector
        .span(|span| span.parent_span_id == request.span_id)
        .await;
    assert_eq!(call.name, "tenancy.list_resource");
    assert_eq!(hex(&call.trace_id), TRACE);
    assert!(request.start_time_unix_nano <= call.start_time_unix_nano);
    assert!(call.end_time_unix_nano <= request.end_time_unix_nano);

    api.has_logged(&format!("trace_id=\"{TRACE}\"")).await;
}

#[tokio::test]
async fn a_trace_that_is_none_is_not_gone_on_with() {
    let database = Database::new().await;
    let collector = Collector::new().await;
    let api = traced(&database, &collector.endpoint).start().await;
    let alice = api.owner_of("Acme").await;
    let good = format!("00-{TRACE}-{PARENT}-01");
    let malformed = [
        &good[1..],
        &good.to_uppercase().replace("00-", "00_"),
        &format!("00-{}-{PARENT}-01", "0".repeat(32)),
        &format!("00-{TRACE}-{}-01", "0".repeat(16)),
        &format!("ff-{TRACE}-{PARENT}-01"),
        &format!("{good}-more"),
        "nonsense",
        "",
    ];
    for traceparent in malformed {
        lists(&alice, &[traceparent]).await;
    }
    lists(&alice, &[&good, &good]).await;
    lists(&alice, &[]).await;

    let count = malformed.len() + 2;
    for _ in 0..600 {
        if collector
            .spans()
            .iter()
            .filter(|span| span.name == "GET /tasks")
            .count()
            == count
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let spans = collector.spans();
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "GET /tasks")
        .collect();
    assert_eq!(requests.len(), count);
    for request in requests {
        assert!(request.parent_span_id.is_empty(), "{request:?}");
        assert_ne!(hex(&request.trace_id), TRACE);
        assert_ne!(request.trace_id, [0; 16]);
    }
}

#[tokio::test]
async fn a_span_names_nobody_and_quotes_nothing() {
    let database = Database::new().await;
    let collector = Collector::new().await;
    let api = traced(&database, &collector.endpoint).start().await;
    let alice = api.owner_of("Acme").await;
    let task = alice.has_task("A secret plan").await;
    alice.get(&format!("/tasks/{task}")).await.with_status(200);
    alice.get("/tasks?title[like]=A+secret%25").await;
    alice.get("/tasks?status=nonsense").await;
    alice
        .post(
            "/tasks",
            json!({"title": "A secret plan", "projectId": "x"}),
        )
        .await
        .is_problem(400);
    api.get("/nowhere/secret").await.is_problem(404);
    let brew = Method::from_bytes(b"SECRET").unwrap();
    Answer::to(api.request(brew, "/tasks"))
        .await
        .is_problem(405);

    collector.span(|span| span.name == "_OTHER /tasks").await;
    let all = collector.bytes();
    let all = String::from_utf8_lossy(&all);
    for secret in [
        &*alice.token,
        &alice.refresh_token,
        &alice.tenant_id,
        &alice.user_id,
        &alice.email,
        &alice.session_id,
        &task,
        PASSWORD,
        "ecret",
        "SECRET",
        "nonsense",
        "nowhere",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
    let refused = collector.spans().into_iter().find(|span| {
        let mut attributes = span.attributes.iter();
        span.name == "POST /tasks" && attributes.any(|one| one.key == "error.type")
    });
    assert!(refused.is_some());
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_hurts_no_request() {
    let database = Database::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    for endpoint in [
        format!("http://127.0.0.1:{}", free_port()),
        format!("http://{silent}"),
    ] {
        let mut api = traced(&database, &endpoint).start().await;
        let email = format!("ann@{}.example", tests::unique());
        api.register(&tests::unique(), &email)
            .await
            .with_status(201);
        let ann = api.person(&email).await;
        for _ in 0..100 {
            ann.has_task("Plan").await;
        }
        api.terminate();
        assert!(api.has_ended().await.success());
    }
    let mut wrong = traced(&database, "collector:4318").spawn();
    assert_eq!(wrong.has_ended().await.code(), Some(1));
}
