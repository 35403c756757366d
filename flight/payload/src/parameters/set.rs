//! A set of changed parameters: for each its value as text, and who changed it.
//!
//! Kept by the numbers of the dictionary, so that what this version of the program doesn't know, or holds for out of range,
//! is carried along unused: a newer version may have left it here before it was reverted. Never says what a parameter is
//! that nobody changed.

use std::collections::BTreeMap;

use passband_proto::dict::{ParameterDef, ParameterId};
use sha2::{Digest, Sha256};

/// Most changes of a set: those of a newer version among them.
pub const MAX_CHANGES: usize = 256;
/// Longest value as text that is set, bytes: what the packet of a parameter holds.
pub const MAX_VALUE_BYTES: usize = 64;

pub use crate::orders::OrderId;

/// A change of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The value, as the dictionary prints it; `None`: what the configuration says.
    pub value: Option<String>,
    /// The order that changed it.
    pub by: OrderId,
    /// When that was, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// The version of the set that it came with; 0 as long as it is staged.
    pub version: u32,
}

/// Changes, by the numbers of the parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    changes: BTreeMap<u16, Change>,
}

impl Set {
    /// The change of a parameter.
    pub fn get(&self, id: ParameterId) -> Option<&Change> {
        self.changes.get(&id.code())
    }

    /// All changes, by the numbers of the parameters.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, &Change)> {
        self.changes.iter().map(|(code, change)| (*code, change))
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The values that this version of the program knows and takes.
    pub fn values(&self) -> impl Iterator<Item = (ParameterId, &str)> + Clone {
        self.changes.iter().filter_map(|(code, change)| {
            let (id, value) = (ParameterId::from_code(*code)?, change.value.as_deref()?);
            takes(id, value).then_some((id, value))
        })
    }

    /// The numbers of those that it doesn't, with their values.
    pub fn unused(&self) -> impl Iterator<Item = (u16, &str)> {
        self.changes.iter().filter_map(|(code, change)| {
            let value = change.value.as_deref()?;
            let used = ParameterId::from_code(*code).is_some_and(|id| takes(id, value));
            (!used).then_some((*code, value))
        })
    }

    /// Puts a change in the place of the one before; whether there was room.
    pub(super) fn insert(&mut self, code: u16, change: Change) -> bool {
        let room = self.changes.len() < MAX_CHANGES || self.changes.contains_key(&code);
        if room {
            self.changes.insert(code, change);
        }
        room
    }

    /// This set with the changes of another, which came with a version; `None` if there is no room for them.
    pub(super) fn with(&self, other: &Self, version: u32) -> Option<Self> {
        let mut out = self.clone();
        let fits = other.changes.iter().all(|(code, change)| {
            let change = Change { version, ..change.clone() };
            out.insert(*code, change)
        });
        fits.then_some(out)
    }

    /// Whether the daemon has to be started anew to go from this set to another.
    pub(super) fn restarts_to(&self, other: &Self) -> bool {
        let value = |set: &Self, id| set.get(id).and_then(|change| change.value.clone());
        let known = self.changes.keys().chain(other.changes.keys());
        known.filter_map(|code| ParameterId::from_code(*code)).any(|id| {
            ParameterDef::get(id).is_some_and(|def| def.restarts) && value(self, id) != value(other, id)
        })
    }
}

/// SHA-256 over values: of each the parameter's number (u16 BE), the length of the text (u8) and the text, by rising
/// numbers. Of none it is that of no bytes.
pub fn digest<'a>(values: impl Iterator<Item = (ParameterId, &'a str)>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (id, value) in values {
        hash.update(id.code().to_be_bytes());
        hash.update([u8::try_from(value.len()).unwrap_or(u8::MAX)]);
        hash.update(value);
    }
    hash.finalize().into()
}

fn takes(id: ParameterId, value: &str) -> bool {
    let parsed =
        ParameterDef::get(id).map(|def| def.parse(value, &mut Vec::new()).is_ok_and(|v| v.is_some()));
    parsed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(value: &str) -> Change {
        Change { value: Some(value.into()), by: OrderId { source: 1, number: 2 }, unix_ms: 3, version: 0 }
    }

    #[test]
    fn what_is_not_known_or_out_of_range_is_carried_and_not_used() {
        let mut set = Set::default();
        for (code, value) in [(0x0101, "0.9"), (0x0102, "7"), (0x0105, "default"), (0x7777, "x")] {
            assert!(set.insert(code, change(value)));
        }
        assert_eq!(set.values().collect::<Vec<_>>(), [(ParameterId::AlertProbability, "0.9")]);
        let unused: Vec<_> = set.unused().map(|(code, _)| code).collect();
        assert_eq!(unused, [0x0102, 0x0105, 0x7777]);
        let with = Set::default().with(&set, 9).unwrap();
        assert!(with.len() == 4 && with.iter().all(|(_, change)| change.version == 9));
    }

    #[test]
    fn a_full_set_takes_only_what_it_has() {
        let mut set = Set::default();
        assert!((0..256).all(|code| set.insert(code, change("1"))) && !set.insert(300, change("1")));
        assert!(set.insert(3, change("2")));
        let mut more = Set::default();
        more.insert(300, change("1"));
        assert_eq!(set.with(&more, 1), None);
    }

    #[test]
    fn only_what_changes_and_counts_from_the_start_on_restarts() {
        let (none, mut live, mut start) = (Set::default(), Set::default(), Set::default());
        live.insert(ParameterId::BeaconEvery.code(), change("5"));
        start.insert(ParameterId::Wind.code(), change("5"));
        assert!(!none.restarts_to(&live) && none.restarts_to(&start) && start.restarts_to(&live));
        assert!(!start.restarts_to(&start.with(&live, 1).unwrap()));
    }

    #[test]
    fn the_digest_of_no_change_is_that_of_no_bytes() {
        let empty = digest(std::iter::empty());
        assert_eq!(empty[..4], [0xE3, 0xB0, 0xC4, 0x42]);
        assert_ne!(digest([(ParameterId::Wind, "1")].into_iter()), empty);
    }
}
