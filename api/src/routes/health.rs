//! Is the process alive, and can it serve?

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::db::{Db, Failure};
use crate::problem::Result;

#[derive(Serialize)]
pub struct Health {
    status: &'static str,
}

/// `GET /health`: the process runs. Doesn't ask the database, so that its absence restarts nothing.
pub async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[derive(Serialize)]
pub struct Ready {
    status: &'static str,
    version: &'static str,
    extension: String,
    pool: Connections,
}

#[derive(Serialize)]
struct Connections {
    size: usize,
    available: usize,
    waiting: usize,
    max: usize,
}

/// `GET /ready`: the database has accepted this service, has told it what is exposed, and answers now. 503 otherwise.
pub async fn ready(State(app): State<App>, db: Db) -> Result<Json<Ready>> {
    if !app.catalog().is_known() {
        return Err(Failure::NotReady.into());
    }
    let extension = db.version().await?;
    let pool = app.pool().status();
    Ok(Json(Ready {
        status: "ready",
        version: env!("CARGO_PKG_VERSION"),
        extension,
        pool: Connections {
            size: pool.size,
            available: pool.available,
            waiting: pool.waiting,
            max: pool.max,
        },
    }))
}
