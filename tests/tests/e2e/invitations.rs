//! Invitations from outside: by mail, once, for one address.

use serde_json::json;
use tests::{Answer, Api, Database, Mailbox, PASSWORD, Person, World};

async fn invite(by: &Person<'_>, email: &str, role: &str) -> Answer {
    by.post("/invitations", json!({"email": email, "role": role}))
        .await
}

async fn accept(world: &World, token: &str, password: &str) -> Answer {
    let body = json!({"token": token, "password": password});
    world.api.post("/invitations/accept", body).await
}

#[tokio::test]
async fn a_new_person_comes_in_by_mail_and_sets_a_password() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let invited = invite(&alice, "bob@example.com", "member")
        .await
        .with_status(201);
    let token = mailbox.token_for("bob@example.com").await;
    assert!(!invited.text().contains(&token));
    let list = alice.get("/invitations").await.with_status(200);
    assert_eq!(list.json()["data"][0]["email"], "bob@example.com");
    assert!(!list.text().contains(&token));
    let mail = &mailbox.mails_for("bob@example.com")[0];
    assert_eq!(mail["type"], "invitation");
    assert_eq!(mail["tenantName"], "Acme");
    assert_eq!(mail["role"], "member");
    assert!(mail["expiresAt"].as_str().unwrap().ends_with('Z'));

    let page = world
        .api
        .post("/invitations/peek", json!({"token": token}))
        .await;
    let page = page.with_status(200).json();
    assert_eq!(page["tenantName"], "Acme");
    assert_eq!(page["hasAccount"], false);

    let body = json!({"token": token});
    let refused = world.api.post("/invitations/accept", body).await;
    assert_eq!(refused.with_status(400).code(), "TN306");
    accept(&world, &token, "short").await.with_status(400);
    let accepted = accept(&world, &token, PASSWORD)
        .await
        .with_status(201)
        .json();
    assert_eq!(accepted["role"], "member");
    assert_eq!(accepted["user"]["tenantId"], alice.tenant_id.as_str());
    let bob = world.api.person("bob@example.com").await;
    assert_eq!(bob.tenant_id, alice.tenant_id);
    bob.has_task("His first").await;

    assert_eq!(
        accept(&world, &token, PASSWORD)
            .await
            .with_status(404)
            .code(),
        "TN303"
    );
    assert!(!world.api.log().contains(&token));
    assert!(!world.database.cluster.log().contains(&token));
}

#[tokio::test]
async fn who_has_an_account_accepts_logged_in_and_nobody_else_can() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let mallory = world.api.owner_of("Initech").await;
    invite(&alice, &bob.email.to_uppercase(), "viewer")
        .await
        .with_status(201);
    let token = mailbox.token_for(&bob.email.to_uppercase()).await;

    assert_eq!(
        accept(&world, &token, PASSWORD)
            .await
            .with_status(409)
            .code(),
        "TN304"
    );
    let body = json!({"token": token});
    let refused = mallory.post("/invitations/accept", body.clone()).await;
    assert_eq!(refused.with_status(403).code(), "TN305");
    let request = world
        .api
        .request(reqwest::Method::POST, "/invitations/accept");
    let bad = Answer::to(request.json(&body).bearer_auth("nonsense")).await;
    bad.is_problem(401);

    bob.post("/invitations/accept", body).await.with_status(201);
    let there = bob.post("/auth/switch", json!({"tenant": "acme"})).await;
    let there = world.api.person_of(&there.with_status(200));
    let refused = there.post("/tasks", json!({"title": "x"})).await;
    assert_eq!(refused.with_status(403).code(), "TN204");
}

#[tokio::test]
async fn an_invitation_is_good_once_also_for_two_at_once() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    for round in 0..3 {
        let email = format!("bob{round}@example.com");
        invite(&alice, &email, "member").await.with_status(201);
        let token = mailbox.token_for(&email).await;
        let (one, other) = tokio::join!(
            accept(&world, &token, PASSWORD),
            accept(&world, &token, PASSWORD)
        );
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses[0], 201, "{} {}", one.text(), other.text());
        assert!([404, 409].contains(&statuses[1]), "{statuses:?}");
        let who = format!("email = '{email}'");
        assert_eq!(world.database.count("tenancy.users", &who).await, 1);
    }
}

#[tokio::test]
async fn a_new_invitation_or_a_second_thought_makes_the_old_one_void() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let email = "bob@example.com";
    invite(&alice, email, "admin").await.with_status(201);
    let first = mailbox.token_for(email).await;
    let made = invite(&alice, email, "viewer").await.with_status(201).id();
    let second = mailbox.wait_for(email, 2).await[1]["token"].clone();
    assert_eq!(
        accept(&world, &first, PASSWORD)
            .await
            .with_status(404)
            .code(),
        "TN303"
    );

    let path = format!("/invitations/{made}");
    assert_eq!(mallory.delete(&path).await.with_status(404).code(), "TN303");
    alice.delete(&path).await.with_status(204);
    let refused = accept(&world, second.as_str().unwrap(), PASSWORD).await;
    assert_eq!(refused.with_status(404).code(), "TN303");
    let list = alice.get("/invitations").await.json();
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn who_may_invite_whom_the_database_says() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let adam = alice.invites(&mailbox, "adam@acme.example", "admin").await;
    let mia = alice.invites(&mailbox, "mia@acme.example", "member").await;
    let code = |answer: Answer, status| answer.with_status(status).code();
    assert_eq!(
        code(invite(&mia, "x@example.com", "viewer").await, 403),
        "TN203"
    );
    assert_eq!(
        code(invite(&adam, "x@example.com", "owner").await, 403),
        "TN201"
    );
    assert_eq!(
        code(invite(&alice, "MIA@acme.example", "admin").await, 409),
        "TN301"
    );
    assert_eq!(
        code(invite(&alice, "no address", "admin").await, 400),
        "TN105"
    );
    assert_eq!(
        code(invite(&alice, "x@example.com", "king").await, 400),
        "TN206"
    );
    assert_eq!(code(mia.get("/invitations").await, 403), "TN203");
    assert!(mailbox.mails_for("x@example.com").is_empty());
}

#[tokio::test]
async fn a_mailer_that_is_away_for_a_moment_gets_the_mail_later() {
    let mailbox = Mailbox::that_fails_first(2).await;
    let database = Database::new().await;
    let api = Api::on(&database).mails_to(&mailbox).start().await;
    let alice = api.owner_of("Acme").await;
    // The answer doesn't wait for the mailer.
    invite(&alice, "bob@example.com", "member")
        .await
        .with_status(201);
    let token = mailbox.token_for("bob@example.com").await;
    assert!(api.log().contains("the mail webhook failed; trying again"));
    assert!(!api.log().contains(&token));
}

#[tokio::test]
async fn without_a_mailer_nobody_is_invited() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let refused = invite(&alice, "bob@example.com", "member").await;
    refused.is_problem(503);
    assert_eq!(refused.code(), "no_mailer");
    assert_eq!(world.database.count("tenancy.invitations", "true").await, 0);
    let body = json!({"email": alice.email});
    let refused = world.api.post("/auth/password/forgot", body).await;
    assert_eq!(refused.with_status(503).code(), "no_mailer");
    assert!(world.api.log().contains("nobody can be invited"));
}

#[tokio::test]
async fn a_developer_may_have_the_mails_in_the_log() {
    let database = Database::new().await;
    let api = Api::on(&database).set("MAIL_TO_LOG", "true").start().await;
    let alice = api.owner_of("Acme").await;
    invite(&alice, "bob@example.com", "member")
        .await
        .with_status(201);
    for _ in 0..200 {
        if api.log().contains("pgi_") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no invitation in the log:\n{}", api.log());
}
