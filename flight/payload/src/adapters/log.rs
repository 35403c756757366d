//! The engineer's log: `tracing` on standard error, plain text; its newest lines are kept in memory, for `passband logs`.

use std::collections::VecDeque;
use std::env;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Level;

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

/// Standard error; what goes there is kept, too.
struct Keeping;

impl Write for Keeping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        for line in String::from_utf8_lossy(bytes).lines() {
            if kept.len() >= MAX_KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line.chars().take(MAX_LINE_BYTES).collect());
        }
        drop(kept);
        io::stderr().write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
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
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(|| Keeping).with_ansi(false);
    // A second start in one process keeps the first log.
    let _already = builder.with_target(false).try_init();
    Ok(())
}
