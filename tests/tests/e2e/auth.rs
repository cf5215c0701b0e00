//! Sessions from outside: they begin with a login, go on by refreshing, and end
//! everywhere at once.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, PASSWORD, Person, World};

async fn is_out(person: &Person<'_>, code: &str) {
    let answer = person.get("/tasks").await.with_status(401);
    assert_eq!(answer.code(), code);
    assert!(answer.header("www-authenticate").contains("invalid_token"));
}

/// Makes a person a member of another's tenant, as a DBA would.
async fn add_member(world: &World, tenant: &Person<'_>, person: &Person<'_>, role: &str) {
    let (tenant_id, user_id) = (&tenant.tenant_id, &person.user_id);
    let statement = format!(
        "insert into tenancy.memberships (tenant_id, user_id, role) values ('{tenant_id}', '{user_id}', '{role}')"
    );
    let dba = world.database.superuser().await;
    dba.batch_execute(&statement).await.unwrap();
}

#[tokio::test]
async fn a_login_answers_all_that_a_client_needs_to_go_on() {
    let world = World::new().await;
    world.api.owner_of("Acme").await;
    let login = world.api.login("owner@acme.example").await.with_status(200);
    let login = login.json();
    let names: Vec<_> = login.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "access_token",
            "expires_in",
            "refresh_expires_in",
            "refresh_token",
            "session_id",
            "tenants",
            "token_type",
            "user"
        ]
    );
    let month = 30 * 24 * 3600;
    let left = login["refresh_expires_in"].as_u64().unwrap();
    assert!((month - 60..=month).contains(&left), "{left}");
}

#[tokio::test]
async fn a_refresh_goes_on_with_the_same_session() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mut now = alice.at(&world.api);
    for _ in 0..3 {
        let answer = now.refresh().await.with_status(200);
        assert_eq!(answer.json().get("tenants"), None);
        let next = world.api.person_of(&answer);
        assert_eq!(next.session_id, alice.session_id);
        assert_eq!(next.tenant_id, alice.tenant_id);
        assert_ne!(next.refresh_token, now.refresh_token);
        now = next.at(&world.api);
    }
    now.get("/tasks").await.with_status(200);
    // What is still good by its dates is still good.
    alice.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_its_session_for_thief_and_owner() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let elsewhere = world.api.person(&alice.email).await;
    let next = alice.refresh().await.with_status(200);
    let next = world.api.person_of(&next);

    let reuse = alice.refresh().await;
    reuse.is_problem(401);
    assert_eq!(reuse.code(), "TN017");
    is_out(&alice, "TN015").await;
    is_out(&next, "TN015").await;
    assert_eq!(next.refresh().await.with_status(401).code(), "TN016");
    assert_eq!(alice.refresh().await.with_status(401).code(), "TN016");
    // Another login of hers has nothing to do with it.
    elsewhere.get("/tasks").await.with_status(200);
    elsewhere.refresh().await.with_status(200);
}

#[tokio::test]
async fn of_two_who_refresh_at_once_one_wins_and_then_nobody() {
    let world = World::new().await;
    for _ in 0..5 {
        let alice = match world.api.login("owner@acme.example").await {
            answer if answer.status == 200 => world.api.person_of(&answer),
            _ => world.api.owner_of("Acme").await,
        };
        let (one, other) = tokio::join!(alice.refresh(), alice.refresh());
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [200, 401]);
        let winner = if one.status == 200 { one } else { other };
        is_out(&world.api.person_of(&winner), "TN015").await;
    }
}

#[tokio::test]
async fn a_token_that_is_no_refresh_token_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for token in ["", "nonsense", &alice.token, &"x".repeat(100_000)] {
        let body = json!({"refresh_token": token});
        let answer = world.api.post("/auth/refresh", body).await;
        answer.is_problem(401);
        assert_eq!(answer.code(), "TN016");
    }
    // And the other way round.
    let request = world.api.request(Method::GET, "/tasks");
    let answer = Answer::to(request.bearer_auth(&alice.refresh_token)).await;
    answer.is_problem(401);
}

#[tokio::test]
async fn a_logout_is_seen_by_every_process_and_connection_at_once() {
    let world = World::new().await;
    let other_api = Api::on(&world.database).start().await;
    let alice = world.api.owner_of("Acme").await;
    let phone = world.api.person(&alice.email).await;
    alice.at(&other_api).get("/tasks").await.with_status(200);

    // A connection that has seen the token, and knows its signature.
    let client = world.database.connect(&world.database.api_login).await;
    let enter = "select tenancy.enter($1)";
    client.query(enter, &[&alice.token]).await.unwrap();

    alice.post("/auth/logout", json!({})).await.with_status(204);
    is_out(&alice, "TN015").await;
    is_out(&alice.at(&other_api), "TN015").await;
    let refused = client.query(enter, &[&alice.token]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "TN015");
    assert_eq!(alice.refresh().await.with_status(401).code(), "TN016");
    // Once more is no error, and the phone is still in.
    alice.post("/auth/logout", json!({})).await.with_status(204);
    phone.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn a_logout_everywhere_is_of_one_person_in_all_their_tenants() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    add_member(&world, &bob, &alice, "viewer").await;
    let phone = world.api.person(&alice.email).await;
    let switched = alice
        .post("/auth/switch", json!({"tenant": "globex"}))
        .await
        .with_status(200);
    let at_globex = world.api.person_of(&switched);

    // A viewer's context writes nothing, and a viewer may log out all the same.
    let answer = at_globex.post("/auth/logout-all", json!({})).await;
    answer.with_status(204);
    for person in [&alice, &phone, &at_globex] {
        is_out(person, "TN015").await;
        person.refresh().await.with_status(401);
    }
    bob.get("/tasks").await.with_status(200);
    let again = world.api.person(&alice.email).await;
    again.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn a_person_switches_between_their_tenants_and_into_no_other() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    world.api.owner_of("Initech").await;
    add_member(&world, &bob, &alice, "member").await;
    alice.has_task("Of Acme").await;
    bob.has_task("Of Globex").await;

    let switch = async |tenant: &str| alice.post("/auth/switch", json!({"tenant": tenant})).await;
    let answer = switch("globex").await.with_status(200);
    assert_eq!(answer.json()["tenants"].as_array().unwrap().len(), 2);
    let there = world.api.person_of(&answer);
    assert_eq!(there.tenant_id, bob.tenant_id);
    assert_ne!(there.session_id, alice.session_id);
    assert_eq!(there.tasks().await, ["Of Globex"]);
    assert_eq!(alice.tasks().await, ["Of Acme"]);

    for elsewhere in ["initech", "nowhere", "", &alice.user_id] {
        assert_eq!(switch(elsewhere).await.with_status(403).code(), "TN002");
    }
    // The old session ends, the new one stays.
    alice.post("/auth/logout", json!({})).await.with_status(204);
    switch("globex").await.with_status(401);
    assert_eq!(there.tasks().await, ["Of Globex"]);
}

#[tokio::test]
async fn a_person_sees_their_sessions_and_ends_one_from_another() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let body = json!({"email": alice.email, "password": PASSWORD});
    let request = world.api.request(Method::POST, "/auth/login").json(&body);
    let request = request.header("user-agent", "Alice's old phone");
    let phone = world
        .api
        .person_of(&Answer::to(request).await.with_status(200));
    let mallory = world.api.owner_of("Globex").await;

    let list = alice.get("/auth/sessions").await.with_status(200).json();
    let sessions = list["data"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{list}");
    let of = |id: &str| -> &Value { sessions.iter().find(|one| one["id"] == id).unwrap() };
    assert_eq!(of(&alice.session_id)["current"], true);
    let old_phone = of(&phone.session_id);
    assert_eq!(old_phone["current"], false);
    assert_eq!(old_phone["client"], "Alice's old phone");
    assert_eq!(old_phone["address"], "127.0.0.1");
    assert_eq!(old_phone["tenant"]["slug"], "acme");
    assert!(!list.to_string().contains("refresh"), "{list}");

    let path = format!("/auth/sessions/{}", phone.session_id);
    assert_eq!(mallory.delete(&path).await.with_status(404).code(), "TN024");
    phone.get("/tasks").await.with_status(200);
    alice.delete(&path).await.with_status(204);
    is_out(&phone, "TN015").await;
    alice
        .delete("/auth/sessions/nonsense")
        .await
        .with_status(404);
    let list = alice.get("/auth/sessions").await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_owner_revokes_all_sessions_of_their_tenant_and_of_no_other() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    add_member(&world, &alice, &bob, "member").await;
    let switched = bob.post("/auth/switch", json!({"tenant": "acme"})).await;
    let bob_at_acme = world.api.person_of(&switched.with_status(200));

    let path = "/tenants/revoke-sessions";
    let refused = bob_at_acme.post(path, json!({})).await.with_status(403);
    assert_eq!(refused.code(), "TN203");
    alice.post(path, json!({})).await.with_status(204);
    is_out(&alice, "TN015").await;
    is_out(&bob_at_acme, "TN015").await;
    bob.get("/tasks").await.with_status(200);
    world.api.person(&alice.email).await;
}

#[tokio::test]
async fn a_word_of_the_service_opens_nothing_as_a_token() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    for purpose in ["session", "password", "reset", "startup", "jwks", ""] {
        let word = tests::Token::for_person(&world.database, &alice).claim("purpose", purpose);
        for path in ["/tasks", "/me", "/auth/sessions"] {
            let request = world
                .api
                .request(Method::GET, path)
                .bearer_auth(word.sign());
            let answer = Answer::to(request).await;
            assert_eq!(answer.with_status(401).code(), "TN010", "{purpose} {path}");
        }
    }
}
