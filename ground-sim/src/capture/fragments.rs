//! Puts IP fragments together again, in bounded memory.
//!
//! Bounded are the packets begun, their bytes, their pieces, and their age counted in captured records;
//! the oldest goes first. A sender reuses its 16-bit ids within seconds, so a piece that contradicts one
//! held already starts its packet afresh.

use std::collections::{BTreeMap, VecDeque};

use super::layers::{Fragment, FragmentKey};

const MAX_PACKETS: usize = 1024;
const MAX_BYTES: usize = 16 << 20;
const MAX_PACKET_BYTES: usize = 65_535;
const MAX_PIECES: usize = 1024;
const MAX_AGE_RECORDS: u64 = 20_000;

#[derive(Debug, Default)]
pub(super) struct Fragments {
    packets: BTreeMap<FragmentKey, Partial>,
    /// Which packet was begun when, oldest first; may name packets that are done.
    begun: VecDeque<(u64, FragmentKey)>,
    bytes: usize,
    given_up: u64,
}

#[derive(Debug, Default)]
struct Partial {
    begun: u64,
    /// By offset.
    pieces: BTreeMap<usize, Vec<u8>>,
    total: Option<usize>,
}

impl Fragments {
    /// Takes a fragment, found in record number `record`; gives the IP payload if that completes it.
    pub(super) fn push(&mut self, record: u64, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        self.age(record);
        let end = fragment.offset + fragment.bytes.len();
        if fragment.bytes.is_empty() || end > MAX_PACKET_BYTES {
            return None;
        }
        if self.packets.get(&fragment.key).is_some_and(|partial| partial.contradicts(fragment)) {
            self.give_up(&fragment.key);
        }
        if !self.packets.contains_key(&fragment.key) {
            self.begun.push_back((record, fragment.key));
        }
        let partial = self.packets.entry(fragment.key).or_default();
        if partial.pieces.is_empty() {
            partial.begun = record;
        }
        if !fragment.more {
            partial.total = Some(end);
        }
        if partial.pieces.insert(fragment.offset, fragment.bytes.to_vec()).is_none() {
            self.bytes += fragment.bytes.len();
        }
        let whole = partial.whole();
        if whole.is_some() {
            self.remove(&fragment.key);
        }
        whole
    }

    /// Packets given up so far, and those still open.
    pub(super) fn incomplete(&self) -> u64 {
        self.given_up + self.packets.len() as u64
    }

    fn age(&mut self, record: u64) {
        let full = |this: &Self| this.packets.len() >= MAX_PACKETS || this.bytes >= MAX_BYTES;
        while let Some(&(begun, key)) = self.begun.front() {
            let current = self.packets.get(&key).is_some_and(|partial| partial.begun == begun);
            let old = record.saturating_sub(begun) > MAX_AGE_RECORDS;
            if current && !old && !full(self) {
                return;
            }
            self.begun.pop_front();
            if current {
                self.give_up(&key);
            }
        }
    }

    fn give_up(&mut self, key: &FragmentKey) {
        self.remove(key);
        self.given_up += 1;
    }

    fn remove(&mut self, key: &FragmentKey) {
        if let Some(partial) = self.packets.remove(key) {
            self.bytes -= partial.pieces.values().map(Vec::len).sum::<usize>();
        }
    }
}

impl Partial {
    fn contradicts(&self, fragment: &Fragment<'_>) -> bool {
        let end = fragment.offset + fragment.bytes.len();
        let other_total = self.total.is_some_and(|total| end > total || (!fragment.more && end != total));
        let before = self.pieces.range(..fragment.offset).next_back();
        let overlaps = before.is_some_and(|(at, piece)| at + piece.len() > fragment.offset)
            || self.pieces.range(fragment.offset + 1..end.max(fragment.offset + 1)).next().is_some();
        let differs = self.pieces.get(&fragment.offset).is_some_and(|piece| piece != fragment.bytes);
        other_total || overlaps || differs || self.pieces.len() >= MAX_PIECES
    }

    fn whole(&self) -> Option<Vec<u8>> {
        let total = self.total?;
        // Pieces never overlap, so that they are whole when their lengths add up.
        (self.pieces.values().map(Vec::len).sum::<usize>() == total)
            .then(|| self.pieces.values().flatten().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: u32, offset: usize, more: bool, bytes: &[u8]) -> Fragment<'_> {
        let key = FragmentKey { from: [10, 0, 0, 1].into(), to: [10, 0, 0, 2].into(), id };
        Fragment { key, offset, more, bytes }
    }

    #[test]
    fn pieces_come_in_any_order_and_twice() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.push(1, &piece(1, 16, false, b"c")), None);
        assert_eq!(fragments.push(2, &piece(1, 0, true, b"aaaaaaaa")), None);
        assert_eq!(fragments.push(3, &piece(1, 0, true, b"aaaaaaaa")), None);
        assert_eq!(fragments.push(4, &piece(2, 8, true, b"xxxxxxxx")), None, "another packet");
        assert_eq!(fragments.push(5, &piece(1, 8, true, b"bbbbbbbb")).unwrap(), b"aaaaaaaabbbbbbbbc");
        assert_eq!((fragments.packets.len(), fragments.bytes, fragments.incomplete()), (1, 8, 1));
    }

    #[test]
    fn an_id_that_is_used_again_starts_afresh() {
        let mut fragments = Fragments::default();
        fragments.push(1, &piece(1, 0, true, b"aaaaaaaa"));
        fragments.push(2, &piece(1, 0, true, b"AAAAAAAA"));
        assert_eq!(fragments.push(3, &piece(1, 8, false, b"B")).unwrap(), b"AAAAAAAAB");
        fragments.push(4, &piece(1, 0, true, b"aaaaaaaa"));
        assert_eq!(fragments.push(5, &piece(1, 4, false, b"overlap")), None);
        assert_eq!(fragments.given_up, 2);
    }

    #[test]
    fn memory_is_bounded_by_number_bytes_and_age() {
        let mut fragments = Fragments::default();
        let big = vec![0; 60_000];
        for n in 0..5_000 {
            fragments.push(u64::from(n), &piece(n, 0, true, &big));
            assert!(fragments.bytes <= MAX_BYTES + big.len());
            assert!(fragments.begun.len() <= MAX_PACKETS);
        }
        for n in 0..5_000 {
            fragments.push(u64::from(5_000 + n), &piece(n, 8, true, b"12345678"));
            assert!(fragments.packets.len() <= MAX_PACKETS && fragments.begun.len() <= 2 * MAX_PACKETS);
        }
        fragments.push(1_000_000, &piece(0, 0, true, b"12345678"));
        assert_eq!(fragments.packets.len(), 1);
        assert_eq!(fragments.bytes, 8);
    }
}
