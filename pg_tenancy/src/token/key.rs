//! A key that signatures are checked with, and for which algorithm it is.

use aws_lc_rs::digest::{Context, SHA256};
use jsonwebtoken::{Algorithm as Jwa, DecodingKey};

use super::algorithm::Algorithm;
use super::refusal::Refusal;

/// A key as it is stored: the secret of HS256, or the public key as DER (SPKI).
/// It can't be printed.
pub struct Key {
    algorithm: Algorithm,
    material: Vec<u8>,
}

impl Key {
    pub fn new(algorithm: Algorithm, material: Vec<u8>) -> Self {
        Self {
            algorithm,
            material,
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it has signed the message. TN011.
    pub fn check(&self, message: &str, signature: &str) -> Result<(), Refusal> {
        let (algorithm, key) = match self.algorithm {
            Algorithm::HS256 => (Jwa::HS256, DecodingKey::from_secret(&self.material)),
            Algorithm::RS256 => (Jwa::RS256, DecodingKey::from_rsa_der(&self.material)),
            Algorithm::PS256 => (Jwa::PS256, DecodingKey::from_rsa_der(&self.material)),
            Algorithm::ES256 => (Jwa::ES256, DecodingKey::from_ec_der(&self.material)),
            Algorithm::EdDSA => (Jwa::EdDSA, DecodingKey::from_ed_der(&self.material)),
        };
        match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm) {
            Ok(true) => Ok(()),
            _ => Err(Refusal::SIGNATURE),
        }
    }

    /// The same for the same algorithm and material alone.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(self.algorithm.name().as_bytes());
        context.update(b"\0");
        context.update(&self.material);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}
