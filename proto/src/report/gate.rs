//! The gate: opens frames that claim to be reports, and lets each through once.
//!
//! A station's numbers rise; of the last 64 each may come once, in any order, and older ones are refused.
//! So a replayed report is never taken for a new one.

use std::collections::BTreeMap;

use core::fmt;

use super::{Report, ReportError, addressee, open_report};
use crate::keyring::KeyRing;

/// Most stations that are told apart; those beyond are refused.
const MAX_STATIONS: usize = 64;
/// Numbers behind the highest that may still come.
const WINDOW: u64 = 64;

/// Opens and checks reports.
#[derive(Debug, Default)]
pub struct Gate {
    stations: BTreeMap<u16, Window>,
    counts: GateCounts,
}

/// How many frames came, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateCounts {
    /// Let through.
    pub accepted: u64,
    /// The seal didn't hold, no key is known for them, or they are no reports at all.
    pub forged: u64,
    /// Seen before, or older than what is remembered.
    pub replayed: u64,
    /// Sealed rightly, but of a shape that isn't known, or of one station too many.
    pub malformed: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    highest: u64,
    /// Bit i: number `highest − i` was seen.
    seen: u64,
}

impl Gate {
    /// Remembers from an earlier run that a station's numbers up to this one are used.
    pub fn restore(&mut self, station: u16, highest: u64) {
        if self.stations.len() < MAX_STATIONS {
            self.stations.insert(station, Window { highest, seen: u64::MAX });
        }
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn counts(&self) -> GateCounts {
        self.counts
    }

    /// Opens a frame.
    ///
    /// # Errors
    /// Why it is refused; it is counted.
    pub fn open(&mut self, keys: &KeyRing, frame: &[u8]) -> Result<Report, Refused> {
        let opened = self.check(keys, frame);
        match &opened {
            Ok(_) => self.counts.accepted += 1,
            Err(Refused::Frame(ReportError::Shape(_)) | Refused::Stations { .. }) => {
                self.counts.malformed += 1;
            }
            Err(Refused::Frame(_) | Refused::NoKey { .. }) => self.counts.forged += 1,
            Err(Refused::Replayed { .. }) => self.counts.replayed += 1,
        }
        opened
    }

    fn check(&mut self, keys: &KeyRing, frame: &[u8]) -> Result<Report, Refused> {
        let (spacecraft, epoch) = addressee(frame).ok_or(Refused::Frame(ReportError::NotAReport))?;
        let key = keys.get(spacecraft, epoch).ok_or(Refused::NoKey { spacecraft, epoch })?;
        let report = open_report(key, frame).map_err(Refused::Frame)?;
        let (station, number) = (report.station, report.number);
        if self.stations.len() >= MAX_STATIONS && !self.stations.contains_key(&station) {
            return Err(Refused::Stations { station });
        }
        if self.stations.entry(station).or_default().admit(number) {
            Ok(report)
        } else {
            Err(Refused::Replayed { station, number })
        }
    }
}

impl Window {
    fn admit(&mut self, number: u64) -> bool {
        if self.seen == 0 || number > self.highest {
            let ahead = number.saturating_sub(self.highest);
            self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            self.highest = number;
            return true;
        }
        let behind = self.highest - number;
        if behind >= WINDOW || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not a report that could be opened.
    Frame(ReportError),
    /// No key is known for whom it claims to speak to.
    NoKey {
        /// The spacecraft it names.
        spacecraft: u16,
        /// The key epoch it names.
        epoch: u16,
    },
    /// It came before, or is older than what is remembered.
    Replayed {
        /// The station it is from.
        station: u16,
        /// Its number.
        number: u64,
    },
    /// More stations than are told apart.
    Stations {
        /// The one too many.
        station: u16,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(e) => e.fmt(f),
            Self::NoKey { spacecraft, epoch } => {
                write!(f, "a report for spacecraft {spacecraft}, epoch {epoch}: no key is known")
            }
            Self::Replayed { station, number } => {
                write!(f, "report {number} of station {station} came before, or is too old")
            }
            Self::Stations { station } => write!(f, "station {station} is one more than are told apart"),
        }
    }
}

impl core::error::Error for Refused {}
