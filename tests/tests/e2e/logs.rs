//! No log has a secret in it: not the service's, however much it logs, and not the
//! server's with its own defaults.

use serde_json::json;
use tests::{Answer, Api, Database, Mailbox, PASSWORD, Person};

#[tokio::test]
async fn no_password_token_or_secret_is_logged() {
    for level in ["info", "trace"] {
        let database = Database::new().await;
        let mailbox = Mailbox::new().await;
        let api = Api::on(&database)
            .set("LOG_LEVEL", level)
            .mails_to(&mailbox)
            .start()
            .await;
        let alice = api.owner_of("Acme").await;
        let bob = api.owner_of("Globex").await;
        let task = alice.has_task("Confidential title").await;
        bob.get(&format!("/tasks/{task}")).await.with_status(404);
        alice
            .patch(
                &format!("/tasks/{task}"),
                json!({"description": "Confidential text"}),
            )
            .await
            .with_status(200);
        alice
            .post("/tasks", json!({"title": "Confidential ".repeat(100)}))
            .await
            .with_status(400);
        alice
            .post("/tasks", json!({"title": "x", "projectId": alice.user_id}))
            .await
            .with_status(400);
        api.register("Acme", "carol@acme.example")
            .await
            .with_status(409);
        let wrong = json!({"email": alice.email, "password": "a-wrong-password"});
        api.post("/auth/login", wrong).await.with_status(401);
        let broken = format!("{}x", alice.token);
        let request = api
            .request(reqwest::Method::GET, "/tasks")
            .bearer_auth(&broken);
        Answer::to(request).await.with_status(401);
        alice
            .delete(&format!("/tasks/{task}"))
            .await
            .with_status(204);

        let secrets = secrets_of_people_and_machines(&api, &mailbox, &alice).await;
        let client = database.superuser().await;
        let hash: String = client
            .query_one("select password_hash from tenancy.users limit 1", &[])
            .await
            .unwrap()
            .get(0);
        let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
        let logs = [
            ("the API", api.log()),
            ("the server", database.cluster.log()),
        ];
        for (whose, log) in &logs {
            assert!(
                !log.is_empty(),
                "{whose} logs nothing, so this test tests nothing"
            );
            let of_people = secrets.iter().map(String::as_str);
            for secret in of_people.chain([
                &*mailbox.secret,
                PASSWORD,
                "a-wrong-password",
                "Confidential",
                &alice.token,
                &signature(&alice.token),
                &signature(&bob.token),
                &database.cluster.jwt_secret,
                &database.api_login.password,
                &hash,
                hash.rsplit('$').next().unwrap(),
            ]) {
                let place = log
                    .find(secret)
                    .map(|at| &log[log[..at].rfind('\n').unwrap_or(0)..at]);
                assert_eq!(place, None, "{whose} at level {level} has logged a secret");
            }
        }
        assert!(!logs[0].1.contains("panicked"), "{}", logs[0].1);
    }
}

/// What is handed out once, and then used: refresh tokens, mailed tokens, an API key.
async fn secrets_of_people_and_machines(
    api: &Api,
    mailbox: &Mailbox,
    alice: &Person<'_>,
) -> Vec<String> {
    let next = api.person_of(&alice.refresh().await.with_status(200));
    // Twice, which the server's log notes.
    let elsewhere = api.person(&alice.email).await;
    elsewhere.refresh().await.with_status(200);
    elsewhere.refresh().await.with_status(401);

    let bob = next.invites(mailbox, "bob@acme.example", "member").await;
    let mailed = mailbox.token_for("bob@acme.example").await;
    let body = json!({"name": "CI", "role": "member"});
    let key = next.post("/api-keys", body).await.with_status(201).json();
    let key = key["key"].as_str().unwrap().to_owned();
    for key in [key.clone(), format!("{key}x")] {
        let request = api.request(reqwest::Method::GET, "/tasks");
        Answer::to(request.bearer_auth(key)).await;
    }
    let body = json!({"email": bob.email});
    api.post("/auth/password/forgot", body)
        .await
        .with_status(202);
    let reset = mailbox.wait_for(&bob.email, 2).await[1]["token"].clone();
    let reset = reset.as_str().unwrap().to_owned();
    for _ in 0..2 {
        let body = json!({"token": reset, "password": "Confidential password"});
        api.post("/auth/password/reset", body).await;
    }
    vec![
        alice.refresh_token.clone(),
        next.refresh_token.clone(),
        elsewhere.refresh_token.clone(),
        mailed,
        key,
        reset,
    ]
}
