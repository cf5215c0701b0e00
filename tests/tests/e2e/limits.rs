//! Limits on attempts, where they count: somebody guesses, and the others go on.

use std::time::Instant;

use serde_json::json;
use tests::{Answer, Api, Database, Mailbox};

#[tokio::test]
async fn ten_thousand_guesses_are_slowed_down_and_the_owner_goes_on_working() {
    let database = Database::new().await;
    // As it is by default, but for the address: a guesser has many.
    let api = Api::on(&database).set("LOGIN_LIMIT_ACCOUNT", "10/min");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let started = Instant::now();

    let mut run = tokio::task::JoinSet::new();
    for guesser in 0..20 {
        let requests: Vec<_> = (0..500)
            .map(|guess| {
                let body =
                    json!({"email": alice.email, "password": format!("guess-{guesser}-{guess}")});
                api.request(reqwest::Method::POST, "/auth/login")
                    .json(&body)
            })
            .collect();
        run.spawn(async move {
            let mut statuses = Vec::new();
            for request in requests {
                let answer = Answer::to(request).await;
                if answer.status == 429 {
                    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
                    answer.is_problem(429);
                }
                statuses.push(answer.status);
            }
            statuses
        });
    }
    // Meanwhile, in a tab that is logged in.
    let mut statuses = Vec::new();
    let mut worked = 0;
    while let Some(ended) = {
        alice.has_task("Goes on").await;
        worked += 1;
        if worked % 20 == 0 {
            let refreshed = alice.get("/me").await;
            refreshed.with_status(200);
        }
        match run.try_join_next() {
            Some(ended) => Some(Some(ended)),
            None if run.is_empty() => None,
            None => Some(None),
        }
    } {
        if let Some(ended) = ended {
            statuses.extend(ended.unwrap());
        }
    }
    let minutes = started.elapsed().as_secs() / 60 + 1;

    assert_eq!(statuses.len(), 10_000);
    let compared = statuses.iter().filter(|status| **status == 401).count() as u64;
    let refused = statuses.iter().filter(|status| **status == 429).count() as u64;
    assert_eq!(compared + refused, 10_000);
    assert!(
        compared <= 10 + 10 * minutes,
        "{compared} passwords were compared"
    );
    // Each of them was answered: one that waits for too long is a 503.
    assert!(worked > 1, "{worked}");
    // Also her refresh, which is no attempt at the account.
    alice.refresh().await.with_status(200);
}

#[tokio::test]
async fn a_429_tells_nothing_of_whether_there_is_an_account() {
    let database = Database::new().await;
    let api = Api::on(&database).set("LOGIN_LIMIT_ACCOUNT", "3/h");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let mut runs = Vec::new();
    for email in [alice.email.as_str(), "nobody@acme.example"] {
        let mut answers = Vec::new();
        // Hers was counted once, when she logged in.
        let first = if email == alice.email { 1 } else { 0 };
        for _ in first..5 {
            let body = json!({"email": email, "password": "a-wrong-password"});
            let request = api
                .request(reqwest::Method::POST, "/auth/login")
                .json(&body);
            let answer = Answer::to(request.header("x-request-id", "the-same")).await;
            answers.push((answer.status, answer.body));
        }
        runs.push(answers);
    }
    let [known, unknown] = &runs[..] else {
        panic!("two runs");
    };
    assert_eq!(known[..], unknown[1..]);
    assert_eq!(known.last().unwrap().0, 429);
}

#[tokio::test]
async fn behind_a_proxy_each_client_is_counted_alone() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("LOGIN_LIMIT_ADDRESS", "2/h")
        .set("TRUSTED_PROXIES", "127.0.0.1");
    let api = api.start().await;
    let attempt = async |client: &str, email: &str| {
        let body = json!({"email": email, "password": "a-wrong-password"});
        let request = api
            .request(reqwest::Method::POST, "/auth/login")
            .json(&body);
        let request = request.header("x-forwarded-for", client);
        Answer::to(request).await.status
    };
    for (client, email, status) in [
        ("203.0.113.1", "a@acme.example", 401),
        ("203.0.113.1", "b@acme.example", 401),
        ("203.0.113.1", "c@acme.example", 429),
        ("198.51.100.7, 203.0.113.1", "d@acme.example", 429),
        ("203.0.113.2", "c@acme.example", 401),
    ] {
        assert_eq!(attempt(client, email).await, status, "{client} {email}");
    }
}

#[tokio::test]
async fn guesses_at_refresh_tokens_and_invitations_are_limited_too() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("REFRESH_LIMIT_ADDRESS", "3/h")
        .set("INVITATION_LIMIT_ADDRESS", "3/h")
        .set("RESET_LIMIT_ADDRESS", "3/h");
    let api = api.start().await;
    for (path, field, status) in [
        ("/auth/refresh", "refresh_token", 401),
        ("/invitations/peek", "token", 404),
        ("/auth/password/reset", "token", 400),
    ] {
        let mut statuses = Vec::new();
        for guess in 0..5 {
            let mut body = json!({field: format!("guess-{guess}")});
            if path.ends_with("reset") {
                body["password"] = "password456".into();
            }
            statuses.push(api.post(path, body).await.status);
        }
        assert_eq!(statuses, [status, status, status, 429, 429], "{path}");
    }
}

#[tokio::test]
async fn nobody_is_flooded_with_invitations() {
    let mailbox = Mailbox::new().await;
    let database = Database::new().await;
    let api = Api::on(&database)
        .mails_to(&mailbox)
        .set("INVITATION_LIMIT_TOKEN", "2/h");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let invite = async |email: &str| {
        let body = json!({"email": email, "role": "member"});
        alice.post("/invitations", body).await.status
    };
    assert_eq!(invite("bob@example.com").await, 201);
    assert_eq!(invite("Bob@example.com").await, 201);
    assert_eq!(invite("BOB@example.com").await, 429);
    assert_eq!(invite("carol@example.com").await, 201);
}
