//! Bad tokens: each is a 401 that says so, whatever is wrong with it.

use jsonwebtoken::Algorithm;
use reqwest::Method;
use tests::{Answer, Token, World};

#[tokio::test]
async fn a_token_that_is_not_good_is_refused() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let good = || Token::for_person(&world.database, &alice);
    let now = tests::token_now();
    let (head, rest) = alice.token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        rest.split('.').next().unwrap()
    );
    let swapped = format!(
        "{head}.{}.{signature}",
        bob.token.split('.').nth(1).unwrap()
    );

    for (what, token) in [
        ("expired", good().claim("exp", now - 60).sign()),
        ("not yet valid", good().claim("nbf", now + 3600).sign()),
        ("without an end", good().without("exp").sign()),
        ("without a tenant", good().without("tenantId").sign()),
        ("without a person", good().without("sub").sign()),
        (
            "a tenant that is no id",
            good().claim("tenantId", "acme").sign(),
        ),
        ("forged", good().forged().sign()),
        (
            "another algorithm",
            good().algorithm(Algorithm::HS384).sign(),
        ),
        ("an unknown key", good().kid(Some("unknown")).sign()),
        ("no key", good().kid(None).sign()),
        (
            "a key with SQL in it",
            good().kid(Some("x' or true --")).sign(),
        ),
        ("unsigned", unsigned),
        ("another's claims", swapped),
        ("cut off", alice.token[..alice.token.len() - 4].to_owned()),
        ("no token", "nonsense".to_owned()),
        ("dots", "..".to_owned()),
        ("long", "a".repeat(20_000)),
    ] {
        let answer = Answer::to(world.api.request(Method::GET, "/tasks").bearer_auth(token)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        answer.is_problem(401);
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer") && challenge.contains("error=\"invalid_token\""),
            "{what}: {challenge}"
        );
    }

    let token = good().claim("exp", now - 10).sign();
    let answer = Answer::to(world.api.request(Method::GET, "/tasks").bearer_auth(token)).await;
    assert_eq!(
        answer.status,
        200,
        "clocks differ a little: {}",
        answer.text()
    );
}

#[tokio::test]
async fn a_well_signed_token_opens_only_what_the_membership_does() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    alice.has_task("Secret plan").await;

    let token =
        || Token::for_person(&world.database, &mallory).claim("tenantId", alice.tenant_id.as_str());
    // A session is of one tenant; a token of another service has none.
    for (token, status, code) in [
        (token(), 401, "TN015"),
        (
            token().claim("sid", alice.session_id.as_str()),
            401,
            "TN015",
        ),
        (token().without("sid"), 403, "TN002"),
    ] {
        let request = world.api.request(Method::GET, "/tasks");
        let answer = Answer::to(request.bearer_auth(token.sign())).await;
        answer.is_problem(status);
        assert_eq!(answer.code(), code);
    }
}
