//! What the fixed routes answer, as schemas with names.

use serde_json::{Map, Value, json};

use crate::openapi::problems::problem;
use crate::openapi::schema::{
    array, boolean, count, nullable, object, one_of_texts, reference, text, time, uuid, with,
};

/// Name and schema of each.
pub fn schemas() -> Map<String, Value> {
    let of_service = of_service();
    let schemas = of_accounts()
        .into_iter()
        .chain(of_people())
        .chain(of_machines())
        .chain(of_service);
    schemas
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

type Named = Vec<(&'static str, Value)>;

fn of_accounts() -> Named {
    let name = ("name", text());
    let slug = ("slug", text());
    let tenant = object(&[("id", uuid()), name.clone(), slug.clone()], &[]);
    let user = object(&[("id", uuid()), ("email", text())], &[]);
    let session_tenant = object(&[("id", uuid()), slug.clone(), name.clone()], &[]);
    vec![
        (
            "Email",
            json!({
                "type": "string",
                "pattern": "^[^@\\s\\u0000-\\u001f\\u007f-\\u009f]{1,64}@[^@\\s\\u0000-\\u001f\\u007f-\\u009f]{1,189}$",
                "examples": ["ann@acme.example"],
            }),
        ),
        ("Role", role(&["owner", "admin", "member", "viewer"])),
        ("Status", one_of_texts(&["active", "suspended"])),
        (
            "Registration",
            object(&[("tenant", tenant), ("user", user.clone())], &[]),
        ),
        (
            "User",
            object(
                &[("id", uuid()), ("email", text()), ("tenantId", uuid())],
                &[],
            ),
        ),
        (
            "TenantOfUser",
            object(
                &[
                    ("id", uuid()),
                    slug,
                    name,
                    ("role", reference("Role")),
                    ("status", reference("Status")),
                ],
                &[],
            ),
        ),
        ("Login", login()),
        (
            "Me",
            object(
                &[
                    ("user", nullable(user)),
                    (
                        "tenant",
                        object(
                            &[
                                ("id", uuid()),
                                ("name", text()),
                                ("slug", text()),
                                ("status", reference("Status")),
                            ],
                            &[],
                        ),
                    ),
                    ("role", nullable(reference("Role"))),
                ],
                &[],
            ),
        ),
        (
            "Session",
            object(
                &[
                    ("id", uuid()),
                    ("tenant", session_tenant),
                    ("createdAt", time()),
                    ("lastUsedAt", time()),
                    ("expiresAt", time()),
                    ("client", nullable(text())),
                    ("address", nullable(text())),
                    ("current", boolean()),
                ],
                &[],
            ),
        ),
    ]
}

fn login() -> Value {
    let seconds = |what: &str| with(count(), json!({"description": what}));
    object(
        &[
            ("access_token", text()),
            ("token_type", json!({"const": "Bearer"})),
            ("expires_in", seconds("Seconds of the access token.")),
            ("refresh_token", text()),
            (
                "refresh_expires_in",
                seconds("Seconds until the session ends, however often it is refreshed."),
            ),
            ("session_id", uuid()),
            ("user", reference("User")),
        ],
        &[(
            "tenants",
            with(
                array(reference("TenantOfUser")),
                json!({"description": "All the person's tenants; not after a refresh."}),
            ),
        )],
    )
}

fn of_people() -> Named {
    let invited = [
        ("id", uuid()),
        ("email", text()),
        ("role", reference("Role")),
        ("expiresAt", time()),
    ];
    let more = [
        ("invitedBy", nullable(uuid())),
        ("invitedWith", nullable(uuid())),
        ("createdAt", time()),
        ("revokedAt", nullable(time())),
    ];
    vec![
        (
            "Member",
            object(
                &[
                    ("userId", uuid()),
                    ("email", text()),
                    ("role", reference("Role")),
                    ("createdAt", time()),
                ],
                &[],
            ),
        ),
        ("Invited", object(&invited, &[])),
        (
            "Invitation",
            object(&[&invited[..], &more[..]].concat(), &[]),
        ),
        (
            "OfferedInvitation",
            object(
                &[
                    ("email", text()),
                    ("role", reference("Role")),
                    ("tenantName", text()),
                    ("expiresAt", time()),
                    ("hasAccount", boolean()),
                ],
                &[],
            ),
        ),
        (
            "Accepted",
            object(
                &[("user", reference("User")), ("role", reference("Role"))],
                &[],
            ),
        ),
    ]
}

fn of_machines() -> Named {
    let key = [
        ("id", uuid()),
        ("name", text()),
        ("role", role(&["admin", "member", "viewer"])),
        ("prefix", text()),
        ("createdBy", uuid()),
        ("createdAt", time()),
        ("expiresAt", nullable(time())),
    ];
    let uses = [
        ("revokedAt", nullable(time())),
        ("lastUsedAt", nullable(time())),
    ];
    let secret = [("key", text())];
    vec![
        ("ApiKey", object(&[&key[..], &uses[..]].concat(), &[])),
        ("NewApiKey", object(&[&key[..], &secret[..]].concat(), &[])),
        (
            "SupportAccess",
            object(
                &[
                    ("id", uuid()),
                    ("reason", text()),
                    ("ticket", nullable(text())),
                    ("readOnly", boolean()),
                    ("login", text()),
                    ("createdAt", time()),
                    ("expiresAt", time()),
                    ("endedAt", nullable(time())),
                    ("endedBy", nullable(uuid())),
                    ("active", boolean()),
                    ("transactions", count()),
                    ("lastUsedAt", nullable(time())),
                ],
                &[],
            ),
        ),
    ]
}

fn of_service() -> Named {
    let tasks = ["todo", "inProgress", "done"].map(|status| (status, count()));
    let pool = ["size", "available", "waiting", "max"].map(|name| (name, count()));
    vec![
        ("Problem", problem()),
        (
            "FieldError",
            object(&[("field", text()), ("message", text())], &[]),
        ),
        ("Health", object(&[("status", json!({"const": "ok"}))], &[])),
        (
            "Ready",
            object(
                &[
                    ("status", json!({"const": "ready"})),
                    ("version", text()),
                    ("extension", text()),
                    ("pool", object(&pool, &[])),
                ],
                &[],
            ),
        ),
        (
            "TenantReport",
            object(
                &[
                    ("id", uuid()),
                    ("slug", text()),
                    ("name", text()),
                    ("status", reference("Status")),
                    ("members", count()),
                    ("projects", count()),
                    ("tasks", object(&tasks, &[])),
                    ("createdAt", time()),
                    ("firstActivityAt", nullable(time())),
                    ("lastActivityAt", nullable(time())),
                ],
                &[],
            ),
        ),
    ]
}

fn role(roles: &[&str]) -> Value {
    one_of_texts(roles)
}
