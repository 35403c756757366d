//! Whether a copied unit is as expected: nearly always, so that the estimates have to come near certainty.

use crate::coder::Coder;
use crate::model::chance::Chance;
use crate::model::logistic::{Mixer, Stretch, squash};
use crate::predict::{Expected, REFERENCES};

/// Sets of weights.
const SETS: usize = REFERENCES * 4;
const INPUTS: usize = 5;

/// The model.
#[derive(Debug)]
pub(crate) struct Flags {
    by_reference: Vec<Chance>,
    by_last: Vec<Chance>,
    by_way: Vec<Chance>,
    by_kind_last: Vec<Chance>,
    mixer: Mixer<INPUTS>,
    stretch: Stretch,
    /// Whether the last units were wrong, the newest lowest.
    last: u32,
    /// Units since the last wrong one, and of each kind of reference whether the last ones were wrong.
    right: u32,
    kinds: [u8; REFERENCES],
}

impl Flags {
    /// Memory that it takes.
    pub(crate) const MEMORY: u64 = (SETS * 4 + 256 * 4 + SETS * 32 * 4 + SETS * 16 * 4) as u64
        + Mixer::<INPUTS>::memory(SETS)
        + Stretch::MEMORY;

    pub(crate) fn new() -> Self {
        let rare = Chance::of(200, 2);
        Self {
            by_reference: vec![rare; SETS],
            by_last: vec![rare; 256],
            by_way: vec![rare; SETS * 32],
            by_kind_last: vec![rare; SETS * 16],
            mixer: Mixer::new(SETS, 8_192 / 4),
            stretch: Stretch::new(),
            last: 0,
            right: 0,
            kinds: [0; REFERENCES],
        }
    }

    /// Codes whether a unit is wrong.
    pub(crate) fn code(&mut self, coder: &mut impl Coder, expected: &Expected, wrong: bool) -> bool {
        let set = expected.reference * 4 + usize::from(expected.moved) * 2 + usize::from(expected.known);
        let kind = self.kinds.get(expected.reference).copied().unwrap_or(0);
        let way = (32 - self.right.leading_zeros()).min(31) as usize;
        let places = [set, (self.last & 255) as usize, set * 32 + way, set * 16 + usize::from(kind & 15)];
        let tables = [&mut self.by_reference, &mut self.by_last, &mut self.by_way, &mut self.by_kind_last];
        let mut inputs = [256; INPUTS];
        for ((input, table), at) in inputs.iter_mut().zip(&tables).zip(places) {
            *input = self.stretch.of(table.get(at).map_or(1 << 15, |chance| chance.p1()));
        }
        let p1 = squash(self.mixer.mix(&inputs, set)).clamp(1, 65_535);
        let wrong = coder.code(wrong, p1 as u32);
        self.mixer.learn(&inputs, wrong, 1);
        for (table, at) in tables.into_iter().zip(places) {
            if let Some(chance) = table.get_mut(at) {
                chance.learn(wrong, 250);
            }
        }
        self.last = self.last << 1 | u32::from(wrong);
        self.right = if wrong { 0 } else { self.right.saturating_add(1) };
        if let Some(kind) = self.kinds.get_mut(expected.reference) {
            *kind = *kind << 1 | u8::from(wrong);
        }
        wrong
    }
}
