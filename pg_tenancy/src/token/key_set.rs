//! The public keys of an issuer, as it publishes them (JWKS, RFC 7517).

use serde_json::Value;

use super::algorithm::Algorithm;
use super::jws::name;
use super::{jwk, strict};

const MAX_LENGTH: usize = 256 * 1024;
const MAX_KEYS: usize = 100;

/// A key of a set.
#[derive(Debug)]
pub struct PublicKey {
    pub kid: String,
    pub algorithm: Algorithm,
    /// DER (SPKI).
    pub material: Vec<u8>,
}

/// The keys of a set that can be used here. Those for other ends, of other kinds,
/// too weak or without a name are left out, as the RFC says; a set with a private
/// key, with a shared secret, or that gives a name twice is refused. The error shows
/// nothing of it.
pub fn read_key_set(text: &str) -> Result<Vec<PublicKey>, &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("the key set is longer than 256 KiB");
    }
    let set = strict::object(text.as_bytes()).ok_or("the key set is no JSON object")?;
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err("the key set has no list of keys");
    };
    if keys.len() > MAX_KEYS {
        return Err("the key set has more than 100 keys");
    }

    let mut found: Vec<PublicKey> = Vec::new();
    for key in keys {
        let Value::Object(key) = key else {
            return Err("the key set holds what is no key");
        };
        if jwk::is_private(key) {
            return Err("the key set holds a private key");
        }
        if key.contains_key("k") || key.get("kty").is_some_and(|kind| kind == "oct") {
            return Err("the key set holds a shared secret");
        }
        let Some(kid) = key.get("kid").and_then(name) else {
            continue;
        };
        let Some(algorithm) = jwk::algorithm_of(key) else {
            continue;
        };
        let Ok(material) = jwk::material(key, algorithm) else {
            continue;
        };
        if found.iter().any(|other| other.kid == kid) {
            return Err("the key set gives a kid twice");
        }
        found.push(PublicKey {
            kid: kid.to_owned(),
            algorithm,
            material,
        });
    }
    if found.is_empty() {
        return Err(
            "the key set has no key that can be used: RS256, PS256, ES256 or EdDSA, with a kid",
        );
    }
    Ok(found)
}
