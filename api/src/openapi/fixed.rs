//! The routes that are there whatever is exposed.

use serde_json::{Value, json};

use crate::openapi::operation::Operation;
use crate::openapi::schema::{count, reference};
use crate::openapi::shape;

mod accounts;
mod machines;
mod people;
mod schemas;
mod service;
mod sessions;

pub use self::schemas::schemas;

/// A path, a method, and what it does.
pub type Route = (&'static str, &'static str, Operation);

pub fn routes() -> Vec<Route> {
    let mut routes = service::routes();
    routes.extend(accounts::routes());
    routes.extend(sessions::routes());
    routes.extend(people::routes());
    routes.extend(machines::routes());
    routes
}

/// The tags of these routes, in the order in which they are shown.
pub fn tags() -> Vec<Value> {
    [
        ("Accounts", "Register, log in, and passwords."),
        ("Sessions", "Where a person is logged in."),
        ("People", "Who is in the tenant, and who is invited."),
        (
            "Machines",
            "API keys, and what the platform's support may do.",
        ),
        ("Service", "The service itself."),
    ]
    .map(|(name, description)| json!({"name": name, "description": description}))
    .to_vec()
}

/// One example of a body, by itself.
fn example(value: Value) -> Value {
    json!({"example": {"value": value}})
}

/// The parameters of a list that isn't of rows.
fn pages(operation: Operation) -> Operation {
    operation
        .takes("page")
        .takes("limit")
        .takes("countExact")
        .fails(&["TN406", "invalid_query"])
}

/// A page of a list that isn't of rows.
fn page(of: &str) -> Value {
    let told = [("page", count()), ("limit", count())];
    shape::page(reference(of), &told, &[("total", count())])
}

/// An id in the path. What is no UUID is nobody's id: 404.
fn id(operation: Operation, name: &str, what: &str) -> Operation {
    let parameter = json!({
        "name": name, "in": "path", "required": true, "description": what,
        "schema": {"type": "string", "format": "uuid"},
    });
    operation.parameter(parameter).fails(&["not_found"])
}
