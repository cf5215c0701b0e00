//! The routes. Each file below holds one subject; a handler is who asks, one call, the answer.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post};

use crate::app::App;
use crate::problem::Problem;
use crate::{cors, edge};

mod api_keys;
mod auth;
mod docs;
mod health;
mod invitations;
mod me;
mod members;
mod ops;
mod password;
mod reports;
mod resources;
mod sessions;
mod support;
mod tenants;

pub use ops::router as ops_router;

pub fn router(app: App) -> Router {
    let router = Router::new()
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/tenants/register", post(tenants::register))
        .route("/auth/login", post(auth::login))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/switch", post(auth::switch))
        .route("/auth/logout", post(sessions::logout))
        .route("/auth/logout-all", post(sessions::logout_all))
        .route("/auth/sessions", get(sessions::list))
        .route("/auth/sessions/{id}", delete(sessions::end_one))
        .route("/auth/password", post(password::change))
        .route("/auth/password/forgot", post(password::forgot))
        .route("/auth/password/reset", post(password::reset))
        .route("/tenants/revoke-sessions", post(sessions::revoke_tenant))
        .route("/me", get(me::me))
        .route("/members", get(members::list))
        .route("/members/me", delete(members::leave))
        .route(
            "/members/{userId}",
            patch(members::update).delete(members::remove),
        )
        .route(
            "/invitations",
            get(invitations::list).post(invitations::invite),
        )
        .route("/invitations/peek", post(invitations::peek))
        .route("/invitations/accept", post(invitations::accept))
        .route("/invitations/{id}", delete(invitations::revoke))
        .route("/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/api-keys/{id}", delete(api_keys::revoke))
        .route("/support-access", get(support::list))
        .route("/support-access/{id}", delete(support::end))
        .route("/admin/reports/tenants", get(reports::tenants))
        .merge(if app.has_docs() {
            docs::router()
        } else {
            Router::new()
        })
        // What is fixed wins over what is exposed.
        .merge(resources::router())
        .fallback(async || Problem::of_status(StatusCode::NOT_FOUND))
        .with_state(app.clone());
    let router = match app.has_public_metrics() {
        true => router.merge(ops::metrics_alone(&app)),
        false => router,
    };
    let cors = cors::layer(&app.front().cors_origins);
    // Outside of all: a browser must be allowed to read an error, too.
    let router = edge::around_public(router, app);
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}
