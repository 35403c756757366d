//! The sending end of a block.

use core::fmt;

use raptorq::SourceBlockEncoder;

use super::{FountainError, source_symbols, transmission_information};
use crate::datagram::ESI_LIMIT;

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
