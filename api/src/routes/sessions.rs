//! A person's sessions: which there are, and their end. What is ended is ended
//! everywhere, from the next request on.

use axum::http::StatusCode;

use crate::caller::Caller;
use crate::db::Db;
use crate::page::Page;
use crate::path::PathId;
use crate::problem::Result;

/// `GET /auth/sessions`: the caller's own, in all their tenants.
pub async fn list(caller: Caller, db: Db) -> Result<Page> {
    db.list_sessions(caller).await.map(Page)
}

/// `DELETE /auth/sessions/{id}`: one of the caller's own.
pub async fn end_one(caller: Caller, db: Db, PathId(id): PathId) -> Result<StatusCode> {
    db.end_one_session(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/logout`: the session of this token.
pub async fn logout(caller: Caller, db: Db) -> Result<StatusCode> {
    db.end_session(caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/logout-all`: all of the caller's, in all their tenants.
pub async fn logout_all(caller: Caller, db: Db) -> Result<StatusCode> {
    db.end_all_sessions(caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/revoke-sessions`: everybody's, in the caller's tenant.
pub async fn revoke_tenant(caller: Caller, db: Db) -> Result<StatusCode> {
    db.revoke_tenant_sessions(caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
