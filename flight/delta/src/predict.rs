//! What a copied unit looks like once everything it points at has moved.

use crate::aarch64::{self, Kind};
use crate::copies::{Copied, Map};
use crate::error::DeltaError;
use crate::head::Plan;
use crate::layout::{Part, Region};
use crate::pages::{AHEAD, Pages, low_behind};
use crate::stored::{Ahead, Stored};

/// Most bytes of a unit.
pub(crate) const UNIT: usize = 8;

/// What is expected of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) bytes: [u8; UNIT],
    /// What kind of reference it holds, below [`REFERENCES`]; 0: none.
    pub(crate) reference: usize,
    /// Whether it is other than in the base.
    pub(crate) moved: bool,
    /// Whether what it points at was copied itself, so that where it is now is known and not guessed.
    pub(crate) known: bool,
}

/// Kinds of references.
pub(crate) const REFERENCES: usize = 9;

/// Reads the base and expects.
#[derive(Debug)]
pub(crate) struct Predictor {
    ahead: Ahead,
    /// The pages that registers hold, in the base.
    pages: Pages,
    /// Where the next unit of the base stands if nothing else comes between.
    next: u32,
}

impl Predictor {
    pub(crate) fn new() -> Self {
        Self { ahead: Ahead::new("base"), pages: Pages::new(), next: 0 }
    }

    /// What is expected of the unit of `len` bytes at `at` of the result, which is inside a copy.
    pub(crate) fn expect(
        &mut self,
        plan: &Plan,
        base: &(impl Stored + ?Sized),
        copy: &Copied,
        at: u32,
        len: u32,
    ) -> Result<Expected, DeltaError> {
        let from = copy.from.saturating_add(at.saturating_sub(copy.to));
        if from != self.next {
            self.pages = Pages::new();
        }
        self.next = from.saturating_add(len);
        let end = u64::from(plan.fixed.base_bytes);
        self.ahead.hold(base, u64::from(from), 4 * AHEAD as usize + 4, end)?;
        let mut bytes = [0; UNIT];
        for (n, byte) in (0..u64::from(len)).zip(&mut bytes) {
            [*byte] = self.ahead.get(u64::from(from) + n).unwrap_or_default();
        }
        let was = Expected { bytes, reference: 0, moved: false, known: true };
        let (Some(old), Some(new)) = (plan.base.at(from), plan.result.at(at)) else { return Ok(was) };
        let unit = new.part.unit();
        if old.part != new.part || len != unit || from.wrapping_sub(old.offset) % unit != 0 {
            return Ok(was);
        }
        let now = match new.part {
            Part::Code => self.instruction(&plan.map, (old, from), new.address_of(at), bytes),
            Part::Pointers => pointer(plan, bytes),
            Part::Near => near(plan, old.address_of(from), new.address_of(at), bytes),
            Part::Plain => None,
        };
        Ok(now.map_or(was, |now| Expected { moved: now.bytes != was.bytes, ..now }))
    }

    /// An instruction that points at something, or that adds the low part of an address.
    fn instruction(
        &mut self,
        map: &Map,
        (region, from): (&Region, u32),
        to: u64,
        bytes: [u8; UNIT],
    ) -> Option<Expected> {
        let word = first_word(bytes);
        let at = region.address_of(from);
        let added = self.pages.added_to(word, from);
        self.pages.note(word, from, at);
        if let Some((kind, target)) = aarch64::target(word, at) {
            let low = if kind == Kind::Page { self.low(region, from, word) } else { 0 };
            let (moved, known) = map.moved(target.wrapping_add(low));
            let word = aarch64::pointing(word, kind, to, moved)?;
            return Some(expected(word, 1 + kind as usize, known));
        }
        let (page, scale) = added?;
        let (moved, known) = map.moved(page.wrapping_add(aarch64::low_of(word, scale)));
        Some(expected(aarch64::with_low(word, scale, moved)?, 6, known))
    }

    /// The low part of the address that an ADRP begins, as far as it can be seen; or 0.
    fn low(&self, region: &Region, from: u32, word: u32) -> u64 {
        let ahead = (1..=AHEAD).map(|n| from.saturating_add(n * 4)).take_while(|at| *at < region.end());
        let words = ahead.map_while(|at| self.ahead.get(u64::from(at)).map(u32::from_le_bytes));
        low_behind(words, word & 31).unwrap_or(0)
    }
}

fn pointer(plan: &Plan, bytes: [u8; UNIT]) -> Option<Expected> {
    let value = u64::from_le_bytes(bytes);
    let (moved, known) = plan.base.spans(value).then(|| plan.map.moved(value))?;
    Some(Expected { bytes: moved.to_le_bytes(), reference: 7, moved: false, known })
}

fn near(plan: &Plan, from: u64, to: u64, bytes: [u8; UNIT]) -> Option<Expected> {
    let target = from.wrapping_add_signed(i64::from(first_word(bytes).cast_signed()));
    let code = plan.base.part_at(target) == Some(Part::Code);
    let (moved, known) = code.then(|| plan.map.moved(target))?;
    // What is further than 2 GiB away is cut off, and coded as something that is wrong.
    let away = moved.wrapping_sub(to) & u64::from(u32::MAX);
    Some(expected(u32::try_from(away).unwrap_or(0), 8, known))
}

fn expected(word: u32, reference: usize, known: bool) -> Expected {
    let mut bytes = [0; UNIT];
    bytes.iter_mut().zip(word.to_le_bytes()).for_each(|(to, from)| *to = from);
    Expected { bytes, reference, moved: false, known }
}

/// The word at the beginning of a unit.
pub(crate) fn first_word(bytes: [u8; UNIT]) -> u32 {
    let [a, b, c, d, ..] = bytes;
    u32::from_le_bytes([a, b, c, d])
}
