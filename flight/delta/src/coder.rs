//! The entropy coder: a binary arithmetic coder without carries, after I. Witten, R. Neal and J. Cleary ("Arithmetic
//! coding for data compression", CACM 30(6), 1987), with an interval of 32 bits and probabilities of 16.
//!
//! Both directions have one shape, [`Coder::code`], so that what is modelled is written once for both.

use crate::error::DeltaError;
use crate::stored::{Ahead, Stored};

/// Puts bits into a stream, or takes them out of it.
pub(crate) trait Coder {
    /// Codes a bit whose probability of being 1 is `p1` of 65,536, from 1 to 65,535. Returns the bit, which a decoder
    /// finds in the stream whatever it is given.
    fn code(&mut self, bit: bool, p1: u32) -> bool;
}

/// Codes nothing: for what both ends know, to learn from it.
#[derive(Debug)]
pub(crate) struct Known;

impl Coder for Known {
    fn code(&mut self, bit: bool, _p1: u32) -> bool {
        bit
    }
}

/// Where the next bit splits an interval.
#[derive(Debug, Clone, Copy)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const WHOLE: Self = Self { low: 0, high: u32::MAX };

    /// The last value that stands for 1: at least one value is left for 0, since `p1` is below 65,536.
    fn middle(self, p1: u32) -> u32 {
        let range = u64::from(self.high.wrapping_sub(self.low));
        self.low.wrapping_add(((range * u64::from(p1)) >> 16) as u32)
    }

    fn take(&mut self, bit: bool, middle: u32) {
        if bit { self.high = middle } else { self.low = middle.wrapping_add(1) }
    }

    /// The first byte, once no bit can change it any more; it goes away.
    fn settled(&mut self) -> Option<u8> {
        if (self.low ^ self.high) >> 24 != 0 {
            return None;
        }
        let byte = (self.high >> 24) as u8;
        self.low <<= 8;
        self.high = self.high << 8 | 0xFF;
        Some(byte)
    }
}

/// Most bits that are coded between two times that the stream is fed: a whole number's length and bits.
const STEP_BITS: usize = 65 + 64;

/// Most bytes that these can take: a bit shifts no more than four bytes out of the interval.
const STEP_BYTES: usize = STEP_BITS * 4;

/// Takes bits out of a stream that is read ahead.
#[derive(Debug)]
pub(crate) struct Decoder {
    interval: Interval,
    code: u32,
    ahead: Ahead,
    /// Where the next byte stands, and where the stream ends.
    next: u64,
    end: u64,
    /// Bytes that were taken behind the end.
    beyond: u64,
}

impl Decoder {
    /// Memory that it takes.
    pub(crate) const MEMORY: u64 = Ahead::MEMORY;

    /// At the beginning of a stream of the bytes of `source` from `from` to `end`.
    pub(crate) fn new(source: &(impl Stored + ?Sized), from: u64, end: u64) -> Result<Self, DeltaError> {
        let interval = Interval::WHOLE;
        let mut new = Self { interval, code: 0, ahead: Ahead::new("delta"), next: from, end, beyond: 0 };
        new.feed(source)?;
        for _ in 0..4 {
            new.code = new.code << 8 | u32::from(new.next_byte());
        }
        Ok(new)
    }

    /// Has what the next unit or number may need in memory: before each.
    pub(crate) fn feed(&mut self, source: &(impl Stored + ?Sized)) -> Result<(), DeltaError> {
        self.ahead.hold(source, self.next, STEP_BYTES, self.end)
    }

    /// Whether the stream had just as many bytes as were needed: the encoder's last bytes are one to four, the
    /// decoder is always four ahead.
    pub(crate) fn ended(&self) -> bool {
        self.next == self.end && self.beyond <= 3
    }

    /// Whether more was taken than there can be.
    pub(crate) fn starved(&self) -> bool {
        self.beyond > 3
    }

    fn next_byte(&mut self) -> u8 {
        if self.next >= self.end {
            self.beyond += 1;
            return 0;
        }
        let [byte] = self.ahead.get(self.next).unwrap_or_default();
        self.next += 1;
        byte
    }
}

impl Coder for Decoder {
    fn code(&mut self, _bit: bool, p1: u32) -> bool {
        let middle = self.interval.middle(p1);
        let bit = self.code <= middle;
        self.interval.take(bit, middle);
        while self.interval.settled().is_some() {
            self.code = self.code << 8 | u32::from(self.next_byte());
        }
        bit
    }
}

/// Puts bits into memory.
#[cfg(feature = "encode")]
#[derive(Debug)]
pub(crate) struct Encoder {
    interval: Interval,
    out: Vec<u8>,
}

#[cfg(feature = "encode")]
impl Encoder {
    /// An empty stream.
    pub(crate) fn new() -> Self {
        Self { interval: Interval::WHOLE, out: Vec::new() }
    }

    /// The stream, in as few bytes as tell the interval whatever follows them.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let Interval { low, high } = self.interval;
        let whole = low.checked_next_multiple_of(1 << 24).filter(|first| first | 0x00FF_FFFF <= high);
        match whole {
            Some(first) => self.out.push((first >> 24) as u8),
            None => self.out.extend_from_slice(&high.to_be_bytes()),
        }
        self.out
    }
}

#[cfg(feature = "encode")]
impl Coder for Encoder {
    fn code(&mut self, bit: bool, p1: u32) -> bool {
        let middle = self.interval.middle(p1);
        self.interval.take(bit, middle);
        while let Some(byte) = self.interval.settled() {
            self.out.push(byte);
        }
        bit
    }
}

#[cfg(all(test, feature = "encode"))]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back_at_any_probability() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let bits: Vec<(bool, u32)> = (0..50_000)
            .map(|n| {
                let p1 = if n % 3 == 0 { 1 } else { random() % 65_535 + 1 };
                (random() % 65_536 < p1, p1)
            })
            .collect();
        let mut encoder = Encoder::new();
        for (bit, p1) in &bits {
            encoder.code(*bit, *p1);
        }
        let stream = encoder.finish();
        let mut decoder = Decoder::new(&stream, 0, stream.len() as u64).unwrap();
        for (bit, p1) in &bits {
            decoder.feed(&stream).unwrap();
            assert_eq!(decoder.code(false, *p1), *bit);
        }
        assert!(decoder.ended(), "the stream's length is told exactly");
    }
}
