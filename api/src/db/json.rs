//! JSON on its way through: from the client to the database, and back, as the same bytes.
//!
//! Parsing it here would cost time and could change it (numbers, duplicate names,
//! the order). The database reads it once, where it is needed.

use std::error::Error;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// As many as an answer has at most, or nearly.
const HEADERS: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Fails unless `bytes` is exactly one JSON value in UTF-8.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let value: &RawValue = serde_json::from_slice(bytes)?;
        Ok(Self(Bytes::copy_from_slice(value.get().as_bytes())))
    }

    pub fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_vec(value)?.into()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is an object, and not an array or a scalar.
    pub fn is_object(&self) -> bool {
        self.0.trim_ascii_start().starts_with(b"{")
    }

    /// As a part of a larger answer.
    pub fn into_raw(self) -> serde_json::Result<Box<RawValue>> {
        serde_json::from_slice(&self.0)
    }
}

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Bytes::copy_from_slice(raw)))
    }

    // Not jsonb: its wire format begins with a version byte.
    accepts!(JSON);
}

impl ToSql for Json {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(JSON);
    to_sql_checked!();
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        // Room for those of the edge, too: to grow later costs more than to insert them.
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        *response.headers_mut() = headers;
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_sent_is_kept_byte_for_byte() {
        let sent = br#"{"title" : "caf\u00e9", "n": 1.10, "n": 2e3}"#;
        assert_eq!(Json::parse(sent).unwrap().as_bytes(), sent);
    }

    #[test]
    fn what_is_no_json_goes_no_further() {
        let rejected: [&[u8]; 9] = [
            b"",
            b"{",
            b"{\"a\":1,}",
            b"{} {}",
            b"nul",
            b"{\"a\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\0\"}",
            b"{\"a\":\"x\ny\"}",
        ];
        for bytes in rejected {
            assert!(Json::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn deep_nesting_is_read_without_recursion() {
        let deep = "[".repeat(400_000) + &"]".repeat(400_000);
        assert!(Json::parse(deep.as_bytes()).is_ok());
    }
}
