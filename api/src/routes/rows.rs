//! Rows of tables: list, read, add, change, delete. The same for every table.
//!
//! Which fields there are, who may write them and what is in them is the database's
//! business; a row is passed through as the JSON it is.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::app::App;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::db::{Db, Json, Table};
use crate::prefer::{Prefer, Return};
use crate::problem::{Problem, Result};
use crate::query;

/// What is served, and the relation it is served from.
const RESOURCES: &[(&str, &str)] = &[("tasks", "tenancy.tasks"), ("projects", "tenancy.projects")];

/// One table under one path.
#[derive(Clone)]
struct Resource {
    app: App,
    path: Arc<str>,
    table: Arc<Table>,
}

impl FromRef<Resource> for App {
    fn from_ref(resource: &Resource) -> Self {
        resource.app.clone()
    }
}

pub fn router(app: &App) -> Router {
    RESOURCES
        .iter()
        .fold(Router::new(), |router, (name, relation)| {
            let resource = Resource {
                app: app.clone(),
                path: format!("/{name}").into(),
                table: Arc::new(Table::new(relation)),
            };
            let rows = Router::new()
                .route(&resource.path, get(list).post(insert))
                .route(
                    &format!("{}/{{id}}", resource.path),
                    get(read).patch(update).delete(delete),
                );
            router.merge(rows.with_state(resource))
        })
}

/// `GET /{resource}`: a page of rows, newest first.
async fn list(
    State(resource): State<Resource>,
    caller: Caller,
    db: Db,
    RawQuery(raw): RawQuery,
) -> Result<Json> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    db.list(caller, &resource.table, query).await
}

/// `GET /{resource}/{id}`
async fn read(
    State(resource): State<Resource>,
    caller: Caller,
    db: Db,
    Id(id): Id,
) -> Result<Json> {
    db.get(caller, &resource.table, id).await
}

/// `POST /{resource}`: a new row, at the Location that the answer names.
async fn insert(
    State(resource): State<Resource>,
    caller: Caller,
    db: Db,
    prefer: Prefer,
    JsonBody(fields): JsonBody,
) -> Result<Response> {
    let row = db.insert(caller, &resource.table, fields).await?;
    let location = location(&resource.path, &row).map(|at| [(header::LOCATION, at)]);
    Ok(match prefer.0 {
        Some(Return::Minimal) => {
            (StatusCode::CREATED, location, prefer.applied(), ()).into_response()
        }
        _ => (StatusCode::CREATED, location, prefer.applied(), row).into_response(),
    })
}

/// `PATCH /{resource}/{id}`: changes the fields that are given, to null too.
async fn update(
    State(resource): State<Resource>,
    caller: Caller,
    db: Db,
    Id(id): Id,
    prefer: Prefer,
    JsonBody(fields): JsonBody,
) -> Result<Response> {
    let row = db.update(caller, &resource.table, id, fields).await?;
    Ok(match prefer.0 {
        Some(Return::Minimal) => (StatusCode::NO_CONTENT, prefer.applied(), ()).into_response(),
        _ => (prefer.applied(), row).into_response(),
    })
}

/// `DELETE /{resource}/{id}`: nothing, or the row that was, where the client prefers it.
async fn delete(
    State(resource): State<Resource>,
    caller: Caller,
    db: Db,
    Id(id): Id,
    prefer: Prefer,
) -> Result<Response> {
    let row = db.delete(caller, &resource.table, id).await?;
    Ok(match prefer.0 {
        Some(Return::Representation) => (prefer.applied(), row).into_response(),
        _ => (StatusCode::NO_CONTENT, prefer.applied(), ()).into_response(),
    })
}

/// A row's id as the path has it. Whether it is one, the database says.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let broken = || Problem::bad_request("invalid_path", "The path has a broken escape.");
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| broken())?;
        if id.contains('\0') {
            return Err(Problem::bad_request(
                "invalid_path",
                "The path must not contain a NUL character.",
            ));
        }
        Ok(Self(id))
    }
}

/// Where a row is found, if its id can stand in a path as it is.
fn location(path: &str, row: &Json) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Created<'a> {
        id: &'a str,
    }

    let Created { id } = serde_json::from_slice(row.as_bytes()).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if id.is_empty() || !id.bytes().all(is_plain) {
        return None;
    }
    HeaderValue::try_from(format!("{path}/{id}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_row_is_found_under_its_id() {
        let location = |row: &str| super::location("/tasks", &Json::parse(row.as_bytes()).unwrap());
        assert_eq!(
            location(r#"{"title":"x","id":"0192-ab"}"#).unwrap(),
            "/tasks/0192-ab"
        );
        for row in [r#"{}"#, r#"{"id":7}"#, r#"{"id":"a/b"}"#, r#"{"id":""}"#] {
            assert_eq!(location(row), None, "{row}");
        }
    }
}
