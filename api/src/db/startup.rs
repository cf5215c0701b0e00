//! The question that comes before the first request: does this database accept this service?
//!
//! The database answers by `tenancy.assert_service`: the login role is a safe one, and
//! the key that this service signs with is known. A "no" ends the process, because
//! somebody must change something; a database that isn't there is waited for.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::DbError;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::call::{Call, Failure};
use super::{ASSERT_SERVICE, Pool, STATEMENT_TIMEOUT};
use crate::token::{Purpose, Tokens};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What the database says about this service.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// No answer yet.
    Unreachable(String),
    /// No, and asking again won't help: what somebody must do.
    Refused(String),
}

impl Pool {
    /// Asks once.
    pub async fn ask(&self, tokens: &Tokens) -> Verdict {
        // The key first: the word must be signed with one that the database knows.
        match self.signing_key_states(tokens.kids()).await {
            Ok(states) => tokens.choose(&states),
            Err(failure) => return verdict(&failure),
        };
        let word = match tokens.word(Purpose::Startup, Uuid::nil()) {
            Ok(word) => word,
            Err(reason) => return Verdict::Refused(format!("can't sign a token: {reason}")),
        };
        let call = Call::new(ASSERT_SERVICE).with(Type::TEXT, word);
        match self.row(call).await {
            Ok(_) => {}
            Err(failure) => return verdict(&failure),
        }
        if self.is_behind_a_pooler() {
            // A pooler takes no start-up options, so the limit has to be the role's own.
            match self.has_a_statement_timeout().await {
                Ok(true) => {}
                Ok(false) => return Verdict::Refused("behind a pooler a statement has no limit in time unless the role has one: alter role … set statement_timeout = '10s', or select tenancy.harden(login => '…', apply => true)".to_owned()),
                Err(failure) => return verdict(&failure),
            }
        }
        self.accept();
        Verdict::Accepted
    }

    async fn has_a_statement_timeout(&self) -> Result<bool, Failure> {
        let row = self.row(Call::new(STATEMENT_TIMEOUT)).await?;
        let timeout: &str = row.try_get(0).map_err(Failure::Query)?;
        Ok(timeout != "0")
    }

    /// Asks until there is an answer. Comes back only with a refusal.
    pub async fn keep_asking(&self, tokens: &Tokens) -> String {
        let mut pause = FIRST_PAUSE;
        while !self.is_accepted() {
            tokio::time::sleep(pause).await;
            match self.ask(tokens).await {
                Verdict::Accepted => {
                    tracing::info!("the database is there and accepts this service")
                }
                Verdict::Unreachable(reason) => {
                    tracing::warn!(reason, "the database can't be reached; trying again")
                }
                Verdict::Refused(reason) => return reason,
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        std::future::pending().await
    }
}

fn verdict(failure: &Failure) -> Verdict {
    let reason = match failure.reason() {
        plain if plain == "server does not support TLS" => format!(
            "{plain}, which is asked for of another machine unless DB_SSLMODE says otherwise"
        ),
        reason => reason,
    };
    let Some(error) = db_error(failure) else {
        return Verdict::Unreachable(reason);
    };
    let advice = match error.code().code() {
        "TN211" => "the service's database role is not a safe one",
        "TN011" => {
            "the database knows none of this service's signing keys, or has retired them; a DBA adds one by \
             select tenancy.add_signing_key('<JWT_SECRET>'), with the kid, issuer and audience of JWT_KID, JWT_ISSUER and JWT_AUDIENCE where these are set"
        }
        "TN012" | "TN013" => "the clocks of the service and of the database differ by too much",
        "TN014" => {
            "JWT_ISSUER or JWT_AUDIENCE differs from what tenancy.add_signing_key was told for this key"
        }
        "42501" | "42883" | "3F000" => {
            "the extension pg_tenancy is not installed in this database, or the login role is not a member of tenancy_app and tenancy_authenticator"
        }
        "3D000" => "there is no such database",
        code if code.starts_with("28") => "the database refuses the login",
        code if code.starts_with("TN") => "the database refuses this service",
        _ => return Verdict::Unreachable(reason),
    };
    Verdict::Refused(format!("{advice} ({reason})"))
}

fn db_error(failure: &Failure) -> Option<&DbError> {
    match failure {
        Failure::Query(error) | Failure::NoConnection(PoolError::Backend(error)) => {
            error.as_db_error()
        }
        _ => None,
    }
}
