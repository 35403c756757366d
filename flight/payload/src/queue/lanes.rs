//! Ordered sets of what is in the queue: lanes of what waits, shelves of what is kept.
//!
//! Only keys are here, 16 bytes each; no entry, and no decision on whose turn it is.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::ids::Class;

use super::MAX_ENTRIES;

/// Bits of the number of a slot, and of the count of insertions.
const SLOT_BITS: u32 = 21;
/// Bits of a time in ms.
const TIME_BITS: u32 = 42;
const _: () = assert!(MAX_ENTRIES < 1 << SLOT_BITS);

/// The order of entries within a lane or shelf: two times, then the order of insertion (modulo 2²¹, so it
/// is exact unless that many were made in one millisecond), then the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotKey(u128);

impl SlotKey {
    /// A key; times and numbers that need more bits are cut to the largest there are.
    pub(super) fn new(first_ms: u64, second_ms: u64, nth: u32, slot: u32) -> Self {
        let time = |ms: u64| u128::from(ms.min((1 << TIME_BITS) - 1));
        let small = |n: u32| u128::from(n & ((1 << SLOT_BITS) - 1));
        let times = (time(first_ms) << TIME_BITS) | time(second_ms);
        Self((((times << SLOT_BITS) | small(nth)) << SLOT_BITS) | small(slot))
    }

    /// The slot of the entry.
    pub(super) fn slot(self) -> u32 {
        u32::try_from(self.0 & ((1 << SLOT_BITS) - 1)).unwrap_or(u32::MAX)
    }

    /// The first of its times, ms.
    pub(super) fn first_ms(self) -> u64 {
        u64::try_from(self.0 >> (TIME_BITS + 2 * SLOT_BITS)).unwrap_or(u64::MAX)
    }
}

/// Those that wait alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) class: Class,
    pub(super) tasking: u16,
    pub(super) band: u8,
}

/// Why something is kept; what goes first for room stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pile {
    Damaged,
    Known,
    Presumed,
}

/// Those that are kept alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shelf {
    pub(super) pile: Pile,
    pub(super) class: Class,
    /// Left-over capacity of this pass was given to them.
    pub(super) served: bool,
    /// How many steps of probability they have climbed.
    pub(super) rung: u8,
    pub(super) band: u8,
}

/// The first of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) lane: Lane,
    pub(super) key: SlotKey,
}

/// Keys in order, never empty, the first at hand.
#[derive(Debug)]
struct Line {
    first: SlotKey,
    keys: BTreeSet<SlotKey>,
}

/// Everything that is filed by its key.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    waiting: BTreeMap<Lane, Line>,
    kept: BTreeMap<Shelf, BTreeSet<SlotKey>>,
}

impl Lanes {
    /// Files what waits.
    pub(super) fn wait(&mut self, lane: Lane, key: SlotKey) {
        let line = self.waiting.entry(lane).or_insert_with(|| Line { first: key, keys: BTreeSet::new() });
        line.keys.insert(key);
        line.first = line.first.min(key);
    }

    /// Takes out what waited; whether it was there.
    pub(super) fn leave(&mut self, lane: Lane, key: SlotKey) -> bool {
        let Some(line) = self.waiting.get_mut(&lane) else { return false };
        let was_there = line.keys.remove(&key);
        match line.keys.first() {
            Some(first) if line.first == key => line.first = *first,
            Some(_) => {}
            None => drop(self.waiting.remove(&lane)),
        }
        was_there
    }

    /// Files what is kept.
    pub(super) fn keep(&mut self, shelf: Shelf, key: SlotKey) {
        self.kept.entry(shelf).or_default().insert(key);
    }

    /// Takes out what was kept; whether it was there.
    pub(super) fn take(&mut self, shelf: Shelf, key: SlotKey) -> bool {
        let Some(keys) = self.kept.get_mut(&shelf) else { return false };
        let was_there = keys.remove(&key);
        if keys.is_empty() {
            self.kept.remove(&shelf);
        }
        was_there
    }

    /// Whether nothing waits.
    pub(super) fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The first of each lane, by class, tasking and band.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> + Clone {
        self.waiting.iter().map(|(lane, line)| Head { lane: *lane, key: line.first })
    }

    /// Each lane with all that waits in it.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (Lane, impl Iterator<Item = SlotKey>)> {
        self.waiting.iter().map(|(lane, line)| (*lane, line.keys.iter().copied()))
    }

    /// Those that wait of a class and band, whatever their tasking, the earliest due first.
    pub(super) fn unsent(&self, class: Class, band: u8) -> impl Iterator<Item = SlotKey> {
        let alike = self.waiting.iter().filter(move |(lane, _)| (lane.class, lane.band) == (class, band));
        merge(alike.map(|(_, line)| line.keys.iter().copied()))
    }

    /// Those of a pile, class and band, the oldest first.
    pub(super) fn pile(&self, pile: Pile, class: Class, band: u8) -> impl Iterator<Item = SlotKey> {
        let wanted = (pile, class, band);
        let alike = self.kept.iter().filter(move |(s, _)| (s.pile, s.class, s.band) == wanted);
        merge(alike.map(|(_, keys)| keys.iter().copied()))
    }

    /// The presumed bundle that left-over capacity goes to first, below `rungs` steps of probability.
    pub(super) fn least_sure(&self, rungs: u8) -> Option<SlotKey> {
        let open = |shelf: &Shelf| shelf.pile == Pile::Presumed && !shelf.served && shelf.rung < rungs;
        let (_, keys) = self.kept.iter().find(|(shelf, _)| open(shelf))?;
        keys.first().copied()
    }

    /// Files those that left-over capacity was given to with those that it was not; their keys.
    pub(super) fn forget_served(&mut self) -> Vec<SlotKey> {
        let served: Vec<Shelf> = self.kept.keys().filter(|shelf| shelf.served).copied().collect();
        let mut all = Vec::new();
        for shelf in served {
            let Some(keys) = self.kept.remove(&shelf) else { continue };
            all.extend(keys.iter());
            self.kept.entry(Shelf { served: false, ..shelf }).or_default().extend(keys);
        }
        all
    }

    /// Everything waiting and kept, by where it is.
    #[cfg(test)]
    pub(super) fn counted(&self) -> usize {
        assert!(self.waiting.values().all(|line| line.keys.first() == Some(&line.first)));
        assert!(self.kept.values().all(|keys| !keys.is_empty()));
        let waiting: usize = self.waiting.values().map(|line| line.keys.len()).sum();
        waiting + self.kept.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Whether a key is filed in a lane.
    #[cfg(test)]
    pub(super) fn waits(&self, lane: Lane, key: SlotKey) -> bool {
        self.waiting.get(&lane).is_some_and(|line| line.keys.contains(&key))
    }

    /// Whether a key is filed on a shelf.
    #[cfg(test)]
    pub(super) fn keeps(&self, shelf: Shelf, key: SlotKey) -> bool {
        self.kept.get(&shelf).is_some_and(|keys| keys.contains(&key))
    }
}

/// Several sequences in order as one. They are few: the least is found by looking at each.
fn merge<I: Iterator<Item = SlotKey>>(sequences: impl Iterator<Item = I>) -> impl Iterator<Item = SlotKey> {
    let mut sequences: Vec<_> = sequences.map(Iterator::peekable).collect();
    std::iter::from_fn(move || {
        let heads = sequences.iter_mut().enumerate().filter_map(|(nth, s)| s.peek().map(|key| (*key, nth)));
        let (_, nth) = heads.min()?;
        sequences.get_mut(nth)?.next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_their_parts_and_give_the_slot_back() {
        let rising = [
            SlotKey::new(1, 9, 9, 9),
            SlotKey::new(2, 1, 9, 9),
            SlotKey::new(2, 2, 1, 9),
            SlotKey::new(2, 2, 2, 1),
            SlotKey::new(2, 2, 2, 2),
            SlotKey::new(u64::MAX, u64::MAX, u32::MAX, (1 << SLOT_BITS) - 1),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b));
        assert_eq!(rising.map(SlotKey::slot), [9, 9, 9, 1, 2, (1 << SLOT_BITS) - 1]);
        assert_eq!(rising.map(SlotKey::first_ms), [1, 2, 2, 2, 2, (1 << TIME_BITS) - 1]);
    }

    #[test]
    fn sequences_are_merged_in_order() {
        let key = |ms| SlotKey::new(ms, 0, 0, 0);
        let parts = [vec![1, 4, 9], vec![], vec![2, 3, 10]];
        let merged = merge(parts.into_iter().map(|part| part.into_iter().map(key)));
        assert_eq!(merged.map(SlotKey::first_ms).collect::<Vec<_>>(), [1, 2, 3, 4, 9, 10]);
    }
}
