//! Many at once: one wins, and the others leave nothing behind.

use tests::{Answer, World};

/// Registers 50 at once, the n-th with the name and email that `of` gives.
async fn fifty(world: &World, of: impl Fn(usize) -> (String, String)) -> Vec<Answer> {
    let attempts = (0..50).map(|number| {
        let (name, email) = of(number);
        let body =
            serde_json::json!({"tenantName": name, "email": email, "password": tests::PASSWORD});
        let request = world
            .api
            .request(reqwest::Method::POST, "/tenants/register")
            .json(&body);
        tokio::spawn(Answer::to(request))
    });
    let mut answers = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap());
    }
    answers
}

#[track_caller]
fn one_wins(answers: &[Answer], code: &str) {
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (409, code),
            "{}",
            answer.text()
        );
    }
}

async fn is_whole(world: &World) {
    for table in ["tenants", "users", "memberships", "projects"] {
        assert_eq!(
            world
                .database
                .count(&format!("tenancy.{table}"), "true")
                .await,
            1,
            "{table}"
        );
    }
}

#[tokio::test]
async fn fifty_registrations_of_one_name_make_one_tenant() {
    let world = World::new().await;
    let answers = fifty(&world, |number| {
        ("Acme".into(), format!("person{number}@acme.example"))
    })
    .await;
    one_wins(&answers, "TN101");
    is_whole(&world).await;
}

#[tokio::test]
async fn fifty_registrations_of_one_email_make_one_person() {
    let world = World::new().await;
    let answers = fifty(&world, |number| {
        (format!("Acme {number}"), "alice@acme.example".into())
    })
    .await;
    one_wins(&answers, "TN103");
    is_whole(&world).await;
}

#[tokio::test]
async fn the_same_name_and_email_in_other_letters_are_the_same() {
    let world = World::new().await;
    world
        .api
        .register("Acme", "alice@acme.example")
        .await
        .with_status(201);
    assert_eq!(
        world
            .api
            .register("ACME", "bob@acme.example")
            .await
            .with_status(409)
            .code(),
        "TN101"
    );
    assert_eq!(
        world
            .api
            .register("Acme!", "bob@acme.example")
            .await
            .with_status(409)
            .code(),
        "TN102"
    );
    assert_eq!(
        world
            .api
            .register("Globex", "Alice@Acme.Example")
            .await
            .with_status(409)
            .code(),
        "TN103"
    );
    is_whole(&world).await;
}
