//! API keys from outside: a machine enters with one, until it is revoked.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Person, World};

async fn key(by: &Person<'_>, role: &str) -> Value {
    let body = json!({"name": format!("CI {role}"), "role": role});
    by.post("/api-keys", body).await.with_status(201).json()
}

/// A request of a machine.
async fn with_key(api: &Api, key: &Value, method: Method, path: &str, body: Value) -> Answer {
    let key = key["key"].as_str().unwrap();
    let mut request = api.request(method.clone(), path).bearer_auth(key);
    if method != Method::GET {
        request = request.json(&body);
    }
    Answer::to(request).await
}

#[tokio::test]
async fn a_machine_works_in_its_tenant_until_its_key_is_revoked() {
    let world = World::new().await;
    let other_api = Api::on(&world.database).start().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    bob.has_task("Of Globex").await;
    let key = key(&alice, "member").await;
    let secret = key["key"].as_str().unwrap();
    assert!(secret.starts_with("pgt_"));

    let body = json!({"title": "By a machine"});
    let made = with_key(&other_api, &key, Method::POST, "/tasks", body).await;
    made.with_status(201);
    let seen = with_key(&world.api, &key, Method::GET, "/tasks", json!({})).await;
    assert_eq!(seen.with_status(200).titles(), ["By a machine"]);

    let list = alice.get("/api-keys").await.with_status(200);
    let listed = &list.json()["data"][0];
    assert_eq!(listed["prefix"], key["prefix"]);
    assert!(listed["lastUsedAt"].is_string(), "{listed}");
    assert!(!list.text().contains(secret));
    assert_eq!(bob.get("/api-keys").await.json()["data"], json!([]));

    let path = format!("/api-keys/{}", key["id"].as_str().unwrap());
    assert_eq!(bob.delete(&path).await.with_status(404).code(), "TN311");
    alice.delete(&path).await.with_status(204);
    for api in [&world.api, &other_api] {
        let refused = with_key(api, &key, Method::GET, "/tasks", json!({})).await;
        refused.is_problem(401);
        assert_eq!(refused.code(), "TN018");
    }
    assert!(!world.api.log().contains(secret));
    assert!(!world.database.cluster.log().contains(secret));
}

#[tokio::test]
async fn a_key_has_its_role_and_is_no_person() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let viewer = key(&alice, "viewer").await;
    let admin = key(&alice, "admin").await;
    let body = json!({"title": "x"});
    let refused = with_key(&world.api, &viewer, Method::POST, "/tasks", body).await;
    assert_eq!(refused.with_status(403).code(), "TN204");

    let body = json!({"name": "another", "role": "admin"});
    let refused = with_key(&world.api, &admin, Method::POST, "/api-keys", body).await;
    assert_eq!(refused.with_status(403).code(), "TN207");
    let path = format!("/members/{}", alice.user_id);
    let body = json!({"role": "member"});
    let refused = with_key(&world.api, &admin, Method::PATCH, &path, body).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    // What is about a person needs one.
    for (method, path) in [
        (Method::GET, "/auth/sessions"),
        (Method::POST, "/auth/logout"),
        (Method::POST, "/auth/logout-all"),
        (Method::DELETE, "/members/me"),
    ] {
        let refused = with_key(&world.api, &admin, method, path, json!({})).await;
        assert!(
            [401, 403].contains(&refused.status),
            "{path} {}",
            refused.text()
        );
    }
    let body = json!({"oldPassword": "password123", "newPassword": "password456"});
    let refused = with_key(&world.api, &admin, Method::POST, "/auth/password", body).await;
    refused.is_problem(403);
    let body = json!({"tenant": "acme"});
    let refused = with_key(&world.api, &admin, Method::POST, "/auth/switch", body).await;
    assert!([401, 403].contains(&refused.status), "{}", refused.text());
}

#[tokio::test]
async fn a_key_that_is_wrong_or_has_expired_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for (body, code) in [
        (json!({"name": "x", "role": "owner"}), "TN310"),
        (json!({"name": "", "role": "member"}), "TN310"),
        (
            json!({"name": "x", "role": "member", "expiresAt": "2001-01-01T00:00:00Z"}),
            "TN310",
        ),
        (
            json!({"name": "x", "role": "member", "expiresAt": "tomorrow"}),
            "invalid_request",
        ),
        (
            json!({"name": "x", "role": "member", "expiresAt": "infinity"}),
            "invalid_request",
        ),
        (json!({"role": "member"}), "invalid_request"),
    ] {
        let refused = alice.post("/api-keys", body.clone()).await;
        assert_eq!(refused.with_status(400).code(), code, "{body}");
    }
    let body = json!({"name": "x", "role": "member", "expiresAt": "2101-01-01T00:00:00Z"});
    let good = alice.post("/api-keys", body).await.with_status(201).json();
    assert!(
        good["expiresAt"]
            .as_str()
            .unwrap()
            .starts_with("2101-01-01T00:00:00")
    );
    let secret = good["key"].as_str().unwrap();

    let mut wrong = vec![
        "pgt_".to_owned(),
        "pgt_abc".to_owned(),
        format!("{secret}x"),
        secret[..secret.len() - 1].to_owned(),
        secret.to_uppercase(),
        "pgt_' or true --".to_owned(),
    ];
    let dba = world.database.superuser().await;
    dba.batch_execute("update tenancy.api_keys set expires_at = now() - interval '1 second'")
        .await
        .unwrap();
    wrong.push(secret.to_owned());
    for key in wrong {
        let request = world.api.request(Method::GET, "/tasks").bearer_auth(&key);
        Answer::to(request).await.is_problem(401);
    }
}
