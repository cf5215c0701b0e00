//! How a person comes in: registration, login, passwords.

use serde_json::json;

use super::{Route, example};
use crate::openapi::operation::Operation;
use crate::openapi::schema::{NO_NUL, given_text, nullable, object, reference, with};

pub fn routes() -> Vec<Route> {
    vec![
        ("/tenants/register", "post", register()),
        ("/auth/login", "post", login()),
        ("/auth/refresh", "post", refresh()),
        ("/auth/switch", "post", switch()),
        ("/auth/password", "post", change_password()),
        ("/auth/password/forgot", "post", forget_password()),
        ("/auth/password/reset", "post", reset_password()),
    ]
}

/// A password that is set. Of one that is compared nothing is said.
pub fn new_password() -> serde_json::Value {
    json!({"type": "string", "format": "password", "minLength": 8, "maxLength": 128, "pattern": NO_NUL})
}

fn password() -> serde_json::Value {
    with(given_text(), json!({"format": "password"}))
}

fn register() -> Operation {
    let body = object(
        &[
            (
                "tenantName",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000-\\u001f\\u007f-\\u009f]*$"}),
            ),
            ("email", reference("Email")),
            ("password", new_password()),
        ],
        &[(
            "slug",
            nullable(json!({
                "type": "string",
                "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
                "description": "The name in addresses; made of the tenant's name where it is left out.",
            })),
        )],
    );
    let example = example(
        json!({"tenantName": "Acme", "slug": "acme", "email": "ann@acme.example", "password": "correct horse"}),
    );
    Operation::new(
        "registerTenant",
        "Accounts",
        "A new tenant, with its first user",
    )
    .describe("A tenant, its first user as owner, and a first project: all or nothing.")
    .without_token()
    .body(body, example)
    .answers(201, "Made.", reference("Registration"), &[])
    .fails(&[
        "invalid_request",
        "TN101",
        "TN102",
        "TN103",
        "TN104",
        "TN105",
        "busy",
    ])
}

fn login() -> Operation {
    let body = object(
        &[("email", given_text()), ("password", password())],
        &[(
            "tenant",
            nullable(with(
                given_text(),
                json!({
                    "description": "A tenant's slug or id; without it, the person's oldest active one.",
                }),
            )),
        )],
    );
    let example = example(json!({"email": "ann@acme.example", "password": "correct horse"}));
    Operation::new("login", "Accounts", "Log in")
        .describe("A session in one of the person's tenants. An unknown email and a wrong password get the same answer, after the same work.")
        .without_token()
        .body(body, example)
        .answers(200, "A session.", reference("Login"), &[])
        .fails(&["invalid_request", "invalid_credentials", "TN002", "TN004", "too_many_requests", "busy"])
}

fn refresh() -> Operation {
    let body = object(&[("refresh_token", given_text())], &[]);
    Operation::new(
        "refreshSession",
        "Accounts",
        "The next access token of a session",
    )
    .describe("And the next refresh token: each is good once. A second use ends the session.")
    .without_token()
    .body(body, example(json!({"refresh_token": "pgr_…"})))
    .answers(200, "The session goes on.", reference("Login"), &[])
    .fails(&[
        "invalid_request",
        "TN016",
        "TN017",
        "TN002",
        "TN004",
        "too_many_requests",
    ])
}

fn switch() -> Operation {
    let body = object(&[("tenant", given_text())], &[]);
    Operation::new(
        "switchTenant",
        "Accounts",
        "A session in another of the caller's tenants",
    )
    .describe("By its slug or id. The session that was there goes on.")
    .body(body, example(json!({"tenant": "acme"})))
    .answers(200, "A new session.", reference("Login"), &[])
}

fn change_password() -> Operation {
    let body = object(
        &[("oldPassword", password()), ("newPassword", new_password())],
        &[],
    );
    let example =
        example(json!({"oldPassword": "correct horse", "newPassword": "correct horse battery"}));
    Operation::new(
        "changePassword",
        "Accounts",
        "A new password, for who knows the old one",
    )
    .describe("All sessions of the person end, this one too.")
    .body(body, example)
    .answers_nothing(204, "Changed.", &[])
    .fails(&["forbidden", "too_many_requests", "busy"])
}

fn forget_password() -> Operation {
    let body = object(&[("email", given_text())], &[]);
    Operation::new(
        "forgetPassword",
        "Accounts",
        "Have a token mailed, to set a new password",
    )
    .describe("The answer is the same, and as quick, whether somebody has that address.")
    .without_token()
    .body(body, example(json!({"email": "ann@acme.example"})))
    .answers_nothing(202, "A mail is sent, if somebody has that address.", &[])
    .fails(&["invalid_request", "too_many_requests", "no_mailer"])
}

fn reset_password() -> Operation {
    let body = object(
        &[("token", given_text()), ("password", new_password())],
        &[],
    );
    let example = example(json!({"token": "pgw_…", "password": "correct horse"}));
    Operation::new(
        "resetPassword",
        "Accounts",
        "A new password, with the token of the mail",
    )
    .describe("All sessions of the person end.")
    .without_token()
    .body(body, example)
    .answers_nothing(204, "Changed.", &[])
    .fails(&["invalid_request", "TN022", "too_many_requests", "busy"])
}
