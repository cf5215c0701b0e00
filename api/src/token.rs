//! Tokens: HS256, signed at login, verified at the door.
//!
//! The database verifies each token again and is the one that counts. Verifying here
//! too keeps bad tokens from costing it anything. Both give the same TN codes.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Serialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::settings::{TokenSettings, given};

/// A token is some 500 bytes long; what is far longer isn't worth a look.
const LONGEST: usize = 8 * 1024;

/// Clocks of two machines differ a little. The database allows the same.
const LEEWAY_SECONDS: u64 = 30;

pub struct Tokens {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    lifetime: Duration,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Whom a token is for.
pub struct Subject<'a> {
    pub user_id: Uuid,
    pub tenant_id: Uuid,
    pub email: &'a str,
    pub role: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    sub: Uuid,
    tenant_id: Uuid,
    email: &'a str,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'static str>,
    iat: u64,
    exp: u64,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq)]
pub struct BadToken {
    pub code: &'static str,
    pub message: &'static str,
}

impl Tokens {
    /// Fails, with what to do about it, when the settings have no good secret.
    pub fn new(settings: &TokenSettings) -> Result<Self, String> {
        let secret = settings.jwt_secret.as_ref().map_or("", |one| one.expose());
        if !(32..=1024).contains(&secret.len()) {
            return Err(format!(
                "JWT_SECRET must be 32 to 1024 bytes long and has {}; make one with: openssl rand -base64 48",
                secret.len()
            ));
        }
        if settings.jwt_expiration < Duration::from_secs(1) {
            return Err("JWT_EXPIRATION must be at least one second".to_owned());
        }
        let issuer = given(&settings.jwt_issuer).map(str::to_owned);
        let audience = given(&settings.jwt_audience).map(str::to_owned);
        let kid = given(&settings.jwt_kid).map_or_else(|| default_kid(secret), str::to_owned);

        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(kid);
        let secret = secret.as_bytes();
        Ok(Self {
            header,
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation: validation(issuer.as_deref(), audience.as_deref()),
            lifetime: settings.jwt_expiration,
            issuer,
            audience,
        })
    }

    /// How long a token of `sign` is good.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub fn sign(&self, subject: &Subject<'_>) -> Result<String, Error> {
        self.sign_for(subject, None, self.lifetime)
    }

    /// A token that opens nothing, to ask the database whether it knows the key.
    pub fn sign_for_nobody(&self) -> Result<String, Error> {
        self.sign_word(Uuid::nil(), "startup")
    }

    /// A token that opens no tenant: our word to the database that the person's
    /// password was right.
    pub fn sign_for_session(&self, user_id: Uuid) -> Result<String, Error> {
        self.sign_word(user_id, "session")
    }

    /// A word to the database, good for one use.
    fn sign_word(&self, user_id: Uuid, purpose: &'static str) -> Result<String, Error> {
        let person = Subject {
            user_id,
            tenant_id: Uuid::nil(),
            email: "",
            role: "",
        };
        self.sign_for(&person, Some(purpose), Duration::from_secs(60))
    }

    fn sign_for(
        &self,
        subject: &Subject<'_>,
        purpose: Option<&'static str>,
        lifetime: Duration,
    ) -> Result<String, Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let claims = Claims {
            sub: subject.user_id,
            tenant_id: subject.tenant_id,
            email: subject.email,
            role: subject.role,
            purpose,
            iat: now.as_secs(),
            exp: now.as_secs() + lifetime.as_secs(),
            jti: Uuid::new_v4(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        encode(&self.header, &claims, &self.signing)
    }

    /// Whether the service signed this token and its dates are good. What it says is the database's business.
    pub fn verify(&self, token: &str) -> Result<(), BadToken> {
        if token.len() > LONGEST {
            return Err(MALFORMED);
        }
        let token = decode::<IgnoredAny>(token, &self.verifying, &self.validation)
            .map_err(|error| bad_token(error.kind()))?;
        if token.header.kid != self.header.kid {
            return Err(UNKNOWN_KEY);
        }
        // RFC 7515: who doesn't understand a critical extension must refuse the token.
        if token.header.crit.is_some() {
            return Err(MALFORMED);
        }
        Ok(())
    }
}

fn validation(issuer: Option<&str>, audience: Option<&str>) -> Validation {
    // The algorithm is ours, never the token's.
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    // Without "required", a token that has no such claim at all would pass.
    let mut required = vec!["exp"];
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// The name of a key that was given none, here as in `tenancy.add_signing_key`.
fn default_kid(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest[..8].iter().fold(String::new(), |mut kid, byte| {
        // Writing to a String doesn't fail.
        let _ = write!(kid, "{byte:02x}");
        kid
    })
}

const MALFORMED: BadToken = BadToken {
    code: "TN010",
    message: "the token is malformed",
};
const UNKNOWN_KEY: BadToken = BadToken {
    code: "TN011",
    message: "the token is signed with an unknown key, or its signature is wrong",
};

fn bad_token(kind: &ErrorKind) -> BadToken {
    let (code, message) = match kind {
        ErrorKind::InvalidSignature => return UNKNOWN_KEY,
        ErrorKind::ExpiredSignature => ("TN012", "the token has expired"),
        ErrorKind::ImmatureSignature => ("TN013", "the token is not valid yet"),
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => {
            ("TN014", "the token is for another issuer or audience")
        }
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" || claim == "aud" => {
            ("TN014", "the token names no issuer or audience")
        }
        _ => return MALFORMED,
    };
    BadToken { code, message }
}

#[cfg(test)]
mod tests;
