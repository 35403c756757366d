//! The gate: opens frames that claim to be reports or acknowledgements, and lets each through once.
//!
//! A station's numbers rise, of both kinds together; of the last 64 each may come once, in any order, and older ones are refused.
//! So a replayed frame is never taken for a new one.

use std::collections::BTreeMap;

use core::fmt;

use super::sealed::{KIND_ACKNOWLEDGEMENT, kind_of};
use super::{Acknowledgement, Report, ReportError, addressee, open_acknowledgement, open_report};
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

/// A frame that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What a station has of bundles.
    Report(Report),
    /// What it has of alerts.
    Acknowledgement(Acknowledgement),
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

    /// Opens a frame that must be a report.
    ///
    /// # Errors
    /// Why it is refused; it is counted.
    pub fn open(&mut self, keys: &KeyRing, frame: &[u8]) -> Result<Report, Refused> {
        match self.open_any(keys, frame)? {
            Frame::Report(report) => Ok(report),
            Frame::Acknowledgement(_) => Err(Refused::Frame(ReportError::NotAReport)),
        }
    }

    /// Opens a frame of either kind.
    ///
    /// # Errors
    /// Why it is refused; it is counted.
    pub fn open_any(&mut self, keys: &KeyRing, frame: &[u8]) -> Result<Frame, Refused> {
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

    fn check(&mut self, keys: &KeyRing, frame: &[u8]) -> Result<Frame, Refused> {
        let (spacecraft, epoch) = addressee(frame).ok_or(Refused::Frame(ReportError::NotAReport))?;
        let key = keys.get(spacecraft, epoch).ok_or(Refused::NoKey { spacecraft, epoch })?;
        let opened = if kind_of(frame) == Some(KIND_ACKNOWLEDGEMENT) {
            open_acknowledgement(key, frame).map(Frame::Acknowledgement)
        } else {
            open_report(key, frame).map(Frame::Report)
        };
        let opened = opened.map_err(Refused::Frame)?;
        let (station, number) = opened.source();
        if self.stations.len() >= MAX_STATIONS && !self.stations.contains_key(&station) {
            return Err(Refused::Stations { station });
        }
        if self.stations.entry(station).or_default().admit(number) {
            Ok(opened)
        } else {
            Err(Refused::Replayed { station, number })
        }
    }
}

impl Frame {
    /// Who says it, and its number.
    #[must_use]
    pub fn source(&self) -> (u16, u64) {
        match self {
            Self::Report(report) => (report.station, report.number),
            Self::Acknowledgement(said) => (said.station, said.number),
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
