//! API keys: how a machine enters a tenant.

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

/// `GET /api-keys`: those of the caller's tenant, without their secrets.
pub async fn list(caller: Caller, db: Db, RawQuery(raw): RawQuery) -> Result<Page> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    db.list_api_keys(caller, query).await.map(Page)
}

/// `POST /api-keys`: a new key, which is shown in this answer and never again.
pub async fn create(
    caller: Caller,
    db: Db,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json)> {
    let mut fields = Fields::of(&body)?;
    let name = fields.text("name");
    let role = fields.text("role");
    let expires_at = fields.optional_time("expiresAt");
    fields.done()?;
    let key = db.create_api_key(caller, name, role, expires_at).await?;
    Ok((StatusCode::CREATED, key))
}

/// `DELETE /api-keys/{id}`: refused from the next request on.
pub async fn revoke(caller: Caller, db: Db, PathId(id): PathId) -> Result<StatusCode> {
    db.revoke_api_key(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
