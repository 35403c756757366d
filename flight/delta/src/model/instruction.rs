//! In which contexts the bytes of an instruction are estimated, folded as `aarch64::folded` does: what is done, the
//! lowest register, the register above it, the rest. Most tell what was done before; those of the later bytes leave out
//! the registers by turns, which are mostly chance.

use crate::model::bytes::CONTEXTS;
use crate::model::context::{Done, numbered};
use crate::model::history::hash;
use crate::model::window::Window;

/// The upper bits of an instruction, which mostly say what it does.
pub(super) fn what(word: u32) -> u32 {
    word >> 21
}

/// The register at an instruction's lowest bits, which is mostly written.
pub(super) fn register(word: u32) -> u32 {
    word >> 16 & 31
}

/// The instructions before one, the last first.
pub(super) struct Before {
    a: u32,
    b: u32,
    /// What the last two, three and five did, and the second and third last.
    two: u32,
    between: u32,
    three: u32,
    five: u32,
    /// The registers at the lowest bits of the last four.
    registers: u32,
}

impl Before {
    /// Those before the instruction of which `n` bytes are done.
    pub(super) fn new(window: &Window, n: u32) -> Self {
        let [a, b, c, d, e] = [0, 4, 8, 12, 16].map(|back| window.word(n + back));
        let two = what(a) | what(b) << 11;
        let three = hash(two, what(c));
        let five = hash(three, what(d) << 11 | what(e));
        let registers = register(a) << 15 | register(b) << 10 | register(c) << 5 | register(d);
        let between = what(b) << 11 | what(c);
        Self { a, b, two, between, three, five, registers }
    }

    /// Of the upper byte, which says most of what is done.
    pub(super) fn of_what(&self, (call, calls): (u32, u32)) -> [u32; CONTEXTS] {
        let Self { a, .. } = *self;
        let of = [
            0,
            what(a),
            self.between,
            self.three,
            what(a) << 5 | register(a),
            self.registers >> 10,
            self.five,
            self.two,
            call,
            calls,
            hash(self.two, register(a) << 5 | register(self.b)),
        ];
        numbered(0, of)
    }

    /// Of the byte of the lowest register.
    pub(super) fn of_register(&self, done: Done, (alike, call): (u32, u32)) -> [u32; CONTEXTS] {
        let Self { a, b, .. } = *self;
        let of = [
            0,
            what(a),
            hash(a, b),
            self.three,
            what(a) << 5 | register(a),
            self.registers >> 10,
            self.registers,
            self.two,
            alike,
            call,
            hash(alike, what(a)),
        ];
        numbered(hash(1, done.value), of)
    }

    /// Of the byte of the register above, or of a number's upper bits: some without the register below.
    pub(super) fn of_read(&self, done: Done, top: u32, (alike, _): (u32, u32)) -> [u32; CONTEXTS] {
        let Self { a, .. } = *self;
        let whole = hash(2, done.value);
        let bare = if is_call(top) { whole } else { hash(3, done.value >> 5) };
        [
            hash(whole, 0),
            hash(whole.wrapping_add(1), what(a)),
            hash(bare.wrapping_add(2), register(a)),
            hash(bare.wrapping_add(3), self.registers),
            hash(whole.wrapping_add(4), register(a)),
            hash(bare.wrapping_add(5), self.registers >> 10),
            hash(bare.wrapping_add(6), self.five),
            hash(bare.wrapping_add(7), self.three),
            hash(whole.wrapping_add(8), alike),
            hash(bare.wrapping_add(9), (a >> 11 & 31) << 5 | register(a)),
            hash(whole.wrapping_add(10), a),
        ]
    }

    /// Of the byte of a number's lower bits: some without the registers, some with the one that is read alone.
    pub(super) fn of_number(&self, done: Done, top: u32, (alike, writer): (u32, u32)) -> [u32; CONTEXTS] {
        let Self { a, .. } = *self;
        let whole = hash(4, done.value);
        let (bare, read) = if is_call(top) {
            (whole, whole)
        } else {
            let done = done.value >> 13 << 8 | done.value & 0xFF;
            (hash(5, done & !0xF8), hash(6, done))
        };
        [
            hash(whole, 0),
            hash(bare.wrapping_add(1), what(a)),
            hash(read.wrapping_add(2), 0),
            hash(bare.wrapping_add(3), 0),
            hash(whole.wrapping_add(4), a),
            hash(read.wrapping_add(5), alike),
            hash(bare.wrapping_add(6), self.five),
            hash(bare.wrapping_add(7), self.three),
            hash(read.wrapping_add(8), writer),
            hash(bare.wrapping_add(9), what(a) << 8 | a & 0xFF),
            hash(read.wrapping_add(10), a),
        ]
    }
}

/// Whether an upper byte is that of BL, or of B, whose bits all are a number's.
fn is_call(top: u32) -> bool {
    top & 0x7C == 0x14
}
