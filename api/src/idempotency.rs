//! `Idempotency-Key`: a POST that is sent again is done once.
//!
//! What a key may be and what it was used for, the database knows.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::problem::{Problem, Result};

const HEADER: &str = "idempotency-key";

/// The key of a request, where it has one.
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut given = parts.headers.get_all(HEADER).iter();
        let (key, more) = (given.next(), given.next());
        if more.is_some() {
            return Err(Problem::bad_request(
                "invalid_request",
                "There is more than one Idempotency-Key header.",
            ));
        }
        let key = key.map(|key| key.to_str().map(str::to_owned)).transpose();
        key.map(Self).map_err(|_| {
            Problem::bad_request(
                "invalid_request",
                "The header Idempotency-Key must be visible ASCII.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn key(values: &[&[u8]]) -> Result<Option<String>> {
        let request = values.iter().fold(Request::builder(), |request, value| {
            request.header(HEADER, *value)
        });
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let key = IdempotencyKey::from_request_parts(&mut parts, &()).await?;
        Ok(key.0)
    }

    #[tokio::test]
    async fn a_key_is_one_text_that_the_database_judges() {
        assert_eq!(key(&[]).await.unwrap(), None);
        assert_eq!(key(&[b"a b"]).await.unwrap().unwrap(), "a b");
        assert_eq!(key(&[b""]).await.unwrap().unwrap(), "");
        for values in [&[&b"a"[..], b"a"][..], &[b"\xff"], &["é".as_bytes()]] {
            assert_eq!(key(values).await.unwrap_err().status, 400, "{values:?}");
        }
    }
}
