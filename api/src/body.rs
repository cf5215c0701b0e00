//! Request bodies: one JSON value, not too long, in time.

use axum::body::{Body, HttpBody};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::app::App;
use crate::db::Json;
use crate::problem::{Problem, Result};
use crate::settings::written;

/// How much more of a body that is too long is read all the same. Most clients write before
/// they read: closed in the middle of it, they would see a broken pipe and not the 413.
const DRAINED: usize = 7 * 1024 * 1024;

/// A JSON body, as the client sent it.
pub struct JsonBody(pub Json);

impl<S> FromRequest<S> for JsonBody
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body must be JSON, with Content-Type: application/json.",
            ));
        }
        let app = App::from_ref(state);
        let limits = app.limits();
        let read = read(request.into_body(), limits.body_limit);
        let bytes = timeout(limits.body_timeout, read).await.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "The body did not arrive in time.",
            )
        })??;
        Json::parse(&bytes).map(Self).map_err(|error| {
            // Where, not what: the body may hold a password.
            let place = format!(
                "The body is not valid JSON (line {}, column {}).",
                error.line(),
                error.column()
            );
            Problem::new(StatusCode::BAD_REQUEST, "invalid_json", place)
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

async fn read(mut body: Body, longest: usize) -> Result<Bytes> {
    let too_long = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is longer than {}.", written(longest)),
        )
    };
    // What nobody will read to its end isn't begun.
    if body.size_hint().lower() > (longest + DRAINED) as u64 {
        return Err(too_long());
    }
    let mut read = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::bad_request("incomplete_body", "The body ended before its end.")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= longest {
            read.extend_from_slice(&data);
        } else if length > longest + DRAINED {
            break;
        }
    }
    if length > longest {
        return Err(too_long());
    }
    Ok(read.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn json_is_told_by_its_one_content_type() {
        let is_json = |types: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for kind in types {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            super::is_json(&headers)
        };
        assert!(is_json(&["application/json"]));
        assert!(is_json(&["Application/JSON; charset=utf-8"]));
        assert!(is_json(&["application/merge-patch+json"]));
        for types in [
            &[][..],
            &["text/plain"],
            &["text/json+json"],
            &["application/x-www-form-urlencoded"],
            &["application/json", "text/plain"],
            &[""],
        ] {
            assert!(!is_json(types), "{types:?}");
        }
    }

    #[tokio::test]
    async fn a_body_may_be_as_long_as_the_limit_and_no_byte_longer() {
        let body = |length| Body::from("x".repeat(length));
        assert_eq!(read(body(1000), 1000).await.unwrap().len(), 1000);
        for length in [1001, DRAINED + 1001] {
            let refused = read(body(length), 1000).await.unwrap_err();
            assert_eq!(refused.status, 413);
        }
    }
}
