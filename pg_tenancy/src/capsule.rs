//! Capsules: a context that a queue can carry, sealed so that who carries it can
//! neither read nor change it.
//!
//! AES-256-GCM-SIV, with a nonce from the system's randomness; the key's number
//! stands in front and is sealed with it. A capsule is `pgc_` and base64url. It is
//! no JWT and holds none, so it can't be taken for a token, nor a token for it.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::context::Epochs;

/// What it begins with.
pub const PREFIX: &str = "pgc_";
/// Longer than any that is made here.
const MAX_LENGTH: usize = 1024;
const NUMBER_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 12;

/// What is sealed in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    pub tenant: Uuid,
    pub user: Option<Uuid>,
    /// `word`, `token` or `api_key`, and the id of the last.
    pub proof: String,
    pub proof_id: Option<Uuid>,
    pub purpose: Option<String>,
    /// Microseconds since 1970.
    pub iat: i64,
    pub exp: i64,
    pub jti: Uuid,
    /// As they were when it was sealed.
    pub epochs: Epochs,
}

/// A sealed one that nobody has opened yet.
pub struct Closed {
    /// The number of the key that it says it is sealed with.
    pub key: u32,
    nonce: [u8; NONCE_LENGTH],
    sealed: Vec<u8>,
}

/// Seals with the key of that number; `None` where the key is none.
pub fn seal(content: &Content, number: u32, key: &[u8]) -> Option<String> {
    let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok()?;
    let mut sealed = serde_json::to_vec(content).ok()?;
    let nonce = key
        .seal_in_place_append_tag(bound_to(number), &mut sealed)
        .ok()?;
    let whole = [&number.to_be_bytes()[..], nonce.as_ref(), &sealed].concat();
    Some(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(whole)))
}

/// Takes it apart, without a word on whether it is genuine; `None` for another form.
pub fn read(capsule: &str) -> Option<Closed> {
    let text = capsule.strip_prefix(PREFIX)?;
    if text.len() > MAX_LENGTH {
        return None;
    }
    let whole = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (number, rest) = whole.split_at_checked(NUMBER_LENGTH)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LENGTH)?;
    Some(Closed {
        key: u32::from_be_bytes(number.try_into().ok()?),
        nonce: nonce.try_into().ok()?,
        sealed: sealed.to_vec(),
    })
}

impl Closed {
    /// What is in it; `None` where the key is another or a bit was changed.
    pub fn open(mut self, key: &[u8]) -> Option<Content> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok()?;
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let content = key
            .open_in_place(nonce, bound_to(self.key), &mut self.sealed)
            .ok()?;
        serde_json::from_slice(content).ok()
    }
}

fn bound_to(number: u32) -> Aad<Vec<u8>> {
    Aad::from([PREFIX.as_bytes(), &number.to_be_bytes()].concat())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn content() -> Content {
        Content {
            tenant: Uuid::from_u128(1),
            user: Some(Uuid::from_u128(2)),
            proof: "token".to_owned(),
            proof_id: None,
            purpose: Some("export".to_owned()),
            iat: 3,
            exp: 4,
            jti: Uuid::from_u128(5),
            epochs: Epochs {
                tenant: None,
                user: Some(6),
            },
        }
    }

    fn opened(capsule: &str, key: &[u8]) -> Option<Content> {
        read(capsule)?.open(key)
    }

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        let capsule = seal(&content(), 1, &KEY).expect("a capsule");
        assert_eq!(opened(&capsule, &KEY), Some(content()));
        assert_eq!(opened(&capsule, &[8; 32]), None);
        // Twice the same is never the same.
        assert_ne!(seal(&content(), 1, &KEY), Some(capsule));
    }

    #[test]
    fn no_letter_of_it_can_be_changed() {
        let capsule = seal(&content(), 1, &KEY).expect("a capsule");
        for at in PREFIX.len()..capsule.len() {
            let mut letters = capsule.clone().into_bytes();
            letters[at] = if letters[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(letters).expect("ASCII");
            assert_eq!(opened(&changed, &KEY), None, "at {at}");
        }
        for end in 0..capsule.len() {
            assert_eq!(opened(&capsule[..end], &KEY), None, "up to {end}");
        }
        for (before, after) in [("", "A"), ("", "="), ("", " "), (" ", ""), ("", "\n")] {
            assert_eq!(opened(&format!("{before}{capsule}{after}"), &KEY), None);
        }
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert_eq!(seal(&content(), 1, b"short"), None);
    }
}
