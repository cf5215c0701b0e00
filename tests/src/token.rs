//! Tokens as the API would not make them: expired, forged, with other claims.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{Database, Person, unique};

pub struct Token {
    header: Header,
    secret: String,
    claims: Value,
}

impl Token {
    /// What the API would give this person: right in all, to be spoilt by the methods below.
    pub fn for_person(database: &Database, person: &Person<'_>) -> Self {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = jsonwebtoken::decode_header(&person.token)
            .expect("the API's token has a header")
            .kid;
        let claims = json!({
            "sub": person.user_id,
            "tenantId": person.tenant_id,
            "sid": person.session_id,
            "email": person.email,
            "role": "owner",
            "iat": now(),
            "exp": now() + 3600,
            "jti": uuid::Uuid::new_v4(),
        });
        Self {
            header,
            secret: database.cluster.jwt_secret.clone(),
            claims,
        }
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims
            .as_object_mut()
            .expect("claims are an object")
            .remove(name);
        self
    }

    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.header.alg = algorithm;
        self
    }

    pub fn kid(mut self, kid: Option<&str>) -> Self {
        self.header.kid = kid.map(str::to_owned);
        self
    }

    /// Signed by somebody who doesn't know the secret.
    pub fn forged(mut self) -> Self {
        self.secret = unique() + &unique();
        self
    }

    pub fn sign(&self) -> String {
        encode(
            &self.header,
            &self.claims,
            &EncodingKey::from_secret(self.secret.as_bytes()),
        )
        .expect("these claims can be signed")
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is past 1970");
    i64::try_from(since.as_secs()).expect("it is not that far past 1970")
}
