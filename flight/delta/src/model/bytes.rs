//! Bytes, each bit of them estimated by what followed its contexts before.

use std::hint::black_box;

use crate::coder::Coder;
use crate::model::chance::Chance;
use crate::model::history::{LINE_BYTES, Slot, States, Table, hash};
use crate::model::logistic::{Mixer, Refiner, Stretch, squash};

/// Contexts that a byte has.
pub(crate) const CONTEXTS: usize = 11;
/// Estimates that are mixed: two a context, what is expected, and a constant.
const INPUTS: usize = CONTEXTS * 2 + 2;
/// How surely a byte can be expected: 0 is not at all.
pub(crate) const SURE: usize = 24;
/// Kinds of places: below this.
pub(crate) const KINDS: usize = 40;
/// Classes of places, for other weights.
pub(crate) const CLASSES: usize = 1_312;
/// Sets of weights by kind and sureness; by kind in short and the bits before; by kind, contexts known and bit.
const BY_KIND: usize = KINDS * SURE;
const BY_BITS: usize = 8 * 256;
const BY_KNOWN: usize = KINDS * 16 * 8;
/// Contexts of what an estimate came to.
const REFINED: usize = 4_096;

/// What a byte is coded in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Hashes of its contexts, the first the broadest.
    pub(crate) contexts: [u32; CONTEXTS],
    /// Its kind, below [`KINDS`].
    pub(crate) kind: usize,
    /// Its class, below [`CLASSES`].
    pub(crate) class: usize,
    /// A byte that is expected, and how surely: below [`SURE`].
    pub(crate) expected: (u8, usize),
}

/// The model.
#[derive(Debug)]
pub(crate) struct Bytes {
    table: Table,
    states: States,
    odds: Vec<[Chance; 256]>,
    stretch: Stretch,
    by_kind: Mixer<INPUTS>,
    by_bits: Mixer<INPUTS>,
    by_class: Mixer<INPUTS>,
    by_known: Mixer<INPUTS>,
    known: usize,
    sure: bool,
    last: Mixer<4>,
    hits: Vec<Chance>,
    refiners: [Refiner; 2],
    inputs: [i16; INPUTS],
    logits: [i16; 4],
    now: [Now; CONTEXTS],
}

/// Where a context is in the table.
#[derive(Debug, Clone, Copy, Default)]
struct Now {
    hash: u32,
    line: usize,
    at: usize,
    slot: Slot,
}

/// Bytes of memory that a table of a number of lines, and all else of the model, take.
pub(crate) const fn memory(lines: u64) -> u64 {
    let sets = BY_KIND + BY_BITS + CLASSES + BY_KNOWN;
    let mixers = Mixer::<INPUTS>::memory(sets) + Mixer::<4>::memory(KINDS * 8);
    let rest = 2 * Refiner::memory(REFINED) + Stretch::MEMORY + States::MEMORY;
    lines * LINE_BYTES + mixers + rest + (CONTEXTS * 256 * 4 + SURE * 8 * 4) as u64
}

impl Bytes {
    /// With a table of that many lines.
    pub(crate) fn new(lines: usize) -> Self {
        let states = States::new();
        let mut first = [Chance::EVEN; 256];
        for (history, chance) in first.iter_mut().enumerate() {
            let (zeros, ones) = states.counts(history);
            *chance = Chance::of(65_536 * (ones * 5 + 2) / ((zeros + ones) * 5 + 4), 6);
        }
        let even = 8_192 * 3 / 10;
        Self {
            table: Table::new(lines),
            states,
            odds: vec![first; CONTEXTS],
            stretch: Stretch::new(),
            by_kind: Mixer::new(BY_KIND, even),
            by_bits: Mixer::new(BY_BITS, even),
            by_class: Mixer::new(CLASSES, even),
            by_known: Mixer::new(BY_KNOWN, even),
            known: 0,
            sure: false,
            last: Mixer::new(KINDS * 8, 8_192 / 4),
            hits: vec![Chance::of(50_000, 4); SURE * 8],
            refiners: [Refiner::new(REFINED), Refiner::new(REFINED)],
            inputs: [0; INPUTS],
            logits: [0; 4],
            now: [Now::default(); CONTEXTS],
        }
    }

    /// Codes a byte, and learns from it.
    pub(crate) fn code(&mut self, coder: &mut impl Coder, place: &Place, byte: u8) -> u8 {
        self.sure = place.expected.1 >= 14;
        let mut partial = 1_usize;
        let mut expecting = place.expected.1 > 0;
        for step in 0..8 {
            if step & 1 == 0 {
                self.turn(place, partial, step);
            }
            // The node in the slot's tree of two bits.
            let node = if step & 1 == 0 { 1 } else { 2 | partial & 1 };
            let bit_expected = place.expected.0 >> (7 - step) & 1 != 0;
            let hit = expecting.then_some((place.expected.1 * 8 + step, bit_expected));
            self.estimate(node, hit);
            let p1 = self.together(place, partial, step, expecting);
            let bit = coder.code(byte >> (7 - step) & 1 != 0, p1 as u32);
            self.learn(node, bit);
            if let Some((slot, expected)) = hit {
                if let Some(chance) = self.hits.get_mut(slot) {
                    chance.learn(bit == expected, 250);
                }
                expecting = bit == expected;
            }
            partial = partial << 1 | usize::from(bit);
        }
        self.put_back();
        partial as u8
    }

    /// Goes on to the next two bits.
    fn turn(&mut self, place: &Place, partial: usize, step: usize) {
        if step > 0 {
            self.put_back();
        }
        if step & 3 == 0 {
            for (now, context) in self.now.iter_mut().zip(&place.contexts) {
                now.hash = hash(*context, partial as u32);
                now.line = self.table.line(now.hash);
            }
            // All lines are asked for before any is looked into, so that the memory fetches them side by side.
            let touched =
                self.now.iter().map(|now| self.table.touch(now.line)).fold(0, |all, byte| all ^ byte);
            black_box(touched);
        }
        // Nothing, or the two bits before, in the half byte.
        let before = if step & 3 == 0 { 0 } else { (partial as u32 & 3) + 1 };
        for now in &mut self.now {
            let hash = (now.hash & 0xFFFF).wrapping_add(before * 0x2F35);
            (now.at, now.slot) = self.table.enter(now.line, hash);
        }
    }

    fn put_back(&mut self) {
        // What a long match tells needn't be told by long contexts too: it would only take room.
        let noted = if self.sure { 3 } else { CONTEXTS };
        self.now.iter().take(noted).for_each(|now| self.table.leave(now.line, now.at, now.slot));
    }

    /// What each context estimates.
    fn estimate(&mut self, node: usize, hit: Option<(usize, bool)>) {
        let mut pairs = self.inputs.as_chunks_mut::<2>().0.iter_mut();
        self.known = 0;
        for ((now, odds), pair) in self.now.iter().zip(&self.odds).zip(pairs.by_ref()) {
            let history = now.slot.get(node).copied().unwrap_or(0);
            let chance = odds.get(usize::from(history)).copied().unwrap_or(Chance::EVEN);
            self.known += usize::from(history != 0);
            *pair = if history == 0 {
                [0; 2]
            } else {
                [self.stretch.of(chance.p1()), ((chance.p1() as i32 - 32_768) >> 5) as i16]
            };
        }
        let hit = hit.map_or(0, |(slot, expected)| {
            let logit = self.stretch.of(self.hits.get(slot).map_or(1 << 15, |chance| chance.p1()));
            if expected { logit } else { -logit }
        });
        if let Some(pair) = pairs.next() {
            *pair = [hit, 256];
        }
    }

    /// The probability of one by all estimates, of 65,536.
    fn together(&mut self, place: &Place, partial: usize, step: usize, expecting: bool) -> i32 {
        let sure = if expecting { place.expected.1 } else { 0 };
        let low = place.kind & 3 | if place.kind >= 4 { 4 } else { 0 };
        let logits = [
            self.by_kind.mix(&self.inputs, place.kind * SURE + sure),
            self.by_bits.mix(&self.inputs, low << 8 | partial),
            self.by_class.mix(&self.inputs, place.class),
            self.by_known.mix(&self.inputs, (place.kind * 16 + self.known) * 8 + step),
        ]
        .map(|logit| logit as i16);
        self.logits = logits;
        let logit = self.last.mix(&logits, place.kind * 8 + step);
        let [broad, ..] = place.contexts;
        let by = |context: u32, n: u32| (hash(context, n << 8 | partial as u32) >> 20) as usize;
        let [a, b] = &mut self.refiners;
        let refined = a.refine(logit, by(broad, 1))
            + b.refine(logit, by(u32::from(place.expected.0) << 8 | sure as u32, 2));
        ((squash(logit) * 2 + refined * 3) / 8).clamp(1, 65_535)
    }

    fn learn(&mut self, node: usize, bit: bool) {
        self.by_kind.learn(&self.inputs, bit, 6);
        self.by_bits.learn(&self.inputs, bit, 6);
        self.by_class.learn(&self.inputs, bit, 6);
        self.by_known.learn(&self.inputs, bit, 6);
        self.last.learn(&self.logits, bit, 2);
        self.refiners.iter_mut().for_each(|refiner| refiner.learn(bit));
        for (now, odds) in self.now.iter_mut().zip(&mut self.odds) {
            let Some(history) = now.slot.get_mut(node) else { continue };
            if let Some(chance) = odds.get_mut(usize::from(*history)) {
                chance.learn(bit, 250);
            }
            *history = self.states.next(*history, bit);
        }
    }
}
