//! The sending end of a block.

use core::fmt;

use std::sync::Arc;

use raptorq::{SourceBlockEncoder, SourceBlockEncodingPlan};

use super::{FountainError, source_symbols, transmission_information};
use crate::datagram::{ESI_LIMIT, MAX_BLOCK_SYMBOLS};

/// What encoding all blocks of one K have in common: worked out once, about as costly as encoding one
/// block. For K = 10,000 it takes 12 MB, so that only few should be held.
#[derive(Clone)]
pub struct EncodingPlan {
    plan: Arc<SourceBlockEncodingPlan>,
    source_symbols: u32,
}

impl EncodingPlan {
    /// The plan for blocks of K source symbols.
    ///
    /// # Errors
    /// K is 0 or more than [`MAX_BLOCK_SYMBOLS`].
    pub fn new(source_symbols: u32) -> Result<Self, FountainError> {
        let k = u16::try_from(source_symbols)
            .ok()
            .filter(|k| (1..=MAX_BLOCK_SYMBOLS).contains(&u32::from(*k)))
            .ok_or(FountainError::BlockSize(u64::from(source_symbols)))?;
        Ok(Self { plan: Arc::new(SourceBlockEncodingPlan::generate(k)), source_symbols })
    }

    /// K.
    #[must_use]
    pub fn source_symbols(&self) -> u32 {
        self.source_symbols
    }
}

impl fmt::Debug for EncodingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodingPlan(K = {})", self.source_symbols)
    }
}

/// Makes the symbols of one block.
///
/// Repair symbols need the block's intermediate symbols, which cost about as much as sending it:
/// they are computed when the first repair symbol is asked for.
pub struct BlockEncoder {
    padded: Vec<u8>,
    symbol_bytes: u16,
    source_symbols: u32,
    plan: Option<EncodingPlan>,
    repair: Option<SourceBlockEncoder>,
}

impl BlockEncoder {
    /// Takes a copy of the sealed bytes of a block.
    ///
    /// # Errors
    /// Sizes outside the limits of [`crate::datagram`].
    pub fn new(sealed: &[u8], symbol_bytes: u16) -> Result<Self, FountainError> {
        Self::with_plan(sealed.to_vec(), symbol_bytes, None)
    }

    /// Takes the sealed bytes of a block and, if there is one at hand, the plan for its K.
    ///
    /// # Errors
    /// Sizes outside the limits of [`crate::datagram`].
    pub fn with_plan(
        mut sealed: Vec<u8>,
        symbol_bytes: u16,
        plan: Option<EncodingPlan>,
    ) -> Result<Self, FountainError> {
        let source_symbols = source_symbols(sealed.len() as u64, symbol_bytes)?;
        sealed.resize(source_symbols as usize * usize::from(symbol_bytes), 0);
        let plan = plan.filter(|plan| plan.source_symbols == source_symbols);
        Ok(Self { padded: sealed, symbol_bytes, source_symbols, plan, repair: None })
    }

    /// The plan for the block's K, worked out if there was none.
    ///
    /// # Errors
    /// None that [`Self::with_plan`] doesn't give.
    pub fn plan(&mut self) -> Result<EncodingPlan, FountainError> {
        let plan = match self.plan.take() {
            Some(plan) => plan,
            None => EncodingPlan::new(self.source_symbols)?,
        };
        Ok(self.plan.insert(plan).clone())
    }

    /// K.
    #[must_use]
    pub fn source_symbols(&self) -> u32 {
        self.source_symbols
    }

    /// Gives the memory of the block back.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.padded
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
            // Not `SourceBlockEncoder::new`, which keeps the plans of the last 64 different K for good.
            let plan = self.plan()?;
            let encoder = self.repair.get_or_insert_with(|| {
                let config = transmission_information(self.padded.len() as u64, self.symbol_bytes);
                SourceBlockEncoder::with_encoding_plan(0, &config, &self.padded, &plan.plan)
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
