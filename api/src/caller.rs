//! Who asks. A `Caller` exists only if there is a bearer token that is good as far as
//! the service can tell: its own tokens are verified here, others by the database alone.
//!
//! Who may do what is decided in the database, from the same token.

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use crate::app::App;
use crate::error::bad_token;
use crate::notes::Notes;
use crate::problem::{Problem, Result};
use crate::tenant::NamedTenant;

pub struct Caller {
    token: String,
    person: Option<Uuid>,
    tenant: Option<String>,
}

impl Caller {
    /// The token, for `tenancy.enter`.
    pub fn into_token(self) -> String {
        self.token
    }

    /// The same, and the tenant that the request names.
    pub fn into_token_and_tenant(self) -> (String, Option<String>) {
        (self.token, self.tenant)
    }

    /// The person whom this service itself gave the token to. Of a token that somebody
    /// else signed nobody is believed here, whatever it says.
    pub fn person(&self) -> Option<Uuid> {
        self.person
    }
}

impl<S> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let token = bearer(&parts.headers)?;
        let app = App::from_ref(state);
        let named = app
            .tokens()
            .verify(token)
            .map_err(|bad| bad_token(bad.code, bad.message))?;
        let notes = parts.extensions.get::<Notes>();
        app.limiter().requests.token(token, named, notes)?;
        if let (Some(notes), Some(tenant)) = (notes, named.and_then(|named| named.tenant)) {
            notes.note_tenant(tenant);
        }
        let token = token.to_owned();
        let NamedTenant(tenant) = NamedTenant::from_request_parts(parts, state).await?;
        Ok(Self {
            token,
            person: named.and_then(|named| named.person),
            tenant,
        })
    }
}

/// `None` only without the header: a bad token is refused where none is needed, too.
impl<S> OptionalFromRequestParts<S> for Caller
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state)
            .await
            .map(Some)
    }
}

/// The token of the one Authorization header that there may be.
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Err(Problem::unauthorized());
    };
    if given.next().is_some() {
        return Err(Problem::bad_request(
            "invalid_request",
            "There is more than one Authorization header.",
        ));
    }
    let Ok(value) = value.to_str() else {
        return Err(bad_token("TN010", "the token is malformed"));
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Problem::unauthorized()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
        values.collect()
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer(&headers(&[value])).unwrap(), "abc", "{value}");
        }
    }

    #[test]
    fn another_scheme_or_none_is_no_token() {
        for values in [&[][..], &["Basic YTpi"], &["Bearer"], &[""], &["abc"]] {
            assert_eq!(bearer(&headers(values)).unwrap_err().code, "unauthorized");
        }
    }

    #[test]
    fn two_tokens_are_one_too_many() {
        let both = headers(&["Bearer abc", "Bearer def"]);
        assert_eq!(bearer(&both).unwrap_err().status, 400);
    }
}
