//! The engineer's log: `tracing` on standard error, plain text; its newest lines are kept in memory, for `passband logs`.
//!
//! A line is `2027-03-01T12:00:00.123456Z  WARN what happened field=value`; control characters in it are escaped. There are
//! no spans here: what is asked of a subscriber about them does nothing.

use core::fmt;
use std::collections::VecDeque;
use std::env;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::clock::Clock;
use crate::command::date;
use crate::config::LogLevel;

/// The variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "PASSBAND_LOG";

/// Lines that are kept.
const MAX_KEPT_LINES: usize = 500;
/// Longest line that is kept, bytes.
const MAX_LINE_BYTES: usize = 400;
/// The newest lines.
static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// The newest lines of the log of this process, at most so many, oldest first.
pub fn newest(limit: usize) -> Vec<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect()
}

/// Starts the log; does nothing if there is one already.
///
/// # Errors
/// [`LEVEL_VARIABLE`] is set to something that is no level.
pub fn start(configured: LogLevel) -> Result<(), String> {
    let level = match env::var(LEVEL_VARIABLE) {
        Ok(text) => text.parse().map_err(|_| {
            format!("{LEVEL_VARIABLE}={text:?}: the level is error, warn, info, debug or trace")
        })?,
        Err(_) => match configured {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Trace => Level::TRACE,
        },
    };
    // A second start in one process keeps the first log.
    let _already = tracing::subscriber::set_global_default(Log { level });
    Ok(())
}

/// Takes what the program says down to a level.
struct Log {
    level: Level,
}

impl Subscriber for Log {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        *about.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = head(Clock::default().unix_us(), *event.metadata().level());
        event.record(&mut Fields(&mut line));
        keep(&line);
        line.push('\n');
        // Where standard error is closed there is nobody to tell.
        let _told = io::stderr().write_all(line.as_bytes());
    }

    fn new_span(&self, _about: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// What a line begins with: when, and how bad.
fn head(unix_us: u64, level: Level) -> String {
    let date = date(unix_us / 1000);
    format!("{}.{:06}Z {:>5}", date.trim_end_matches('Z'), unix_us % 1_000_000, level.as_str())
}

fn keep(line: &str) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT_LINES {
        kept.pop_front();
    }
    kept.push_back(line.chars().take(MAX_LINE_BYTES).collect());
}

/// Writes the fields of an event, its message first and without its name.
struct Fields<'l>(&'l mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = if field.name() == "message" {
            format!(" {value:?}")
        } else {
            format!(" {}={value:?}", field.name())
        };
        for c in text.chars() {
            if c.is_control() { self.0.extend(c.escape_default()) } else { self.0.push(c) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_and_level_and_its_fields_and_the_newest_are_kept() {
        assert_eq!(head(1_000_042, Level::WARN), "1970-01-01T00:00:01.000042Z  WARN");
        assert_eq!(head(0, Level::ERROR), "1970-01-01T00:00:00.000000Z ERROR");
        tracing::subscriber::with_default(Log { level: Level::WARN }, || {
            tracing::info!("nothing");
            tracing::warn!(bytes = 7, name = "a\nb", "the {} is full\n\u{1b}[31m", "disk");
        });
        let lines = newest(usize::MAX);
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with("  WARN the disk is full\\n\\u{1b}[31m bytes=7 name=\"a\\nb\"")),
            "{lines:?}"
        );
        assert!(!lines.iter().any(|line| line.contains("nothing")), "{lines:?}");

        // The oldest go.
        for n in 0..MAX_KEPT_LINES + 3 {
            keep(&format!("line {n}"));
        }
        assert_eq!(newest(1), [format!("line {}", MAX_KEPT_LINES + 2)]);
        assert_eq!(newest(usize::MAX).len(), MAX_KEPT_LINES);
    }
}
