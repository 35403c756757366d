//! An order as a document, JSON of `"schema": 1`, and back. What a document of before didn't have is as if nothing were known.

use anyhow::{Context, Result, bail};
use passband_proto::packet::Mode;
use serde::Deserialize;

use super::{Disarmed, Entry, Told};
use crate::station::hex;

impl Entry {
    /// As a document of `"schema": 1`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": 1,
            "number": self.number,
            "step": self.step.name(),
            "order": self.words(),
            "bytes": hex(&self.bytes),
            "queued_unix_ms": self.queued_unix_ms,
            "sent": self.sent,
            "sent_unix_ms": self.sent_unix_ms,
            "answer": self.told,
            "dropped": self.dropped,
            "expired": self.expired,
            "goes_on_as": self.goes_on_as,
            "armed_until_unix_ms": self.armed_until_unix_ms,
            "fired_by": self.fired_by,
            "disarmed_by": self.disarmed_by,
            "disarmed": self.disarmed,
            "armed_in_boot": self.armed_in_boot,
        })
    }

    /// Reads what [`Self::json`] made.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let stored: Stored = serde_json::from_slice(text)?;
        let digits = stored.bytes.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.map(byte).collect();
        Ok(Self {
            number: stored.number,
            step: step_of(&stored.step)?,
            bytes: bytes.context("its bytes are no hexadecimal digits")?,
            queued_unix_ms: stored.queued_unix_ms,
            sent: stored.sent,
            sent_unix_ms: stored.sent_unix_ms,
            told: stored.answer,
            dropped: stored.dropped,
            expired: stored.expired,
            goes_on_as: stored.goes_on_as,
            armed_until_unix_ms: stored.armed_until_unix_ms,
            fired_by: stored.fired_by,
            disarmed_by: stored.disarmed_by,
            disarmed: stored.disarmed,
            armed_in_boot: stored.armed_in_boot,
        })
    }
}

#[derive(Deserialize)]
struct Stored {
    number: u32,
    step: String,
    bytes: String,
    queued_unix_ms: u64,
    sent: u32,
    sent_unix_ms: Option<u64>,
    answer: Option<Told>,
    dropped: bool,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    goes_on_as: Option<u32>,
    #[serde(default)]
    armed_until_unix_ms: Option<u64>,
    #[serde(default)]
    fired_by: Option<u32>,
    #[serde(default)]
    disarmed_by: Option<u32>,
    #[serde(default)]
    disarmed: Option<Disarmed>,
    #[serde(default)]
    armed_in_boot: Option<u32>,
}

fn step_of(name: &str) -> Result<Mode> {
    Ok(match name {
        "run" => Mode::Run,
        "arm" => Mode::Arm,
        "fire" => Mode::Fire,
        other => bail!("a step is run, arm or fire, not {other:?}"),
    })
}
