//! What both ends do, unit by unit of the result: expect, code, learn. Knows no checksums and no pieces.

use crate::aarch64;
use crate::coder::{Coder, Known};
use crate::copies::Copied;
use crate::error::DeltaError;
use crate::head::Plan;
use crate::layout::{Part, Region};
use crate::model::bytes::Bytes;
use crate::model::context::{Contexts, Done};
use crate::model::flags::Flags;
use crate::model::window::Window;
use crate::predict::{Expected, Predictor, UNIT, first_word};
use crate::stored::{Ahead, Stored};

/// Bytes of the result that are coded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    bytes: [u8; UNIT],
    len: usize,
}

impl Unit {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// How the bytes of a unit are modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// An instruction at an address.
    Instruction(u64),
    /// An address.
    Pointer,
    /// A distance from an address.
    Near(u64),
    /// Single bytes.
    Plain,
}

/// The state at a place of the result.
#[derive(Debug)]
pub(crate) struct Engine<'d> {
    plan: &'d Plan,
    model: Bytes,
    window: Window,
    contexts: Contexts,
    flags: Flags,
    predictor: Predictor,
    at: u32,
    end: u32,
    /// The copy that `at` is in or before.
    copy: usize,
}

impl<'d> Engine<'d> {
    /// Memory that it takes beside what the settings say.
    pub(crate) const MEMORY: u64 = Flags::MEMORY + Ahead::MEMORY;

    /// Fresh, for a segment of the result.
    pub(crate) fn new(plan: &'d Plan, at: u32, end: u32) -> Self {
        let settings = plan.fixed.settings;
        Self {
            plan,
            model: Bytes::new(usize::try_from(settings.lines()).unwrap_or(0)),
            window: Window::new(u32::from(settings.window)),
            contexts: Contexts::new(),
            flags: Flags::new(),
            predictor: Predictor::new(),
            at,
            end,
            copy: plan.copies.partition_point(|copy| copy.end() <= at),
        }
    }

    /// Bytes of the segment that are left.
    pub(crate) fn left(&self) -> u32 {
        self.end - self.at
    }

    /// Codes the next unit; `given` is what follows in the result, for an encoder.
    pub(crate) fn step(
        &mut self,
        coder: &mut impl Coder,
        base: &(impl Stored + ?Sized),
        given: [u8; UNIT],
    ) -> Result<Unit, DeltaError> {
        let copy = self.here();
        let stretch = match copy {
            Some(copy) if copy.to <= self.at => copy.end(),
            Some(copy) => copy.to,
            None => self.end,
        };
        let copy = copy.filter(|copy| copy.to <= self.at);
        let region = self.plan.result.at(self.at);
        let room = stretch.min(self.end).min(self.plan.result.turn(self.at)) - self.at;
        let (reading, len) = reading(region, self.at, room, copy.is_some());
        let bytes = match copy {
            Some(copy) => {
                let expected = self.predictor.expect(self.plan, base, &copy, self.at, len)?;
                self.copied(coder, reading, len, &expected, given)
            }
            None => self.fresh(coder, reading, len, given),
        };
        self.note(reading, len);
        self.at += len;
        Ok(Unit { bytes, len: len as usize })
    }

    /// The copy that the next byte is in, or the next one.
    fn here(&mut self) -> Option<Copied> {
        while self.plan.copies.get(self.copy).is_some_and(|copy| copy.end() <= self.at) {
            self.copy += 1;
        }
        self.plan.copies.get(self.copy).copied()
    }

    /// A unit of which something is expected.
    fn copied(
        &mut self,
        coder: &mut impl Coder,
        reading: Reading,
        len: u32,
        expected: &Expected,
        given: [u8; UNIT],
    ) -> [u8; UNIT] {
        let expects = expected.bytes;
        let same = given.iter().zip(&expects).take(len as usize).all(|(a, b)| a == b);
        let (given, expects) = (folded(reading, given), folded(reading, expects));
        if !self.flags.code(coder, expected, !same) {
            if self.plan.fixed.settings.learns {
                return self.fresh(&mut Known, reading, len, expected.bytes);
            }
            expects.iter().take(len as usize).for_each(|byte| self.window.push(*byte));
            return expected.bytes;
        }
        let mut done = Done::NONE;
        let mut came = [0; UNIT];
        for ((given, came), _) in given.iter().zip(&mut came).zip(0..len) {
            let place = self.contexts.mend(&self.window, done, expected.reference, expects);
            *came = self.model.code(coder, &place, *given);
            done = done.with(*came);
            self.window.push(*came);
        }
        let low =
            |bytes: [u8; UNIT]| if reading == Reading::Pointer { last_word(bytes) } else { top_word(bytes) };
        self.contexts.mended(low(expects), low(came));
        unfolded(reading, came)
    }

    /// A unit of which nothing is known.
    fn fresh(&mut self, coder: &mut impl Coder, reading: Reading, len: u32, given: [u8; UNIT]) -> [u8; UNIT] {
        let given = folded(reading, given);
        let mut done = Done::NONE;
        let mut came = [0; UNIT];
        for ((given, came), n) in given.iter().zip(&mut came).zip(0..len) {
            let place = match reading {
                Reading::Instruction(_) => self.contexts.code(&self.window, done),
                Reading::Pointer => Contexts::pointer(&self.window, done),
                Reading::Near(_) | Reading::Plain => {
                    self.contexts.plain(&self.window, self.at.wrapping_add(n))
                }
            };
            *came = self.model.code(coder, &place, *given);
            done = done.with(*came);
            self.window.push(*came);
            self.contexts.read(*came);
        }
        unfolded(reading, came)
    }

    /// Learns from the unit what the contexts of the next need.
    fn note(&mut self, reading: Reading, len: u32) {
        // Where nothing is coded in full, looking for what matches is in vain.
        match reading {
            Reading::Instruction(_) => {
                self.contexts.came(self.window.word(0));
                self.window.note(8, true);
            }
            Reading::Pointer | Reading::Near(_) => self.window.note(8, true),
            Reading::Plain => {
                if len == 1 || self.at & 63 == 0 {
                    self.window.note(6, true);
                }
            }
        }
    }
}

/// How the next bytes are read, and how many.
fn reading(region: Option<&Region>, at: u32, room: u32, copied: bool) -> (Reading, u32) {
    let plain = (Reading::Plain, if copied { room.min(UNIT as u32) } else { room.min(1) });
    let Some(region) = region else { return plain };
    let unit = region.part.unit();
    if room < unit || at.wrapping_sub(region.offset) % unit != 0 {
        return plain;
    }
    let address = region.address_of(at);
    match region.part {
        Part::Code => (Reading::Instruction(address), unit),
        Part::Pointers => (Reading::Pointer, unit),
        Part::Near => (Reading::Near(address), unit),
        Part::Plain => plain,
    }
}

/// A unit's bytes as they are modelled: the highest first, and what is told as a distance told as a place.
fn folded(reading: Reading, bytes: [u8; UNIT]) -> [u8; UNIT] {
    let low = |address: u64| (address & 0xFFFF_FFFF) as u32;
    match reading {
        Reading::Instruction(at) => word_first(aarch64::folded(first_word(bytes), at)),
        Reading::Near(at) => word_first(first_word(bytes).wrapping_add(low(at))),
        Reading::Pointer => u64::from_le_bytes(bytes).to_be_bytes(),
        Reading::Plain => bytes,
    }
}

/// The bytes that were folded.
fn unfolded(reading: Reading, bytes: [u8; UNIT]) -> [u8; UNIT] {
    let low = |address: u64| (address & 0xFFFF_FFFF) as u32;
    let word = match reading {
        Reading::Instruction(at) => aarch64::unfolded(top_word(bytes), at),
        Reading::Near(at) => top_word(bytes).wrapping_sub(low(at)),
        Reading::Pointer => return u64::from_be_bytes(bytes).to_le_bytes(),
        Reading::Plain => return bytes,
    };
    let [a, b, c, d] = word.to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0]
}

fn word_first(word: u32) -> [u8; UNIT] {
    let [a, b, c, d] = word.to_be_bytes();
    [a, b, c, d, 0, 0, 0, 0]
}

fn top_word(bytes: [u8; UNIT]) -> u32 {
    let [a, b, c, d, ..] = bytes;
    u32::from_be_bytes([a, b, c, d])
}

fn last_word(bytes: [u8; UNIT]) -> u32 {
    let [.., a, b, c, d] = bytes;
    u32::from_be_bytes([a, b, c, d])
}
