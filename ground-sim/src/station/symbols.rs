//! Which encoding symbol ids of a block are known, and other numbers that lie close together.

use std::collections::BTreeMap;

use passband_proto::datagram::ESI_LIMIT;

/// Numbers of a page.
pub(super) const PAGE: u32 = 4096;
const PAGE_WORDS: usize = (PAGE / 64) as usize;

/// A set of numbers, held in pages of 512 bytes: those that come lie close together.
#[derive(Debug, Clone)]
pub(super) struct Pages<K>(pub(super) BTreeMap<K, Box<[u64; PAGE_WORDS]>>);

impl<K: Ord> Default for Pages<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Pages<K> {
    /// Adds the number at a place of a page, below [`PAGE`]; whether it is new.
    pub(super) fn insert(&mut self, page: K, place: u32) -> bool {
        let words = self.0.entry(page).or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let bit = 1_u64 << (place % 64);
        let Some(word) = words.get_mut((place / 64) as usize) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// A set of encoding symbol ids.
#[derive(Debug, Default)]
pub(super) struct SymbolSet {
    pages: Pages<u32>,
    count: u32,
    end: u32,
}

impl SymbolSet {
    /// Adds an id; false if it was there or is out of range.
    pub(super) fn insert(&mut self, esi: u32) -> bool {
        if esi >= ESI_LIMIT {
            return false;
        }
        let new = self.pages.insert(esi / PAGE, esi % PAGE);
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
        assert_eq!((set.count(), set.end(), set.pages.0.len()), (6, ESI_LIMIT, 3));
    }
}
