//! Lines of text, as tracing-subscriber writes them, and several times as fast: a request
//! has one, so what a line costs each request pays.
//!
//! Only plain lines are written here, whose fields are numbers and simple texts and which
//! stand in no span. Everything else tracing-subscriber writes itself.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use humantime::format_rfc3339_micros;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Longer than most lines.
const LENGTH: usize = 320;

/// For output that is no terminal.
pub struct Text(Format<Full>);

impl Text {
    pub fn new() -> Self {
        Self(Format::default().with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let plain = match context.event_scope() {
            Some(_) => None,
            None => plain(event),
        };
        match plain {
            Some(line) => writer.write_str(&line),
            None => self.0.format_event(context, writer, event),
        }
    }
}

/// `None` for what isn't plain.
fn plain(event: &Event<'_>) -> Option<String> {
    let metadata = event.metadata();
    // The macros of the crate `log` tell what they log by fields.
    if metadata.target() == "log" {
        return None;
    }
    let mut line = Line {
        text: String::with_capacity(LENGTH),
        is_plain: true,
    };
    let (time, level) = (format_rfc3339_micros(SystemTime::now()), metadata.level());
    write!(line.text, "{time} {:>5} ", level.as_str()).ok()?;
    line.text.push_str(metadata.target());
    line.text.push(':');
    event.record(&mut line);
    line.text.push('\n');
    line.is_plain.then_some(line.text)
}

struct Line {
    text: String,
    is_plain: bool,
}

impl Line {
    fn begin(&mut self, field: &Field) {
        // Raw identifiers and those of the crate `log` are written in ways of their own.
        self.is_plain &= !field.name().starts_with("r#") && !field.name().starts_with("log.");
        self.text.push(' ');
        self.text.push_str(field.name());
        self.text.push('=');
    }

    fn end(&mut self, value: fmt::Arguments<'_>) {
        self.is_plain &= self.text.write_fmt(value).is_ok();
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_simple =
            |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' && byte != b'\'';
        self.is_plain &= field.name() != "message" && value.bytes().all(is_simple);
        self.begin(field);
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.begin(field);
        self.end(format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.begin(field);
        self.end(format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.begin(field);
        self.end(format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The words of the event itself; what they are made of might not be simple.
        self.is_plain &= field.name() == "message";
        if !self.is_plain {
            return;
        }
        self.text.push(' ');
        let start = self.text.len();
        self.end(format_args!("{value:?}"));
        self.is_plain &= self.text[start..]
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::writer::Lines;
    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt;

    /// What both write about the same, but for the time.
    fn both(log: impl Fn()) -> [String; 2] {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let plain = fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        let quick = plain.event_format(Text::new()).with_writer(ours.clone());
        with_default(quick.finish(), &log);
        let plain = fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        with_default(plain.with_writer(theirs.clone()).finish(), &log);
        [ours, theirs].map(|lines| {
            let text = lines.text();
            let (time, rest) = text.split_at("2026-01-02T03:04:05.678901Z".len());
            assert!(time.ends_with('Z') && time.contains('T'), "{time}");
            rest.to_owned()
        })
    }

    #[test]
    fn a_line_is_the_one_that_the_library_would_write() {
        let none: Option<&str> = None;
        let some = Some("TN002");
        let texts = [
            "GET",
            "/tasks/{id}",
            "",
            "a b",
            "it's",
            "\"",
            "\\",
            "tab\t",
            "é",
            "\u{1b}[31m",
        ];
        for text in texts {
            let [ours, theirs] = both(|| {
                tracing::info!(
                    text,
                    status = 200_u16,
                    latency_us = u64::MAX,
                    none,
                    some,
                    "request"
                )
            });
            assert_eq!(ours, theirs);
        }
        let error = std::io::Error::other("gone");
        for log in [
            &(|| tracing::warn!(%error, "can't")) as &dyn Fn(),
            &|| tracing::error!("{} {}", "two", 2),
            &|| tracing::error!("a line\nand \u{1b}[31m another"),
            &|| tracing::debug!(count = -1, is_good = true, share = 0.5, "mixed"),
            &|| tracing::trace!(r#type = "raw", kind = ?some),
            &|| tracing::info!(target: "elsewhere", message = "words"),
            &|| tracing::info!(error = &error as &dyn std::error::Error, "as an error"),
            &|| tracing::info_span!("span", id = 7).in_scope(|| tracing::info!(a = 1, "within")),
        ] {
            let [ours, theirs] = both(log);
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_requests_line_is_plain() {
        let [ours, _] = both(|| tracing::info!(method = "GET", status = 200_u16, "request"));
        assert!(
            ours.ends_with(" request method=\"GET\" status=200\n"),
            "{ours}"
        );
    }
}
