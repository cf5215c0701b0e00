//! Which pages in browsers may call the service: none, unless their origin is set.
//!
//! A token is sent by the page's own code and no cookie is ever looked at, so browsers
//! are told to send no credentials of theirs.

use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::request_id;
use crate::settings::Origins;

/// For so long a browser needn't ask again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// `None` where no page may.
pub fn layer(origins: &Origins) -> Option<CorsLayer> {
    let origins = match origins {
        Origins::None => return None,
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        // Without credentials no header says more than the page knows.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("preference-applied"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            request_id::HEADER,
        ])
        .max_age(MAX_AGE);
    Some(layer)
}
