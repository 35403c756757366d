//! The receiving end of a block.

use core::fmt;

use raptorq::{EncodingPacket, PayloadId, SourceBlockDecoder};

use super::{FountainError, source_symbols, transmission_information};
use crate::datagram::ESI_LIMIT;

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
