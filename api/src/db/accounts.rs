//! Statements about accounts: registration, credentials, passwords.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Call, Db, column, first};
use crate::caller::Caller;
use crate::problem::Result;
use crate::token::Purpose;

const REGISTER: &str = "select * from tenancy.register_tenant($1, $2, $3, $4)";
const CREDENTIALS: &str = "select * from tenancy.find_credentials($1)";
const PASSWORD_HASH: &str = "select tenancy.find_password_hash($1)";
const CHANGE_PASSWORD: &str = "select tenancy.change_password($1, $2)";
const START_RESET: &str =
    "select * from tenancy.start_password_reset($1, $2, make_interval(secs => $3))";
const FINISH_RESET: &str = "select tenancy.finish_password_reset($1, $2)";

pub struct Registration {
    pub tenant_id: Uuid,
    pub name: String,
    pub slug: String,
    pub user_id: Uuid,
    pub email: String,
}

pub struct Credentials {
    pub user_id: Uuid,
    pub email: String,
    pub password_hash: Option<String>,
}

/// A reset that was started. The token is for the person's mailbox and nobody else.
pub struct Reset {
    pub email: String,
    pub token: String,
    pub expires_at: SystemTime,
}

impl Db {
    pub async fn register_tenant(
        &self,
        name: String,
        slug: Option<String>,
        email: String,
        password_hash: String,
    ) -> Result<Registration> {
        let call = Call::new(REGISTER)
            .with(Type::TEXT, name)
            .with(Type::TEXT, slug)
            .with(Type::TEXT, email)
            .with(Type::TEXT, password_hash);
        let row = self.pool().row(call).await?;
        Ok(Registration {
            tenant_id: column(&row, "tenant_id")?,
            name: column(&row, "name")?,
            slug: column(&row, "slug")?,
            user_id: column(&row, "user_id")?,
            email: column(&row, "email")?,
        })
    }

    pub async fn find_credentials(&self, email: String) -> Result<Option<Credentials>> {
        let call = Call::new(CREDENTIALS).for_login().with(Type::TEXT, email);
        let Some(row) = self.pool().optional_row(call).await? else {
            return Ok(None);
        };
        Ok(Some(Credentials {
            user_id: column(&row, "user_id")?,
            email: column(&row, "email")?,
            password_hash: column(&row, "password_hash")?,
        }))
    }

    /// The hash of the caller's own password, if they have one.
    pub async fn find_password_hash(&self, caller: Caller) -> Result<Option<String>> {
        let call = Call::of(caller, PASSWORD_HASH);
        first(&self.pool().row(call).await?)
    }

    /// For a person whose old password was right.
    pub async fn change_password(&self, user_id: Uuid, password_hash: String) -> Result<()> {
        self.with_word(Purpose::Password, user_id, |word| {
            Call::new(CHANGE_PASSWORD)
                .with(Type::TEXT, word)
                .with(Type::TEXT, password_hash.clone())
        })
        .await?;
        Ok(())
    }

    /// Nothing for an address that nobody has.
    pub async fn start_password_reset(
        &self,
        email: String,
        lifetime: Duration,
    ) -> Result<Option<Reset>> {
        let row = self.with_word(Purpose::Reset, Uuid::nil(), |word| {
            Call::new(START_RESET)
                .with(Type::TEXT, word)
                .with(Type::TEXT, email.clone())
                .with(Type::FLOAT8, lifetime.as_secs_f64())
        });
        let Some(row) = row.await? else {
            return Ok(None);
        };
        Ok(Some(Reset {
            email: column(&row, "email")?,
            token: column(&row, "reset_token")?,
            expires_at: column(&row, "expires_at")?,
        }))
    }

    pub async fn finish_password_reset(&self, token: String, password_hash: String) -> Result<()> {
        let call = Call::new(FINISH_RESET)
            .with(Type::TEXT, token)
            .with(Type::TEXT, password_hash);
        self.deed(call).await
    }
}
