//! Support access: what the platform's people may do in a tenant, for its owners to see and to end.

use axum::extract::RawQuery;
use axum::http::StatusCode;

use crate::caller::Caller;
use crate::db::Db;
use crate::page::Page;
use crate::path::PathId;
use crate::problem::Result;
use crate::query;

/// `GET /support-access`
pub async fn list(caller: Caller, db: Db, RawQuery(raw): RawQuery) -> Result<Page> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    db.list_support_access(caller, query).await.map(Page)
}

/// `DELETE /support-access/{id}`: end it now.
pub async fn end(caller: Caller, db: Db, PathId(id): PathId) -> Result<StatusCode> {
    db.end_support_access(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
