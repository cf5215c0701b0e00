//! What a token claims (RFC 7519), before and after it is known to be true.

use std::ops::Range;

use serde_json::Value;
use uuid::Uuid;

use super::algorithm::Algorithm;
use super::jws::{Jws, name};
use super::key::Key;
use super::path;
use super::refusal::Refusal;
use super::seen::Seen;

/// How far two clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// What a token says, unchecked: good for a look-up, for nothing else.
pub struct Claimed<'token>(Jws<'token>);

/// What a key, or an issuer, asks of its tokens; `None`: it isn't looked at.
#[derive(Default)]
pub struct Rules<'rule> {
    pub issuer: Option<&'rule str>,
    pub audience: Option<&'rule str>,
}

/// What a token says whose signature, issuer, audience and dates are good.
pub struct Verified<'token> {
    jws: Jws<'token>,
    issued_at: u64,
    good: Range<u64>,
}

impl<'token> Claimed<'token> {
    /// TN010 for what has not the form of a token.
    pub fn read(token: &'token str) -> Result<Self, Refusal> {
        Jws::read(token).map(Self)
    }

    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// The ids that a token of our own would have there.
    pub fn user_id(&self) -> Option<Uuid> {
        Uuid::try_parse(self.text("sub")?).ok()
    }

    pub fn tenant_id(&self) -> Option<Uuid> {
        Uuid::try_parse(self.text("tenantId")?).ok()
    }

    pub fn session_id(&self) -> Option<Uuid> {
        Uuid::try_parse(self.text("sid")?).ok()
    }

    /// 0 where it doesn't say.
    pub fn issued_at(&self) -> u64 {
        self.0
            .claims
            .get("iat")
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.claims.get(claim).and_then(name)
    }

    /// Checks it: the algorithm is the key's, the signature good (or seen before, with
    /// that key), issuer and audience those asked for, the dates around `now`, in
    /// seconds since 1970. TN010 to TN014.
    pub fn verify(
        self,
        key: &Key,
        rules: &Rules<'_>,
        now: u64,
        seen: &mut Seen,
    ) -> Result<Verified<'token>, Refusal> {
        let Self(jws) = self;
        if Algorithm::parse(&jws.algorithm) != Some(key.algorithm()) {
            return Err(Refusal::SIGNATURE);
        }
        let expires = seconds(&jws, "exp")?.ok_or(Refusal::NO_CLAIMS)?;
        let starts = seconds(&jws, "nbf")?.unwrap_or(0);
        let issued_at = seconds(&jws, "iat")?.unwrap_or(0);
        jws.claims
            .get("sub")
            .and_then(name)
            .ok_or(Refusal::NO_CLAIMS)?;

        let until = expires.saturating_add(LEEWAY);
        if !seen.is_good(jws.text, key, until, now) {
            key.check(jws.message, jws.signature)?;
            seen.remember(jws.text, key, until, now);
        }
        check_issuer(&jws, rules)?;
        if until <= now {
            return Err(Refusal::EXPIRED);
        }
        // A token from the future is somebody's wrong clock, or a lie.
        let from = starts.max(issued_at).saturating_sub(LEEWAY);
        if from > now {
            return Err(Refusal::EARLY);
        }
        Ok(Verified {
            jws,
            issued_at,
            good: from..until,
        })
    }
}

/// A time that is there is a whole number of seconds since 1970, and no other thing.
fn seconds(jws: &Jws<'_>, claim: &str) -> Result<Option<u64>, Refusal> {
    match jws.claims.get(claim) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .filter(|seconds| i64::try_from(*seconds).is_ok())
            .map(Some)
            .ok_or(Refusal::NO_CLAIMS),
    }
}

/// Nothing that PostgreSQL or a log could take for more than a name.
fn is_purpose(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

fn check_issuer(jws: &Jws<'_>, rules: &Rules<'_>) -> Result<(), Refusal> {
    let issuer = match jws.claims.get("iss") {
        None => None,
        Some(Value::String(issuer)) => Some(issuer.as_str()),
        Some(_) => return Err(Refusal::ISSUER),
    };
    if rules.issuer.is_some() && rules.issuer != issuer {
        return Err(Refusal::ISSUER);
    }
    let Some(wanted) = rules.audience else {
        return Ok(());
    };
    let is_for_us = match jws.claims.get("aud") {
        Some(Value::String(audience)) => audience == wanted,
        Some(Value::Array(audiences)) => audiences.iter().any(|one| one == wanted),
        _ => false,
    };
    is_for_us.then_some(()).ok_or(Refusal::AUDIENCE)
}

impl Verified<'_> {
    /// Whom it is about, in the words of who issued it.
    pub fn subject(&self) -> &str {
        self.jws
            .claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whom it is about, where it must be a person's id. TN010.
    pub fn user_id(&self) -> Result<Uuid, Refusal> {
        Uuid::try_parse(self.subject()).map_err(|_| Refusal::NO_CLAIMS)
    }

    /// In whole seconds since 1970; 0 if it doesn't say.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The seconds since 1970 in which it is good, by its dates.
    pub fn good(&self) -> Range<u64> {
        self.good.clone()
    }

    /// The id in `tenantId`, `sid` or the like; `None` where it isn't given. TN010 for
    /// another thing in its place.
    pub fn id(&self, claim: &str) -> Result<Option<Uuid>, Refusal> {
        match self.jws.claims.get(claim) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(|text| Uuid::try_parse(text).ok())
                .map(Some)
                .ok_or(Refusal::NO_CLAIMS),
        }
    }

    /// What a service's word is for: a short name; `None` for a token. TN010.
    pub fn purpose(&self) -> Result<Option<&str>, Refusal> {
        match self.jws.claims.get("purpose") {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .filter(|text| is_purpose(text))
                .map(Some)
                .ok_or(Refusal::NO_CLAIMS),
        }
    }

    pub fn email(&self) -> Option<&str> {
        self.jws.claims.get("email").and_then(name)
    }

    /// The address, if the issuer says that it is the subject's, and writes it so that
    /// there is one way to compare it: in ASCII.
    pub fn verified_email(&self) -> Option<&str> {
        let said: Vec<_> = ["email_verified", "emailVerified"]
            .into_iter()
            .filter_map(|claim| self.jws.claims.get(claim))
            .collect();
        let is_verified = !said.is_empty() && said.iter().all(|value| **value == true);
        self.email().filter(|email| is_verified && email.is_ascii())
    }

    /// The name at the end of a path; `None` where the first step leads nowhere. TN010
    /// for another thing in its place, or more than one.
    pub fn at(&self, path: &[String]) -> Result<Option<String>, Refusal> {
        path::follow(&self.jws.claims, path)
    }
}
