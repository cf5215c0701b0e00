//! Tokens: signed at login, verified at the door.
//!
//! The database judges each token by itself and is the one that counts. Verifying here
//! too keeps bad tokens from costing it anything. Both give the same TN codes. What
//! isn't signed with a key of this service (an identity provider's token, an API key,
//! a capsule) is the database's alone to judge.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use jsonwebtoken::errors::Error;
use jsonwebtoken::{decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use self::keys::{KeyFile, Ring};
pub use self::keys::{KeyState, Signing};
pub use self::refusal::BadToken;
use self::refusal::{MALFORMED, bad_token};
use self::verified::Verified;
use crate::settings::{TokenSettings, given};

mod der;
mod jwk;
mod keys;
mod refusal;
mod verified;

/// A token is some 500 bytes long; what is far longer isn't worth a look.
const LONGEST: usize = 8 * 1024;

/// A word is for the database at this moment.
const WORD_LIFETIME: Duration = Duration::from_secs(60);

/// What the database tells by its first letters, and this service not at all.
const NO_JWT: [&str; 3] = ["pgt_", "pgc_", "pgs_"];

pub struct Tokens {
    ring: ArcSwap<Ring>,
    /// Held by who changes the ring; who reads it waits for nobody.
    changing: Mutex<()>,
    verified: Verified,
    file: Option<KeyFile>,
    lifetime: Duration,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Whom a token is for, and where.
pub struct Subject<'a> {
    pub user_id: Uuid,
    pub tenant_id: Uuid,
    pub session_id: Uuid,
    pub email: &'a str,
    pub role: &'a str,
}

/// Whom a token of this service names. What of it still holds, the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub person: Option<Uuid>,
    pub tenant: Option<Uuid>,
}

/// What a word tells the database. A word opens nothing else.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// The person's password was right.
    Session,
    /// The person's old password was right.
    Password,
    /// Somebody asks for a reset.
    Reset,
    /// This service starts.
    Startup,
    /// This service has fetched a key set.
    Jwks,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    sub: Uuid,
    tenant_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Purpose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    iat: u64,
    exp: u64,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl Tokens {
    /// Fails, with what to do about it, when the settings have no good key.
    pub fn new(settings: &TokenSettings) -> Result<Self, String> {
        if settings.jwt_expiration < Duration::from_secs(1) {
            return Err("JWT_EXPIRATION must be at least one second".to_owned());
        }
        let issuer = given(&settings.jwt_issuer).map(str::to_owned);
        let audience = given(&settings.jwt_audience).map(str::to_owned);
        let (ring, file) = keys::read(settings)?;
        Ok(Self {
            ring: ArcSwap::from_pointee(ring),
            changing: Mutex::default(),
            verified: Verified::default(),
            file,
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
        self.sign_claims(
            Claims {
                sub: subject.user_id,
                tenant_id: subject.tenant_id,
                sid: Some(subject.session_id),
                email: Some(subject.email),
                role: Some(subject.role),
                ..self.claims()
            },
            self.lifetime,
        )
    }

    /// A word to the database about a person; the nil UUID where it is about none.
    pub fn word(&self, purpose: Purpose, user_id: Uuid) -> Result<String, Error> {
        let claims = Claims {
            sub: user_id,
            purpose: Some(purpose),
            ..self.claims()
        };
        self.sign_claims(claims, WORD_LIFETIME)
    }

    fn claims(&self) -> Claims<'_> {
        let now = now();
        Claims {
            sub: Uuid::nil(),
            tenant_id: Uuid::nil(),
            sid: None,
            purpose: None,
            email: None,
            role: None,
            iat: now,
            exp: now,
            jti: Uuid::new_v4(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        }
    }

    fn sign_claims(&self, mut claims: Claims<'_>, lifetime: Duration) -> Result<String, Error> {
        claims.exp += lifetime.as_secs();
        let ring = self.ring();
        let key = ring.signing();
        encode(&key.header, &claims, &key.signing)
    }

    /// The person and the tenant that a token of this service names, if its signature and dates are
    /// good; `None` also for what isn't this service's, which only the database can judge.
    pub fn verify(&self, token: &str) -> Result<Option<Named>, BadToken> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Names {
            #[serde(default)]
            sub: Value,
            #[serde(default)]
            tenant_id: Value,
            #[serde(default)]
            exp: Value,
        }

        if token.len() > LONGEST {
            return Err(MALFORMED);
        }
        if NO_JWT.iter().any(|start| token.starts_with(start)) {
            return Ok(None);
        }
        let (ring, now) = (self.ring(), now());
        if let Some(named) = self.verified.find(token, &ring, now) {
            return Ok(Some(named));
        }
        let header = decode_header(token).map_err(|error| bad_token(error.kind()))?;
        let Some(key) = header.kid.as_deref().and_then(|kid| ring.find(kid)) else {
            return Ok(None);
        };
        // RFC 7515: who doesn't understand a critical extension must refuse the token.
        if header.crit.is_some() {
            return Err(MALFORMED);
        }
        // The key's algorithm, never the token's.
        let Names {
            sub,
            tenant_id,
            exp,
        } = decode(token, &key.verifying, &key.validation)
            .map_err(|error| bad_token(error.kind()))?
            .claims;
        let id = |claim: &Value| claim.as_str().and_then(|id| id.parse().ok());
        let named = Named {
            person: id(&sub),
            tenant: id(&tenant_id),
        };
        if let Some(until) = exp.as_u64() {
            self.verified.keep(token, named, key, now, until);
        }
        Ok(Some(named))
    }

    /// The names of the keys that this service can sign with.
    pub fn kids(&self) -> Vec<String> {
        self.ring().kids()
    }

    /// Signs from now on with the key that the database has activated last; tells when that is another than before.
    pub fn choose(&self, states: &[KeyState]) -> Option<Signing> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        let (chosen, signing) = ring.chosen(states);
        let changed = *ring.signing != *chosen.signing;
        self.ring.store(Arc::new(chosen));
        changed.then_some(signing)
    }

    /// Reads the file of keys again if it has changed; tells whether it had. Fails, and
    /// keeps the keys there are, when the file is no good.
    pub async fn read_again(&self) -> Result<bool, String> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let Some(keys) = file.changed().await? else {
            return Ok(false);
        };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring().with(keys)?;
        self.ring.store(Arc::new(ring));
        Ok(true)
    }

    fn ring(&self) -> Guard<Arc<Ring>> {
        self.ring.load()
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
