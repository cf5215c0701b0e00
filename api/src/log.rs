//! The log: one line per request, and what an operator must know.
//!
//! No line has a password, a token, a body or an SQL parameter. What PostgreSQL
//! says about a request's error is told by its SQLSTATE and place alone, because
//! its message may quote the caller's data; the database's own log has the rest.

use std::io::{IsTerminal, stdout};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, LogSettings};

/// Starts logging to standard output. Fails when the level isn't one, or logging was started before.
pub fn start(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.log_level)
        .map_err(|error| format!("LOG_LEVEL is not a level: {error}"))?;
    let subscriber: Box<dyn Subscriber + Send + Sync> = match settings.log_format {
        LogFormat::Text => Box::new(
            fmt()
                .with_ansi(stdout().is_terminal())
                .with_env_filter(filter)
                .finish(),
        ),
        LogFormat::Json => Box::new(
            fmt()
                .json()
                .flatten_event(true)
                .with_env_filter(filter)
                .finish(),
        ),
    };
    // Not `init()`: it would also take what libraries write to the crate `log`, and
    // tokio-postgres writes each statement's parameters there at debug.
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())
}
