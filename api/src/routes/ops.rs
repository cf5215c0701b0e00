//! What operators look at, on a port of their own.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health;
use crate::app::App;
use crate::edge;
use crate::problem::Problem;

/// The second port: `/health`, `/ready` and `/metrics`.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .with_state(app.clone())
        .merge(metrics_alone(&app))
        .fallback(async || Problem::of_status(StatusCode::NOT_FOUND));
    edge::around(routes, app)
}

pub fn metrics_alone(app: &App) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(app.clone())
}

/// `GET /metrics`: what was counted, in Prometheus' text format.
async fn metrics(State(app): State<App>) -> Response {
    let Some(metrics) = app.metrics() else {
        return Problem::of_status(StatusCode::NOT_FOUND).into_response();
    };
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text(app.pool());
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
