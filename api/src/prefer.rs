//! `Prefer: return=minimal` or `return=representation` (RFC 7240): does the client want the row back?

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What the client asked for; `None` leaves it to the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefer(pub Option<Return>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Representation,
}

impl Prefer {
    /// The header that tells the client that its wish was granted, where it had one.
    pub fn applied(self) -> Option<[(HeaderName, HeaderValue); 1]> {
        let applied = match self.0? {
            Return::Minimal => "return=minimal",
            Return::Representation => "return=representation",
        };
        Some([(
            HeaderName::from_static("preference-applied"),
            HeaderValue::from_static(applied),
        )])
    }

    fn of(headers: &HeaderMap) -> Self {
        let preferences = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        // The first one counts, says the RFC; what isn't understood is passed over.
        Self(preferences.into_iter().find_map(wish))
    }
}

fn wish(preference: &str) -> Option<Return> {
    let (preference, _parameters) = preference.split_once(';').unwrap_or((preference, ""));
    let (name, value) = preference.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("return") {
        return None;
    }
    match value.trim().trim_matches('"') {
        "minimal" => Some(Return::Minimal),
        "representation" => Some(Return::Representation),
        _ => None,
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_that_is_understood_counts() {
        for (values, expected) in [
            (&[][..], None),
            (&["return=minimal"], Some(Return::Minimal)),
            (
                &["respond-async, Return = \"representation\"; x=1"],
                Some(Return::Representation),
            ),
            (
                &["wait=10", "return=representation, return=minimal"],
                Some(Return::Representation),
            ),
            (&["return=headers-only", "return"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            assert_eq!(Prefer::of(&headers).0, expected, "{values:?}");
        }
    }
}
