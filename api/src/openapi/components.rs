//! What operations share: headers, parameters, problems, and how a caller proves who it is.

use serde_json::{Map, Value, json};

use crate::openapi::schema::text;
use crate::openapi::shape::Shape;
use crate::openapi::{lists, problems};

/// An id or a slug.
const NAME_OF_TENANT: &str =
    "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$";

pub fn info() -> Value {
    json!({
        "title": "pg_tenancy",
        "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "PostgreSQL", "identifier": "PostgreSQL"},
        "description": "A tenant-safe HTTP API. A token names the tenant; what another tenant has is not there: its rows are 404 like rows that don't exist.\n\n\
            The fields of a resource are the columns that the service's database role may read; a body takes those that it may write. What else a row must be, the database says: the answer is then 400 or 409 and names the field.\n\n\
            Every answer has `X-Request-Id`: the request's own, where it is 1 to 64 letters, digits, `.`, `_` and `-`. Two answers come from below HTTP and have no body: 400 for what isn't HTTP, and 431 for headers beyond 32 KiB or more than 100.",
    })
}

pub fn components(schemas: Map<String, Value>, shape: &Shape) -> Value {
    let mut parameters = lists::components();
    if let Some(header) = shape.tenant_header() {
        parameters["tenant"] = json!({
            "name": header, "in": "header", "schema": {"type": "string", "pattern": NAME_OF_TENANT},
            "description": "The id or slug of the tenant that is meant. It must be the one that the token leads to.",
        });
    }
    json!({
        "securitySchemes": {"bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The `access_token` of a login, an API key (`pgt_…`), or another token that the database accepts.",
        }},
        "headers": headers(),
        "parameters": parameters,
        "responses": problems::shared(shape),
        "schemas": schemas,
    })
}

fn headers() -> Value {
    let header = |what: &str| json!({"description": what, "schema": text()});
    json!({
        "X-Request-Id": {"description": "By which the service's log knows the request.", "required": true, "schema": {
            "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$",
        }},
        "WWW-Authenticate": header("`Bearer`, with what is wrong with the token, if there was one."),
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
        "RateLimit": header("What is left of the limits that are set for requests."),
        "RateLimit-Policy": header("The limits that are set for requests."),
        "Location": header("Where the row is."),
        "Link": header("`next`, `prev` and `first` pages (RFC 8288)."),
        "ETag": {"description": "What the answer is like now: for If-None-Match, and that of a whole row for If-Match.", "schema": {
            "type": "string", "pattern": "^(W/)?\"[A-Za-z0-9_-]{22}\"$",
        }},
        "Preference-Applied": header("The wish of `Prefer` that was granted."),
    })
}
