//! Every way in which a token can be wrong, and the one in which it is right.

use super::keys::default_kid;
use super::*;
use crate::settings::Secret;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-for-tests-that-is-long-enough";

fn settings() -> TokenSettings {
    TokenSettings {
        jwt_secret: Some(Secret::from(SECRET.to_owned())),
        jwt_keys_file: None,
        keys_refresh: Duration::from_secs(5),
        jwks_refresh: Duration::from_secs(300),
        jwt_expiration: Duration::from_secs(3600),
        session_lifetime: Duration::from_secs(3600),
        jwt_kid: None,
        jwt_issuer: None,
        jwt_audience: None,
    }
}

fn tokens() -> Tokens {
    Tokens::new(&settings()).unwrap()
}

fn tokens_of_acme() -> Tokens {
    Tokens::new(&TokenSettings {
        jwt_issuer: Some("https://acme.example".to_owned()),
        jwt_audience: Some("tasks".to_owned()),
        ..settings()
    })
    .unwrap()
}

/// A ring with a key of its own, though it has the same name and secret each time.
pub fn ring() -> Ring {
    keys::read(&settings()).unwrap().0
}

/// A token with the right key and any claims.
fn signed(claims: Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(default_kid(SECRET));
    signed_as(&header, claims, SECRET)
}

fn signed_as(header: &Header, claims: Value, secret: &str) -> String {
    encode(
        header,
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

fn refusal(token: &str) -> &'static str {
    tokens().verify(token).unwrap_err().code
}

#[test]
fn what_the_service_signs_it_accepts() {
    let ann = Subject {
        user_id: Uuid::new_v4(),
        tenant_id: Uuid::new_v4(),
        session_id: Uuid::new_v4(),
        email: "ann@acme.example",
        role: "owner",
    };
    for tokens in [tokens(), tokens_of_acme()] {
        let token = tokens.sign(&ann).unwrap();
        let named = Named {
            person: Some(ann.user_id),
            tenant: Some(ann.tenant_id),
        };
        assert_eq!(tokens.verify(&token), Ok(Some(named)));
    }
}

#[test]
fn a_token_says_who_where_and_until_when() {
    let ann = Subject {
        user_id: Uuid::from_u128(1),
        tenant_id: Uuid::from_u128(2),
        session_id: Uuid::from_u128(3),
        email: "ann@acme.example",
        role: "owner",
    };
    let token = tokens_of_acme().sign(&ann).unwrap();
    let token = jsonwebtoken::dangerous::insecure_decode::<Value>(&token).unwrap();
    assert_eq!(token.header.kid, Some(default_kid(SECRET)));
    assert_eq!(token.header.typ.as_deref(), Some("JWT"));
    let claims = &token.claims;
    assert_eq!(claims["sub"], Uuid::from_u128(1).to_string());
    assert_eq!(claims["tenantId"], Uuid::from_u128(2).to_string());
    assert_eq!(claims["sid"], Uuid::from_u128(3).to_string());
    assert_eq!(claims.get("purpose"), None);
    assert_eq!(claims["email"], "ann@acme.example");
    assert_eq!(claims["role"], "owner");
    assert_eq!(claims["iss"], "https://acme.example");
    assert_eq!(claims["aud"], "tasks");
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 3600);
}

#[test]
fn a_word_says_its_purpose_for_a_minute_and_opens_no_tenant() {
    let ann = Uuid::from_u128(1);
    for (purpose, name) in [
        (Purpose::Session, "session"),
        (Purpose::Password, "password"),
        (Purpose::Reset, "reset"),
        (Purpose::Startup, "startup"),
        (Purpose::Jwks, "jwks"),
    ] {
        let word = tokens().word(purpose, ann).unwrap();
        let word = jsonwebtoken::dangerous::insecure_decode::<Value>(&word).unwrap();
        let claims = &word.claims;
        assert_eq!(claims["purpose"], name);
        assert_eq!(claims["sub"], ann.to_string());
        assert_eq!(claims["tenantId"], Uuid::nil().to_string());
        assert_eq!(claims.get("sid"), None);
        let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(lifetime, 60);
    }
}

#[test]
fn a_key_is_named_as_the_database_names_it() {
    // select left(encode(sha256('…'), 'hex'), 16)
    assert_eq!(default_kid("abc"), "ba7816bf8f01cfea");
}

#[test]
fn a_secret_that_is_short_is_refused_with_the_remedy() {
    for secret in [None, Some(""), Some("x".repeat(31).as_str())] {
        let settings = TokenSettings {
            jwt_secret: secret.map(|one| Secret::from(one.to_owned())),
            ..settings()
        };
        let message = Tokens::new(&settings).err().unwrap();
        assert!(message.contains("openssl rand -base64 48"), "{message}");
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    // {"alg":"none"}.{"exp":9999999999}.
    assert_eq!(
        refusal("eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9."),
        "TN010"
    );
}

#[test]
fn the_algorithm_is_not_the_tokens_choice() {
    let mut header = Header::new(Algorithm::HS512);
    header.kid = Some(default_kid(SECRET));
    let token = signed_as(&header, json!({"exp": now() + 60}), SECRET);
    assert_eq!(refusal(&token), "TN010");
}

#[test]
fn another_key_under_our_name_is_refused() {
    let other = "another-secret-that-is-long-enough-too";
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(default_kid(SECRET));
    let token = signed_as(&header, json!({"exp": now() + 60}), other);
    assert_eq!(refusal(&token), "TN011");
}

#[test]
fn what_another_signed_the_database_judges_and_nobody_is_believed_here() {
    let claims = json!({"exp": now() + 60, "sub": Uuid::from_u128(1)});
    for kid in [Some("other".to_owned()), None] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid;
        let token = signed_as(&header, claims.clone(), SECRET);
        assert_eq!(tokens().verify(&token), Ok(None));
    }
    for machine in ["pgt_abc_def", "pgc_abc", "pgs_abc"] {
        assert_eq!(tokens().verify(machine), Ok(None));
    }
    for nonsense in ["pgx_abc", "PGT_abc", " pgt_abc", "abc", ""] {
        assert_eq!(refusal(nonsense), "TN010", "{nonsense}");
    }
    let named = tokens().verify(&signed(claims)).unwrap().unwrap();
    assert_eq!(named.person, Some(Uuid::from_u128(1)));
}

#[test]
fn a_critical_extension_is_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(default_kid(SECRET));
    header.crit = Some(vec!["b64".to_owned()]);
    let token = signed_as(&header, json!({"exp": now() + 60}), SECRET);
    assert_eq!(refusal(&token), "TN010");
}

#[test]
fn dates_are_checked_with_thirty_seconds_of_leeway() {
    let verify = |claims| tokens().verify(&signed(claims));
    assert!(verify(json!({"exp": now() - 20})).is_ok());
    assert!(verify(json!({"exp": now() + 60, "nbf": now() + 20})).is_ok());
    assert_eq!(refusal(&signed(json!({"exp": now() - 40}))), "TN012");
    let early = json!({"exp": now() + 90, "nbf": now() + 60});
    assert_eq!(refusal(&signed(early)), "TN013");
}

#[test]
fn a_token_is_as_good_the_second_time_and_one_beside_it_no_better() {
    let tokens = tokens();
    let good = signed(json!({"exp": now() + 60, "sub": Uuid::from_u128(1)}));
    let (claims, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{claims}.{other}{}", &signature[1..]);
    for _ in 0..3 {
        let named = tokens.verify(&good).unwrap().unwrap();
        assert_eq!(named.person, Some(Uuid::from_u128(1)));
        assert_eq!(tokens.verify(&forged).unwrap_err().code, "TN011");
    }
    // The same key, read again: it is another to what was remembered.
    tokens.ring.store(Arc::new(ring()));
    assert!(tokens.verify(&good).unwrap().is_some());
}

#[test]
fn an_expiry_that_is_missing_or_no_date_is_refused() {
    for claims in [
        json!({}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"exp": -1}),
        json!({"exp": [now() + 60]}),
        json!([]),
    ] {
        assert_eq!(refusal(&signed(claims.clone())), "TN010", "{claims}");
    }
}

#[test]
fn issuer_and_audience_are_required_where_they_are_set() {
    let (iss, aud) = ("https://acme.example", "tasks");
    for claims in [
        json!({"exp": now() + 60}),
        json!({"exp": now() + 60, "iss": iss}),
        json!({"exp": now() + 60, "aud": aud}),
        json!({"exp": now() + 60, "iss": "https://globex.example", "aud": aud}),
        json!({"exp": now() + 60, "iss": iss, "aud": "invoices"}),
    ] {
        let refusal = tokens_of_acme().verify(&signed(claims.clone()));
        assert_eq!(refusal.unwrap_err().code, "TN014", "{claims}");
    }
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let token = signed(json!({"exp": now() + 60, "role": "member"}));
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let forged = signed_as(
        &Header::new(Algorithm::HS256),
        json!({"exp": now() + 60, "role": "owner"}),
        "another-secret-that-is-long-enough-too",
    );
    let forged_claims = forged.split('.').nth(1).unwrap();
    assert_eq!(
        refusal(&format!("{header}.{forged_claims}.{signature}")),
        "TN011"
    );
    for token in [
        String::new(),
        "..".to_owned(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{claims}.{header}.{signature}"),
        format!("{token}."),
        format!("{token} "),
        format!(" {token}"),
        format!("{header}. {claims}.{signature}"),
        format!("{}é", token),
    ] {
        assert!(tokens().verify(&token).is_err(), "{token}");
    }
}

#[test]
fn an_oversized_token_is_refused_unread() {
    let token = signed(json!({"exp": now() + 60, "padding": "x".repeat(9000)}));
    assert_eq!(refusal(&token), "TN010");
}
