//! The people of a tenant.

use axum::extract::RawQuery;
use axum::http::StatusCode;

use crate::body::JsonBody;
use crate::caller::Caller;
use crate::db::{Db, Json};
use crate::fields::Fields;
use crate::page::Page;
use crate::path::PathId;
use crate::problem::Result;
use crate::query;

/// `GET /members`
pub async fn list(caller: Caller, db: Db, RawQuery(raw): RawQuery) -> Result<Page> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    db.list_members(caller, query).await.map(Page)
}

/// `PATCH /members/{userId}`: another role.
pub async fn update(
    caller: Caller,
    db: Db,
    PathId(user_id): PathId,
    JsonBody(body): JsonBody,
) -> Result<Json> {
    let mut fields = Fields::of(&body)?;
    let role = fields.text("role");
    fields.done()?;
    db.set_member_role(caller, user_id, role).await
}

/// `DELETE /members/{userId}`: take a person out of the caller's tenant.
pub async fn remove(caller: Caller, db: Db, PathId(user_id): PathId) -> Result<StatusCode> {
    db.remove_member(caller, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /members/me`: leave the tenant.
pub async fn leave(caller: Caller, db: Db) -> Result<StatusCode> {
    db.leave_tenant(caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
