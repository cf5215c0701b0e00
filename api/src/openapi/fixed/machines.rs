//! API keys, and the access of the platform's support.

use serde_json::json;

use super::{Route, example, id, page, pages};
use crate::openapi::operation::Operation;
use crate::openapi::schema::{nullable, object, one_of_texts, reference};

const MANAGING: &[&str] = &["TN203", "TN204", "TN207"];

pub fn routes() -> Vec<Route> {
    vec![
        ("/api-keys", "get", list()),
        ("/api-keys", "post", create()),
        ("/api-keys/{id}", "delete", revoke()),
        ("/support-access", "get", list_support()),
        ("/support-access/{id}", "delete", end_support()),
    ]
}

fn list() -> Operation {
    let operation = Operation::new("listApiKeys", "Machines", "The API keys of this tenant")
        .describe("Newest first, revoked and expired ones among them; never their secrets.")
        .answers_page("A page.", page("ApiKey"), &[])
        .fails(MANAGING);
    pages(operation)
}

fn create() -> Operation {
    let body = object(
        &[
            (
                "name",
                json!({"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000-\\u001f\\u007f-\\u009f]*$"}),
            ),
            ("role", one_of_texts(&["admin", "member", "viewer"])),
        ],
        &[(
            "expiresAt",
            nullable(json!({
                "type": "string",
                "format": "date-time",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$",
                "description": "In the future, in UTC. Left out: never.",
            })),
        )],
    );
    let example =
        example(json!({"name": "CI", "role": "member", "expiresAt": "2099-01-31T12:00:00Z"}));
    Operation::new("createApiKey", "Machines", "A new API key")
        .describe("`key` is shown in this answer, and never again.")
        .body(body, example)
        .answers(201, "Made.", reference("NewApiKey"), &[])
        .fails(MANAGING)
        .fails(&["TN310"])
}

fn revoke() -> Operation {
    let operation = Operation::new("revokeApiKey", "Machines", "Revoke an API key")
        .describe("It is refused from the next request on.")
        .answers_nothing(204, "Revoked.", &[])
        .fails(MANAGING)
        .fails(&["TN311"]);
    id(operation, "id", "An API key of this tenant.")
}

fn list_support() -> Operation {
    let operation = Operation::new("listSupportAccess", "Machines", "When support could look in")
        .describe("When and why the platform's operators could look into the tenant, newest first. For its owners.")
        .answers_page("A page.", page("SupportAccess"), &[])
        .fails(&["TN201"]);
    pages(operation)
}

fn end_support() -> Operation {
    let operation = Operation::new("endSupportAccess", "Machines", "End a support access now")
        .answers_nothing(204, "Ended.", &[])
        .fails(&["TN201", "TN204", "TN605"]);
    id(operation, "id", "A support access to this tenant.")
}
