//! A request's route, for logs and metrics: the template, and never what a client wrote.
//!
//! Of what is exposed it has the name, but only one that the catalog knows, so that
//! there are no more routes than the DBA made.

use axum::extract::{MatchedPath, Request};

use crate::catalog::Catalog;

/// `/tasks/{id}`, `/rpc/enrol`; `/{resource}` where nothing of that name is exposed, and
/// `-` where there is no such route.
pub fn route_label(request: &Request, catalog: &Catalog) -> String {
    let Some(template) = request.extensions().get::<MatchedPath>() else {
        return "-".to_owned();
    };
    let template = template.as_str();
    let mut segments = request.uri().path().split('/').skip(1);
    let known = match template.split('/').nth(1) {
        Some("{resource}") => {
            segments
                .next()
                .and_then(|name| catalog.resource(name))
                .map(|resource| {
                    let rest = template.strip_prefix("/{resource}").unwrap_or_default();
                    ["/", &resource.name, rest].concat()
                })
        }
        Some("rpc") => segments
            .nth(1)
            .and_then(|name| catalog.function(name))
            .map(|function| template.replacen("{name}", &function.name, 1)),
        _ => None,
    };
    known.unwrap_or_else(|| template.to_owned())
}
