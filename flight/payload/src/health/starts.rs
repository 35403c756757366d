//! The record of starts: how they ended, and whether the payload comes up in safe mode.
//!
//! A start has *failed* if the process died, ended with an error, or was reset by the watchdog before it had run for a
//! while. A stop in order is no failure; neither is a power cut, which is told by another boot of the kernel (its
//! random `boot_id`) with no word of the watchdog's that the last reset was its own.
//!
//! After a few failed starts in a row the payload comes up in safe mode and stays in it, over any number of starts,
//! until an order ends it, or another program or configuration is there to be tried. Parameters on trial are put back
//! one failed start sooner, so that those before them have a normal start; where one failure alone leads to safe mode it
//! puts them back instead, and failures are counted anew. In safe mode, too, starts may
//! fail: after twice as many in one boot the watchdog isn't fed any more, so that the board resets, and begins anew.
//!
//! ```text
//! format u8 = 1 | starts u64 | failures u32 | failures in this boot u32 | boot id 16 | tried u64 | phase u8 | cause u8
//! ```
//!
//! Numbers are big endian. Nothing here reads or writes a file; the record is kept in a [twin](crate::adapters::twin).

use core::fmt;

use passband_proto::dict::EventCode;
use serde::{Deserialize, Serialize};

use crate::telemetry::{Report, Severity};

/// Longest record, bytes.
pub const MAX_RECORD_BYTES: usize = 64;
/// So many failed starts put parameters on trial back, if safe mode doesn't have it sooner.
const MOST_ON_TRIAL: u32 = 3;
const FORMAT: u8 = 1;
const RECORD_BYTES: usize = 1 + 8 + 4 + 4 + 16 + 8 + 1 + 1;

/// How far a start got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has begun.
    Begun = 0,
    /// It has run well for a while.
    Well = 1,
    /// It was stopped in order.
    Stopped = 2,
    /// An order started it, or the board, anew.
    Ordered = 3,
}

/// Why the payload is in safe mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Starts failed.
    Failures,
    /// It was ordered.
    Order,
}

/// How the start before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// There was none, or no record of it.
    Unknown,
    /// In order.
    Stopped,
    /// By an order, which started it or the board anew.
    Ordered,
    /// The power went, or somebody reset the board.
    PowerCut,
    /// The process died, long after a good start.
    Died,
    /// The process died soon after it began.
    Failed,
    /// The watchdog reset the board.
    Watchdog,
}

impl Before {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
            Self::Ordered => "ordered",
            Self::PowerCut => "power-cut",
            Self::Died => "died",
            Self::Failed => "failed",
            Self::Watchdog => "watchdog",
        }
    }
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Boot {
    /// The kernel's random `boot_id`; all zero where it can't be read: then every start is of one boot.
    pub id: [u8; 16],
    /// Whether the last reset of the board was the watchdog's (`WDIOF_CARDRESET`).
    pub by_watchdog: bool,
    /// Digest of program and configuration: another one is worth a try in normal mode.
    pub tried: u64,
    /// Whether parameters are on trial: what was before them is worth a try, too.
    pub on_trial: bool,
}

/// The record of starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Starts {
    count: u64,
    failures: u32,
    failures_in_boot: u32,
    boot_id: [u8; 16],
    tried: u64,
    phase: Phase,
    safe: Option<Cause>,
}

/// What a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Its number on this state folder, from 1, those in safe mode counted.
    pub number: u64,
    /// How the one before ended.
    pub before: Before,
    /// Starts that failed in a row before this one.
    pub failures: u32,
    /// Whether it is one in safe mode, and why.
    pub safe: Option<Cause>,
    /// Whether it follows one in safe mode that another program or configuration ended.
    pub tries_again: bool,
    /// Whether the watchdog may be fed.
    pub feed: bool,
    /// Whether parameters on trial are to be put back, and after how many failed starts.
    pub puts_back: Option<u32>,
}

impl Starts {
    /// Begins a start after what `before` tells; `safe_after` failed starts in a row lead to safe mode, 0: none does.
    /// The record is to be durable before anything else is done that may fail.
    pub fn begin(before: Option<Self>, boot: Boot, safe_after: u32) -> (Self, Start) {
        let how = before.as_ref().map_or(Before::Unknown, |before| before.ended(boot));
        let failed = matches!(how, Before::Failed | Before::Watchdog);
        let new = Self {
            count: 0,
            failures: 0,
            failures_in_boot: 0,
            boot_id: boot.id,
            tried: boot.tried,
            phase: Phase::Begun,
            safe: None,
        };
        let old = before.unwrap_or(new);
        let counted = |failures: u32| if failed { failures.saturating_add(1) } else { failures };
        let same_boot = old.boot_id == boot.id;
        let tries_again = old.tried != boot.tried && old.safe == Some(Cause::Failures);
        let changed = old.tried != boot.tried;
        let failures = if changed || how == Before::Died { 0 } else { counted(old.failures) };
        let puts_back = (boot.on_trial && failures >= put_back_after(safe_after)).then_some(failures);
        let spared = puts_back.is_some() && safe_after == 1 && old.safe.is_none();
        let failures = if spared { 0 } else { failures };
        let goes_on = same_boot && !changed && !spared;
        let failures_in_boot = if goes_on { counted(old.failures_in_boot) } else { 0 };
        let kept = old.safe.filter(|cause| *cause == Cause::Order || !changed);
        let safe = kept.or((safe_after > 0 && failures >= safe_after).then_some(Cause::Failures));
        let record = Self { count: old.count.saturating_add(1), failures, failures_in_boot, safe, ..new };
        let feed = safe_after == 0 || failures_in_boot < safe_after.saturating_mul(2);
        (record, Start { number: record.count, before: how, failures, safe, tries_again, feed, puts_back })
    }

    /// It has run well for a while.
    #[must_use]
    pub fn well(self) -> Self {
        let phase = if self.phase == Phase::Ordered { Phase::Ordered } else { Phase::Well };
        Self { phase, failures: 0, failures_in_boot: 0, ..self }
    }

    /// It stops in order.
    #[must_use]
    pub fn stopped(self) -> Self {
        Self { phase: Phase::Stopped, ..self }
    }

    /// An order starts it, or the board, anew.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { phase: Phase::Ordered, ..self }
    }

    /// What was ordered could not be done: it goes on, as well as a start does that has taken orders.
    #[must_use]
    pub fn goes_on(self) -> Self {
        if self.phase == Phase::Ordered { Self { phase: Phase::Well, ..self } } else { self }
    }

    /// Starts were counted elsewhere, while this record was lost: it goes on from there.
    #[must_use]
    pub fn counted(self, at_least: u64) -> Self {
        Self { count: self.count.max(at_least), ..self }
    }

    /// The number of the start whose record this is.
    pub fn number(&self) -> u64 {
        self.count
    }

    /// The next start is one in safe mode, or in normal mode, by order: the process stops, and is started anew.
    #[must_use]
    pub fn ordered(self, safe: bool) -> Self {
        let safe = safe.then_some(Cause::Order);
        Self { phase: Phase::Ordered, failures: 0, failures_in_boot: 0, safe, ..self }
    }

    /// How a start ended whose record this is.
    fn ended(&self, boot: Boot) -> Before {
        match (self.phase, self.boot_id == boot.id) {
            (Phase::Stopped, _) => Before::Stopped,
            (Phase::Ordered, _) => Before::Ordered,
            (_, false) if boot.by_watchdog => Before::Watchdog,
            (_, false) => Before::PowerCut,
            (Phase::Well, true) => Before::Died,
            (Phase::Begun, true) => Before::Failed,
        }
    }

    /// The record in bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.push(FORMAT);
        out.extend(self.count.to_be_bytes());
        out.extend(self.failures.to_be_bytes());
        out.extend(self.failures_in_boot.to_be_bytes());
        out.extend(self.boot_id);
        out.extend(self.tried.to_be_bytes());
        out.push(self.phase as u8);
        out.push(match self.safe {
            None => 0,
            Some(Cause::Failures) => 1,
            Some(Cause::Order) => 2,
        });
        out
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = bytes;
        let [format] = take(&mut rest)?;
        if format != FORMAT {
            return Err(RecordError::Format { found: format });
        }
        let record = Self {
            count: u64::from_be_bytes(take(&mut rest)?),
            failures: u32::from_be_bytes(take(&mut rest)?),
            failures_in_boot: u32::from_be_bytes(take(&mut rest)?),
            boot_id: take(&mut rest)?,
            tried: u64::from_be_bytes(take(&mut rest)?),
            phase: match take(&mut rest)? {
                [0] => Phase::Begun,
                [1] => Phase::Well,
                [2] => Phase::Stopped,
                [3] => Phase::Ordered,
                [value] => return Err(RecordError::Value { what: "phase", value }),
            },
            safe: match take(&mut rest)? {
                [0] => None,
                [1] => Some(Cause::Failures),
                [2] => Some(Cause::Order),
                [value] => return Err(RecordError::Value { what: "cause", value }),
            },
        };
        if rest.is_empty() { Ok(record) } else { Err(RecordError::Length { bytes: bytes.len() }) }
    }
}

/// How many failed starts put parameters on trial back.
fn put_back_after(safe_after: u32) -> u32 {
    match safe_after {
        0 => MOST_ON_TRIAL,
        _ => safe_after.saturating_sub(1).clamp(1, MOST_ON_TRIAL),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (first, after) = rest.split_first_chunk().ok_or(RecordError::Length { bytes: rest.len() })?;
    *rest = after;
    Ok(*first)
}

impl Start {
    /// What there is to tell of it, besides that it began.
    pub fn reports(&self) -> Vec<Report> {
        let mut out = Vec::new();
        let mut tell = |severity, code, text: String| out.push(Report { severity, code, text });
        match self.before {
            Before::Unknown | Before::Stopped | Before::Ordered => {}
            Before::PowerCut => {
                let text = "the board was reset, or lost power, while the payload ran".to_owned();
                tell(Severity::Warning, EventCode::PowerCut, text);
            }
            Before::Watchdog => {
                tell(Severity::Error, EventCode::WatchdogReset, "the watchdog reset the board".to_owned());
            }
            Before::Died => {
                let text = "the payload ended out of order, after it had run well".to_owned();
                tell(Severity::Error, EventCode::StartFailed, text);
            }
            Before::Failed => {
                let text = format!("the start before ended out of order; {} failed in a row", self.failures);
                tell(Severity::Error, EventCode::StartFailed, text);
            }
        }
        if self.tries_again {
            let text = "another program or configuration is here: safe mode is over, it is tried".to_owned();
            tell(Severity::Warning, EventCode::SafeModeOver, text);
        }
        if let Some(cause) = self.safe {
            let why = match cause {
                Cause::Failures => format!("{} starts failed", self.failures),
                Cause::Order => "by order".to_owned(),
            };
            let text = format!("safe mode ({why}): only commanding, telemetry and update are at work");
            tell(Severity::Critical, EventCode::SafeMode, text);
        }
        if !self.feed {
            let text = "starts keep failing: the watchdog isn't fed, the board is to reset".to_owned();
            tell(Severity::Critical, EventCode::WatchdogUnfed, text);
        }
        out
    }
}

/// A record that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Too short or too long.
    Length {
        /// Bytes that were left, or all of them.
        bytes: usize,
    },
    /// Of another version.
    Format {
        /// Which it names.
        found: u8,
    },
    /// A field holds what it can't.
    Value {
        /// Which.
        what: &'static str,
        /// What it holds.
        value: u8,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(f, "record of starts: {bytes} bytes don't fit"),
            Self::Format { found } => {
                write!(f, "record of starts: format {found}; this version reads {FORMAT}")
            }
            Self::Value { what, value } => write!(f, "record of starts: {what} can't be {value}"),
        }
    }
}

impl core::error::Error for RecordError {}

#[cfg(test)]
mod tests;
