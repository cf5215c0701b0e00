//! What operations share: headers, parameters, problems, and how a caller proves who it is.

use serde_json::{Map, Value, json};

use crate::openapi::schema::text;
use crate::openapi::{lists, problems};

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

pub fn components(schemas: Map<String, Value>) -> Value {
    let mut parameters = lists::components();
    parameters["tenant"] = json!({
        "name": "X-Tenant-Id", "in": "header", "schema": {"type": "string"},
        "description": "The id or slug of the tenant that is meant. It must be the token's.",
    });
    json!({
        "securitySchemes": {"bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The `access_token` of a login, an API key (`pgt_…`), or another token that the database accepts.",
        }},
        "headers": headers(),
        "parameters": parameters,
        "responses": problems::shared(),
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
        "Location": header("Where the row is."),
        "Link": header("`next`, `prev` and `first` pages (RFC 8288)."),
        "ETag": {"description": "What the row is like now: for If-Match and If-None-Match.", "schema": {
            "type": "string", "pattern": "^\"[A-Za-z0-9_-]{22}\"$",
        }},
        "Preference-Applied": header("The wish of `Prefer` that was granted."),
    })
}
