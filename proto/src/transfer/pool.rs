//! Symbols at hand: read and encoded ahead of the plan, in bounded memory, whatever a bundle's size.
//!
//! Source symbols come straight from the sealed file, a little read ahead for each block. Repair symbols
//! need their whole block: it is *visited*, that is read, a number of its next repair symbols is encoded, and
//! it is let go. All blocks of a window share [`PoolLimits::bytes`], so that each visit to a block yields as many
//! symbols as there is room for; visits are spread over time, the block with least at hand first, so that
//! no link has to wait for many of them in a row. A visit is an [`EncodeJob`]: it may be run by another
//! thread.
//!
//! Nothing here decides what is sent, and no symbol is used up by being made ready.

use std::collections::{BTreeMap, VecDeque};

use super::error::SendFault;
use super::sender::BlockStore;
use crate::bundle::Geometry;
use crate::datagram::ESI_LIMIT;
use crate::fountain::{BlockEncoder, EncodingPlan, FountainError};
use crate::ids::BundleId;

/// Most source symbols read ahead of a block, bytes.
const READ_AHEAD_BYTES: u32 = 64 << 10;
/// Most repair symbols that one visit to a block makes.
const MAX_VISIT_SYMBOLS: u32 = 4096;
/// They are held, and let go, in batches of so many.
const BATCH_SYMBOLS: u32 = 64;
/// Plans are held of blocks of so many symbols in all: of one large block, or of several small ones.
const PLAN_SYMBOLS: u32 = 12_000;

/// How much memory the pool may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Symbols at hand, bytes. Besides these a block that is being encoded takes four times its own size.
    pub bytes: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { bytes: 96 << 20 }
    }
}

type Key = (BundleId, u32);

/// A visit to a block: encoding of its next repair symbols: to be run anywhere, its result handed to
/// [`Sender::encoded`](super::Sender::encoded).
#[derive(Debug)]
pub struct EncodeJob {
    key: Key,
    first_esi: u32,
    count: u32,
    symbol_bytes: u16,
    sealed: Vec<u8>,
    plan: Option<EncodingPlan>,
    /// Memory for what is encoded, used before.
    spare: Vec<Vec<u8>>,
}

impl EncodeJob {
    /// Encodes: takes a few ten milliseconds for a block of 10,000 symbols.
    #[must_use]
    pub fn run(self) -> Encoded {
        let Self { key, first_esi, count, symbol_bytes, sealed, plan, mut spare } = self;
        let mut batches = VecDeque::new();
        let encode = || {
            let mut encoder = BlockEncoder::with_plan(sealed, symbol_bytes, plan)?;
            let plan = encoder.plan()?;
            let each = BATCH_SYMBOLS as usize * usize::from(symbol_bytes);
            let mut batch = Batch::default();
            encoder.symbols(first_esi, count, |esi, symbol| {
                if batch.bytes.is_empty() {
                    let mut bytes = spare.pop().unwrap_or_default();
                    bytes.reserve_exact(each);
                    batch = Batch { first_esi: esi, symbol_bytes, bytes };
                }
                batch.bytes.extend_from_slice(symbol);
                if batch.bytes.len() >= each {
                    batches.push_back(std::mem::take(&mut batch));
                }
            })?;
            if !batch.bytes.is_empty() {
                batches.push_back(batch);
            }
            Ok((plan, encoder.into_bytes()))
        };
        let (plan, block) = encode().map_or_else(|e| (Err(e), Vec::new()), |(plan, block)| (Ok(plan), block));
        Encoded { key, first_esi, plan, batches, block }
    }
}

/// Repair symbols that were encoded.
#[derive(Debug)]
pub struct Encoded {
    key: Key,
    first_esi: u32,
    plan: Result<EncodingPlan, FountainError>,
    batches: VecDeque<Batch>,
    /// The memory the block was in.
    block: Vec<u8>,
}

/// Consecutive symbols.
#[derive(Debug, Default)]
struct Batch {
    first_esi: u32,
    symbol_bytes: u16,
    bytes: Vec<u8>,
}

impl Batch {
    fn end(&self) -> u32 {
        let symbols = self.bytes.len() / usize::from(self.symbol_bytes.max(1));
        self.first_esi.saturating_add(u32::try_from(symbols).unwrap_or(u32::MAX))
    }

    fn get(&self, esi: u32) -> Option<&[u8]> {
        let size = usize::from(self.symbol_bytes);
        let start = usize::try_from(esi.checked_sub(self.first_esi)?).ok()?.checked_mul(size)?;
        self.bytes.get(start..start.checked_add(size)?).filter(|symbol| !symbol.is_empty())
    }
}

/// What is at hand of one block.
#[derive(Debug, Default)]
struct Ready {
    source: Batch,
    repair: VecDeque<Batch>,
    /// A job for it is out.
    encoding: bool,
    used: u64,
}

impl Ready {
    fn bytes(&self) -> usize {
        self.source.bytes.len() + self.repair.iter().map(|batch| batch.bytes.len()).sum::<usize>()
    }

    /// Up to where symbols are at hand, or can be read, from `next_esi` on.
    fn end(&self, next_esi: u32, k: u32) -> u32 {
        let end = next_esi.max(k);
        self.repair.back().map_or(end, |batch| batch.end().max(end))
    }
}

/// The symbols at hand.
#[derive(Debug, Default)]
pub(super) struct Pool {
    limits: PoolLimits,
    ready: BTreeMap<Key, Ready>,
    bytes: usize,
    plans: Vec<EncodingPlan>,
    clock: u64,
    /// Symbols used since the last visit ahead of need.
    used: u32,
    /// Memory of batches that are used up, for the next ones: so it doesn't fall to pieces.
    spare: Vec<Vec<u8>>,
    /// The same for the block that is encoded.
    block: Vec<u8>,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Bytes of the symbols at hand.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        assert_eq!(self.bytes, self.ready.values().map(Ready::bytes).sum::<usize>());
        self.bytes
    }

    /// Lets go of all that is held of a bundle.
    pub(super) fn forget(&mut self, id: &BundleId) {
        self.ready.retain(|(of, _), _| of != id);
        self.bytes = self.ready.values().map(Ready::bytes).sum();
    }

    /// A symbol, made ready now if it isn't yet. `shared` is the number of blocks that share the pool.
    pub(super) fn symbol<S: BlockStore>(
        &mut self,
        key: Key,
        geometry: &Geometry,
        esi: u32,
        shared: usize,
        store: &mut S,
    ) -> Result<&[u8], SendFault<S::Error>> {
        let k = geometry.source_symbols(key.1).ok_or(SendFault::Gone)?;
        self.clock += 1;
        self.used = self.used.saturating_add(1);
        let clock = self.clock;
        let ready = self.ready.entry(key).or_default();
        ready.used = clock;
        if esi < k {
            if ready.source.get(esi).is_none() {
                self.bytes -= ready.source.bytes.len();
                ready.source = Batch::default();
                ready.source = read_ahead(key, geometry, esi, store)?;
                self.bytes += ready.source.bytes.len();
                self.make_room(&key);
            }
        } else if !self.has_repair(key, esi) {
            let count = self.visit_symbols(geometry, key.1, shared);
            let job = self.job(key, geometry, esi, count, store)?;
            self.take(job.run()).map_err(SendFault::Fountain)?;
        }
        let ready = self.ready.get(&key).ok_or(SendFault::Gone)?;
        let batch = if esi < k { Some(&ready.source) } else { ready.repair.front() };
        batch.and_then(|batch| batch.get(esi)).ok_or(SendFault::Gone)
    }

    /// The next visit ahead of need: to the block of `window` with least at hand. `next` gives the next id
    /// of a block. `spread`: only so often that the visits are even over time, for a caller that runs them
    /// itself, between sending.
    pub(super) fn ahead<S: BlockStore>(
        &mut self,
        id: BundleId,
        geometry: &Geometry,
        window: impl Iterator<Item = (u32, u32)> + Clone,
        spread: bool,
        store: &mut S,
    ) -> Result<Option<EncodeJob>, SendFault<S::Error>> {
        let shared = window.clone().count();
        let Some((first, _)) = window.clone().next() else { return Ok(None) };
        let visit = self.visit_symbols(geometry, first, shared);
        self.used = self.used.min(visit.saturating_mul(2));
        if spread && self.used < visit {
            return Ok(None);
        }
        let end = |block: u32, next_esi: u32| {
            let k = geometry.source_symbols(block).unwrap_or(1);
            self.ready.get(&(id, block)).map_or(next_esi.max(k), |ready| ready.end(next_esi, k))
        };
        // Who encodes in between begins when source symbols run out, who does it elsewhere at once.
        let at_hand = |block: u32, next_esi: u32| {
            let k = geometry.source_symbols(block).unwrap_or(1);
            end(block, next_esi).saturating_sub(if spread { next_esi } else { next_esi.max(k) })
        };
        let idle = |block: u32| self.ready.get(&(id, block)).is_none_or(|ready| !ready.encoding);
        let least = window
            .filter(|(block, _)| idle(*block))
            .map(|(block, next_esi)| (at_hand(block, next_esi), block, next_esi))
            .min();
        let Some((least, block, next_esi)) = least else { return Ok(None) };
        let count = self.visit_symbols(geometry, block, shared);
        let bytes = count as usize * usize::from(geometry.symbol_bytes);
        let read_ahead = shared * READ_AHEAD_BYTES as usize;
        let full = self.bytes > self.limits.bytes + bytes.min(self.limits.bytes / 8) + read_ahead;
        if least > count || full {
            return Ok(None);
        }
        let from = end(block, next_esi);
        if from >= ESI_LIMIT {
            return Ok(None);
        }
        self.used = self.used.saturating_sub(count);
        self.job((id, block), geometry, from, count, store).map(Some)
    }

    /// Takes what a job encoded.
    pub(super) fn take(&mut self, encoded: Encoded) -> Result<(), FountainError> {
        self.block = encoded.block;
        let plan = encoded.plan?;
        self.keep(plan);
        let Some(ready) = self.ready.get_mut(&encoded.key) else { return Ok(()) };
        ready.encoding = false;
        if ready.repair.back().is_none_or(|last| last.end() == encoded.first_esi) {
            self.bytes += encoded.batches.iter().map(|batch| batch.bytes.len()).sum::<usize>();
            ready.repair.extend(encoded.batches);
        }
        self.make_room(&encoded.key);
        Ok(())
    }

    /// Keeps a plan, and as many of those used before as there is room for.
    fn keep(&mut self, plan: EncodingPlan) {
        self.plans.retain(|held| held.source_symbols() != plan.source_symbols());
        self.plans.push(plan);
        while self.plans.len() > 1
            && self.plans.iter().map(EncodingPlan::source_symbols).sum::<u32>() > PLAN_SYMBOLS
        {
            self.plans.remove(0);
        }
    }

    /// Whether a repair symbol is at hand; lets go of what lies before it.
    fn has_repair(&mut self, key: Key, esi: u32) -> bool {
        let Some(ready) = self.ready.get_mut(&key) else { return false };
        self.bytes -= ready.source.bytes.len();
        ready.source = Batch::default();
        while let Some(batch) = ready.repair.front() {
            if (batch.first_esi..batch.end()).contains(&esi) {
                return true;
            }
            self.bytes -= batch.bytes.len();
            let mut used_up = ready.repair.pop_front().unwrap_or_default().bytes;
            if self.spare.len() < (MAX_VISIT_SYMBOLS / BATCH_SYMBOLS) as usize {
                used_up.clear();
                self.spare.push(used_up);
            }
        }
        false
    }

    /// How many symbols a visit to a block makes.
    fn visit_symbols(&self, geometry: &Geometry, block: u32, shared: usize) -> u32 {
        let each = self.limits.bytes / shared.max(1) / usize::from(geometry.symbol_bytes.max(1));
        let k = geometry.source_symbols(block).unwrap_or(1);
        u32::try_from(each).unwrap_or(u32::MAX).clamp(16, MAX_VISIT_SYMBOLS).min(k.max(64))
    }

    fn job<S: BlockStore>(
        &mut self,
        key: Key,
        geometry: &Geometry,
        first_esi: u32,
        count: u32,
        store: &mut S,
    ) -> Result<EncodeJob, SendFault<S::Error>> {
        let block_bytes = geometry.block_bytes(key.1).ok_or(SendFault::Gone)?;
        let k = geometry.source_symbols(key.1).ok_or(SendFault::Gone)?;
        let mut sealed = std::mem::take(&mut self.block);
        sealed.clear();
        sealed.resize(block_bytes as usize, 0);
        store.read_block(&key.0, key.1, 0, &mut sealed).map_err(SendFault::Store)?;
        self.clock += 1;
        let ready = self.ready.entry(key).or_default();
        (ready.encoding, ready.used) = (true, self.clock);
        let plan = self.plans.iter().find(|plan| plan.source_symbols() == k).cloned();
        let count = count.min(ESI_LIMIT.saturating_sub(first_esi));
        let batches = count.div_ceil(BATCH_SYMBOLS) as usize;
        // Given along here, lasting memory lies apart from what encoding takes and gives back.
        let each = BATCH_SYMBOLS as usize * usize::from(geometry.symbol_bytes);
        let mut spare = self.spare.split_off(self.spare.len().saturating_sub(batches));
        spare.resize_with(batches, || Vec::with_capacity(each));
        Ok(EncodeJob { key, first_esi, count, symbol_bytes: geometry.symbol_bytes, sealed, plan, spare })
    }

    /// Lets go of what was used least recently, when there is more than there may be; never of `keep`.
    fn make_room(&mut self, keep: &Key) {
        while self.bytes > self.limits.bytes + self.limits.bytes / 4 {
            let held = self.ready.iter().filter(|(key, ready)| *key != keep && ready.bytes() > 0);
            let Some(oldest) = held.min_by_key(|(_, ready)| ready.used).map(|(key, _)| *key) else { return };
            if let Some(gone) = self.ready.remove(&oldest) {
                self.bytes -= gone.bytes();
            }
        }
    }
}

/// Reads the source symbols from `esi` on: as many as fit the read-ahead, padded at the block's end.
fn read_ahead<S: BlockStore>(
    key: Key,
    geometry: &Geometry,
    esi: u32,
    store: &mut S,
) -> Result<Batch, SendFault<S::Error>> {
    let block_bytes = geometry.block_bytes(key.1).ok_or(SendFault::Gone)?;
    let size = u32::from(geometry.symbol_bytes);
    let start = esi.saturating_mul(size);
    let most = READ_AHEAD_BYTES.max(size) / size * size;
    let stored = most.min(block_bytes.saturating_sub(start));
    let mut bytes = vec![0; stored as usize];
    store.read_block(&key.0, key.1, start, &mut bytes).map_err(SendFault::Store)?;
    bytes.resize(stored.next_multiple_of(size) as usize, 0);
    Ok(Batch { first_esi: esi, symbol_bytes: geometry.symbol_bytes, bytes })
}
