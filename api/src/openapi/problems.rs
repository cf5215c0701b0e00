//! The problems that routes answer, by their codes.
//!
//! A route names its codes; the statuses follow from them. The whole register, with
//! those that only a DBA sees, stands in the service's README.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::openapi::codes::CODES;
use crate::openapi::schema;
use crate::openapi::shape::Shape;

/// What a token may be refused for, by the door or by the database.
pub const TOKEN: &[&str] = &[
    "unauthorized",
    "invalid_request",
    "TN001",
    "TN002",
    "TN004",
    "TN010",
    "TN011",
    "TN012",
    "TN013",
    "TN014",
    "TN015",
    "TN018",
    "TN019",
    "TN020",
    "TN021",
    "TN026",
    "TN027",
];

/// What a body may be refused for before anybody looks at its fields.
pub const BODY: &[&str] = &[
    "invalid_json",
    "incomplete_body",
    "body_timeout",
    "body_too_large",
    "unsupported_media_type",
];

/// What every route that asks the database may answer; `too_many_requests` where a limit is set.
pub const DATABASE: &[&str] = &[
    "internal",
    "invalid_value",
    "try_again",
    "unavailable",
    "timeout",
    "not_ready",
    "too_many_requests",
    "uri_too_long",
];

/// What many routes answer, under a name of its own.
const SHARED: &[(&str, &[&str])] = &[
    (
        "Unauthorized",
        &[
            "unauthorized",
            "TN001",
            "TN010",
            "TN011",
            "TN012",
            "TN013",
            "TN014",
            "TN015",
            "TN018",
            "TN019",
            "TN020",
        ],
    ),
    ("Forbidden", &["TN002", "TN004", "TN021", "TN026"]),
    (
        "ReadOnly",
        &["TN002", "TN004", "TN021", "TN026", "TN204", "forbidden"],
    ),
    ("BodyTimeout", &["body_timeout"]),
    ("BodyTooLarge", &["body_too_large"]),
    ("UnsupportedMediaType", &["unsupported_media_type"]),
    ("TryAgain", &["try_again"]),
    ("TooManyRequests", &["too_many_requests"]),
    ("UriTooLong", &["uri_too_long"]),
    ("Internal", &["internal"]),
    ("Unavailable", &["not_ready", "timeout", "unavailable"]),
];

/// The shared answers, for the document's `components`.
pub fn shared(shape: &Shape) -> Value {
    let answers = SHARED.iter().flat_map(|(name, codes)| {
        by_status(codes.iter().copied())
            .into_iter()
            .map(|(status, codes)| ((*name).to_owned(), answer(status, &codes, shape)))
    });
    Value::Object(answers.collect())
}

/// The answers for these codes, one for each status.
pub fn answers<'a>(codes: impl Iterator<Item = &'a str>, shape: &Shape) -> BTreeMap<u16, Value> {
    by_status(codes)
        .into_iter()
        .map(|(status, codes)| {
            let shared = SHARED.iter().find(|(_, shared)| {
                shared.len() == codes.len() && shared.iter().all(|code| codes.contains_key(code))
            });
            let answer = match shared {
                Some((name, _)) => json!({"$ref": format!("#/components/responses/{name}")}),
                None => answer(status, &codes, shape),
            };
            (status, answer)
        })
        .collect()
}

/// Codes with their words. One that isn't in the register is left out; a test asks every
/// route for such.
fn by_status<'a>(
    codes: impl Iterator<Item = &'a str>,
) -> BTreeMap<u16, BTreeMap<&'static str, &'static str>> {
    let mut statuses: BTreeMap<u16, BTreeMap<_, _>> = BTreeMap::new();
    for code in codes {
        if let Some((code, status, words)) = CODES.iter().find(|(known, ..)| *known == code) {
            statuses.entry(*status).or_default().insert(*code, *words);
        }
    }
    statuses
}

fn answer(status: u16, codes: &BTreeMap<&str, &str>, shape: &Shape) -> Value {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let lines: Vec<String> = codes
        .iter()
        .map(|(code, words)| format!("- `{code}`: {words}"))
        .collect();
    let codes: Vec<&str> = codes.keys().copied().collect();
    let (kind, schema) = shape.problem(status, &codes);
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}});
    match status {
        401 => {
            headers["WWW-Authenticate"] = json!({"$ref": "#/components/headers/WWW-Authenticate"})
        }
        429 => {
            for name in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
                headers[name] = json!({"$ref": format!("#/components/headers/{name}")});
            }
        }
        503 => headers["Retry-After"] = json!({"$ref": "#/components/headers/Retry-After"}),
        _ => {}
    }
    json!({
        "description": format!("{title}\n\n{}", lines.join("\n")),
        "headers": headers,
        "content": {kind: {"schema": schema}},
    })
}

/// The schema that all of them share.
pub fn problem() -> Value {
    // Not closed: each answer narrows it further.
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457). `code` is for programs and stays; `detail` is for people and may change.",
        "required": ["type", "title", "status", "detail", "code", "requestId"],
        "properties": {
            "type": {"type": "string", "examples": ["about:blank"]},
            "title": {"type": "string", "examples": ["Bad Request"]},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [400]},
            "detail": {"type": "string", "examples": ["title must be 1 to 255 characters long"]},
            "code": {"type": "string", "examples": ["TN410"]},
            "requestId": {"type": "string", "examples": ["5d0c1a1e-6f0a-4a51-8f4b-0f5b7f0f6d52"]},
            "errors": {"type": "array", "items": schema::reference("FieldError"), "description": "The fields, where it was a field."},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_have_the_same_status_are_one_answer() {
        let answers = answers(
            ["TN402", "TN406", "TN402", "TN210"].into_iter(),
            &Shape::default(),
        );
        assert_eq!(answers.keys().copied().collect::<Vec<_>>(), [400, 403]);
        let schema = &answers[&400]["content"]["application/problem+json"]["schema"];
        assert_eq!(
            schema["properties"]["code"]["enum"],
            json!(["TN402", "TN406"])
        );
    }
}
