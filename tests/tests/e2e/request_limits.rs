//! Limits on requests: one tenant, or one address, can't use up what is there for all.

use reqwest::Method;
use tests::{Answer, Api, Database, Token};

async fn limited(name: &str, rate: &str) -> (Database, Api) {
    let database = Database::new().await;
    let api = Api::on(&database).set(name, rate).start().await;
    (database, api)
}

fn left(answer: &Answer, limit: &str) -> u32 {
    let start = format!("\"{limit}\";r=");
    let values = answer.headers.get_all("ratelimit").iter();
    let value = values
        .filter_map(|value| value.to_str().ok()?.strip_prefix(&start))
        .next();
    let value = value.unwrap_or_else(|| panic!("no standing of {limit}: {:?}", answer.headers));
    value.split_once(';').unwrap().0.parse().unwrap()
}

#[track_caller]
fn is_refused(answer: &Answer, limit: &str) {
    answer.is_problem(429);
    assert_eq!(answer.code(), "too_many_requests");
    assert_eq!(left(answer, limit), 0);
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=24 * 3600).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_tenant_that_has_used_up_its_requests_leaves_others_theirs() {
    let (database, api) = limited("LIMIT_PER_TENANT", "3/day").await;
    let (alice, bob) = (api.owner_of("Acme").await, api.owner_of("Globex").await);
    let first = alice.get("/tasks").await.with_status(200);
    assert_eq!(first.header("ratelimit-policy"), "\"tenant\";q=3;w=86400");
    assert_eq!(left(&first, "tenant"), 2);
    // An error is an answer, too.
    let second = alice.get("/tasks?page=0").await;
    second.is_problem(400);
    assert_eq!(left(&second, "tenant"), 1);
    alice.get("/me").await.with_status(200);
    is_refused(&alice.get("/tasks").await, "tenant");
    // Another token of the same tenant is no way around.
    let other = Token::for_person(&database, &alice).sign();
    let request = api.request(Method::GET, "/tasks").bearer_auth(other);
    is_refused(&Answer::to(request).await, "tenant");

    bob.get("/tasks").await.with_status(200);
    // A forged token, which names a tenant without right, takes nothing from it.
    for _ in 0..5 {
        let forged = Token::for_person(&database, &bob).forged().sign();
        let request = api.request(Method::GET, "/tasks").bearer_auth(forged);
        Answer::to(request).await.is_problem(401);
    }
    assert_eq!(left(&bob.get("/tasks").await.with_status(200), "tenant"), 1);
    // What needs no token has no tenant.
    let health = api.get("/health").await.with_status(200);
    assert_eq!(health.header("ratelimit"), "");
}

#[tokio::test]
async fn a_machines_key_has_requests_of_its_own() {
    let (_database, api) = limited("LIMIT_PER_TENANT", "2/day").await;
    let alice = api.owner_of("Acme").await;
    let body = serde_json::json!({"name": "CI", "role": "member"});
    let key = alice.post("/api-keys", body).await.with_status(201).json();
    let mut machine = alice.at(&api);
    machine.token = key["key"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        machine.get("/tasks").await.with_status(200);
    }
    is_refused(&machine.get("/tasks").await, "tenant");
    alice.get("/tasks").await.with_status(200);
    is_refused(&alice.get("/tasks").await, "tenant");
}

#[tokio::test]
async fn an_address_is_limited_with_and_without_a_token() {
    let (database, api) = limited("LIMIT_PER_ADDRESS", "4/day").await;
    let from = |address: &str, path: &str| {
        let request = api.request(Method::GET, path);
        Answer::to(request.header("X-Forwarded-For", address))
    };
    // Nobody is trusted to say where somebody else comes from. The first was asked at the start.
    let answer = from("192.0.2.1", "/tasks").await;
    answer.is_problem(401);
    let policy = answer.header("ratelimit-policy").to_owned();
    assert_eq!(policy, "\"address\";q=4;w=86400");
    for path in ["/tasks", "/nowhere", "/auth/login", "/tasks"] {
        from("192.0.2.2", path).await;
    }
    is_refused(&from("192.0.2.3", "/tasks").await, "address");
    is_refused(&from("192.0.2.3", "/nowhere").await, "address");
    // Whether the process is alive may be asked for ever.
    for _ in 0..10 {
        from("192.0.2.4", "/health").await.with_status(200);
    }

    let proxied = Api::on(&database)
        .set("LIMIT_PER_ADDRESS", "2/day")
        .set("TRUSTED_PROXIES", "127.0.0.1");
    let api = proxied.start().await;
    let from = |address: &str| {
        let request = api.request(Method::GET, "/tasks");
        Answer::to(request.header("X-Forwarded-For", address))
    };
    for _ in 0..2 {
        from("192.0.2.1").await.is_problem(401);
    }
    is_refused(&from("192.0.2.1").await, "address");
    from("192.0.2.2").await.is_problem(401);
}

#[tokio::test]
async fn two_limits_are_told_as_two() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("LIMIT_PER_ADDRESS", "1000/min")
        .set("LIMIT_PER_TENANT", "100/s");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let answer = alice.get("/tasks").await.with_status(200);
    let policies: Vec<_> = answer.headers.get_all("ratelimit-policy").iter().collect();
    assert_eq!(
        policies,
        ["\"address\";q=1000;w=60", "\"tenant\";q=100;w=1"]
    );
    assert!(left(&answer, "address") < 1000 && left(&answer, "tenant") < 100);
}
