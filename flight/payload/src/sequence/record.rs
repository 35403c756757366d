//! What is kept of plans that run: small records under keys, for any ordered store.
//!
//! | key | | value |
//! | --- | --- | --- |
//! | `n` 0 0 | | [`NumbersRecord`] |
//! | `r` run u32, 0 | a run of a plan | [`InstanceRecord`] |
//! | `x` run u32, entry u16 | an entry of it that isn't as it was at the start | [`EntryRecord`] |
//!
//! A value is the record in postcard and its CRC-32C, u32 big endian. The order and types of fields are the format.

use passband_proto::crc32c::checksum;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::Anchor;

/// Where a record is kept; keys sort as their bytes do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub [u8; 7]);

/// A change of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This value stands under this key.
    Put {
        /// The key.
        key: Key,
        /// The value.
        value: Vec<u8>,
    },
    /// Nothing stands under the keys from `first` to `last`, both included.
    Remove {
        /// The first.
        first: Key,
        /// The last.
        last: Key,
    },
}

/// What became of a run of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It runs.
    Running,
    /// All its entries have ended.
    Done,
    /// It ended by its own policies or by a fault.
    Aborted,
    /// The operator ended it, or the plan that had started it has ended.
    Cancelled,
}

impl Status {
    /// Its name in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A run of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstanceRecord {
    pub(super) plan: String,
    pub(super) digest: [u8; 8],
    pub(super) status: Status,
    pub(super) held: bool,
    pub(super) started_unix_ms: u64,
    pub(super) anchor: Anchor,
    /// The run and the entry that started it.
    pub(super) parent: Option<(u32, u16)>,
    /// 1: nobody's.
    pub(super) depth: u8,
    /// How often reboots had it begin anew.
    pub(super) restarts: u8,
    /// How its entries stood when it ended.
    pub(super) tally: Tally,
}

/// How entries of a plan ended, each as it ended last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Those that are done.
    pub done: u16,
    /// Those that failed.
    pub failed: u16,
    /// Those that were left out: by the operator, or because they were late or waited in vain.
    pub skipped: u16,
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    /// Which time, from 0.
    pub(super) occurrence: u32,
    /// How long the plan had run when it was due, ms.
    pub(super) due_ms: u64,
    /// AOS or LOS that it was due at last, ms since 1970-01-01 UTC, and what tells its station from others.
    pub(super) edge: Option<(u64, u32)>,
    /// It is skipped when it is due.
    pub(super) skip: bool,
    pub(super) state: State,
}

/// How far an entry is. Times are how long the plan has run, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// An entry before it has to end.
    Follows,
    /// It isn't due.
    Armed,
    /// It is due and waits for its condition, so long.
    Waiting { until_ms: u64 },
    /// It may be handed over.
    Ready { attempt: u8 },
    /// It was handed over: the number of the order, or of the run of the plan that it started.
    Issued { number: u32, attempt: u8 },
    /// It failed and will be tried again.
    Retry { attempt: u8, at_ms: u64 },
    /// It has ended.
    Ended { end: End, at_ms: u64 },
}

/// How an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Done,
    Failed,
    /// By the operator.
    Skipped,
    /// By its own rules: late, or waited in vain; nothing follows from it.
    Missed,
}

impl Tally {
    /// Of these states.
    pub(super) fn of(states: impl Iterator<Item = State>) -> Self {
        let mut tally = Self::default();
        for state in states {
            let State::Ended { end, .. } = state else { continue };
            let count = match end {
                End::Done => &mut tally.done,
                End::Failed => &mut tally.failed,
                End::Skipped | End::Missed => &mut tally.skipped,
            };
            *count = count.saturating_add(1);
        }
        tally
    }
}

impl Key {
    pub(super) const NUMBERS: Self = Self([b'n', 0, 0, 0, 0, 0, 0]);

    pub(super) fn run(run: u32) -> Self {
        Self::of(b'r', run, 0)
    }

    pub(super) fn entry(run: u32, entry: u16) -> Self {
        Self::of(b'x', run, entry)
    }

    fn of(kind: u8, run: u32, entry: u16) -> Self {
        let mut key = [kind, 0, 0, 0, 0, 0, 0];
        let parts = run.to_be_bytes().into_iter().chain(entry.to_be_bytes());
        key.iter_mut().skip(1).zip(parts).for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// Its kind, run and entry.
    pub(super) fn parts(self) -> (u8, u32, u16) {
        let [kind, run @ .., high, low] = self.0;
        (kind, u32::from_be_bytes(run), u16::from_be_bytes([high, low]))
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (kind, run, entry) = self.parts();
        write!(f, "{}{run}.{entry}", char::from(kind))
    }
}

impl Change {
    /// Nothing is kept of the entries of a run.
    pub(super) fn forget_entries(run: u32) -> Self {
        Self::Remove { first: Key::entry(run, 0), last: Key::entry(run, u16::MAX) }
    }

    /// Nothing is kept of a run but its entries.
    pub(super) fn forget_run(run: u32) -> Self {
        Self::Remove { first: Key::run(run), last: Key::run(run) }
    }
}

/// The bytes of a record. None never happens: what is kept has no form that can't be written.
pub(super) fn seal<T: Serialize>(record: &T) -> Option<Vec<u8>> {
    let mut bytes = postcard::to_allocvec(record).ok()?;
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    Some(bytes)
}

/// The record of some bytes; none if they are damaged.
pub(super) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if checksum(body) != u32::from_be_bytes(*sum) {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_small_come_back_and_show_any_flipped_bit() {
        let state = State::Issued { number: 70_000, attempt: 2 };
        let edge = Some((1_796_119_200_000, 0xFFFF_FFFF));
        let record = EntryRecord { occurrence: 3, due_ms: 86_400_000, edge, skip: false, state };
        let bytes = seal(&record).unwrap();
        assert!(bytes.len() <= 32, "{} bytes", bytes.len());
        assert_eq!(open(&bytes), Some(record));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open::<EntryRecord>(&bad), None);
        }
        assert_eq!(open::<EntryRecord>(&[]), None);
    }

    #[test]
    fn the_entries_of_a_run_are_forgotten_and_nothing_else() {
        let Change::Remove { first, last } = Change::forget_entries(7) else { panic!("another change") };
        let within = |key: Key| (first..=last).contains(&key);
        assert!(within(Key::entry(7, 0)) && within(Key::entry(7, 4_095)));
        assert!(!within(Key::entry(6, 4_095)) && !within(Key::entry(8, 0)) && !within(Key::run(7)));
    }
}
