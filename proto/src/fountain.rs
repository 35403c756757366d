//! A sealed block as an RFC 6330 (RaptorQ) source block.
//!
//! One block, one source block, one sub-block; the last source symbol is padded with zeros. Encoding
//! symbol ids below K are source symbols, from K on repair symbols (RFC 6330 §5.3). A decoder needs K
//! symbols, and with K + 2 it fails less than once in a million blocks (RFC 6330 §5.8).
//!
//! A RaptorQ decoder fed one wrong symbol returns wrong data and no error: only symbols whose
//! datagram's tag was verified belong in here.

use core::fmt;

use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder,
};

use crate::datagram::{ESI_LIMIT, MAX_BLOCK_SYMBOLS, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES};

/// Makes the symbols of one block.
///
/// Repair symbols need the block's intermediate symbols, which cost about as much as sending it:
/// they are computed when the first repair symbol is asked for.
pub struct BlockEncoder {
    padded: Vec<u8>,
    symbol_bytes: u16,
    source_symbols: u32,
    repair: Option<SourceBlockEncoder>,
}

impl BlockEncoder {
    /// Takes the sealed bytes of a block.
    ///
    /// # Errors
    /// Sizes outside the limits of [`crate::datagram`].
    pub fn new(sealed: &[u8], symbol_bytes: u16) -> Result<Self, FountainError> {
        let source_symbols = source_symbols(sealed.len() as u64, symbol_bytes)?;
        let mut padded = sealed.to_vec();
        padded.resize(source_symbols as usize * usize::from(symbol_bytes), 0);
        Ok(Self { padded, symbol_bytes, source_symbols, repair: None })
    }

    /// K.
    #[must_use]
    pub fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    /// Hands the symbols `first … first + count − 1` to `each`, as `(esi, symbol)`.
    ///
    /// # Errors
    /// Ids of 2²⁴ or more: the block's symbols are used up.
    pub fn symbols(
        &mut self,
        first: u32,
        count: u32,
        mut each: impl FnMut(u32, &[u8]),
    ) -> Result<(), FountainError> {
        let end = first.checked_add(count).filter(|end| *end <= ESI_LIMIT).ok_or(FountainError::UsedUp)?;
        let chunks = self.padded.chunks_exact(usize::from(self.symbol_bytes));
        for (esi, symbol) in (0..).zip(chunks).skip(first as usize).take(count as usize) {
            each(esi, symbol);
        }
        let first_repair = first.max(self.source_symbols);
        if end > first_repair {
            let encoder = self.repair.get_or_insert_with(|| {
                let config = transmission_information(self.padded.len() as u64, self.symbol_bytes);
                SourceBlockEncoder::new(0, &config, &self.padded)
            });
            for packet in encoder.repair_packets(first_repair - self.source_symbols, end - first_repair) {
                each(packet.payload_id().encoding_symbol_id(), packet.data());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for BlockEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockEncoder(K = {}, T = {})", self.source_symbols, self.symbol_bytes)
    }
}

/// Puts a block together again.
pub struct BlockDecoder {
    decoder: SourceBlockDecoder,
    block_bytes: usize,
    symbol_bytes: u16,
    source_symbols: u32,
}

impl BlockDecoder {
    /// For a block of `block_bytes` sealed bytes.
    ///
    /// # Errors
    /// Sizes outside the limits of [`crate::datagram`].
    pub fn new(block_bytes: u32, symbol_bytes: u16) -> Result<Self, FountainError> {
        let source_symbols = source_symbols(u64::from(block_bytes), symbol_bytes)?;
        let padded = u64::from(source_symbols) * u64::from(symbol_bytes);
        let config = transmission_information(padded, symbol_bytes);
        let decoder = SourceBlockDecoder::new(0, &config, padded);
        Ok(Self { decoder, block_bytes: block_bytes as usize, symbol_bytes, source_symbols })
    }

    /// K.
    #[must_use]
    pub fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    /// Adds verified symbols, `(esi, symbol)`, and tries to decode. Symbols of another size, with an
    /// id out of range, or already known are passed over. `None`: more symbols are needed.
    pub fn decode(&mut self, symbols: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Option<Vec<u8>> {
        let symbol_bytes = usize::from(self.symbol_bytes);
        let packets = symbols
            .into_iter()
            .filter(|(esi, symbol)| *esi < ESI_LIMIT && symbol.len() == symbol_bytes)
            .map(|(esi, symbol)| EncodingPacket::new(PayloadId::new(0, esi), symbol));
        let mut block = self.decoder.decode(packets)?;
        block.truncate(self.block_bytes);
        Some(block)
    }
}

impl fmt::Debug for BlockDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockDecoder(K = {}, T = {})", self.source_symbols, self.symbol_bytes)
    }
}

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
