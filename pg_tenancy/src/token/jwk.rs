//! A key as JSON (RFC 7517, 7518, 8037).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKeyComponents;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::jws::name;
use super::text::{NewKey, PRIVATE, public, secret};

/// What a private key has and a public one hasn't.
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

pub fn is_private(jwk: &Map<String, Value>) -> bool {
    PRIVATE_MEMBERS
        .into_iter()
        .any(|member| jwk.contains_key(member))
}

/// The algorithm that it is for: the one it names, else the usual one of its kind.
/// `None` for keys of other kinds, and for other ends than signatures.
pub fn algorithm_of(jwk: &Map<String, Value>) -> Option<Algorithm> {
    let text = |member: &str| jwk.get(member).and_then(Value::as_str);
    let usual = match (text("kty")?, text("crv")) {
        ("RSA", _) => Algorithm::RS256,
        ("EC", Some("P-256")) => Algorithm::ES256,
        ("OKP", Some("Ed25519")) => Algorithm::EdDSA,
        ("oct", _) => Algorithm::HS256,
        _ => return None,
    };
    if jwk.get("use").is_some_and(|end| end != "sig") {
        return None;
    }
    if let Some(deeds) = jwk.get("key_ops")
        && !deeds.as_array()?.iter().any(|deed| deed == "verify")
    {
        return None;
    }
    let Some(named) = jwk.get("alg") else {
        return Some(usual);
    };
    match (named.as_str()?, usual) {
        ("PS256", Algorithm::RS256) => Some(Algorithm::PS256),
        // Its name since RFC 9864.
        ("Ed25519", Algorithm::EdDSA) => Some(usual),
        (named, usual) if named == usual.name() => Some(usual),
        _ => None,
    }
}

/// Reads one that is for `algorithm`. The error shows nothing of it.
pub fn read(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<NewKey, &'static str> {
    if is_private(jwk) {
        return Err(PRIVATE);
    }
    let found = algorithm_of(jwk).ok_or("the JWK is of no kind that is known here")?;
    // Without a name in it, an RSA key serves for either.
    let is_same = found == algorithm
        || (found == Algorithm::RS256 && algorithm == Algorithm::PS256 && !jwk.contains_key("alg"));
    if !is_same {
        return Err("the JWK is for another algorithm");
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(name(kid).ok_or("the JWK has a bad kid")?.to_owned()),
    };
    Ok(NewKey {
        kid,
        material: material(jwk, algorithm)?,
    })
}

pub fn material(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<Vec<u8>, &'static str> {
    const BROKEN: &str = "the JWK is broken";
    let bytes = |member: &str| {
        let text = jwk.get(member).and_then(Value::as_str).ok_or(BROKEN)?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| BROKEN)
    };
    match algorithm {
        Algorithm::HS256 => secret(&bytes("k")?),
        Algorithm::RS256 | Algorithm::PS256 => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let key = PublicKeyComponents { n: &n, e: &e };
            let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| BROKEN)?;
            public(algorithm, der.as_ref())
        }
        Algorithm::ES256 => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err(BROKEN);
            }
            // A point that is not compressed (SEC 1).
            public(algorithm, &[&[4], x.as_slice(), y.as_slice()].concat())
        }
        Algorithm::EdDSA => {
            let x = bytes("x")?;
            if x.len() != 32 {
                return Err(BROKEN);
            }
            public(algorithm, &x)
        }
    }
}
