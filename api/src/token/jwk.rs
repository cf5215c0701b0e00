//! A JWK Set with private keys (RFC 7517, 7518, 8037), as JWT_KEYS_FILE holds it.
//!
//! What is wrong with a key is told by its place and name. No message quotes the file.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::der;
use super::keys::Material;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: String,
    alg: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a file. Fails for the first that can't sign.
pub fn read(text: &[u8]) -> Result<Vec<Material>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("it is not a JWK Set, {{\"keys\": […]}} (line {line}, column {column})")
    })?;
    let keys = set.keys.iter().enumerate().map(|(index, jwk)| {
        material(jwk).map_err(|wrong| {
            let kid = jwk.kid.as_deref().unwrap_or("no kid");
            format!("key {} ({kid}) {wrong}", index + 1)
        })
    });
    keys.collect()
}

fn material(jwk: &Jwk) -> Result<Material, &'static str> {
    let kid = jwk.kid.as_deref().ok_or("has no kid")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&kid.len()) || !kid.bytes().all(is_plain) {
        return Err("has a kid that is not 1 to 64 letters, digits, dots, underscores and hyphens");
    }
    let (algorithm, signing, verifying) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("oct", _) => secret(jwk)?,
        ("RSA", _) => rsa(jwk)?,
        ("EC", Some("P-256")) => p256(jwk)?,
        ("OKP", Some("Ed25519")) => ed25519(jwk)?,
        _ => {
            return Err(
                "has a kty or crv that is not oct, RSA, EC with P-256, or OKP with Ed25519",
            );
        }
    };
    let material = Material {
        kid: kid.to_owned(),
        algorithm,
        signing,
        verifying,
    };
    check(&material)?;
    Ok(material)
}

type Pair = (Algorithm, EncodingKey, DecodingKey);

fn secret(jwk: &Jwk) -> Result<Pair, &'static str> {
    let algorithm = algorithm(jwk, &[("HS256", Algorithm::HS256)])?;
    let secret = bytes(&jwk.k)?;
    if !(32..=1024).contains(&secret.len()) {
        return Err("has a secret that is not 32 to 1024 bytes long");
    }
    let verifying = DecodingKey::from_secret(&secret);
    Ok((algorithm, EncodingKey::from_secret(&secret), verifying))
}

fn rsa(jwk: &Jwk) -> Result<Pair, &'static str> {
    let known = [("RS256", Algorithm::RS256), ("PS256", Algorithm::PS256)];
    let algorithm = algorithm(jwk, &known)?;
    let n = bytes(&jwk.n)?;
    if n.len() < 256 {
        return Err("has fewer than 2048 bits");
    }
    let e = bytes(&jwk.e)?;
    let rest = [&jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi].map(bytes);
    let [d, p, q, dp, dq, qi] = rest;
    let der = der::rsa([&n, &e, &d?, &p?, &q?, &dp?, &dq?, &qi?]);
    let verifying = DecodingKey::from_rsa_raw_components(&n, &e);
    Ok((algorithm, EncodingKey::from_rsa_der(&der), verifying))
}

fn p256(jwk: &Jwk) -> Result<Pair, &'static str> {
    let algorithm = algorithm(jwk, &[("ES256", Algorithm::ES256)])?;
    let numbers: [_; 3] = [&jwk.d, &jwk.x, &jwk.y].map(bytes);
    let [d, x, y] = numbers;
    let (d, x, y) = (d?, x?, y?);
    let private: [u8; 32] = d
        .try_into()
        .map_err(|_| "has a d that is not 32 bytes long")?;
    if x.len() != 32 || y.len() != 32 {
        return Err("has an x or y that is not 32 bytes long");
    }
    let der = der::p256(&private, &x, &y);
    let point = [&[4], &*x, &*y].concat();
    let verifying = DecodingKey::from_ec_der(&point);
    Ok((algorithm, EncodingKey::from_ec_der(&der), verifying))
}

fn ed25519(jwk: &Jwk) -> Result<Pair, &'static str> {
    let algorithm = algorithm(jwk, &[("EdDSA", Algorithm::EdDSA)])?;
    let (private, public) = (bytes(&jwk.d)?, bytes(&jwk.x)?);
    if private.len() != 32 || public.len() != 32 {
        return Err("has a d or x that is not 32 bytes long");
    }
    let der = der::ed25519(&private);
    let verifying = DecodingKey::from_ed_der(&public);
    Ok((algorithm, EncodingKey::from_ed_der(&der), verifying))
}

/// The algorithm that the key names; where it can be only one, it needn't.
fn algorithm(jwk: &Jwk, known: &[(&str, Algorithm)]) -> Result<Algorithm, &'static str> {
    match (jwk.alg.as_deref(), known) {
        (None, [(_, only)]) => Ok(*only),
        (named, known) => known
            .iter()
            .find(|(name, _)| Some(*name) == named)
            .map(|(_, algorithm)| *algorithm)
            .ok_or("has no alg, or one that its kty can't have or that is not HS256, RS256, PS256, ES256 or EdDSA"),
    }
}

fn bytes(part: &Option<String>) -> Result<Vec<u8>, &'static str> {
    let part = part.as_deref().ok_or("lacks a part of the private key")?;
    URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| "has a part that is not base64url")
}

/// Whether what the private half signs the public half verifies. Found here, it is a
/// message at the start; found later, it is every login refused.
fn check(key: &Material) -> Result<(), &'static str> {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let token = encode(&Header::new(key.algorithm), &json!({}), &key.signing)
        .map_err(|_| "can't sign: its numbers are no private key")?;
    decode::<IgnoredAny>(&token, &key.verifying, &validation)
        .map_err(|_| "has private and public halves that don't belong together")?;
    Ok(())
}
