//! A sealed block as an RFC 6330 (RaptorQ) source block.
//!
//! One block, one source block, one sub-block; the last source symbol is padded with zeros. Encoding
//! symbol ids below K are source symbols, from K on repair symbols (RFC 6330 §5.3). A decoder needs K
//! symbols, and with K + 2 it fails less than once in a million blocks (RFC 6330 §5.8).
//!
//! A RaptorQ decoder fed one wrong symbol returns wrong data and no error: only symbols whose
//! datagram's tag was verified belong in here.

use core::fmt;

use raptorq::ObjectTransmissionInformation;

use crate::datagram::{MAX_BLOCK_SYMBOLS, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES};

mod decoder;
mod encoder;

pub use decoder::BlockDecoder;
pub use encoder::{BlockEncoder, EncodingPlan};

fn source_symbols(block_bytes: u64, symbol_bytes: u16) -> Result<u32, FountainError> {
    if !(MIN_SYMBOL_BYTES..=MAX_SYMBOL_BYTES).contains(&symbol_bytes) {
        return Err(FountainError::SymbolSize(symbol_bytes));
    }
    u32::try_from(block_bytes.div_ceil(u64::from(symbol_bytes)))
        .ok()
        .filter(|k| (1..=MAX_BLOCK_SYMBOLS).contains(k))
        .ok_or(FountainError::BlockSize(block_bytes))
}

fn transmission_information(padded_bytes: u64, symbol_bytes: u16) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::new(padded_bytes, symbol_bytes, 1, 1, 1)
}

/// Sizes a block can't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FountainError {
    /// A symbol size out of range.
    SymbolSize(u16),
    /// An empty block, or one of more than [`MAX_BLOCK_SYMBOLS`].
    BlockSize(u64),
    /// All 2²⁴ symbols of the block have been sent.
    UsedUp,
}

impl fmt::Display for FountainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SymbolSize(n) => write!(f, "a symbol of {n} bytes is out of range"),
            Self::BlockSize(n) => write!(f, "a block of {n} bytes is out of range for its symbol size"),
            Self::UsedUp => f.write_str("all symbols of the block have been sent"),
        }
    }
}

impl core::error::Error for FountainError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::ESI_LIMIT;

    fn block(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| u8::try_from(i * 7 % 253).unwrap()).collect()
    }

    fn symbols(encoder: &mut BlockEncoder, first: u32, count: u32) -> Vec<(u32, Vec<u8>)> {
        let mut out = Vec::new();
        encoder.symbols(first, count, |esi, symbol| out.push((esi, symbol.to_vec()))).unwrap();
        assert_eq!(out.iter().map(|s| s.0).collect::<Vec<_>>(), (first..first + count).collect::<Vec<_>>());
        out
    }

    #[test]
    fn comes_back_from_source_from_repair_and_from_a_mixture_at_every_size() {
        for bytes in [1, 17, 64, 65, 640, 6400, 64 * 333 - 5] {
            let sealed = block(bytes);
            let mut encoder = BlockEncoder::new(&sealed, 64).unwrap();
            let k = encoder.source_symbols();
            for first in [0, k / 2, k, k + 1000] {
                let mut decoder = BlockDecoder::new(u32::try_from(bytes).unwrap(), 64).unwrap();
                let got = decoder.decode(symbols(&mut encoder, first, k + 2));
                assert_eq!(got, Some(sealed.clone()), "{bytes} bytes from esi {first}");
            }
        }
    }

    #[test]
    fn needs_k_symbols_and_goes_on_where_it_stopped() {
        let sealed = block(6400);
        let mut encoder = BlockEncoder::new(&sealed, 64).unwrap();
        let mut decoder = BlockDecoder::new(6400, 64).unwrap();
        assert_eq!(decoder.decode(symbols(&mut encoder, 0, 99)), None);
        assert_eq!(decoder.decode(symbols(&mut encoder, 50, 30)), None, "known ones count once");
        assert_eq!(decoder.decode(vec![(5000, vec![0; 63]), (1 << 24, vec![0; 64])]), None);
        assert_eq!(decoder.decode(symbols(&mut encoder, 200, 3)), Some(sealed));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        assert_eq!(BlockEncoder::new(&[], 64).unwrap_err(), FountainError::BlockSize(0));
        assert_eq!(BlockEncoder::new(&[0], 63).unwrap_err(), FountainError::SymbolSize(63));
        assert_eq!(BlockDecoder::new(640_001, 64).unwrap_err(), FountainError::BlockSize(640_001));
        let mut encoder = BlockEncoder::new(&[0; 64], 64).unwrap();
        assert_eq!(encoder.symbols(ESI_LIMIT, 1, |_, _| ()), Err(FountainError::UsedUp));
    }
}
