//! Single decisions and whole numbers, each learnt by itself.

use crate::coder::Coder;

/// How likely a one is: 22 bits of a probability, and 10 of how often it was learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u32);

/// A probability of one.
const ONE: u32 = (1 << 22) - 1;

/// 65,536 / (n + 1.5): how much of what it is off an estimate moves the n-th time it learns.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
const SHARE: [u32; 256] = {
    let mut share = [0; 256];
    let mut n = 0;
    while n < 256 {
        share[n] = 131_072 / (2 * n as u32 + 3);
        n += 1;
    }
    share
};

impl Chance {
    /// Knowing nothing.
    pub(crate) const EVEN: Self = Self(1 << 31);

    /// A probability of 65,536, as if learnt `times` before.
    pub(crate) fn of(p1: u32, times: u32) -> Self {
        Self(p1.min(65_535) << 16 | times)
    }

    /// The probability of one, of 65,536: from 1 to 65,535.
    pub(crate) fn p1(self) -> u32 {
        (self.0 >> 16).max(1)
    }

    /// Learns from a bit: a share of what it is off that shrinks until it has learnt `limit` times (at most 255).
    pub(crate) fn learn(&mut self, bit: bool, limit: u32) {
        let (p1, times) = (self.0 >> 10, self.0 & 1_023);
        let share = SHARE.get(times as usize).copied().unwrap_or(0);
        // Up, so that it gets as near as can be told.
        let part = |off: u32| ((u64::from(off) * u64::from(share) + 0xFFFF) >> 16) as u32;
        let p1 = if bit { p1 + part(ONE - p1) } else { p1 - part(p1) };
        self.0 = p1 << 10 | if times < limit.min(255) { times + 1 } else { times };
    }

    /// Codes a decision, and learns from it.
    pub(crate) fn code(&mut self, coder: &mut impl Coder, bit: bool) -> bool {
        let bit = coder.code(bit, self.p1());
        self.learn(bit, 250);
        bit
    }
}

/// Bits behind a number's first that are learnt; the rest are coded as they are.
const LEARNT: u32 = 3;

/// Whole numbers below 2^63: how many bits they have, then those bits from the top.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    length: [Chance; 64],
    top: [[Chance; 8]; 64],
}

impl Number {
    /// Knowing nothing.
    pub(crate) const fn new() -> Self {
        Self { length: [Chance::EVEN; 64], top: [[Chance::EVEN; 8]; 64] }
    }

    /// Codes one.
    pub(crate) fn code(&mut self, coder: &mut impl Coder, value: u64) -> u64 {
        // A one is put before it, so that its length says all of the first bit.
        let wide = value.wrapping_add(1).max(1);
        let bits = wide.ilog2();
        let mut length = 0;
        for chance in self.length.iter_mut().take(63) {
            if !chance.code(coder, length < bits) {
                break;
            }
            length += 1;
        }
        let mut out = 1_u64;
        for done in 0..length {
            let bit = wide >> (length - 1 - done) & 1 != 0;
            let node = (1_u64 << done.min(LEARNT)) - 1 + (out & ((1 << done.min(LEARNT)) - 1));
            let learnt = self.top.get_mut(length as usize).and_then(|top| top.get_mut(node as usize));
            let bit = match learnt {
                Some(chance) if done < LEARNT => chance.code(coder, bit),
                _ => coder.code(bit, 1 << 15),
            };
            out = out << 1 | u64::from(bit);
        }
        out - 1
    }

    /// Codes one that may be negative, from -2^62 on.
    pub(crate) fn code_signed(&mut self, coder: &mut impl Coder, value: i64) -> i64 {
        let folded = self.code(coder, (value << 1 ^ value >> 63) as u64);
        (folded >> 1) as i64 ^ -((folded & 1) as i64)
    }
}

#[cfg(all(test, feature = "encode"))]
mod tests {
    use super::*;
    use crate::coder::{Decoder, Encoder};

    #[test]
    fn numbers_come_back() {
        let values = [0, 1, 2, 3, 7, 8, 255, 1 << 31, (1 << 62) + 12_345, (1 << 63) - 1];
        let signed = [0, -1, 1, -2, 1_000_000, -(1 << 61), i64::from(i32::MIN)];
        let (mut number, mut encoder) = (Number::new(), Encoder::new());
        values.iter().for_each(|v| assert_eq!(number.code(&mut encoder, *v), *v));
        signed.iter().for_each(|v| assert_eq!(number.code_signed(&mut encoder, *v), *v));
        let stream = encoder.finish();
        let (mut number, mut decoder) = (
            Number::new(),
            Decoder::new(&stream, 0, 1_000)
                .unwrap_or_else(|_| Decoder::new(&stream, 0, stream.len() as u64).unwrap()),
        );
        for value in values {
            decoder.feed(&stream).unwrap();
            assert_eq!(number.code(&mut decoder, 0), value);
        }
        for value in signed {
            decoder.feed(&stream).unwrap();
            assert_eq!(number.code_signed(&mut decoder, 0), value);
        }
    }

    #[test]
    fn a_chance_comes_near_certainty() {
        let mut chance = Chance::EVEN;
        (0..100_000).for_each(|_| chance.learn(false, 250));
        assert_eq!(chance.p1(), 1);
        (0..100_000).for_each(|_| chance.learn(true, 250));
        assert_eq!(chance.p1(), 65_535);
    }
}
