//! What a path leads to, of that which the DBA has exposed.
//!
//! These are there only if the newest catalog has the resource, and the resource the
//! method: nothing else gets as far as the database. The catalog may be old, so what
//! the request may do is still the database's decision.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::caller::Caller;
use crate::catalog::{Catalog, Function, Resource};
use crate::db::Failure;
use crate::problem::{Problem, Result};
use crate::row_id;

/// A resource that takes the request's method at this path.
pub struct Exposed {
    catalog: Arc<Catalog>,
    place: usize,
}

/// One of its rows, by an id whose number of parts the database will judge.
pub struct ExposedRow {
    pub resource: Exposed,
    pub id: Vec<String>,
}

/// A function that may be called.
pub struct ExposedFunction {
    catalog: Arc<Catalog>,
    place: usize,
}

impl Exposed {
    pub fn resource(&self) -> &Resource {
        &self.catalog.resources[self.place]
    }

    pub fn name(&self) -> String {
        self.resource().name.clone()
    }
}

impl ExposedFunction {
    pub fn function(&self) -> &Function {
        &self.catalog.functions[self.place]
    }
}

/// Which paths a resource has.
#[derive(Clone, Copy)]
enum Shape {
    Rows,
    Row,
    Restore,
}

/// The methods at a path, as `Allow` tells them; `None` where the resource has no such path.
fn allowed(resource: &Resource, shape: Shape) -> Option<&'static str> {
    match (shape, resource.is_writable) {
        (Shape::Rows, true) => Some("GET,HEAD,POST"),
        (Shape::Rows, false) => Some("GET,HEAD"),
        (Shape::Row | Shape::Restore, _) if resource.key.is_empty() => None,
        (Shape::Row, true) => Some("GET,HEAD,PATCH,DELETE"),
        (Shape::Row, false) => Some("GET,HEAD"),
        (Shape::Restore, true) if resource.is_soft_deleted => Some("POST"),
        (Shape::Restore, _) => None,
    }
}

fn no_such_route() -> Problem {
    Problem::of_status(StatusCode::NOT_FOUND)
}

fn wrong_method(allowed: &'static str) -> Problem {
    Problem::of_status(StatusCode::METHOD_NOT_ALLOWED)
        .with(header::ALLOW, HeaderValue::from_static(allowed))
}

/// The newest catalog. Before there is one nobody can tell which routes there are: 401
/// without a token, and 503.
async fn catalog<S>(parts: &mut Parts, state: &S) -> Result<Arc<Catalog>>
where
    App: FromRef<S>,
    S: Sync,
{
    let catalog = App::from_ref(state).catalog();
    if !catalog.is_known() {
        <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        return Err(Failure::NotReady.into());
    }
    Ok(catalog)
}

/// The segments of the path as they came, if there are no more than three; the router has
/// made sure of that.
fn segments(parts: &Parts) -> [Option<&str>; 4] {
    let mut segments = parts.uri.path().split('/').skip(1);
    [(); 4].map(|()| segments.next())
}

impl<S> FromRequestParts<S> for Exposed
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let catalog = catalog(parts, state).await?;
        let (name, shape) = match segments(parts) {
            [Some(name), None, ..] => (name, Shape::Rows),
            [Some(name), Some(_), None, _] => (name, Shape::Row),
            [Some(name), Some(_), Some("restore"), None] => (name, Shape::Restore),
            _ => return Err(no_such_route()),
        };
        let place = catalog.place_of_resource(name).ok_or_else(no_such_route)?;
        let allowed = allowed(&catalog.resources[place], shape).ok_or_else(no_such_route)?;
        if !has(allowed, &parts.method) {
            return Err(wrong_method(allowed));
        }
        Ok(Self { catalog, place })
    }
}

fn has(allowed: &str, method: &Method) -> bool {
    allowed.split(',').any(|one| one == method.as_str())
}

impl<S> FromRequestParts<S> for ExposedRow
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let resource = Exposed::from_request_parts(parts, state).await?;
        let [_, id, ..] = segments(parts);
        let id = row_id::parse(id.unwrap_or_default())?;
        Ok(Self { resource, id })
    }
}

impl<S> FromRequestParts<S> for ExposedFunction
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let catalog = catalog(parts, state).await?;
        let [_, name, ..] = segments(parts);
        let name = name.unwrap_or_default();
        let place = catalog.place_of_function(name).ok_or_else(no_such_route)?;
        if parts.method != Method::POST {
            return Err(wrong_method("POST"));
        }
        Ok(Self { catalog, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_the_methods_that_make_sense_for_it() {
        let table = Resource {
            key: vec!["id".to_owned()],
            is_writable: true,
            ..Resource::default()
        };
        let soft = Resource {
            is_soft_deleted: true,
            ..table.clone()
        };
        let view = Resource {
            is_writable: false,
            ..soft.clone()
        };
        let keyless = Resource::default();
        for (resource, rows, row, restore) in [
            (&table, "GET,HEAD,POST", Some("GET,HEAD,PATCH,DELETE"), None),
            (
                &soft,
                "GET,HEAD,POST",
                Some("GET,HEAD,PATCH,DELETE"),
                Some("POST"),
            ),
            (&view, "GET,HEAD", Some("GET,HEAD"), None),
            (&keyless, "GET,HEAD", None, None),
        ] {
            assert_eq!(allowed(resource, Shape::Rows), Some(rows));
            assert_eq!(allowed(resource, Shape::Row), row);
            assert_eq!(allowed(resource, Shape::Restore), restore);
        }
        assert!(has("GET,HEAD", &Method::HEAD) && !has("GET,HEAD", &Method::POST));
    }
}
