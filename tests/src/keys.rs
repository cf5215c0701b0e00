//! Key pairs, made for a test: those of an API that rotates its keys, and of identity
//! providers elsewhere.

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub struct KeyPair {
    pub kid: String,
    pub algorithm: &'static str,
    /// As a JWK.
    pub private: Value,
    /// As a JWK.
    pub public: Value,
    signing: EncodingKey,
}

impl KeyPair {
    pub fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let private: EcPrivateKeyBin = pair.private_key().as_be_bytes().expect("its number");
        let pkcs8 = pair.to_pkcs8v1().expect("its document");
        let point = pair.public_key().as_ref();
        let public = json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256",
            "x": base64url(&point[1..33]), "y": base64url(&point[33..])});
        Self {
            kid: kid.to_owned(),
            algorithm: "ES256",
            private: with(&public, "d", private.as_ref()),
            public,
            signing: EncodingKey::from_ec_der(pkcs8.as_ref()),
        }
    }

    pub fn eddsa(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let seed = pair.seed().expect("its seed");
        let seed = seed.as_be_bytes().expect("its bytes");
        let pkcs8 = pair.to_pkcs8v1().expect("its document");
        let public = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA",
            "x": base64url(pair.public_key().as_ref())});
        Self {
            kid: kid.to_owned(),
            algorithm: "EdDSA",
            private: with(&public, "d", seed.as_ref()),
            public,
            signing: EncodingKey::from_ed_der(pkcs8.as_ref()),
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let algorithm = match self.algorithm {
            "ES256" => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.signing).expect("these claims can be signed")
    }
}

fn with(jwk: &Value, name: &str, bytes: &[u8]) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = base64url(bytes).into();
    jwk
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
