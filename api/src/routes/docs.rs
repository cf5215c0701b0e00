//! The service's description: for programs, and as a page to try it.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::task::spawn_blocking;
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::catalog::Catalog;
use crate::db::Failure;
use crate::etag::IfNoneMatch;
use crate::openapi::Document;
use crate::problem::{Problem, Result};

/// The page's own scripts and styles, and requests to this service alone. Its styles
/// stand in attributes, too.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// For what changes when the DBA exposes something: ask each time, and be told 304.
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

pub fn router() -> Router<App> {
    Router::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(docs))
        .route("/docs/", get(page))
        .route("/docs/{file}", get(page_file))
}

/// `GET /openapi.json`
async fn document(State(app): State<App>, if_none_match: IfNoneMatch) -> Result<Response> {
    let catalog = app.catalog();
    // Half a description would make half a client.
    if !catalog.is_known() {
        return Err(Failure::NotReady.into());
    }
    let document = match app.documents().made(&catalog) {
        Some(document) => document,
        None => made(app, catalog).await?,
    };
    let headers = (document.tag.header(), [(header::CACHE_CONTROL, ASK_FIRST)]);
    Ok(match if_none_match.has(&document.tag) {
        true => (StatusCode::NOT_MODIFIED, headers, ()).into_response(),
        false => (headers, document.content.clone()).into_response(),
    })
}

/// A description that was not made before, beside the threads that answer requests.
async fn made(app: App, catalog: Arc<Catalog>) -> Result<Arc<Document>> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::internal(format!("the description can't be made: {error}"))
    };
    spawn_blocking(move || app.documents().of(&catalog))
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))
}

/// `GET /docs`: the page finds its files below.
async fn docs() -> Redirect {
    Redirect::permanent("/docs/")
}

/// `GET /docs/`
async fn page() -> Result<Response> {
    file("index.html")
}

/// `GET /docs/{file}`
async fn page_file(path: Path<String>) -> Result<Response> {
    file(&path.0)
}

fn file(name: &str) -> Result<Response> {
    static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
        // No validator: it would be somebody else's service.
        let config = Config::from("/openapi.json").validator_url("none");
        Arc::new(config.use_base_layout().deep_linking(true))
    });
    let found = utoipa_swagger_ui::serve(name, CONFIG.clone());
    let found = found.map_err(|error| Problem::internal(format!("can't serve {name}: {error}")))?;
    let Some(file) = found else {
        return Err(Problem::of_status(StatusCode::NOT_FOUND));
    };
    let kind = HeaderValue::try_from(file.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, ASK_FIRST),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, file.bytes.into_owned()).into_response())
}
