//! Headers that tell browsers what not to do with an answer.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// An answer is data: it runs nothing, frames nothing and is framed by nothing.
const DATA: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A page that says nothing else about itself.
const PAGE: HeaderValue = HeaderValue::from_static("frame-ancestors 'none'");

pub fn secure(headers: &mut HeaderMap, hsts: Option<Duration>) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let kind = headers.get(header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let policy = if is_page { PAGE } else { DATA };
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(hsts) = hsts {
        let value = HeaderValue::try_from(format!("max-age={}", hsts.as_secs()));
        // Digits always are a header's value.
        headers.extend(value.map(|value| (header::STRICT_TRANSPORT_SECURITY, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured(kind: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        secure(&mut headers, None);
        headers
    }

    #[test]
    fn data_runs_nothing_and_a_page_may_say_what_it_runs() {
        assert_eq!(secured("application/json")["content-security-policy"], DATA);
        assert_eq!(
            secured("text/html; charset=utf-8")["content-security-policy"],
            PAGE
        );
        let mut own = HeaderMap::new();
        own.insert(
            "content-security-policy",
            HeaderValue::from_static("default-src 'self'"),
        );
        secure(&mut own, None);
        assert_eq!(own["content-security-policy"], "default-src 'self'");
    }

    #[test]
    fn browsers_are_bound_to_https_only_when_asked() {
        assert!(!secured("application/json").contains_key("strict-transport-security"));
        let mut headers = HeaderMap::new();
        secure(&mut headers, Some(Duration::from_secs(3600)));
        assert_eq!(headers["strict-transport-security"], "max-age=3600");
    }
}
