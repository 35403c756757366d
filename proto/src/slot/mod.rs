//! The record by which the launcher chooses a slot, kept in several copies on the board's disk, and what is decided by
//! it.
//!
//! A record names the image of each slot by its digest, so that a slot is started only with the bytes that were proved
//! when they were put there. It says which slot is to be started, whether that one is on trial, and how the last start
//! of the trial went, so that a trial loses attempts by its own failures and not by power cuts.
//!
//! This module reads and writes bytes and decides; it never touches a file. [`decide`] is the launcher's part, the
//! methods in [`change`] are those of who updates a board; both are what the model checker explores.
//!
//! ```text
//!   0  magic "PS"        2  version = 2          3  kind = 1
//!   4  generation u64: counts up with every write; of two sound copies the higher one is true
//!  12  active slot       'a', 'b' or 'g' (golden)
//!  13  mark of slot a    'e' empty, 's' staged, 'g' good (was confirmed), 'f' failed its trial   14  of slot b
//!  15  fallback          slot to go back to from a trial; 0: none is on, and the next three are 0
//!  16  attempts left u8  failures the trial may still have, this one counted; at 0 it is over
//!  17  brown-outs u8     power cuts in a row before the trial ran well
//!  18  deadline u32, s   how long one start of the trial may last unconfirmed; 0: for ever
//!  22  last start: slot  'a', 'b', 'g', or 0: none since this trial was set; then the next two are 0
//!  23  its phase         1 begun, 2 ran well, 3 ended by order     24  its boot u64
//!  32  image of slot a, SHA-256 [32]; zero when empty              64  of slot b
//!  96  reverted slot     whose trial failed last, 'a' or 'b'; 0: none since a slot was set
//!  97  why u8            see `Cause`; 0: none                      98  zero [2]
//! 100  CRC-32C of bytes 0–99
//! ```
//!
//! Numbers are big endian. Every bit of a record is covered by its checksum, and a CRC-32C finds any 1 to 5 flipped
//! bits in so few bytes (Koopman, "32-bit cyclic redundancy codes for Internet applications", DSN 2002, table 1), so a
//! damaged copy is never taken for another record: it counts as absent, and one sound copy is enough.

pub mod change;
pub mod decide;
#[cfg(test)]
mod tests;

use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::release::ImageId;
use crate::wire::{Reader, Writer};

/// Bytes of an encoded record.
pub const SLOT_RECORD_BYTES: usize = 104;

const START: [u8; 4] = [b'P', b'S', 2, 1];
const BODY_BYTES: usize = SLOT_RECORD_BYTES - 4;

// One byte at a time: the launcher counts bytes of table, not cycles.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// A place on the board that holds one version of the flight software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The first of the two slots that are written in orbit.
    A,
    /// The second of them.
    B,
    /// The image flown from the factory, read-only.
    Golden,
}

impl Slot {
    /// Every slot.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::Golden];

    /// Its name, which is also that of its folder: "a", "b" or "golden".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Golden => "golden",
        }
    }

    /// The slot of that [name](Slot::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.name() == name)
    }

    fn code(self) -> u8 {
        match self {
            Self::A => b'a',
            Self::B => b'b',
            Self::Golden => b'g',
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.code() == code)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What became of the image in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// There is none that could be started, or it is being written.
    Empty,
    /// It was proved to be what its manifest says; whether it works isn't known.
    Staged,
    /// It was confirmed once.
    Good,
    /// Its trial ended without a confirmation.
    Failed,
}

impl Mark {
    const ALL: [Self; 4] = [Self::Empty, Self::Staged, Self::Good, Self::Failed];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Staged => "staged",
            Self::Good => "good",
            Self::Failed => "failed",
        }
    }

    fn code(self) -> u8 {
        self.name().as_bytes().first().copied().unwrap_or_default()
    }
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// The SHA-256 of the image; [`ImageId::NONE`] when empty, and of golden, whose image names itself.
    pub image: ImageId,
    /// What became of it.
    pub mark: Mark,
}

impl Held {
    /// Nothing.
    pub const EMPTY: Self = Self { image: ImageId::NONE, mark: Mark::Empty };
}

/// The active slot has to show that it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The slot that was active before, to which a failure goes back.
    pub fallback: Slot,
    /// Failures that end it.
    pub attempts_left: u8,
    /// Power cuts in a row before it ran well.
    pub brown_outs: u8,
    /// How long one start of it may last unconfirmed, s; 0: for ever.
    pub deadline_s: u32,
}

/// How far a start got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The launcher has begun it.
    Begun = 1,
    /// It ran well for a while.
    Well = 2,
    /// It was ended by an order, or in order.
    Ordered = 3,
}

/// The last start of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Last {
    /// What was started: the slot on trial, or its fallback.
    pub slot: Slot,
    /// How far it got.
    pub phase: Phase,
    /// The boot it was in, see [`decide::Boot`].
    pub boot: u64,
}

/// Why a trial ended without a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The process ended by itself.
    Crashed = 1,
    /// The watchdog reset the board.
    Watchdog = 2,
    /// The power went time after time before it ran well, and stayed on under the version before it.
    BrownOuts = 3,
    /// Its bytes weren't those that were staged.
    Damaged = 4,
    /// It isn't healthy by its own contract.
    Unhealthy = 5,
    /// Nobody confirmed it in time.
    Deadline = 6,
    /// It was ordered.
    Ordered = 7,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::Crashed,
        Self::Watchdog,
        Self::BrownOuts,
        Self::Damaged,
        Self::Unhealthy,
        Self::Deadline,
        Self::Ordered,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crashed => "crashed",
            Self::Watchdog => "watchdog",
            Self::BrownOuts => "brown-outs",
            Self::Damaged => "damaged",
            Self::Unhealthy => "unhealthy",
            Self::Deadline => "deadline",
            Self::Ordered => "ordered",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the launcher knows from one start to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotRecord {
    /// Counts up with every write.
    pub generation: u64,
    /// The slot to start.
    pub active: Slot,
    /// What slot a holds.
    pub a: Held,
    /// What slot b holds.
    pub b: Held,
    /// Whether the active slot is on trial.
    pub trial: Option<Trial>,
    /// The last start of the trial.
    pub last: Option<Last>,
    /// Whose trial failed, and why, if one did since a slot was set.
    pub reverted: Option<(Slot, Cause)>,
}

impl SlotRecord {
    /// That of a board with nothing but its golden image.
    pub const FACTORY: Self = Self {
        generation: 0,
        active: Slot::Golden,
        a: Held::EMPTY,
        b: Held::EMPTY,
        trial: None,
        last: None,
        reverted: None,
    };

    /// What a slot holds. Golden is always good.
    #[must_use]
    pub fn held(&self, slot: Slot) -> Held {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
            Slot::Golden => Held { image: ImageId::NONE, mark: Mark::Good },
        }
    }

    /// The slot to go back to from the active one: that of the trial; without one the other slot if it is good, else
    /// golden.
    #[must_use]
    pub fn fallback(&self) -> Slot {
        if let Some(trial) = self.trial {
            return trial.fallback;
        }
        let other = match self.active {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
            Slot::Golden => return Slot::Golden,
        };
        if self.held(other).mark == Mark::Good { other } else { Slot::Golden }
    }

    /// Whether the record can be: only such a one is ever read.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let held = |held: Held| (held.mark == Mark::Empty) == (held.image == ImageId::NONE);
        let active = match self.trial {
            Some(trial) => {
                let good = self.held(trial.fallback).mark == Mark::Good;
                self.active != Slot::Golden && self.held(self.active).mark == Mark::Staged && good
            }
            None => self.held(self.active).mark == Mark::Good && self.last.is_none(),
        };
        let reverted = self.reverted.is_none_or(|(slot, _)| slot != Slot::Golden);
        let last = self.last.is_none_or(|last| last.slot == self.active || last.slot == self.fallback());
        held(self.a) && held(self.b) && active && reverted && last
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> [u8; SLOT_RECORD_BYTES] {
        let fields =
            |trial: Trial| (trial.fallback.code(), trial.attempts_left, trial.brown_outs, trial.deadline_s);
        let (fallback, attempts_left, brown_outs, deadline_s) = self.trial.map_or((0, 0, 0, 0), fields);
        let (last, phase, boot) =
            self.last.map_or((0, 0, 0), |last| (last.slot.code(), last.phase as u8, last.boot));
        let (reverted, why) = self.reverted.map_or((0, 0), |(slot, why)| (slot.code(), why as u8));
        let mut out = [0; SLOT_RECORD_BYTES];
        Writer::new(&mut out)
            .put(&START)
            .put(&self.generation.to_be_bytes())
            .put(&[self.active.code(), self.a.mark.code(), self.b.mark.code()])
            .put(&[fallback, attempts_left, brown_outs])
            .put(&deadline_s.to_be_bytes())
            .put(&[last, phase])
            .put(&boot.to_be_bytes())
            .put(&self.a.image.0)
            .put(&self.b.image.0)
            .put(&[reverted, why]);
        if let Some((body, sum)) = out.split_last_chunk_mut::<4>() {
            *sum = CRC.checksum(body).to_be_bytes();
        }
        out
    }

    /// Reads a stored copy.
    ///
    /// # Errors
    /// [`SlotError`] says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotError> {
        let bytes: &[u8; SLOT_RECORD_BYTES] =
            bytes.try_into().map_err(|_| SlotError::Length { bytes: bytes.len() })?;
        let mut r = Reader::new(bytes);
        let start: [u8; 4] = r.array().ok_or(SlotError::Damaged)?;
        let body = bytes.first_chunk::<BODY_BYTES>().ok_or(SlotError::Damaged)?;
        let sum = bytes.last_chunk::<4>().ok_or(SlotError::Damaged)?;
        if CRC.checksum(body) != u32::from_be_bytes(*sum) {
            return Err(SlotError::Damaged);
        }
        if start != START {
            return Err(SlotError::Kind { start });
        }
        Self::fields(&mut r).filter(Self::is_sound).ok_or(SlotError::Field)
    }

    fn fields(r: &mut Reader<'_>) -> Option<Self> {
        let generation = r.u64()?;
        let active = Slot::from_code(r.u8()?)?;
        let (mark_a, mark_b) = (mark(r.u8()?)?, mark(r.u8()?)?);
        let trial = match (r.u8()?, r.u8()?, r.u8()?, r.u32()?) {
            (0, 0, 0, 0) => None,
            (fallback, attempts_left, brown_outs, deadline_s) => {
                let fallback = Slot::from_code(fallback)?;
                Some(Trial { fallback, attempts_left, brown_outs, deadline_s })
            }
        };
        let last = match (r.u8()?, r.u8()?, r.u64()?) {
            (0, 0, 0) => None,
            (slot, phase, boot) => {
                Some(Last { slot: Slot::from_code(slot)?, phase: self::phase(phase)?, boot })
            }
        };
        let (a, b) = (ImageId(r.array()?), ImageId(r.array()?));
        let (a, b) = (Held { image: a, mark: mark_a }, Held { image: b, mark: mark_b });
        let reverted = match (r.u8()?, r.u8()?) {
            (0, 0) => None,
            (slot, why) => Some((Slot::from_code(slot)?, cause(why)?)),
        };
        let record = Self { generation, active, a, b, trial, last, reverted };
        (r.array()? == [0; 2]).then_some(record)
    }
}

fn mark(code: u8) -> Option<Mark> {
    Mark::ALL.into_iter().find(|mark| mark.code() == code)
}

fn phase(code: u8) -> Option<Phase> {
    [Phase::Begun, Phase::Well, Phase::Ordered].into_iter().find(|phase| *phase as u8 == code)
}

fn cause(code: u8) -> Option<Cause> {
    Cause::ALL.into_iter().find(|cause| *cause as u8 == code)
}

/// The true record among its stored copies (`None`: a copy that couldn't be read): the sound one of
/// the highest generation, and of equal ones the first. `None` when no copy is sound.
#[must_use]
pub fn choose<const N: usize>(copies: [Option<&[u8]>; N]) -> Option<SlotRecord> {
    let mut best: Option<SlotRecord> = None;
    for record in copies.into_iter().flatten().filter_map(|copy| SlotRecord::decode(copy).ok()) {
        if best.is_none_or(|best| record.generation > best.generation) {
            best = Some(record);
        }
    }
    best
}

/// Why a stored copy isn't a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotError {
    /// It has another length.
    Length {
        /// Its bytes.
        bytes: usize,
    },
    /// Its checksum is wrong.
    Damaged,
    /// It is sound but something else, or of another version.
    Kind {
        /// Its first four bytes: magic, version, kind.
        start: [u8; 4],
    },
    /// It is sound, but a field holds what no record can say.
    Field,
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => {
                write!(f, "{bytes} bytes where a slot record has {SLOT_RECORD_BYTES}")
            }
            Self::Damaged => f.write_str("damaged (wrong CRC-32C)"),
            Self::Kind { start } => {
                write!(f, "not a slot record of a version known here (it begins {start:02x?})")
            }
            Self::Field => f.write_str("a slot record with a field that makes no sense"),
        }
    }
}

impl core::error::Error for SlotError {}
