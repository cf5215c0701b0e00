//! The id of a request, by which a client's report finds its line in the log.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// 1 to 64 letters, digits, dots, underscores and hyphens: safe in a log, a header and JSON.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own where it is short and safe, else a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(HEADER) {
            Some(given) if is_safe(given.as_bytes()) => Self(given.clone()),
            _ => Self::new(),
        }
    }

    fn new() -> Self {
        let id = Uuid::new_v4().to_string();
        Self(HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none")))
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

fn is_safe(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(given));
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_short_and_safe_id_is_kept() {
        for id in ["a", "checkout-7.retry_2", &"x".repeat(64)] {
            let id: &'static str = id.to_owned().leak();
            assert_eq!(id_for(id), id);
        }
    }

    #[test]
    fn any_other_is_replaced() {
        for id in ["", " ", "a b", "<script>", "a\tb", "a,b", &"x".repeat(65)] {
            let id: &'static str = id.to_owned().leak();
            assert!(Uuid::parse_str(&id_for(id)).is_ok(), "{id:?}");
        }
        assert!(Uuid::parse_str(RequestId::of(&HeaderMap::new()).as_str()).is_ok());
    }
}
