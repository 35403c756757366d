//! The subcommands of `passband-ground`: arguments in, work by the library's modules, text or JSON out.

pub mod bench;
pub mod bridge;
pub mod completion;
pub mod console;
pub mod dictionary;
pub mod dissector;
pub mod eval;
mod hook;
pub mod keys;
pub mod open;
pub mod orbit;
pub mod order;
pub mod order_help;
pub mod plan;
pub mod products;
pub mod receive;
pub mod recover;
pub mod release;
pub mod report;
pub mod role_keys;
pub mod scene;
mod screen;
pub mod send;
pub mod serve;
pub mod tlm;
pub mod uplink;
pub mod upload;

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use passband_proto::keyring::KeyRing;
use zeroize::Zeroizing;

/// Largest key file, bytes.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// Reads a key file.
///
/// # Errors
/// It can't be read, is not a key file, or holds no key.
pub fn read_keys(path: &Path) -> Result<KeyRing> {
    let at = || format!("key file {}", path.display());
    let keys = KeyRing::parse(&read_key_text(path)?).with_context(at)?;
    ensure!(!keys.is_empty(), "{} holds no key", at());
    Ok(keys)
}

/// The text of a key file, wiped from memory when it is dropped.
fn read_key_text(path: &Path) -> Result<Zeroizing<String>> {
    let at = || format!("key file {}", path.display());
    let mut file = fs::File::open(path).with_context(at)?;
    let size = file.metadata().with_context(at)?.len();
    ensure!(size <= MAX_KEY_FILE_BYTES, "{}: {size} bytes are too many for a key file", at());
    // Room beforehand: a string that grows leaves its old memory behind.
    let room = usize::try_from(size)? + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.by_ref().take(MAX_KEY_FILE_BYTES).read_to_string(&mut text).with_context(at)?;
    Ok(text)
}

/// Reads a key file, or gives no keys at all if there is none.
///
/// # Errors
/// Those of [`read_keys`].
pub fn optional_keys(path: Option<&Path>) -> Result<KeyRing> {
    path.map_or_else(|| Ok(KeyRing::default()), read_keys)
}

/// A flag that SIGINT and SIGTERM set.
///
/// # Errors
/// The signals can't be caught.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("catching signals")?;
    }
    Ok(stop)
}

pub use crate::telemetry::feed::unix_ms;

/// Prints a JSON document to standard output.
///
/// # Errors
/// Standard output is closed.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    use std::io::Write;
    let text = serde_json::to_string_pretty(value)?;
    writeln!(std::io::stdout(), "{text}").context("writing to standard output")
}

/// An address and port to send to; a host's name is asked for, and its first address taken.
///
/// # Errors
/// What is wrong with it.
pub fn parse_to(text: &str) -> Result<SocketAddr, String> {
    let mut found =
        text.to_socket_addrs().map_err(|e| format!("{e}: ADDR:PORT is wanted, as 10.1.0.2:47012"))?;
    found.next().ok_or_else(|| format!("{text} has no address"))
}

/// A number with a decimal prefix, such as `40M`, `1.6G`, `9600`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is not a rate: write bits per second, such as 9600, 256k, 40M or 1.6G");
    let (number, factor) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'm' | 'M')) => (&text[..at], 1e6),
        Some((at, 'g' | 'G')) => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let value = number.parse::<f64>().map_err(|_| bad())? * factor;
    if !(1.0..=1e12).contains(&value) {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(value as u64)
}

/// A share, such as `0.2` or `20%`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|p| p / 100.0),
        None => text.parse::<f64>(),
    };
    value
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| format!("'{text}' is not a share: write 0.2 or 20%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares() {
        assert_eq!(parse_to("10.1.0.2:47012"), Ok(SocketAddr::from(([10, 1, 0, 2], 47_012))));
        assert!(parse_to("localhost:9").is_ok_and(|to| to.ip().is_loopback()));
        assert!(parse_to("10.1.0.2").unwrap_err().contains("ADDR:PORT is wanted"));
        assert_eq!(parse_rate("9600"), Ok(9600));
        assert_eq!(parse_rate("1.6G"), Ok(1_600_000_000));
        for bad in ["", "k", "-1", "NaN", "1e20", "0"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_share("20%"), Ok(0.2));
        assert_eq!(parse_share("0.2"), Ok(0.2));
        for bad in ["", "120%", "-1", "NaN", "x"] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
