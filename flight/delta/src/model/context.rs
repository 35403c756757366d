//! In which contexts bytes are estimated: those of instructions by instruction (`instruction`), addresses by column, and
//! of all else by what stands before; of what was expected and came otherwise, by what was expected.

use crate::aarch64;
use crate::model::bytes::{CONTEXTS, Place};
use crate::model::history::hash;
use crate::model::instruction::{Before, register, what};
use crate::model::window::Window;

/// What came before that the window doesn't tell.
#[derive(Debug)]
pub(crate) struct Contexts {
    /// The last instructions, by what is done and to which registers.
    alike: [u32; 1_024],
    /// The last instruction that wrote each register.
    writers: [u32; 32],
    /// The last call, and a hash of the last two.
    call: u32,
    calls: u32,
    /// Letters since the last byte that is none, and the word before them.
    text: u32,
    before: u32,
    /// What was expected last and came otherwise, and what came.
    mended: (u32, u32),
}

/// Bytes of a unit that were coded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// How many.
    pub(crate) bytes: u32,
    /// The bytes, the newest lowest, behind a one.
    pub(crate) value: u32,
}

impl Done {
    /// None yet.
    pub(crate) const NONE: Self = Self { bytes: 0, value: 1 };

    /// One more.
    pub(crate) fn with(self, byte: u8) -> Self {
        Self { bytes: self.bytes + 1, value: self.value << 8 | u32::from(byte) }
    }
}

impl Contexts {
    pub(crate) fn new() -> Self {
        Self { alike: [0; 1_024], writers: [0; 32], call: 0, calls: 0, text: 0, before: 0, mended: (0, 0) }
    }

    /// Of a byte of an instruction.
    pub(crate) fn code(&self, window: &Window, done: Done) -> Place {
        let n = done.bytes;
        let top = if n == 0 { window.back(4) } else { done.value >> (8 * (n - 1)) & 0xFF };
        let before = Before::new(window, n);
        let like = self.like(n, done.value);
        let contexts = match n {
            0 => before.of_what(like),
            1 => before.of_register(done, like),
            2 => before.of_read(done, top, like),
            _ => before.of_number(done, top, like),
        };
        let class = (n as usize) << 8 | top as usize;
        Place { contexts, kind: n as usize & 3, class, expected: window.expected() }
    }

    /// What tells most of what is alike: the last instruction that did the same, and what was last done to the register
    /// that is read.
    fn like(&self, n: u32, value: u32) -> (u32, u32) {
        let alike = |row: u32| self.alike.get(row as usize & 1_023).copied().unwrap_or(0);
        match n {
            0 => (self.call, self.calls),
            1 => (alike(value & 0xFF), self.call),
            2 => (alike(hash(value, 2)), self.call),
            _ => {
                let read = value >> 3 & 31;
                let writer = self.writers.get(read as usize).copied().unwrap_or(0);
                (alike(hash(value >> 13 << 5 | read, 3)), writer)
            }
        }
    }

    /// Of a byte of an address, the highest first.
    pub(crate) fn pointer(window: &Window, done: Done) -> Place {
        let n = done.bytes;
        let p = |back: u32| window.word(n + (back - 1) * 8);
        let (a, b, c) = (p(1), p(2), p(3));
        let seed = hash(8 + n, done.value);
        let of = [
            0,
            a,
            a >> 12,
            b,
            c,
            hash(a, b),
            hash(b, c),
            hash(hash(a >> 16, b >> 16), c >> 16),
            p(4),
            p(6),
            window.word(0),
        ];
        Self::place(seed, of, 16 + (n as usize & 7), 1_024 + 256 + n as usize, window)
    }

    /// Of a byte of anything.
    pub(crate) fn plain(&self, window: &Window, at: u32) -> Place {
        let (o4, o8) = (window.word(0), window.word(4));
        let column = at & 3;
        let byte = |back: u32| window.back(back);
        let of = [
            column,
            o4 & 0xFF,
            o4 & 0xFFFF,
            o4 & 0xFF_FFFF,
            o4,
            hash(byte(8) | byte(16) << 8, at & 7),
            hash(byte(4) | byte(8) << 8, o4 & 0xFF | column << 8),
            self.text,
            hash(hash(self.text, self.before), o4 & 0xFF),
            byte(4) | byte(8) << 8 | byte(12) << 16 | column << 24,
            hash(o4, o8),
        ];
        Self::place(0x5000_0000, of, 8 + (at as usize & 7), 1_024 + byte(1) as usize, window)
    }

    /// Of a byte that mends what was expected of a copied unit, kinds of which have numbers.
    pub(crate) fn mend(&self, window: &Window, done: Done, kind: usize, expected: [u8; 8]) -> Place {
        let [e0, e1, e2, e3, low @ ..] = expected;
        let n = done.bytes;
        let now = expected.get(n as usize).copied().unwrap_or(0);
        let (high, low) = (u32::from_be_bytes([e0, e1, e2, e3]), u32::from_be_bytes(low));
        let seed = hash(0x6000_0000 + n, kind as u32);
        let right = (done.value & 0xFF)
            ^ n.checked_sub(1).map_or(0, |n| u32::from(expected.get(n as usize).copied().unwrap_or(0)));
        let byte = u32::from(now);
        let (before, was) = self.mended;
        let a = window.word(n);
        let of = [
            0,
            byte,
            hash(right, byte),
            hash(done.value, byte),
            hash(done.value, hash(high, low)),
            hash(done.value, hash(high, before)),
            hash(done.value, hash(was, before)),
            hash(done.value, a),
            hash(done.value, high.wrapping_add(was).wrapping_sub(before)),
            hash(byte, was.wrapping_sub(before)),
            hash(done.value, was),
        ];
        let mut place = Self::place(
            seed,
            of,
            24 + kind.min(3) * 4 + (n as usize).min(3),
            1_280 + 16 + kind.min(15),
            window,
        );
        place.expected = (now, if right == 0 { 1 } else { 2 });
        place
    }

    /// Notes what came instead of what was expected.
    pub(crate) fn mended(&mut self, expected: u32, came: u32) {
        self.mended = (expected, came);
    }

    /// Notes an instruction.
    pub(crate) fn came(&mut self, word: u32) {
        let upper = 1 << 8 | word >> 24;
        let with_register = upper << 8 | word >> 16 & 0xFF;
        let read = word >> 11 & 31;
        let rows = [word >> 24, hash(with_register, 2), hash((1 << 11 | what(word)) << 5 | read, 3)];
        for row in rows {
            if let Some(alike) = self.alike.get_mut(row as usize & 1_023) {
                *alike = word;
            }
        }
        if let Some(writer) = self.writers.get_mut(register(word) as usize) {
            *writer = word;
        }
        if aarch64::is_call(word) {
            (self.calls, self.call) = (hash(self.call, word), word);
        }
    }

    /// Notes a byte of anything.
    pub(crate) fn read(&mut self, byte: u8) {
        if byte.is_ascii_alphabetic() {
            self.text = hash(self.text, u32::from(byte | 0x20));
        } else if self.text != 0 {
            (self.before, self.text) = (self.text, 0);
        }
    }

    fn place(seed: u32, of: [u32; CONTEXTS], kind: usize, class: usize, window: &Window) -> Place {
        let contexts = numbered(seed, of);
        Place { contexts, kind, class, expected: window.expected() }
    }
}

/// Hashes of contexts by what they have in common.
pub(super) fn numbered(seed: u32, of: [u32; CONTEXTS]) -> [u32; CONTEXTS] {
    let mut n = 0;
    of.map(|context| {
        n += 1;
        hash(seed.wrapping_add(n), context)
    })
}
