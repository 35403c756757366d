//! Which encoding symbol ids of a block are known.

use std::collections::BTreeMap;

use passband_proto::datagram::ESI_LIMIT;

/// Ids of a page.
const PAGE_IDS: u32 = 4096;
const PAGE_WORDS: usize = (PAGE_IDS / 64) as usize;

/// A set of ids below 2²⁴, held in pages of 512 bytes: those of a sender lie close together.
#[derive(Debug, Default)]
pub(super) struct SymbolSet {
    pages: BTreeMap<u32, Box<[u64; PAGE_WORDS]>>,
    count: u32,
    end: u32,
}

impl SymbolSet {
    /// Adds an id; false if it was there or is out of range.
    pub(super) fn insert(&mut self, esi: u32) -> bool {
        if esi >= ESI_LIMIT {
            return false;
        }
        let page = self.pages.entry(esi / PAGE_IDS).or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let (word, bit) = ((esi % PAGE_IDS / 64) as usize, 1_u64 << (esi % 64));
        let Some(word) = page.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u32::from(new);
        self.end = self.end.max(esi + 1);
        new
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// One more than the highest; 0 if there is none.
    pub(super) fn end(&self) -> u32 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_once_and_far_ones_cost_a_page_each() {
        let mut set = SymbolSet::default();
        for esi in [0, 63, 64, 4095, 4096, ESI_LIMIT - 1] {
            assert!(set.insert(esi));
            assert!(!set.insert(esi));
        }
        assert!(!set.insert(ESI_LIMIT));
        assert_eq!((set.count(), set.end(), set.pages.len()), (6, ESI_LIMIT, 3));
    }
}
