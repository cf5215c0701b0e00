//! The verifier by itself: which token is good, and with which code another is not.

mod claims;
mod keys;
mod shapes;
mod signatures;

use base64::Engine;
use serde_json::{Value, json};

use super::*;
use crate::tests::signer::{ALGORITHMS, Signer, encode, hmac_of, pem};

const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "sub": "018f0000-0000-7000-8000-000000000001",
        "tenantId": "018f0000-0000-7000-8000-000000000002",
        "iat": NOW, "exp": NOW + 3600,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn key(signer: &Signer) -> Key {
    Key::new(signer.algorithm, signer.material())
}

/// The code that a token ends with, or `good`.
fn outcome(token: &str, key: &Key) -> &'static str {
    let rules = Rules::default();
    let verified = Claimed::read(token)
        .and_then(|claimed| claimed.verify(key, &rules, NOW, &mut Seen::default()));
    match verified {
        Ok(_) => "good",
        Err(refusal) => refusal.code,
    }
}

fn verified<'token>(token: &'token str, signer: &Signer) -> Verified<'token> {
    Claimed::read(token)
        .and_then(|claimed| {
            claimed.verify(&key(signer), &Rules::default(), NOW, &mut Seen::default())
        })
        .unwrap_or_else(|refusal| panic!("{refusal:?}"))
}
