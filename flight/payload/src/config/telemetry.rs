//! `[telemetry]` and `[command]`: what goes over the slow link, down and up. Plain data with ranges.
//!
//! All of it but [`Command::uploads_bytes`] can be changed in flight as parameters, and counts at once: whoever
//! works by it reads [`crate::parameters::Live`], not the configuration.

use std::net::SocketAddr;

use passband_proto::dict::Severity;
use serde::Deserialize;

use super::{Fault, within};

/// `[telemetry]`: packets over the slow link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where packets go, IP address and port, a datagram each; default none: none is sent.
    pub target: Option<SocketAddr>,
    /// How often the beacon is sent, s, 0 (never) to 86,400; default 30.
    pub beacon_s: u32,
    /// How often housekeeping is sent, s, 0 (never) to 86,400; default 60.
    pub housekeeping_s: u32,
    /// The most that is sent, headers of lower layers not counted, 300 to 10,000,000 bit/s; default 4,800.
    pub rate_bps: u32,
    /// The least severe event that is sent as a packet of its own; default `warning`.
    pub events: Severity,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { target: None, beacon_s: 30, housekeeping_s: 60, rate_bps: 4_800, events: Severity::Warning }
    }
}

/// `[command]`: orders of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Command {
    /// The longest time between arming and firing, 5 to 3,600 s; default 60.
    pub arm_s: u32,
    /// How often an answer that nobody acknowledged is sent again, 1 to 3,600 s; default 10.
    pub answer_s: u32,
    /// What all that comes up in pieces together may take on the disk, 1 MiB to 1 TiB; default 256 MiB.
    pub uploads_bytes: u64,
}

impl Default for Command {
    fn default() -> Self {
        Self { arm_s: 60, answer_s: 10, uploads_bytes: 256 << 20 }
    }
}

impl Telemetry {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let telemetry = |field| ("telemetry", field);
        within(telemetry("beacon_s"), self.beacon_s, 0..=86_400)?;
        within(telemetry("housekeeping_s"), self.housekeeping_s, 0..=86_400)?;
        within(telemetry("rate_bps"), self.rate_bps, 300..=10_000_000)
    }
}

impl Command {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let command = |field| ("command", field);
        within(command("arm_s"), self.arm_s, 5..=3_600)?;
        within(command("answer_s"), self.answer_s, 1..=3_600)?;
        within(command("uploads_bytes"), self.uploads_bytes, 1 << 20..=1 << 40)
    }
}
