//! The record by which the launcher chooses a slot, kept in several copies on the board's disk.
//!
//! This module reads and writes bytes; it never touches a file, and it never decides what to start:
//! that is the launcher's.
//!
//! ```text
//!  0  magic "PS"        2  version = 1          3  kind = 1
//!  4  generation u64: counts up with every write; of two sound copies the higher one is true
//! 12  active slot       'a', 'b' or 'g' (golden)
//! 13  state             'c' confirmed or 't' on trial
//! 14  attempts left u8  starts the trial still has; 0 when confirmed
//! 15  fallback slot     confirmed slot to return to when the trial ends badly; 0 when confirmed
//! 16  reverted slot     whose trial ended without a confirmation; 0 for none since a slot was set
//! 17  zero [3]          20  CRC-32C of bytes 0–19
//! ```
//!
//! Numbers are big endian. Every bit of a record is covered by its checksum, and a CRC-32C finds
//! any 1, 2 or 3 flipped bits in so few bytes, so a damaged copy is never taken for another record:
//! it counts as absent, and one sound copy is enough.

use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::wire::{Reader, Writer};

/// Bytes of an encoded record.
pub const SLOT_RECORD_BYTES: usize = 24;

const START: [u8; 4] = [b'P', b'S', 1, 1];
const BODY_BYTES: usize = SLOT_RECORD_BYTES - 4;
const CONFIRMED: u8 = b'c';
const ON_TRIAL: u8 = b't';

// One byte at a time: the launcher counts bytes of table, not cycles.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// A place on the board that holds one version of the flight software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        f.write_str(self.name())
    }
}

/// How far the active slot is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// It has shown that it works.
    Confirmed,
    /// It is new and has to be confirmed before its starts are used up.
    Trial {
        /// Starts it still has.
        attempts_left: u8,
        /// The confirmed slot to return to; never the active one.
        fallback: Slot,
    },
}

/// What the launcher knows from one start to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRecord {
    /// Counts up with every write.
    pub generation: u64,
    /// The slot to start.
    pub active: Slot,
    /// How far it is trusted.
    pub state: SlotState,
    /// The slot whose trial ended without a confirmation, if one did since a slot was set.
    pub reverted: Option<Slot>,
}

impl SlotRecord {
    /// The record as it is stored.
    ///
    /// A trial of the golden slot, or one that falls back to itself, has no sound encoding:
    /// [`SlotRecord::decode`] refuses what comes out.
    #[must_use]
    pub fn encode(&self) -> [u8; SLOT_RECORD_BYTES] {
        let (state, attempts_left, fallback) = match self.state {
            SlotState::Confirmed => (CONFIRMED, 0, 0),
            SlotState::Trial { attempts_left, fallback } => (ON_TRIAL, attempts_left, fallback.code()),
        };
        let mut out = [0; SLOT_RECORD_BYTES];
        let fields =
            [self.active.code(), state, attempts_left, fallback, self.reverted.map_or(0, Slot::code)];
        Writer::new(&mut out).put(&START).put(&self.generation.to_be_bytes()).put(&fields);
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
        Self::fields(&mut r).ok_or(SlotError::Field)
    }

    fn fields(r: &mut Reader<'_>) -> Option<Self> {
        let generation = r.u64()?;
        let active = Slot::from_code(r.u8()?)?;
        let state = match (r.u8()?, r.u8()?, r.u8()?) {
            (CONFIRMED, 0, 0) => SlotState::Confirmed,
            (ON_TRIAL, attempts_left, fallback) => {
                let fallback = Slot::from_code(fallback)?;
                if active == Slot::Golden || active == fallback {
                    return None;
                }
                SlotState::Trial { attempts_left, fallback }
            }
            _ => return None,
        };
        let reverted = match r.u8()? {
            0 => None,
            code => Some(Slot::from_code(code)?),
        };
        (r.array()? == [0; 3]).then_some(Self { generation, active, state, reverted })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn every_record() -> Vec<SlotRecord> {
        let mut all = Vec::new();
        for active in Slot::ALL {
            let trials = Slot::ALL.into_iter().filter(|&fallback| fallback != active).flat_map(|fallback| {
                [0, 1, 3, u8::MAX].map(|attempts_left| SlotState::Trial { attempts_left, fallback })
            });
            for state in trials.filter(|_| active != Slot::Golden).chain([SlotState::Confirmed]) {
                for reverted in [None, Some(Slot::A), Some(Slot::B)] {
                    for generation in [0, 1, 0x0102_0304_0506_0708, u64::MAX] {
                        all.push(SlotRecord { generation, active, state, reverted });
                    }
                }
            }
        }
        all
    }

    fn reseal(mut bytes: [u8; SLOT_RECORD_BYTES]) -> [u8; SLOT_RECORD_BYTES] {
        let (body, sum) = bytes.split_last_chunk_mut::<4>().unwrap();
        *sum = CRC.checksum(body).to_be_bytes();
        bytes
    }

    #[test]
    fn the_bytes_are_those_of_the_module_s_table() {
        let record = SlotRecord {
            generation: 0x0102_0304_0506_0708,
            active: Slot::B,
            state: SlotState::Trial { attempts_left: 3, fallback: Slot::Golden },
            reverted: Some(Slot::A),
        };
        let bytes = record.encode();
        assert_eq!(bytes[..20], *b"PS\x01\x01\x01\x02\x03\x04\x05\x06\x07\x08bt\x03ga\0\0\0");
        assert_eq!(bytes[20..], crate::crc32c::checksum(&bytes[..20]).to_be_bytes());
    }

    #[test]
    fn every_record_comes_back() {
        for record in every_record() {
            assert_eq!(SlotRecord::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn any_one_or_two_flipped_bits_are_seen() {
        let record = every_record()[50];
        let good = record.encode();
        let bits = good.len() * 8;
        for first in 0..bits {
            for second in first..bits {
                let mut bad = good;
                bad[first / 8] ^= 1 << (first % 8);
                if second != first {
                    bad[second / 8] ^= 1 << (second % 8);
                }
                assert_eq!(SlotRecord::decode(&bad), Err(SlotError::Damaged), "bits {first}, {second}");
            }
        }
    }

    #[test]
    fn any_flipped_bit_in_any_one_copy_is_tolerated() {
        for record in every_record() {
            let good = record.encode();
            for copy in 0..3 {
                for bit in 0..good.len() * 8 {
                    let mut copies = [good; 3];
                    copies[copy][bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(choose(copies.each_ref().map(|c| Some(c.as_slice()))), Some(record));
                }
            }
        }
    }

    #[test]
    fn every_length_but_its_own_is_refused() {
        let good = every_record()[0].encode();
        let mut long = good.to_vec();
        long.push(0);
        for bytes in (0..good.len()).map(|n| &good[..n]).chain([&long[..]]) {
            assert_eq!(SlotRecord::decode(bytes), Err(SlotError::Length { bytes: bytes.len() }));
        }
    }

    #[test]
    fn a_sound_record_that_makes_no_sense_is_refused() {
        let confirmed =
            SlotRecord { generation: 9, active: Slot::A, state: SlotState::Confirmed, reverted: None };
        let trial =
            SlotRecord { state: SlotState::Trial { attempts_left: 2, fallback: Slot::B }, ..confirmed };
        for (record, at, byte) in [
            (confirmed, 12, b'c'),
            (confirmed, 13, b'x'),
            (confirmed, 14, 1),
            (confirmed, 15, b'b'),
            (confirmed, 16, b'x'),
            (confirmed, 17, 1),
            (confirmed, 19, 1),
            (trial, 12, b'g'),
            (trial, 12, b'b'),
            (trial, 15, 0),
            (trial, 15, b'a'),
        ] {
            let mut bytes = record.encode();
            bytes[at] = byte;
            assert_eq!(SlotRecord::decode(&reseal(bytes)), Err(SlotError::Field), "byte {at} = {byte}");
        }
        let mut next = confirmed.encode();
        next[2] = 2;
        assert_eq!(SlotRecord::decode(&reseal(next)), Err(SlotError::Kind { start: *b"PS\x02\x01" }));
    }

    #[test]
    fn the_highest_sound_generation_is_true() {
        let record = |generation, active| {
            SlotRecord { generation, active, state: SlotState::Confirmed, reverted: None }.encode()
        };
        let (old, rival, new) = (record(7, Slot::A), record(7, Slot::B), record(8, Slot::B));
        let mut torn = record(9, Slot::Golden);
        torn[12..].fill(0);
        let active = |copies| choose::<3>(copies).map(|record| record.active);
        assert_eq!(active([Some(&old), Some(&new), Some(&old)]), Some(Slot::B));
        assert_eq!(active([Some(&new), Some(&old), Some(&old)]), Some(Slot::B));
        assert_eq!(active([Some(&torn), Some(&old), Some(&new)]), Some(Slot::B));
        assert_eq!(active([None, Some(&[]), Some(&old)]), Some(Slot::A));
        assert_eq!(active([Some(&rival), Some(&old), None]), Some(Slot::B), "first of equals");
        assert_eq!(active([Some(&torn), None, Some(&[])]), None);
    }

    #[test]
    fn names_come_back() {
        for slot in Slot::ALL {
            assert_eq!(Slot::from_name(slot.name()), Some(slot));
        }
        assert_eq!(Slot::from_name("A"), None);
    }
}
