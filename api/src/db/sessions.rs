//! Statements about sessions: start, refresh, switch, list, end.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Call, Db, Failure, Json, column};
use crate::caller::Caller;
use crate::error::refused;
use crate::origin::Origin;
use crate::problem::Result;
use crate::token::Purpose;

const START: &str =
    "select * from tenancy.start_session($1, $2, $3, $4, make_interval(secs => $5))";
const REFRESH: &str = "select * from tenancy.refresh_session($1)";
const SWITCH: &str =
    "select * from tenancy.switch_tenant($1, $2, $3, $4, make_interval(secs => $5))";
const LIST: &str = "select tenancy.list_sessions($1)";
const END: &str = "select tenancy.end_session($1)";
const END_ONE: &str = "select tenancy.end_one_session($1, $2)";
const END_ALL: &str = "select tenancy.end_all_sessions($1)";
const REVOKE_TENANT: &str = "select tenancy.revoke_tenant_sessions() from tenancy.enter($1)";

/// A session that somebody may use now.
pub struct Session {
    pub user_id: Uuid,
    pub email: String,
    pub tenant_id: Uuid,
    pub role: String,
    pub session_id: Uuid,
    pub refresh_token: String,
    pub refresh_expires_at: SystemTime,
    /// All tenants of the person, where they were asked for.
    pub tenants: Option<Json>,
}

impl Session {
    fn of(row: &Row, user_id: Uuid, email: String, tenants: Option<Json>) -> Result<Self> {
        Ok(Self {
            user_id,
            email,
            tenant_id: column(row, "tenant_id")?,
            role: column(row, "role")?,
            session_id: column(row, "session_id")?,
            refresh_token: column(row, "refresh_token")?,
            refresh_expires_at: column(row, "refresh_expires_at")?,
            tenants,
        })
    }
}

impl Db {
    /// For a person whose password was right.
    pub async fn start_session(
        &self,
        user_id: Uuid,
        email: String,
        tenant: Option<String>,
        origin: Origin,
        lifetime: Duration,
    ) -> Result<Session> {
        let row = self.with_word(Purpose::Session, user_id, |word| {
            Call::new(START)
                .for_login()
                .with(Type::TEXT, word)
                .with(Type::TEXT, tenant.clone())
                .with(Type::TEXT, origin.client.clone())
                .with(Type::TEXT, origin.address.to_string())
                .with(Type::FLOAT8, lifetime.as_secs_f64())
        });
        let row = row.await?.ok_or(Failure::NoRow)?;
        Session::of(&row, user_id, email, Some(column(&row, "tenants")?))
    }

    /// A refusal is a row, so that what it ended stays ended.
    pub async fn refresh_session(&self, refresh_token: String) -> Result<Session> {
        let call = Call::new(REFRESH)
            .for_login()
            .with(Type::TEXT, refresh_token);
        let row = self.pool().row(call).await?;
        if let Some(code) = column::<Option<String>>(&row, "refused")? {
            return Err(refused(code));
        }
        let (user_id, email) = (column(&row, "user_id")?, column(&row, "email")?);
        Session::of(&row, user_id, email, None)
    }

    pub async fn switch_tenant(
        &self,
        caller: Caller,
        tenant: String,
        origin: Origin,
        lifetime: Duration,
    ) -> Result<Session> {
        let call = Call::of(caller, SWITCH)
            .for_login()
            .with(Type::TEXT, tenant)
            .with(Type::TEXT, origin.client)
            .with(Type::TEXT, origin.address.to_string())
            .with(Type::FLOAT8, lifetime.as_secs_f64());
        let row = self.pool().row(call).await?;
        let (user_id, email) = (column(&row, "user_id")?, column(&row, "email")?);
        Session::of(&row, user_id, email, Some(column(&row, "tenants")?))
    }

    pub async fn list_sessions(&self, caller: Caller) -> Result<Json> {
        self.answer(Call::of(caller, LIST)).await
    }

    pub async fn end_session(&self, caller: Caller) -> Result<()> {
        self.deed(Call::of(caller, END)).await
    }

    pub async fn end_one_session(&self, caller: Caller, session_id: Uuid) -> Result<()> {
        let call = Call::of(caller, END_ONE).with(Type::UUID, session_id);
        self.deed(call).await
    }

    pub async fn end_all_sessions(&self, caller: Caller) -> Result<()> {
        self.deed(Call::of(caller, END_ALL)).await
    }

    pub async fn revoke_tenant_sessions(&self, caller: Caller) -> Result<()> {
        self.deed(Call::of(caller, REVOKE_TENANT)).await
    }
}
