//! The log: one line per request, and what an operator must know.
//!
//! No line has a password, a token, a body or an SQL parameter. What PostgreSQL
//! says about a request's error is told by its SQLSTATE and place alone, because
//! its message may quote the caller's data; the database's own log has the rest.

use std::io::{IsTerminal, stdout};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt};

use self::text::Text;
use self::writer::{Lines, Writer};
use crate::settings::{LogFormat, LogSettings};

mod text;
mod writer;

/// The log, as long as it lives. Dropped, it writes what is left.
#[must_use]
pub struct Log(#[expect(dead_code, reason = "it is there to be dropped")] Writer);

/// Starts logging to standard output. Fails when the level isn't one, or logging was started before.
pub fn start(settings: &LogSettings) -> Result<Log, String> {
    let filter = EnvFilter::try_new(&settings.log_level)
        .map_err(|error| format!("LOG_LEVEL is not a level: {error}"))?;
    let lines = Lines::default();
    let log = fmt().with_env_filter(filter).with_writer(lines.clone());
    let subscriber: Box<dyn Subscriber + Send + Sync> = match settings.log_format {
        LogFormat::Text if stdout().is_terminal() => Box::new(log.finish()),
        LogFormat::Text => Box::new(log.with_ansi(false).event_format(Text::new()).finish()),
        LogFormat::Json => Box::new(log.json().flatten_event(true).finish()),
    };
    // Not `init()`: it would also take what libraries write to the crate `log`, and
    // tokio-postgres writes each statement's parameters there at debug.
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
    let writer = Writer::start(lines, stdout()).map_err(|error| error.to_string())?;
    Ok(Log(writer))
}
