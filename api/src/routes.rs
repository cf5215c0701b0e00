//! The routes. Each file below holds one subject; a handler is who asks, one call, the answer.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};

use crate::app::App;
use crate::edge;
use crate::problem::Problem;

mod auth;
mod health;
mod me;
mod reports;
mod rows;
mod tenants;

pub fn router(app: App) -> Router {
    let fixed = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/tenants/register", post(tenants::register))
        .route("/auth/login", post(auth::login))
        .route("/me", get(me::me))
        .route("/admin/reports/tenants", get(reports::tenants))
        .with_state(app.clone());
    let router = rows::router(&app)
        .merge(fixed)
        .fallback(async || Problem::of_status(StatusCode::NOT_FOUND));
    edge::around(router, app)
}
