//! What is asked of every request before its route: that its path is not too long,
//! and that where it comes from has requests left.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;

use crate::app::App;
use crate::limiter::ClientAddress;
use crate::notes::Notes;
use crate::problem::{Problem, Result};

/// Twice what a list of a hundred ids takes. Beyond 32 KiB a request's head is no request.
const LONGEST_URI: usize = 8 * 1024;

/// Whether the request may go on.
pub fn pass(app: &App, request: &Request) -> Result<()> {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > LONGEST_URI {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            "The path and query are longer than 8 KiB.",
        ));
    }
    let extensions = request.extensions();
    let route = extensions.get::<MatchedPath>();
    // Who only asks whether the process is alive costs nothing, and must have its answer.
    let is_free = route.is_some_and(|route| route.as_str() == "/health");
    if !app.limiter().requests.has_address_limit() || is_free {
        return Ok(());
    }

    let address = ClientAddress::of(app, request.headers(), extensions);
    let notes = extensions.get::<Notes>().cloned().unwrap_or_default();
    app.limiter().requests.address(&address, &notes)
}
