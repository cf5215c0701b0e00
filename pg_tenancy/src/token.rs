//! Tokens: what one claims, and whether it is true.
//!
//! Reading and verifying are two steps, because the key is looked up by what
//! the token says of itself. `Claimed` is what anybody may have written;
//! `Verified` exists only after the signature and the dates were checked.
//!
//! The rules are those of RFC 7519, and RFC 8725 (best current practices): the
//! algorithm is the key's and never the header's.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use uuid::Uuid;

use crate::fault::Fault;

/// Longer than any token we issue, short enough to read without a thought.
const MAX_LENGTH: usize = 8 * 1024;
/// How far two clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// What a token says, unchecked: good for a look-up, for nothing else.
#[derive(Debug)]
pub struct Claimed {
    pub kid: String,
    pub tenant_id: Uuid,
    pub user_id: Uuid,
}

/// A key, as `tenancy.signing_keys` has it.
pub struct Key {
    pub algorithm: String,
    pub secret: Vec<u8>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
}

/// What a token says whose signature and dates are good.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    pub tenant_id: Uuid,
    pub user_id: Uuid,
    pub session_id: Option<Uuid>,
    /// Of a service's word: what it is for. A word is no token to enter with.
    pub purpose: Option<String>,
    pub issuer: Option<String>,
    pub email: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
    #[serde(rename = "tenantId")]
    tenant_id: Uuid,
    // The library checks it; here it only has to be a whole number of seconds.
    #[serde(rename = "exp")]
    _exp: u64,
    #[serde(default)]
    iat: Option<u64>,
    #[serde(default)]
    sid: Option<Uuid>,
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    iss: serde_json::Value,
    #[serde(default)]
    email: serde_json::Value,
}

/// Reads the header and the claims. TN010 for what is no token of ours.
pub fn read(token: &str) -> Result<Claimed, Fault> {
    if token.len() > MAX_LENGTH {
        return Err(malformed("is longer than 8 KiB"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| malformed("has no good header"))?;
    // Each would have us take the key, or the rules, from the token itself.
    if header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some()
    {
        return Err(malformed("brings a key of its own"));
    }
    if header.crit.is_some() {
        return Err(malformed("asks for an extension that is not known"));
    }
    let kid = header.kid.ok_or_else(|| malformed("names no key"))?;
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| malformed("has no good claims"))?;
    Ok(Claimed {
        kid,
        tenant_id: claims.tenant_id,
        user_id: claims.sub,
    })
}

/// Checks signature, dates, issuer and audience. TN010 to TN014.
pub fn verify(token: &str, key: &Key) -> Result<Verified, Fault> {
    let algorithm = match key.algorithm.as_str() {
        "HS256" => Algorithm::HS256,
        other => {
            return Err(Fault::internal(format!(
                "a signing key for the algorithm {other}"
            )));
        }
    };

    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    if let Some(issuer) = &key.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.validate_aud = key.audience.is_some();
    if let Some(audience) = &key.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    // Issuer and audience pass when absent, unless they are required.
    validation.set_required_spec_claims(&required);

    let secret = DecodingKey::from_secret(&key.secret);
    let claims = jsonwebtoken::decode::<Claims>(token, &secret, &validation)
        .map_err(|error| refusal(error.kind()))?
        .claims;
    // The library leaves iat alone: one from the future is somebody's wrong clock, or a lie.
    let now = jsonwebtoken::get_current_timestamp();
    if claims.iat.is_some_and(|iat| iat > now + LEEWAY) {
        return Err(refusal(&ErrorKind::ImmatureSignature));
    }
    Ok(Verified {
        tenant_id: claims.tenant_id,
        user_id: claims.sub,
        session_id: claims.sid,
        purpose: claims.purpose,
        issuer: claims.iss.as_str().map(str::to_owned),
        email: claims.email.as_str().map(str::to_owned),
    })
}

/// The fault for a word where a token belongs. TN010.
pub fn is_a_word() -> Fault {
    malformed("is a service's word, and opens nothing")
}

/// The fault for a key that isn't there: the same as for a wrong signature.
pub fn unknown_key() -> Fault {
    refusal(&ErrorKind::InvalidSignature)
}

fn malformed(what: &str) -> Fault {
    Fault::new("TN010", format!("the token {what}")).hint("Log in again for a new one.")
}

fn refusal(kind: &ErrorKind) -> Fault {
    let (code, message) = match kind {
        ErrorKind::ExpiredSignature => ("TN012", "the token has expired"),
        ErrorKind::ImmatureSignature => ("TN013", "the token is not valid yet"),
        ErrorKind::InvalidIssuer => ("TN014", "the token is from another issuer"),
        ErrorKind::InvalidAudience => ("TN014", "the token is for another audience"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" || claim == "aud" => {
            ("TN014", "the token lacks its issuer or audience")
        }
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => ("TN011", "the token's signature is not good"),
        _ => return malformed("has no good claims"),
    };
    Fault::new(code, message).hint("Log in again for a new one.")
}
