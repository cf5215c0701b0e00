//! What the DBA has exposed: list, read, add, change, delete, restore, call. The same
//! for every resource.
//!
//! Which fields there are, who may write them and what is in them is the database's
//! business; a row is passed through as the JSON it is.

use axum::Router;
use axum::extract::{OriginalUri, RawQuery};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::app::App;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::catalog::Resource;
use crate::db::{Db, Json};
use crate::etag::{IfMatch, IfNoneMatch, Tag};
use crate::exposed::{Exposed, ExposedFunction, ExposedRow};
use crate::idempotency::IdempotencyKey;
use crate::page::Page;
use crate::prefer::{Prefer, Return};
use crate::problem::{Problem, Result};
use crate::{query, row_id};

pub fn router() -> Router<App> {
    // `any` first: it keeps axum from telling methods that the resource may not have.
    Router::new()
        .route(
            "/{resource}",
            any(wrong_method::<Exposed>).get(list).post(insert),
        )
        .route(
            "/{resource}/{id}",
            any(wrong_method::<ExposedRow>)
                .get(read)
                .patch(update)
                .delete(delete),
        )
        .route(
            "/{resource}/{id}/restore",
            any(wrong_method::<ExposedRow>).post(restore),
        )
        .route(
            "/rpc/{name}",
            any(wrong_method::<ExposedFunction>).post(call),
        )
}

/// A method that none of these takes. What the path leads to has refused it already, with
/// the methods it has.
async fn wrong_method<T>(_: T) -> Problem {
    Problem::of_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// `GET /{resource}`: a page of rows.
async fn list(
    exposed: Exposed,
    caller: Caller,
    if_none_match: IfNoneMatch,
    db: Db,
    OriginalUri(uri): OriginalUri,
    RawQuery(raw): RawQuery,
) -> Result<Response> {
    let raw = raw.unwrap_or_default();
    let query = query::parse(&raw)?;
    let page = Page(db.list(caller, exposed.name(), query).await?);
    let links = page.links(uri.path(), &raw);
    Ok(if_none_match.answer(Tag::of_page(&page), page, links))
}

/// `GET /{resource}/{id}`
async fn read(
    ExposedRow { resource, id }: ExposedRow,
    caller: Caller,
    if_none_match: IfNoneMatch,
    db: Db,
    RawQuery(raw): RawQuery,
) -> Result<Response> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    let row = db.get(caller, resource.name(), id, query).await?;
    Ok(if_none_match.answer(Tag::of(&row), row, ()))
}

/// `POST /{resource}`: a new row, at the Location that the answer names; or an array of them.
async fn insert(
    exposed: Exposed,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    db: Db,
    prefer: Prefer,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    let made = db.insert(caller, exposed.name(), body, key).await?;
    let is_one = made.is_object();
    let about = is_one.then(|| (location(exposed.resource(), &made), Tag::of(&made).header()));
    let (location, tag) = about.unwrap_or_default();
    let content = match prefer.0 {
        Some(Return::Minimal) => ().into_response(),
        _ => made.into_response(),
    };
    Ok((
        StatusCode::CREATED,
        location,
        tag,
        prefer.applied(),
        content,
    )
        .into_response())
}

/// `PATCH /{resource}/{id}`: changes the fields that are given, to null too.
async fn update(
    ExposedRow { resource, id }: ExposedRow,
    caller: Caller,
    IfMatch(tags): IfMatch,
    db: Db,
    prefer: Prefer,
    JsonBody(fields): JsonBody,
) -> Result<Response> {
    let row = db.update(caller, resource.name(), id, fields, tags).await?;
    let tag = Tag::of(&row).header();
    Ok(match prefer.0 {
        Some(Return::Minimal) => {
            (StatusCode::NO_CONTENT, tag, prefer.applied(), ()).into_response()
        }
        _ => (tag, prefer.applied(), row).into_response(),
    })
}

/// `DELETE /{resource}/{id}`: nothing, or the row that was, where the client prefers it.
async fn delete(
    ExposedRow { resource, id }: ExposedRow,
    caller: Caller,
    IfMatch(tags): IfMatch,
    db: Db,
    prefer: Prefer,
) -> Result<Response> {
    let row = db.delete(caller, resource.name(), id, tags).await?;
    Ok(match prefer.0 {
        Some(Return::Representation) => (prefer.applied(), row).into_response(),
        _ => (StatusCode::NO_CONTENT, prefer.applied(), ()).into_response(),
    })
}

/// `POST /{resource}/{id}/restore`: a row that was deleted softly is there again.
async fn restore(
    ExposedRow { resource, id }: ExposedRow,
    caller: Caller,
    db: Db,
) -> Result<Response> {
    let row = db.restore(caller, resource.name(), id).await?;
    Ok((Tag::of(&row).header(), row).into_response())
}

/// `POST /rpc/{name}`: what the function answers to these arguments.
async fn call(
    exposed: ExposedFunction,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    db: Db,
    JsonBody(arguments): JsonBody,
) -> Result<Response> {
    let name = exposed.function().name.clone();
    let answer = db.call_function(caller, name, arguments, key).await?;
    Ok(match answer {
        Some(answer) => answer.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// Where a new row is found.
fn location(resource: &Resource, row: &Json) -> Option<[(HeaderName, HeaderValue); 1]> {
    let path = row_id::path_of(resource, row)?;
    Some([(header::LOCATION, HeaderValue::try_from(path).ok()?)])
}
