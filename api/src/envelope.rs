//! Answers in an envelope, for clients that want every answer alike (`RESPONSE_STYLE`):
//! `{success, statusCode, requestId, data or error, meta, timestamp, path}`.
//!
//! What a handler answered is put into it as it is, without being read. Answers that
//! aren't the API's own JSON (health, metrics, documentation) stay as they are, and 304
//! stays empty.

use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use humantime::format_rfc3339_millis;
use serde::Serialize;

use crate::page::{self, IsPage};
use crate::problem::{FieldError, Problem};
use crate::settings::{ResponseStyle, ShapeSettings};

/// For machines and browsers, which expect them as they are.
const RAW: [&str; 5] = ["/health", "/ready", "/metrics", "/openapi.json", "/docs"];

/// Of a path; what is longer is cut.
const LONGEST_PATH: usize = 1024;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The envelope of one request's answer.
pub struct Envelope {
    path: Option<String>,
    has_timestamp: bool,
    has_request_id: bool,
    is_head: bool,
}

#[derive(Serialize)]
struct Refusal<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Envelope {
    /// `None` where the answer stays as it is. A HEAD becomes a GET, so that its answer
    /// can tell how long the other one is.
    pub fn of(settings: &ShapeSettings, request: &mut Request) -> Option<Self> {
        if settings.response_style == ResponseStyle::Plain || is_raw(request) {
            return None;
        }
        let is_head = request.method() == Method::HEAD;
        if is_head {
            *request.method_mut() = Method::GET;
        }
        // Without the query, which may hold what nobody should read elsewhere.
        let path = request.uri().path().chars().take(LONGEST_PATH);
        Some(Self {
            path: settings.envelope_path.then(|| path.collect()),
            has_timestamp: settings.envelope_timestamp,
            has_request_id: settings.envelope_request_id,
            is_head,
        })
    }

    /// A problem with the headers that belong to it.
    pub fn around_problem(&self, problem: Problem, request_id: &str) -> Response {
        let refusal = Refusal {
            code: &problem.code,
            message: &problem.detail,
            errors: &problem.errors,
        };
        // Strings always serialise.
        let refusal = serde_json::to_vec(&refusal).unwrap_or_default();
        let body = self.around(problem.status, request_id, b"error", &refusal, b"}");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.extend(problem.headers);
        self.answer(problem.status, headers, body)
    }

    /// A good answer. No content becomes `null`, because an envelope is content.
    pub async fn around_answer(&self, response: Response, request_id: &str) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_none_or(|kind| kind == JSON);
        if !response.status().is_success() || !is_json {
            return response;
        }
        let is_page = response.extensions().get::<IsPage>().is_some();
        let (parts, body) = response.into_parts();
        let Ok(content) = to_bytes(body, usize::MAX).await else {
            return Problem::internal("an answer broke off").into_answer(request_id);
        };

        let (data, meta) = match is_page.then(|| page::split(&content)).flatten() {
            Some(page) => page,
            None if content.is_empty() => (&b"null"[..], &b"}"[..]),
            None => (&content[..], &b"}"[..]),
        };
        let status = match parts.status {
            StatusCode::NO_CONTENT => StatusCode::OK,
            status => status,
        };
        let body = self.around(status, request_id, b"data", data, meta);
        let mut headers = parts.headers;
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, JSON);
        self.answer(status, headers, body)
    }

    /// `meta` is what stands behind the opening brace of an object.
    fn around(
        &self,
        status: StatusCode,
        request_id: &str,
        name: &[u8],
        content: &[u8],
        meta: &[u8],
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(content.len() + 512);
        let success = status.is_success();
        let code = status.as_u16();
        body.extend(format!(r#"{{"success":{success},"statusCode":{code}"#).bytes());
        if self.has_request_id {
            push(&mut body, "requestId", request_id);
        }
        body.extend_from_slice(b",\"");
        body.extend_from_slice(name);
        body.extend_from_slice(b"\":");
        body.extend_from_slice(content);
        body.extend_from_slice(b",\"meta\":{");
        body.extend_from_slice(meta);
        if self.has_timestamp {
            let now = format_rfc3339_millis(SystemTime::now()).to_string();
            push(&mut body, "timestamp", &now);
        }
        if let Some(path) = &self.path {
            push(&mut body, "path", path);
        }
        body.push(b'}');
        body
    }

    fn answer(&self, status: StatusCode, mut headers: HeaderMap, body: Vec<u8>) -> Response {
        let length = body.len();
        let body = match self.is_head {
            true => Bytes::new(),
            false => body.into(),
        };
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        (status, headers, Body::from(body)).into_response()
    }
}

fn is_raw(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    route.is_some_and(|route| {
        let first = route.as_str().split('/').nth(1).unwrap_or_default();
        RAW.iter().any(|raw| raw[1..] == *first)
    })
}

/// A member whose value is a text.
fn push(body: &mut Vec<u8>, name: &str, value: &str) {
    let value = serde_json::Value::from(value);
    body.extend(format!(",\"{name}\":{value}").bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settings(has_all: bool) -> ShapeSettings {
        ShapeSettings {
            response_style: ResponseStyle::Envelope,
            envelope_timestamp: has_all,
            envelope_path: has_all,
            envelope_request_id: has_all,
        }
    }

    fn envelope(has_all: bool, method: &str) -> Envelope {
        let request = Request::builder().method(method).uri("/a%22b?token=secret");
        let mut request = request.body(Body::empty()).unwrap();
        Envelope::of(&settings(has_all), &mut request).unwrap()
    }

    async fn read(response: Response) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, body.to_vec())
    }

    async fn around(response: Response) -> Value {
        let response = envelope(false, "GET").around_answer(response, "r-1").await;
        serde_json::from_slice(&read(response).await.2).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_put_into_it_byte_for_byte() {
        let row = crate::db::Json::parse(br#"{"n": 1.10, "n":2e3}"#).unwrap();
        let envelope = envelope(false, "GET");
        let response = envelope.around_answer(row.into_response(), "r-1").await;
        let (status, headers, body) = read(response).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "application/json");
        let expected = r#"{"success":true,"statusCode":200,"data":{"n": 1.10, "n":2e3},"meta":{}}"#;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_page_is_its_rows_and_what_is_told_of_them() {
        let page = br#"{"data":[{"a":[1]}],"page":2,"limit":1}"#;
        let page = page::Page(crate::db::Json::parse(page).unwrap());
        assert_eq!(
            around(page.into_response()).await,
            json!({
                "success": true, "statusCode": 200,
                "data": [{"a": [1]}], "meta": {"page": 2, "limit": 1},
            })
        );
    }

    #[tokio::test]
    async fn a_row_with_a_field_called_data_is_no_page() {
        let row = crate::db::Json::parse(br#"{"data":[1],"page":2}"#).unwrap();
        let body = around(row.into_response()).await;
        assert_eq!(body["data"], json!({"data": [1], "page": 2}));
    }

    #[tokio::test]
    async fn no_content_is_null() {
        let body = around(StatusCode::NO_CONTENT.into_response()).await;
        assert_eq!(body["statusCode"], 200);
        assert_eq!(body["data"], Value::Null);
        let body = around(StatusCode::CREATED.into_response()).await;
        assert_eq!(body["statusCode"], 201);
    }

    #[tokio::test]
    async fn what_is_not_the_apis_json_stays_as_it_is() {
        let page = ([(header::CONTENT_TYPE, "text/html")], "<p>").into_response();
        for (response, expected) in [
            (page, &b"<p>"[..]),
            (StatusCode::NOT_MODIFIED.into_response(), b""),
        ] {
            let response = envelope(true, "GET").around_answer(response, "r-1").await;
            assert_eq!(read(response).await.2, expected);
        }
    }

    #[tokio::test]
    async fn it_tells_when_and_where_but_no_query() {
        let problem = Problem::bad_field("title", "is missing");
        let response = envelope(true, "GET").around_problem(problem, "r-1");
        let (status, _, body) = read(response).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 400);
        assert_eq!(body["success"], false);
        assert_eq!(body["requestId"], "r-1");
        assert_eq!(body["path"], "/a%22b");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
        let error = json!({
            "code": "invalid_request", "message": "The request has invalid fields.",
            "errors": [{"field": "title", "message": "is missing"}],
        });
        assert_eq!(body["error"], error);
        assert_eq!(body["meta"], json!({}));
        assert_eq!(body.get("data"), None);
    }

    #[tokio::test]
    async fn a_head_tells_how_long_the_answer_would_be() {
        let row = crate::db::Json::parse(b"{}").unwrap();
        let mut answers = Vec::new();
        for method in ["GET", "HEAD"] {
            let envelope = envelope(false, method);
            let response = envelope
                .around_answer(row.clone().into_response(), "r-1")
                .await;
            answers.push(read(response).await);
        }
        let [(_, _, long), (_, headers, none)] = &answers[..] else {
            unreachable!("two were made")
        };
        assert_eq!(none, &b"");
        assert_eq!(headers["content-length"], long.len().to_string().as_str());
    }
}
