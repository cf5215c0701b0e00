//! Statements about keys: which of ours signs, and which issuers' keys are to be fetched.

use std::time::SystemTime;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Call, Db, Failure, Pool, column};
use crate::problem::Result;
use crate::token::{KeyState, Purpose};

const STATES: &str = "select * from tenancy.signing_key_states($1)";
const ISSUERS: &str = "select * from tenancy.issuers_to_fetch()";
const STORE_JWKS: &str = "select tenancy.store_issuer_jwks($1, $2, $3)";

/// An issuer whose key set is fetched from a URL.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub issuer: String,
    pub jwks_url: String,
    pub fetched_at: Option<SystemTime>,
}

impl Pool {
    /// What the database says of the keys of these names; nothing of those that it doesn't know.
    pub async fn signing_key_states(
        &self,
        kids: Vec<String>,
    ) -> std::result::Result<Vec<KeyState>, Failure> {
        let call = Call::new(STATES).with(Type::TEXT_ARRAY, kids);
        let rows = self.rows(call).await?;
        let states = rows.iter().map(|row| {
            Ok(KeyState {
                kid: row.try_get("kid")?,
                status: row.try_get("status")?,
                activated_at: row.try_get("activated_at")?,
            })
        });
        states
            .collect::<std::result::Result<_, _>>()
            .map_err(Failure::Query)
    }
}

impl Db {
    /// Signs from now on with the key that the database has activated last.
    pub async fn choose_key(&self) -> Result<()> {
        let tokens = self.0.tokens();
        let states = self.pool().signing_key_states(tokens.kids()).await?;
        if let Some(signing) = tokens.choose(&states) {
            let kid = signing.kid;
            if signing.is_active {
                tracing::info!(kid, "another key signs now");
            } else {
                tracing::warn!(kid, "none of the service's keys is active; this one signs");
            }
        }
        Ok(())
    }

    pub async fn issuers_to_fetch(&self) -> Result<Vec<Issuer>> {
        let rows = self.pool().rows(Call::new(ISSUERS)).await?;
        let issuers = rows.iter().map(|row| {
            Ok(Issuer {
                issuer: column(row, "issuer")?,
                jwks_url: column(row, "jwks_url")?,
                fetched_at: column(row, "fetched_at")?,
            })
        });
        issuers.collect()
    }

    pub async fn store_issuer_jwks(&self, issuer: String, jwks: String) -> Result<()> {
        self.with_word(Purpose::Jwks, Uuid::nil(), |word| {
            Call::new(STORE_JWKS)
                .with(Type::TEXT, word)
                .with(Type::TEXT, issuer.clone())
                .with(Type::TEXT, jwks.clone())
        })
        .await?;
        Ok(())
    }
}
