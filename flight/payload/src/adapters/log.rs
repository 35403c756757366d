//! The engineer's log: `tracing` on standard error, plain text.

use std::env;
use std::io;

use tracing::Level;

use crate::config::LogLevel;

/// The variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "PASSBAND_LOG";

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
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    // A second start in one process keeps the first log.
    let _already = builder.with_target(false).try_init();
    Ok(())
}
