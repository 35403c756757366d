//! Which pieces are there, and how the gaps are told.

/// Most pieces of an upload: what a gap's two numbers can tell.
pub const MAX_PIECES: u32 = 65_535;
/// Most gaps that a packet tells.
pub const MAX_GAPS: usize = 40;

/// Which pieces of an upload are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    count: u32,
    missing: u32,
    /// A bit a piece, the lowest first.
    there: Vec<u64>,
}

impl Pieces {
    /// None of so many, at most [`MAX_PIECES`].
    pub fn none(count: u32) -> Self {
        let count = count.min(MAX_PIECES);
        let words = usize::try_from(count.div_ceil(64)).unwrap_or_default();
        Self { count, missing: count, there: vec![0; words] }
    }

    /// How many are missing.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// The share that is there, %; 100 only if all are.
    pub fn percent(&self) -> u8 {
        let there = u64::from(self.count - self.missing);
        u8::try_from(there * 100 / u64::from(self.count.max(1))).unwrap_or(100)
    }

    /// Whether a piece is there.
    pub fn has(&self, index: u32) -> bool {
        let word = usize::try_from(index / 64).ok().and_then(|word| self.there.get(word));
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Says that a piece is there.
    pub fn add(&mut self, index: u32) {
        if index >= self.count || self.has(index) {
            return;
        }
        if let Some(word) = usize::try_from(index / 64).ok().and_then(|word| self.there.get_mut(word)) {
            *word |= 1 << (index % 64);
            self.missing -= 1;
        }
    }

    /// Gaps as a packet has them: of each the first piece and the count, u16 BE; 0, 0: no more.
    ///
    /// They rise, and are exact as long as there is room. Of more than [`MAX_GAPS`] the last pair reaches from where the next
    /// gap begins to where the last one ends. So a sender always learns all that it could send in vain: outside of the
    /// pairs nothing is missing. Up to the last pair it knows each piece, which is as much as it can send until the next
    /// packet comes. That the last pair is such a one it sees by the sum, which is then more than what is missing.
    pub fn gaps(&self) -> [u8; 4 * MAX_GAPS] {
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(MAX_GAPS);
        for (first, count) in self.runs() {
            if pairs.len() < MAX_GAPS {
                pairs.push((first, count));
            } else if let Some((from, span)) = pairs.last_mut() {
                *span = first.saturating_add(count).saturating_sub(*from);
            }
        }
        let mut out = [0; 4 * MAX_GAPS];
        for (to, (first, count)) in out.chunks_exact_mut(4).zip(pairs) {
            let number = |n| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
            to.copy_from_slice(&[number(first), number(count)].concat());
        }
        out
    }

    /// Runs of missing pieces: the first and how many.
    fn runs(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let first = (next..self.count).find(|index| !self.has(*index))?;
            let end = (first..self.count).find(|index| self.has(*index)).unwrap_or(self.count);
            next = end;
            Some((first, end - first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(pieces: &Pieces) -> Vec<(u32, u32)> {
        let number = |bytes: &[u8]| u32::from(u16::from_be_bytes(bytes.try_into().unwrap()));
        let pairs = pieces.gaps();
        let pairs = pairs.chunks_exact(4).map(|pair| (number(&pair[..2]), number(&pair[2..])));
        pairs.take_while(|pair| *pair != (0, 0)).collect()
    }

    #[test]
    fn gaps_are_told_in_order() {
        let mut pieces = Pieces::none(65_535);
        assert_eq!((pairs(&pieces), pieces.percent()), (vec![(0, 65_535)], 0));
        [3, 4, 65_534, 65_535, 9_999_999].iter().for_each(|index| pieces.add(*index));
        pieces.add(3);
        assert_eq!(pairs(&pieces), [(0, 3), (5, 65_529)]);
        assert_eq!(pieces.missing(), 65_532);
        (0..65_533).for_each(|index| pieces.add(index));
        assert_eq!((pairs(&pieces), pieces.percent()), (vec![(65_533, 1)], 99));
        pieces.add(65_533);
        assert_eq!((pairs(&pieces), pieces.percent(), pieces.missing()), (vec![], 100, 0));
    }

    proptest! {
        #[test]
        fn no_gap_is_left_out_and_all_but_a_last_one_too_many_are_exact(
            there in prop::collection::vec(0..300_u32, 0..200),
        ) {
            let mut pieces = Pieces::none(300);
            there.iter().for_each(|index| pieces.add(*index));
            let missing: Vec<_> = (0..300).filter(|index| !there.contains(index)).collect();
            prop_assert_eq!(pieces.missing() as usize, missing.len());
            let told = pairs(&pieces);
            let covered: Vec<_> = told.iter().flat_map(|(first, count)| *first..first + count).collect();
            prop_assert!(missing.iter().all(|index| covered.contains(index)));
            let exact = covered.len() == missing.len();
            prop_assert!(exact || told.len() == MAX_GAPS);
            let sure: Vec<_> = told.iter().take(39).flat_map(|(first, count)| *first..first + count).collect();
            prop_assert!(sure.iter().all(|index| missing.contains(index)));
        }
    }
}
