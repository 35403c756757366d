//! The sender: turns the plan into datagrams.

use core::fmt;
use std::collections::BTreeMap;

use super::belief::LossBelief;
use super::planner::{PlannedRun, Planner, base_target};
use crate::bundle::{BadGeometry, Geometry};
use crate::datagram::{self, ESI_LIMIT, OVERHEAD_BYTES, SymbolHeader};
use crate::fountain::{BlockEncoder, FountainError};
use crate::ids::{BundleId, Class};
use crate::keyring::KeyRing;
use crate::keys::TagKey;

/// Most symbols reserved ahead of use at a time: what a crash can cost of a block's ids.
const RESERVE_SYMBOLS: u32 = 1024;

/// How the sender works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SenderConfig {
    /// Number of this run of the sender, below 2²⁴ and never used before by this spacecraft.
    pub session: u32,
    /// The loss to expect without any report, 0 … 1.
    pub expected_loss: f64,
    /// Blocks of one bundle that are sent interleaved; their encoders are what the sender holds in
    /// memory, about 2.3 times the sealed size of each.
    pub window_blocks: usize,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self { session: 0, expected_loss: 0.2, window_blocks: 4 }
    }
}

/// How far a block has got: what has to survive a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlockMark {
    /// Which block.
    pub block: u32,
    /// Encoding symbol ids below this may have been sent and are never used again.
    pub esi: u32,
    /// Symbols known to have been sent.
    pub sent: u32,
}

/// A sealed bundle to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: BundleId,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it was sealed under.
    pub epoch: u16,
    /// Its class now.
    pub class: Class,
    /// Its place in the queue: lower goes first.
    pub rank: u64,
    /// How it is cut.
    pub geometry: Geometry,
    /// What was reserved in earlier sessions.
    pub marks: Vec<BlockMark>,
}

/// Where sealed blocks are read from and marks are kept.
pub trait BlockStore {
    /// What can go wrong.
    type Error;

    /// Reads the sealed bytes of a block into `out`, replacing what is there.
    ///
    /// # Errors
    /// Reading failed: the bundle is withdrawn.
    fn read_block(&mut self, id: &BundleId, block: u32, out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Makes marks durable before it returns: no symbol is sent before its id is reserved.
    ///
    /// # Errors
    /// Writing failed: the bundle is withdrawn, and nothing of the run is sent.
    fn reserve(&mut self, id: &BundleId, marks: &[BlockMark]) -> Result<(), Self::Error>;
}

/// The datagrams of one run.
#[derive(Debug, Default)]
pub struct Burst {
    bytes: Vec<u8>,
    datagram_bytes: usize,
}

impl Burst {
    /// The datagrams, each ready for the socket.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.datagram_bytes.max(1))
    }

    /// All their bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What a burst holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The bundle.
    pub id: BundleId,
    /// The block.
    pub block: u32,
    /// How many datagrams.
    pub count: u32,
}

/// How far a bundle has got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Symbols sent so far.
    pub sent_symbols: u64,
    /// Symbols of which it consists.
    pub source_symbols: u64,
    /// Probability that it is down.
    pub presumed: f64,
    /// Whether that is what its class asks for.
    pub reached_target: bool,
}

/// Sends bundles over a link that may never answer.
pub struct Sender {
    planner: Planner,
    keys: KeyRing,
    tag_keys: BTreeMap<(u16, u16), TagKey>,
    identities: BTreeMap<BundleId, (u16, u16)>,
    /// What the store knows of each block.
    reserved: BTreeMap<BundleId, Vec<BlockMark>>,
    /// Least recently used first.
    encoders: Vec<(BundleId, u32, BlockEncoder)>,
    max_encoders: usize,
    link_seq: u64,
}

impl Sender {
    /// A sender that has nothing to send yet.
    #[must_use]
    pub fn new(config: &SenderConfig, keys: KeyRing) -> Self {
        Self {
            planner: Planner::new(LossBelief::expecting(config.expected_loss), config.window_blocks),
            keys,
            tag_keys: BTreeMap::new(),
            identities: BTreeMap::new(),
            reserved: BTreeMap::new(),
            encoders: Vec::new(),
            max_encoders: config.window_blocks.max(1) + 1,
            link_seq: u64::from(config.session) << 40,
        }
    }

    /// Takes a bundle into the plan; one that is there already is replaced.
    ///
    /// # Errors
    /// A geometry out of range, or no key for its spacecraft and epoch.
    pub fn offer(&mut self, offer: &Offer) -> Result<(), OfferError> {
        offer.geometry.check().map_err(OfferError::Geometry)?;
        let who = (offer.spacecraft, offer.epoch);
        if !self.tag_keys.contains_key(&who) {
            let key =
                self.keys.get(who.0, who.1).ok_or(OfferError::NoKey { spacecraft: who.0, epoch: who.1 })?;
            self.tag_keys.insert(who, key.tag_key());
        }
        self.withdraw(&offer.id);
        let mut reserved: Vec<_> =
            (0..offer.geometry.block_count).map(|block| BlockMark { block, esi: 0, sent: 0 }).collect();
        for mark in &offer.marks {
            if let Some(place) = reserved.get_mut(mark.block as usize) {
                *place = *mark;
            }
        }
        let marks: Vec<_> = offer.marks.iter().map(|m| (m.block, m.esi, m.sent)).collect();
        self.planner.insert(offer.id, offer.class, offer.rank, offer.geometry, &marks);
        self.identities.insert(offer.id, who);
        self.reserved.insert(offer.id, reserved);
        Ok(())
    }

    /// Takes a bundle out of the plan.
    pub fn withdraw(&mut self, id: &BundleId) {
        self.planner.remove(id);
        self.identities.remove(id);
        self.reserved.remove(id);
        self.encoders.retain(|(of, _, _)| of != id);
    }

    /// Bundles in the plan.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.planner.len()
    }

    /// A pass begins (AOS): every bundle may be sent again. To be called now and then, every minute
    /// say, on a link that is always open.
    pub fn begin_pass(&mut self) {
        self.planner.begin_pass();
    }

    /// Encodes the next run of datagrams into `burst`. `None`: no further symbol would add anything
    /// before the next pass.
    ///
    /// # Errors
    /// The store failed or the bundle can't be encoded. The bundle named has been withdrawn, and
    /// nothing of `burst` may be sent.
    pub fn poll_transmit<S: BlockStore>(
        &mut self,
        store: &mut S,
        burst: &mut Burst,
    ) -> Result<Option<Run>, SendError<S::Error>> {
        burst.bytes.clear();
        let Some(run) = self.planner.next_run() else { return Ok(None) };
        match self.transmit(run, store, burst) {
            Ok(()) => Ok(Some(Run { id: run.id, block: run.block, count: run.count })),
            Err(fault) => {
                burst.bytes.clear();
                self.withdraw(&run.id);
                Err(SendError { id: run.id, fault })
            }
        }
    }

    /// How far a bundle has got; `None` if it is not in the plan.
    #[must_use]
    pub fn progress(&self, id: &BundleId) -> Option<Progress> {
        let plan = self.planner.get(id)?;
        let presumed = self.planner.presumed(plan);
        let geometry = plan.geometry();
        Some(Progress {
            sent_symbols: plan.blocks().iter().map(|b| u64::from(b.sent)).sum(),
            source_symbols: (0..geometry.block_count)
                .filter_map(|b| geometry.source_symbols(b))
                .map(u64::from)
                .sum(),
            presumed,
            reached_target: presumed >= base_target(plan.class()),
        })
    }

    /// Makes the exact marks of every bundle durable, so that a restart knows all that was sent: for
    /// the end of a pass and for an orderly stop.
    ///
    /// # Errors
    /// The store failed for the bundle named.
    pub fn checkpoint<S: BlockStore>(&mut self, store: &mut S) -> Result<(), SendError<S::Error>> {
        let ids: Vec<BundleId> = self.planner.ids().copied().collect();
        for id in ids {
            let Some(plan) = self.planner.get(&id) else { continue };
            let Some(reserved) = self.reserved.get_mut(&id) else { continue };
            let mut marks = Vec::new();
            for (b, mark) in plan.blocks().iter().zip(reserved.iter_mut()) {
                let exact = BlockMark { block: mark.block, esi: b.next_esi, sent: b.sent };
                if *mark != exact {
                    *mark = exact;
                    marks.push(exact);
                }
            }
            if !marks.is_empty() {
                store.reserve(&id, &marks).map_err(|e| SendError { id, fault: SendFault::Store(e) })?;
            }
        }
        Ok(())
    }

    fn transmit<S: BlockStore>(
        &mut self,
        run: PlannedRun,
        store: &mut S,
        burst: &mut Burst,
    ) -> Result<(), SendFault<S::Error>> {
        self.reserve(&run, store)?;
        let plan = self.planner.get(&run.id).ok_or(SendFault::Gone)?;
        let geometry = *plan.geometry();
        let who = *self.identities.get(&run.id).ok_or(SendFault::Gone)?;
        let mut header = SymbolHeader {
            spacecraft: who.0,
            epoch: who.1,
            bundle: run.id,
            block: run.block,
            class: plan.class(),
            esi: 0,
            block_bytes: geometry.block_bytes(run.block).ok_or(SendFault::Gone)?,
            block_count: geometry.block_count,
            link_seq: 0,
        };
        let encoder = encoder(&mut self.encoders, self.max_encoders, &run, &geometry, store)?;
        let key = self.tag_keys.get(&who).ok_or(SendFault::Gone)?;
        burst.datagram_bytes = usize::from(geometry.symbol_bytes) + OVERHEAD_BYTES;
        burst.bytes.resize(burst.datagram_bytes * run.count as usize, 0);
        let mut places = burst.bytes.chunks_exact_mut(burst.datagram_bytes);
        let mut all = true;
        let link_seq = &mut self.link_seq;
        encoder
            .symbols(run.first_esi, run.count, |esi, symbol| {
                (header.esi, header.link_seq) = (esi, *link_seq);
                *link_seq += 1;
                all &= places.next().is_some_and(|to| datagram::encode(&header, symbol, key, to).is_ok());
            })
            .map_err(SendFault::Fountain)?;
        if all { Ok(()) } else { Err(SendFault::Gone) }
    }

    /// Reserves the ids of a run, and those of the runs that follow it.
    fn reserve<S: BlockStore>(&mut self, run: &PlannedRun, store: &mut S) -> Result<(), SendFault<S::Error>> {
        let reserved = self.reserved.get_mut(&run.id).ok_or(SendFault::Gone)?;
        let mark = reserved.get_mut(run.block as usize).ok_or(SendFault::Gone)?;
        let end = run.first_esi + run.count;
        if mark.esi >= end {
            return Ok(());
        }
        let plan = self.planner.get(&run.id).ok_or(SendFault::Gone)?;
        let block = plan.blocks().get(run.block as usize).ok_or(SendFault::Gone)?;
        let k = plan.geometry().source_symbols(run.block).unwrap_or_default();
        let ahead = (k / 4).clamp(run.count, RESERVE_SYMBOLS);
        let esi = run.first_esi.saturating_add(ahead).max(end).min(ESI_LIMIT);
        let ahead = BlockMark { block: run.block, esi, sent: block.sent.saturating_sub(run.count) };
        store.reserve(&run.id, &[ahead]).map_err(SendFault::Store)?;
        *mark = ahead;
        Ok(())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} bundles, link_seq {:#x})", self.planner.len(), self.link_seq)
    }
}

/// The encoder of a run's block: the one held, or a new one in the place of the least recently used.
fn encoder<'a, S: BlockStore>(
    held: &'a mut Vec<(BundleId, u32, BlockEncoder)>,
    most: usize,
    run: &PlannedRun,
    geometry: &Geometry,
    store: &mut S,
) -> Result<&'a mut BlockEncoder, SendFault<S::Error>> {
    if let Some(at) = held.iter().position(|(id, block, _)| (*id, *block) == (run.id, run.block)) {
        let used = held.remove(at);
        held.push(used);
    } else {
        let mut sealed = Vec::new();
        store.read_block(&run.id, run.block, &mut sealed).map_err(SendFault::Store)?;
        if geometry.block_bytes(run.block).map(|n| n as usize) != Some(sealed.len()) {
            return Err(SendFault::Size { block: run.block, bytes: sealed.len() });
        }
        let encoder = BlockEncoder::new(&sealed, geometry.symbol_bytes).map_err(SendFault::Fountain)?;
        if held.len() >= most {
            held.remove(0);
        }
        held.push((run.id, run.block, encoder));
    }
    held.last_mut().map(|(_, _, encoder)| encoder).ok_or(SendFault::Gone)
}

/// Why a bundle can't be taken into the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferError {
    /// Its geometry is out of range.
    Geometry(BadGeometry),
    /// There is no key to tag its datagrams with.
    NoKey {
        /// The bundle's spacecraft.
        spacecraft: u16,
        /// The bundle's key epoch.
        epoch: u16,
    },
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(e) => e.fmt(f),
            Self::NoKey { spacecraft, epoch } => {
                write!(f, "no key for spacecraft {spacecraft}, epoch {epoch}")
            }
        }
    }
}

impl core::error::Error for OfferError {}

/// Why sending a bundle failed. It has been withdrawn.
#[derive(Debug)]
pub struct SendError<E> {
    /// The bundle.
    pub id: BundleId,
    /// What happened.
    pub fault: SendFault<E>,
}

/// What can happen while sending a bundle.
#[derive(Debug)]
pub enum SendFault<E> {
    /// The store failed.
    Store(E),
    /// The stored block is not of the size it should be.
    Size {
        /// Which block.
        block: u32,
        /// The size it has.
        bytes: usize,
    },
    /// The block can't be encoded.
    Fountain(FountainError),
    /// The bundle is not in the plan any more.
    Gone,
}

impl<E: fmt::Display> fmt::Display for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bundle {}: ", self.id)?;
        match &self.fault {
            SendFault::Store(e) => e.fmt(f),
            SendFault::Size { block, bytes } => {
                write!(f, "stored block {block} has {bytes} bytes, not its own size")
            }
            SendFault::Fountain(e) => e.fmt(f),
            SendFault::Gone => f.write_str("not in the plan"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SendError<E> {}

#[cfg(test)]
mod tests;
