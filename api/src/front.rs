//! What is asked of every request before its route: that its path is not too long,
//! and that where it comes from has requests left.

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::StatusCode;

use crate::app::App;
use crate::limiter::ClientAddress;
use crate::notes::Notes;
use crate::problem::{Problem, Result};

/// Twice what a list of a hundred ids takes. Beyond 32 KiB a request's head is no request.
const LONGEST_URI: usize = 8 * 1024;

/// The request, if it may go on.
pub async fn pass(app: &App, request: Request) -> Result<Request> {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > LONGEST_URI {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            "The path and query are longer than 8 KiB.",
        ));
    }
    let route = request.extensions().get::<MatchedPath>();
    // Who only asks whether the process is alive costs nothing, and must have its answer.
    let is_free = route.is_some_and(|route| route.as_str() == "/health");
    if !app.limiter().requests.has_address_limit() || is_free {
        return Ok(request);
    }

    let (mut parts, body) = request.into_parts();
    let Ok(address) = ClientAddress::from_request_parts(&mut parts, app).await;
    let notes = parts.extensions.get::<Notes>().cloned().unwrap_or_default();
    app.limiter().requests.address(&address, &notes)?;
    Ok(Request::from_parts(parts, body))
}
