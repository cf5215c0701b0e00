//! No log has a secret in it: not the service's, however much it logs, and not the
//! server's with its own defaults.

use serde_json::json;
use tests::{Answer, Api, Database, PASSWORD};

#[tokio::test]
async fn no_password_token_or_secret_is_logged() {
    for level in ["info", "trace"] {
        let database = Database::new().await;
        let api = Api::on(&database).set("LOG_LEVEL", level).start().await;
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
            for secret in [
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
            ] {
                let place = log
                    .find(secret)
                    .map(|at| &log[log[..at].rfind('\n').unwrap_or(0)..at]);
                assert_eq!(place, None, "{whose} at level {level} has logged a secret");
            }
        }
        assert!(!logs[0].1.contains("panicked"), "{}", logs[0].1);
    }
}
