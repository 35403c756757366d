//! The payload daemon and the operator's commands in one binary, `passband`.
//!
//! One module a duty, each readable alone. A duty is a state machine that is handed times and inputs
//! and returns what is to be done; it never reads a clock, a socket or a file. What touches Linux
//! stands in [`adapters`]; [`daemon`] wires duties to adapters.
//!
//! | duty | what |
//! | --- | --- |
//! | [`camera`] | finds whole frames in the spool, refuses what will never be one |
//! | [`triage`] | what a frame is worth |
//! | [`products`] | what is made of a frame, and as which class |
//! | [`store`] | the catalogue: frames, bundles, send marks, alerts, events |
//! | [`queue`] | the order in which bundles go down |
//! | [`downlink`] | the gate of the transmitter and the pace of the link |
//! | [`passes`] | when a station can hear the satellite: contact windows, and passes predicted from the orbit |
//! | [`alerts`] | what the alert radio sends, and when again |
//! | [`orders`] | what the payload was told to do, each done once |
//! | [`sequence`] | plans: stored sequences of orders, run without anybody listening |
//! | [`health`] | who is stuck, what is left undone under stress, safe mode |
//! | [`script`] | operators' scripts: limits, and what became of each run |
//! | [`command`] | what the operator asks, and the answers |
//! | [`parameters`] | values of the configuration that are changed in flight, on trial until they are confirmed |
//! | [`uplink`] | what comes up in pieces |
//! | [`telemetry`] | events, counters, the status document, limits, packets, the black box |
//! | [`digest`] | what an operator wants to know first |
//! | [`config`] | the configuration file |
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

/// Appends to a string, which doesn't fail.
macro_rules! put {
    ($out:expr, $($format:tt)+) => {{
        use std::fmt::Write as _;
        let _ok = write!($out, $($format)+);
    }};
}

pub mod adapters;
pub mod alerts;
pub mod camera;
pub mod cli;
pub mod command;
pub mod config;
pub mod daemon;
pub mod digest;
pub mod downlink;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
pub mod health;
mod json;
mod ordered;
pub mod orders;
pub mod parameters;
pub mod passes;
pub mod products;
pub mod queue;
pub mod script;
pub mod sequence;
pub mod store;
pub mod telemetry;
pub mod triage;
pub mod update;
pub mod uplink;

/// The first bytes of the commit that the program was built from; zero: the build didn't say.
pub(crate) fn git_mark() -> [u8; 4] {
    let digits = option_env!("PASSBAND_GIT").and_then(|commit| commit.get(..8));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0).to_be_bytes()
}

/// The version of the program; with the commit it was built from, if the build said so.
pub fn version() -> String {
    match option_env!("PASSBAND_GIT") {
        Some(commit) if !commit.is_empty() => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    }
}
