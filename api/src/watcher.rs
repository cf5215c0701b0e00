//! Keeps the catalog as new as the database's: reads it when a change is announced, and
//! asks every few seconds whether one was missed.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::app::App;
use crate::catalog::Catalog;
use crate::metrics;

/// Between two reads, so that whoever announces without end costs little.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Does it until it is dropped.
pub async fn watch(app: &App) {
    let changed = Notify::new();
    tokio::join!(keep_reading(app, &changed), keep_listening(app, &changed));
}

/// Reads the catalog, if it is another than the one that is known.
pub async fn read(app: &App) -> Result<(), String> {
    let known = app.catalog().version.clone();
    let answer = app.pool().resources(known).await;
    let Some(json) = answer.map_err(|failure| failure.reason())? else {
        return Ok(());
    };
    let catalog = Catalog::read(json.as_bytes())
        .map_err(|error| format!("the database's answer is no catalog: {error}"))?;
    tracing::info!(
        resources = catalog.resources.len(),
        functions = catalog.functions.len(),
        "what is exposed was read"
    );
    app.set_catalog(catalog);
    metrics::catalog_reloaded(true);
    Ok(())
}

async fn keep_reading(app: &App, changed: &Notify) {
    loop {
        sleep(SHORTEST_PAUSE).await;
        // A database that has not accepted this service is not asked for anything.
        let wait = match app.pool().is_accepted() {
            false => SHORTEST_PAUSE,
            true => match read(app).await {
                Ok(()) => app.catalog_refresh(),
                Err(reason) => {
                    metrics::catalog_reloaded(false);
                    tracing::warn!(reason, "can't ask the database what is exposed");
                    LONGEST_PAUSE.min(app.catalog_refresh())
                }
            },
        };
        // Over, or announced: both mean to look.
        let _ = timeout(wait, changed.notified()).await;
    }
}

async fn keep_listening(app: &App, changed: &Notify) {
    if app.pool().is_behind_a_pooler() {
        return;
    }
    let mut pause = SHORTEST_PAUSE;
    loop {
        let started = Instant::now();
        let ended = app.pool().listen(|| changed.notify_one()).await;
        let reason = ended.err().map(|error| error.to_string());
        tracing::warn!(reason, "nothing is heard of what is exposed; trying again");
        // One that lasted is made anew at once.
        if started.elapsed() > LONGEST_PAUSE {
            pause = SHORTEST_PAUSE;
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
