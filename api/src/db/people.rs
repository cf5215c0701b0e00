//! Statements about who may act in a tenant: members, invitations, API keys, support.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Call, Db, Json, column};
use crate::caller::Caller;
use crate::problem::Result;

const LIST_MEMBERS: &str = "select tenancy.list_members($2) from tenancy.enter($1)";
const SET_ROLE: &str = "select tenancy.set_member_role($2, $3) from tenancy.enter($1)";
const REMOVE_MEMBER: &str = "select tenancy.remove_member($2) from tenancy.enter($1)";
const LEAVE: &str = "select tenancy.leave_tenant($1)";

// Refers to what enter() answers, so that it comes after it.
const INVITE: &str = "select i.* from tenancy.enter($1) as e (tenant_id), \
     tenancy.invite_member(case when e.tenant_id is not null then $2 end, $3, make_interval(secs => $4)) as i";
const LIST_INVITATIONS: &str = "select tenancy.list_invitations($2) from tenancy.enter($1)";
const REVOKE_INVITATION: &str = "select tenancy.revoke_invitation($2) from tenancy.enter($1)";
const PEEK: &str = "select * from tenancy.peek_invitation($1)";
const ACCEPT: &str = "select * from tenancy.accept_invitation($1, $2, $3)";

const CREATE_API_KEY: &str = "select tenancy.create_api_key($2, $3, $4) from tenancy.enter($1)";
const LIST_API_KEYS: &str = "select tenancy.list_api_keys($2) from tenancy.enter($1)";
const REVOKE_API_KEY: &str = "select tenancy.revoke_api_key($2) from tenancy.enter($1)";

const LIST_SUPPORT: &str = "select tenancy.list_support_access($2) from tenancy.enter($1)";
const END_SUPPORT: &str = "select tenancy.end_support_access($2) from tenancy.enter($1)";

/// An invitation that was made. The token is for the mailbox and nobody else.
pub struct Invited {
    pub id: Uuid,
    pub email: String,
    pub role: String,
    pub token: String,
    pub expires_at: SystemTime,
    pub tenant_name: String,
}

/// What an invitation says to whoever holds its token.
pub struct Invitation {
    pub email: String,
    pub role: String,
    pub tenant_name: String,
    pub expires_at: SystemTime,
    pub has_account: bool,
}

/// A person who is a member now.
pub struct Accepted {
    pub user_id: Uuid,
    pub email: String,
    pub tenant_id: Uuid,
    pub role: String,
}

impl Db {
    pub async fn list_members(&self, caller: Caller, query: Json) -> Result<Json> {
        let call = Call::of(caller, LIST_MEMBERS).with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn set_member_role(
        &self,
        caller: Caller,
        user_id: Uuid,
        role: String,
    ) -> Result<Json> {
        let call = Call::of(caller, SET_ROLE)
            .with(Type::UUID, user_id)
            .with(Type::TEXT, role);
        self.answer(call).await
    }

    pub async fn remove_member(&self, caller: Caller, user_id: Uuid) -> Result<Json> {
        let call = Call::of(caller, REMOVE_MEMBER).with(Type::UUID, user_id);
        self.answer(call).await
    }

    pub async fn leave_tenant(&self, caller: Caller) -> Result<()> {
        let call = Call::of(caller, LEAVE);
        self.pool().require_own(&call).await?;
        self.deed(call).await
    }

    pub async fn invite_member(
        &self,
        caller: Caller,
        email: String,
        role: String,
        lifetime: Duration,
    ) -> Result<Invited> {
        let call = Call::of(caller, INVITE)
            .with(Type::TEXT, email)
            .with(Type::TEXT, role)
            .with(Type::FLOAT8, lifetime.as_secs_f64());
        let row = self.pool().row(call).await?;
        Ok(Invited {
            id: column(&row, "id")?,
            email: column(&row, "email")?,
            role: column(&row, "role")?,
            token: column(&row, "token")?,
            expires_at: column(&row, "expires_at")?,
            tenant_name: column(&row, "tenant_name")?,
        })
    }

    pub async fn list_invitations(&self, caller: Caller, query: Json) -> Result<Json> {
        let call = Call::of(caller, LIST_INVITATIONS).with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn revoke_invitation(&self, caller: Caller, id: Uuid) -> Result<Json> {
        let call = Call::of(caller, REVOKE_INVITATION).with(Type::UUID, id);
        self.answer(call).await
    }

    pub async fn peek_invitation(&self, token: String) -> Result<Invitation> {
        let call = Call::new(PEEK).with(Type::TEXT, token);
        let row = self.pool().row(call).await?;
        Ok(Invitation {
            email: column(&row, "email")?,
            role: column(&row, "role")?,
            tenant_name: column(&row, "tenant_name")?,
            expires_at: column(&row, "expires_at")?,
            has_account: column(&row, "has_account")?,
        })
    }

    /// By whoever is logged in, or by a new person with a password.
    pub async fn accept_invitation(
        &self,
        invitation: String,
        caller: Option<Caller>,
        password_hash: Option<String>,
    ) -> Result<Accepted> {
        let call = Call::new(ACCEPT)
            .with(Type::TEXT, invitation)
            .with(Type::TEXT, caller.map(Caller::into_token))
            .with(Type::TEXT, password_hash);
        let row = self.pool().row(call).await?;
        Ok(Accepted {
            user_id: column(&row, "user_id")?,
            email: column(&row, "email")?,
            tenant_id: column(&row, "tenant_id")?,
            role: column(&row, "role")?,
        })
    }

    pub async fn create_api_key(
        &self,
        caller: Caller,
        name: String,
        role: String,
        expires_at: Option<SystemTime>,
    ) -> Result<Json> {
        let call = Call::of(caller, CREATE_API_KEY)
            .with(Type::TEXT, name)
            .with(Type::TEXT, role)
            .with(Type::TIMESTAMPTZ, expires_at);
        self.answer(call).await
    }

    pub async fn list_api_keys(&self, caller: Caller, query: Json) -> Result<Json> {
        let call = Call::of(caller, LIST_API_KEYS).with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn revoke_api_key(&self, caller: Caller, id: Uuid) -> Result<Json> {
        let call = Call::of(caller, REVOKE_API_KEY).with(Type::UUID, id);
        self.answer(call).await
    }

    pub async fn list_support_access(&self, caller: Caller, query: Json) -> Result<Json> {
        let call = Call::of(caller, LIST_SUPPORT).with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn end_support_access(&self, caller: Caller, id: Uuid) -> Result<()> {
        let call = Call::of(caller, END_SUPPORT).with(Type::UUID, id);
        self.deed(call).await
    }
}
