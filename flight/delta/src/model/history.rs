//! What followed a context before, a byte a bit, and tables of that by hashes of contexts.
//!
//! A history is a state: how many zeros and ones came, the newer counting more, and which came last. Two counts that
//! are both large say little, so that such pairs are left out, and a byte has room for long runs of one kind.

/// A history: the number of its state; 0: nothing came.
pub(crate) type History = u8;

/// Most of one kind beside 0, 1, 2 … of the other.
const MOST: [u8; 8] = [40, 22, 12, 8, 6, 5, 5, 5];

/// What is left of a count when the other kind comes.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
const LEFT: [u8; 41] = {
    let mut left = [0; 41];
    let mut n: u8 = 0;
    while n < 41 {
        left[n as usize] = match n {
            0..=2 => n,
            3..=4 => 2,
            5..=7 => 3,
            8..=12 => 4,
            13..=22 => 5,
            _ => 6,
        };
        n += 1;
    }
    left
};

/// All states: zeros, ones and which came last; and which follows each.
#[derive(Debug)]
pub(crate) struct States {
    counts: [(u8, u8); 256],
    next: [[History; 2]; 256],
}

impl States {
    /// Memory that it takes.
    pub(crate) const MEMORY: u64 = size_of::<Self>() as u64;

    pub(crate) fn new() -> Self {
        let mut all: Vec<(u8, u8, bool)> = vec![(0, 0, false)];
        for zeros in 0..=40_u8 {
            for ones in 0..=40_u8 {
                if (zeros, ones) != (0, 0) && allowed(zeros, ones) {
                    all.extend((ones == 0 || zeros > 0).then_some((zeros, ones, false)));
                    all.extend((zeros == 0 || ones > 0).then_some((zeros, ones, true)));
                }
            }
        }
        // Numbered by how much came, so that the poorer of two is told by its number.
        all.sort_by_key(|(zeros, ones, last)| (zeros + ones, *zeros, *last));
        let mut new = Self { counts: [(0, 0); 256], next: [[0; 2]; 256] };
        for ((counts, next), (zeros, ones, _)) in new.counts.iter_mut().zip(&mut new.next).zip(&all) {
            *counts = (*zeros, *ones);
            *next = [false, true].map(|bit| {
                let wanted = followed(*zeros, *ones, bit);
                all.iter().position(|state| *state == wanted).map_or(0, |at| at as History)
            });
        }
        new
    }

    /// The history once another bit came.
    pub(crate) fn next(&self, history: History, bit: bool) -> History {
        let [zero, one] = self.next.get(usize::from(history)).copied().unwrap_or_default();
        if bit { one } else { zero }
    }

    /// How many zeros and ones a history stands for.
    pub(crate) fn counts(&self, history: usize) -> (u32, u32) {
        let (zeros, ones) = self.counts.get(history).copied().unwrap_or_default();
        (u32::from(zeros), u32::from(ones))
    }
}

fn allowed(zeros: u8, ones: u8) -> bool {
    let (few, many) = (zeros.min(ones), zeros.max(ones));
    MOST.get(usize::from(few)).is_some_and(|most| many <= *most)
}

fn followed(zeros: u8, ones: u8, bit: bool) -> (u8, u8, bool) {
    let left = |count: u8| LEFT.get(usize::from(count)).copied().unwrap_or(0);
    let (mut same, mut other) = if bit { (ones, left(zeros)) } else { (zeros, left(ones)) };
    if allowed(same.saturating_add(1), other) {
        same += 1;
    }
    while !allowed(same, other) {
        if other > 0 { other -= 1 } else { same -= 1 }
    }
    if bit { (other, same, bit) } else { (same, other, bit) }
}

/// Histories of two bits in a context: a check of the context's hash, then the three nodes of a tree of two bits.
pub(crate) type Slot = [u8; 4];

/// Slots that share a line, which a processor fetches at once.
type Line = [Slot; 16];

/// Bytes of a line.
pub(crate) const LINE_BYTES: u64 = size_of::<Line>() as u64;

/// A table of slots, by hash of a context and half byte for the line, and of what is in the half byte for the slot.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

impl Table {
    /// Of so many lines.
    pub(crate) fn new(lines: usize) -> Self {
        Self { lines: vec![Line::default(); lines.max(1)] }
    }

    /// The line of a hash.
    pub(crate) fn line(&self, hash: u32) -> usize {
        ((u64::from(hash) * (self.lines.len() as u64)) >> 32) as usize
    }

    /// A byte of a line: looking at it brings the line near.
    pub(crate) fn touch(&self, line: usize) -> u8 {
        self.lines.get(line).map_or(0, |[[byte, ..], ..]| *byte)
    }

    /// Where a context's slot is in a line, and the slot: its own, or in the place of the poorest of three.
    pub(crate) fn enter(&self, line: usize, hash: u32) -> (usize, Slot) {
        let check = ((hash >> 8) as u8).max(1);
        let Some(line) = self.lines.get(line) else { return (0, Slot::default()) };
        let first = (hash & 15) as usize;
        let mut poorest = (usize::MAX, 0);
        for at in [first, first ^ 1, first ^ 2] {
            let slot = line.get(at).copied().unwrap_or_default();
            if slot[0] == check {
                return (at, slot);
            }
            poorest = poorest.min((usize::from(slot[1]), at));
        }
        (poorest.1, [check, 0, 0, 0])
    }

    /// Puts a slot back.
    pub(crate) fn leave(&mut self, line: usize, at: usize, slot: Slot) {
        if let Some(entry) = self.lines.get_mut(line).and_then(|line| line.get_mut(at)) {
            *entry = slot;
        }
    }
}

/// A hash of two numbers.
pub(crate) fn hash(a: u32, b: u32) -> u32 {
    let mixed = a.wrapping_mul(0x2C1B_3C6D) ^ b.wrapping_add(0x9E37_79B9).wrapping_mul(0x297A_2D39);
    (mixed ^ mixed >> 15).wrapping_mul(0x846C_A68B) ^ mixed >> 13
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_leads_to_states_that_say_what_came() {
        let states = States::new();
        let reached = |history: &u8| *history == 0 || states.counts(usize::from(*history)) != (0, 0);
        assert_eq!((0..=255).filter(reached).count(), 243);
        for history in (0..=255).filter(reached) {
            for bit in [false, true] {
                let (zeros, ones) = states.counts(usize::from(states.next(history, bit)));
                assert!(if bit { ones > 0 } else { zeros > 0 }, "{history} and {bit}: {zeros}, {ones}");
            }
        }
    }

    #[test]
    fn a_slot_is_found_again() {
        let mut table = Table::new(64);
        let line = table.line(0x1234_5678);
        let (at, mut slot) = table.enter(line, 0x9876);
        slot[1] = 9;
        table.leave(line, at, slot);
        assert_eq!(table.enter(line, 0x9876), (at, slot));
        assert_ne!(table.enter(line, 0x9676).1, slot);
    }
}
