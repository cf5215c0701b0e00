//! Passwords from outside: changed by who knows the old one, reset by who reads the mail.

use serde_json::json;
use tests::{Answer, Api, PASSWORD, Person, World};

async fn is_out(person: &Person<'_>) {
    let answer = person.get("/tasks").await.with_status(401);
    assert_eq!(answer.code(), "TN015");
}

async fn password_login(world: &World, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    world.api.post("/auth/login", body).await
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_every_session() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let phone = world.api.person(&alice.email).await;
    let change = async |old: &str, new: &str| {
        let body = json!({"oldPassword": old, "newPassword": new});
        alice.post("/auth/password", body).await
    };

    let wrong = change("a-wrong-password", "a-new-password").await;
    wrong.is_problem(400);
    assert_eq!(wrong.json()["errors"][0]["field"], "oldPassword");
    change(PASSWORD, "short").await.with_status(400);
    phone.get("/tasks").await.with_status(200);

    change(PASSWORD, "a-new-password").await.with_status(204);
    is_out(&alice).await;
    is_out(&phone).await;
    phone.refresh().await.with_status(401);
    world.api.login(&alice.email).await.with_status(401);
    let login = password_login(&world, &alice.email, "a-new-password").await;
    let alice = world.api.person_of(&login.with_status(200));
    alice.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let database = tests::Database::new().await;
    let api = Api::on(&database).set("LOGIN_LIMIT_ACCOUNT", "5/h");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let mut statuses = Vec::new();
    for guess in 0..10 {
        let body = json!({"oldPassword": format!("guess-{guess}"), "newPassword": "password456"});
        statuses.push(alice.post("/auth/password", body).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429, 429, 429, 429, 429]);
    alice.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn who_forgot_the_password_sets_a_new_one_by_mail() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let forgot = async |email: &str| {
        let answer = world
            .api
            .post("/auth/password/forgot", json!({"email": email}))
            .await;
        (answer.status, answer.body)
    };
    let reset = async |token: &str, password: &str| {
        let body = json!({"token": token, "password": password});
        world.api.post("/auth/password/reset", body).await
    };

    // The same answer, whoever it is.
    let known = forgot(&alice.email).await;
    assert_eq!(known, (202, Vec::new()));
    assert_eq!(forgot("nobody@nowhere.example").await, known);
    assert_eq!(forgot("no address").await, known);

    let mails = mailbox.wait_for(&alice.email, 1).await;
    assert_eq!(mails[0]["type"], "password_reset");
    let first = mails[0]["token"].as_str().unwrap().to_owned();
    assert_eq!(forgot(&alice.email.to_uppercase()).await, known);
    let second = mailbox.wait_for(&alice.email, 2).await[1]["token"].clone();
    let second = second.as_str().unwrap();
    // A new one makes the old one void.
    assert_eq!(
        reset(&first, "a-new-password")
            .await
            .with_status(400)
            .code(),
        "TN022"
    );
    reset(second, "short").await.with_status(400);
    alice.get("/tasks").await.with_status(200);

    reset(second, "a-new-password").await.with_status(204);
    is_out(&alice).await;
    assert_eq!(
        reset(second, "another-password")
            .await
            .with_status(400)
            .code(),
        "TN022"
    );
    world.api.login(&alice.email).await.with_status(401);
    password_login(&world, &alice.email, "a-new-password")
        .await
        .with_status(200);
    assert!(mailbox.mails_for("nobody@nowhere.example").is_empty());
    for secret in [first.as_str(), second] {
        assert!(!world.api.log().contains(secret));
        assert!(!world.database.cluster.log().contains(secret));
    }
}
