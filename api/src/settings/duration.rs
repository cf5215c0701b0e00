//! Spans of time as people write them: `15m`, `24h`, `7d`, or a number of seconds.

use std::time::Duration;

/// Ten years: far beyond any sensible setting, and near enough that a date plus it is still a date.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Fails for nothing, for zero, and for more than ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    if span.is_zero() {
        return Err("must be longer than zero".to_owned());
    }
    if span > LONGEST {
        return Err("must be at most ten years".to_owned());
    }
    Ok(span)
}
