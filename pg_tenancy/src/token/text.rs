//! Keys as people hand them over: a secret, a PEM, a JWK.
//!
//! What comes out is one form per algorithm, so that the same key is always the
//! same bytes. A private key is refused wherever it turns up: it has no business
//! here, and who sees this database must not be able to sign.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::Algorithm;
use super::{jwk, strict};

/// Longer than any key.
const MAX_LENGTH: usize = 16 * 1024;
/// What a PEM begins with.
const BEGIN: &str = "-----BEGIN";
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 32..=1024;

/// A key that can be stored.
pub struct NewKey {
    /// What the JWK calls it.
    pub kid: Option<String>,
    pub material: Vec<u8>,
}

/// Reads a key for that algorithm. The error is a sentence that shows nothing of it.
pub fn read_key(text: &str, algorithm: Algorithm) -> Result<NewKey, &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("the key is longer than 16 KiB");
    }
    let trimmed = text.trim();
    if let Some(object) = strict::object(trimmed.as_bytes())
        && object.contains_key("kty")
    {
        return jwk::read(&object, algorithm);
    }
    if trimmed.contains("PRIVATE KEY-----") {
        return Err(PRIVATE);
    }
    match (algorithm.is_symmetric(), trimmed.contains(BEGIN)) {
        (true, _) => secret(text.as_bytes()),
        (false, true) => public(algorithm, &pem(trimmed)?),
        (false, false) => Err("the key is neither a PEM nor a JWK"),
    }
    .map(|material| NewKey {
        kid: None,
        material,
    })
}

pub const PRIVATE: &str = "this is a private key, and must not be here: hand over the public one";

/// A secret that isn't a PEM in disguise: everybody knows a public key, so as a
/// secret it would let anybody sign.
pub fn secret(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    if bytes
        .windows(BEGIN.len())
        .any(|part| part == BEGIN.as_bytes())
    {
        return Err("a PEM is no secret: name the algorithm that the key is for");
    }
    if SECRET_LENGTHS.contains(&bytes.len()) {
        Ok(bytes.to_vec())
    } else {
        Err("the secret must be 32 to 1024 bytes long")
    }
}

/// A public key in DER (SPKI, for RSA also PKCS#1), or a bare point, as DER (SPKI).
pub fn public(algorithm: Algorithm, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    const OTHER: &str = "the key is not one for that algorithm";
    let kind: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::HS256 => return Err(OTHER),
        Algorithm::RS256 | Algorithm::PS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::EdDSA => &ED25519,
    };
    let parsed = ParsedPublicKey::new(kind, bytes).map_err(|_| OTHER)?;
    let der: PublicKeyX509Der<'_> = parsed.as_der().map_err(|_| OTHER)?;
    let der = der.as_ref().to_vec();
    if matches!(algorithm, Algorithm::RS256 | Algorithm::PS256) {
        PublicEncryptingKey::from_der(&der)
            .map_err(|_| "an RSA key must have 2048 to 8192 bits")?;
    }
    Ok(der)
}

/// What is between the lines of a PEM that holds one public key and nothing else.
fn pem(text: &str) -> Result<Vec<u8>, &'static str> {
    const BROKEN: &str = "the PEM is broken, or holds more than one thing";
    let body = ["PUBLIC KEY", "RSA PUBLIC KEY"]
        .into_iter()
        .find_map(|label| {
            text.strip_prefix(&format!("-----BEGIN {label}-----"))?
                .strip_suffix(&format!("-----END {label}-----"))
        })
        .ok_or(if text.starts_with("-----BEGIN CERTIFICATE-----") {
            "this is a certificate: take its key with openssl x509 -pubkey -noout"
        } else {
            BROKEN
        })?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).map_err(|_| BROKEN)
}
