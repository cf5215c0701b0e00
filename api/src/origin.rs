//! Where a request comes from: an address, and what the client calls itself.
//!
//! Attempts are limited by the address. Both are shown to a person with their sessions,
//! to recognise them by; nobody is trusted for either.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;

use crate::app::App;
use crate::limiter::ClientAddress;

const LONGEST_CLIENT: usize = 200;

pub struct Origin {
    pub address: ClientAddress,
    pub client: Option<String>,
}

impl<S> FromRequestParts<S> for Origin
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let app = App::from_ref(state);
        let address = ClientAddress::of(&app, &parts.headers, &parts.extensions);
        let client = parts.headers.get(header::USER_AGENT);
        // Visible ASCII alone.
        let client = client.and_then(|value| value.to_str().ok());
        let client = client.map(|text| text.trim().chars().take(LONGEST_CLIENT).collect());
        Ok(Self {
            address,
            client: client.filter(|text: &String| !text.is_empty()),
        })
    }
}
