//! Errors as answers: RFC 9457, `application/problem+json`.
//!
//! A handler returns a `Problem`; the edge writes it out, because only the edge
//! knows the request's id. So each error looks alike, whoever found it.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub type Result<T> = std::result::Result<T, Problem>;

/// Seconds after which a client may try again when the service or the database is busy or away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// For programs: the database's TN code, or stable lowercase words of the service.
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: Cow<'static, str>,
    pub errors: Vec<FieldError>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log alone.
    pub reason: Option<Box<str>>,
}

/// What is wrong with one field of the request.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub message: Cow<'static, str>,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            reason: None,
        }
    }

    pub fn bad_request(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400 for a request whose fields are wrong, with all that is wrong.
    pub fn bad_fields(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::bad_request("invalid_request", "The request has invalid fields.");
        problem.errors = errors;
        problem
    }

    pub fn bad_field(field: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_fields(vec![FieldError::new(field, message)])
    }

    /// 401 for a request without a token.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A bearer token is needed.",
        )
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401 for a login, the same whether the person or the password is unknown.
    pub fn invalid_credentials() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_credentials",
            "Invalid credentials",
        )
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 404 for a row that isn't there or is another tenant's: nothing in it tells which.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such row.")
    }

    /// 503 with Retry-After.
    pub fn unavailable(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// 500 that tells the client nothing, and the log why.
    pub fn internal(reason: impl Into<Box<str>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong; the service's log has the reason under this requestId.",
        )
        .because(reason)
    }

    /// The problem for an error answer that came with a status alone.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(status, "no_such_route", "There is no such route."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method_not_allowed",
                "The route does not take this method.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable("unavailable", "Try again."),
            status if status.is_client_error() => {
                Self::new(status, "bad_request", "The request is not acceptable.")
            }
            status => Self {
                status,
                ..Self::internal("an error answer without a reason")
            },
        }
    }

    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What the log says about it. Nothing that a caller sent.
    pub fn because(mut self, reason: impl Into<Box<str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub fn with_error(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    /// The whole answer. The same problem under the same request id is the same bytes.
    pub fn into_answer(self, request_id: &str) -> Response {
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            request_id,
            errors: &self.errors,
        };
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl FieldError {
    /// Long names are cut: the answer to a hostile request needn't be as long as the request.
    pub fn new(field: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.chars().take(64).collect(),
            message: message.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    async fn body(problem: Problem, request_id: &str) -> Vec<u8> {
        let body = problem.into_answer(request_id).into_body();
        to_bytes(body, usize::MAX).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_problem_tells_a_program_its_code_and_a_person_what_is_wrong() {
        let bytes = body(Problem::bad_field("password", "is too short"), "r-1").await;
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "The request has invalid fields.",
                "code": "invalid_request",
                "requestId": "r-1",
                "errors": [{"field": "password", "message": "is too short"}],
            })
        );
    }

    #[tokio::test]
    async fn an_absent_row_is_the_same_bytes_each_time() {
        let first = body(Problem::not_found(), "r-1").await;
        assert_eq!(first, body(Problem::not_found(), "r-1").await);
    }

    #[test]
    fn a_busy_service_says_when_to_come_back() {
        let answer = Problem::unavailable("busy", "…").into_answer("r-1");
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_hostile_field_name_is_cut() {
        assert_eq!(FieldError::new(&"x".repeat(5000), "…").field.len(), 64);
    }
}
