//! The sender: turns the plan into datagrams.

use core::fmt;
use std::collections::BTreeMap;

use super::belief::{LossBelief, Observation};
use super::error::{OfferError, SendError, SendFault};
use super::hear::Effect;
use super::marks::{BlockMark, Marks};
use super::plan::{Plan, base_target};
use super::planner::{PlannedRun, Planner};
use super::pool::{EncodeJob, Encoded, Pool, PoolLimits};
use crate::bundle::Geometry;
use crate::datagram::{self, OVERHEAD_BYTES, SymbolHeader};
use crate::ids::{BundleId, Class};
use crate::keyring::KeyRing;
use crate::keys::TagKey;
use crate::report::Report;

/// Datagrams of a burst, unless told otherwise.
const BURST_DATAGRAMS: usize = 64;

/// How the sender works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SenderConfig {
    /// Number of this run of the sender, below 2²⁴ and never used before by this spacecraft.
    pub session: u32,
    /// The loss to expect without any report, 0 … 1.
    pub expected_loss: f64,
    /// Keys the order in which blocks are sent: any number, best a random one.
    pub seed: u64,
    /// After so many datagrams the marks are written, and so many ids are reserved ahead: a crash costs the
    /// knowledge of what was sent in twice that many at most. No more than so many may wait for the radio once
    /// they were encoded: an eighth of a second of the link is a good measure.
    pub reserve_symbols: u32,
    /// Memory for symbols at hand.
    pub pool: PoolLimits,
    /// Encoding ahead is left to the caller, by [`Sender::poll_encode`]; else it is done between bursts.
    pub encode_elsewhere: bool,
    /// The link is always open: once a block has had many times what it needs, it gets but a few symbols more
    /// in each of the sender's passes, so that its ids last for months.
    pub always_open: bool,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            session: 0,
            expected_loss: 0.2,
            seed: 0,
            reserve_symbols: 1024,
            pool: PoolLimits::default(),
            encode_elsewhere: false,
            always_open: false,
        }
    }
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
    /// Its place in the queue: lower goes first. Neighbours of one class are sent interleaved, so that no
    /// burst of losses takes all of a small bundle, unless their ranks differ in the top four bits.
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

    /// Fills `out` with the sealed bytes of a block from `offset` on.
    ///
    /// # Errors
    /// Reading failed, or the block ends before `out` is full: the bundle is withdrawn.
    fn read_block(
        &mut self,
        id: &BundleId,
        block: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), Self::Error>;

    /// Makes marks durable before it returns: no symbol is sent before its id is reserved.
    ///
    /// # Errors
    /// Writing failed: the bundle being sent is withdrawn, and nothing of the run is sent.
    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), Self::Error>;
}

/// Datagrams in a row, of one bundle or several.
#[derive(Debug)]
pub struct Burst {
    bytes: Vec<u8>,
    /// Where each datagram ends.
    ends: Vec<usize>,
    bundles: Vec<BundleId>,
    most: usize,
}

impl Default for Burst {
    fn default() -> Self {
        Self::of_at_most(BURST_DATAGRAMS)
    }
}

/// How many whole datagrams with symbols of this size a link carries in so long.
#[must_use]
pub fn datagrams_in(rate_bps: u64, ns: u64, symbol_bytes: u16) -> u64 {
    let datagram_bits = (u128::from(symbol_bytes) + OVERHEAD_BYTES as u128) * 8;
    let bits = u128::from(rate_bps) * u128::from(ns) / 1_000_000_000;
    u64::try_from(bits / datagram_bits).unwrap_or(u64::MAX)
}

/// How many datagrams a burst is to have on a link of this rate: 20 ms of it, one at least and 64 at most.
#[must_use]
pub fn burst_datagrams(rate_bps: u64, symbol_bytes: u16) -> usize {
    let datagrams = datagrams_in(rate_bps, BURST_NS, symbol_bytes).clamp(1, MAX_BURST);
    usize::try_from(datagrams).unwrap_or(1)
}

/// A burst has so much of the link's time, ns; at least one datagram.
const BURST_NS: u64 = 20_000_000;
/// Most datagrams of such a burst.
const MAX_BURST: u64 = 64;

impl Burst {
    /// A burst that is full with so many datagrams (at least one), give or take a few.
    #[must_use]
    pub fn of_at_most(datagrams: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), bundles: Vec::new(), most: datagrams.max(1) }
    }

    /// From now on it is full with so many datagrams.
    pub fn set_most(&mut self, datagrams: usize) {
        self.most = datagrams.max(1);
    }

    /// The datagrams, each ready for the socket.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(*start..*end))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All their bytes, one datagram after another.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The bundles they are of.
    #[must_use]
    pub fn bundles(&self) -> &[BundleId] {
        &self.bundles
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bundles.clear();
    }

    /// Room for one more datagram.
    fn place(&mut self, bytes: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + bytes, 0);
        self.ends.push(start + bytes);
        self.bytes.get_mut(start..).unwrap_or_default()
    }

    /// Takes back the last datagram.
    fn drop_last(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
    }
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
    /// Whether a report said that all of it is down.
    pub known: bool,
}

/// Sends bundles over a link that may never answer.
pub struct Sender {
    pub(super) planner: Planner,
    keys: KeyRing,
    tag_keys: BTreeMap<(u16, u16), TagKey>,
    identities: BTreeMap<BundleId, (u16, u16)>,
    marks: Marks,
    pool: Pool,
    config: SenderConfig,
    /// What was sent last, but for drips.
    current: Option<BundleId>,
    link_seq: u64,
}

impl Sender {
    /// A sender that has nothing to send yet.
    #[must_use]
    pub fn new(config: &SenderConfig, keys: KeyRing) -> Self {
        Self {
            planner: Planner::new(LossBelief::expecting(config.expected_loss), config.seed)
                .always_open(config.always_open),
            keys,
            tag_keys: BTreeMap::new(),
            identities: BTreeMap::new(),
            marks: Marks::default(),
            pool: Pool::new(config.pool),
            config: *config,
            current: None,
            link_seq: u64::from(config.session) << 40,
        }
    }

    /// Takes other keys, such as those of a new epoch; bundles in the plan keep the ones they have.
    pub fn set_keys(&mut self, keys: KeyRing) {
        self.keys = keys;
    }

    /// How many symbols are sent between two writes of the marks; see [`SenderConfig::reserve_symbols`].
    pub fn set_reserve_symbols(&mut self, symbols: u32) {
        self.config.reserve_symbols = symbols.max(1);
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
        let marks = self.marks.insert(offer.id, offer.geometry.block_count, &offer.marks);
        let marks: Vec<_> = marks.iter().map(|m| (m.block, m.esi, m.sent)).collect();
        self.planner.insert(offer.id, offer.class, offer.rank, offer.geometry, &marks);
        self.identities.insert(offer.id, who);
        Ok(())
    }

    /// Takes a bundle out of the plan. What was sent of it is credited with the next marks that are written.
    pub fn withdraw(&mut self, id: &BundleId) {
        let planner = &self.planner;
        self.marks.withdraw(id, |id, block| at(planner, id, block));
        self.planner.remove(id);
        self.identities.remove(id);
        self.pool.forget(id);
        self.current.take_if(|current| current == id);
    }

    /// Bundles in the plan.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.planner.len()
    }

    /// The bundles in the plan.
    pub fn ids(&self) -> impl Iterator<Item = BundleId> + '_ {
        self.planner.ids()
    }

    /// Whether a bundle is still to be brought to the probability that its class asks for, before any capacity
    /// is left over in this pass.
    #[must_use]
    pub fn wants(&self, id: &BundleId) -> bool {
        self.planner.wants(id)
    }

    /// Symbols still to be sent in this pass before any capacity is left over, about. With many bundles stored it is
    /// enough to offer those that the next seconds of the link can carry, and further ones when this gets low.
    #[must_use]
    pub fn backlog_symbols(&self) -> u64 {
        self.planner.backlog()
    }

    /// A pass begins (AOS): every bundle may be sent again. To be called now and then, every minute
    /// say, on a link that is always open.
    pub fn begin_pass(&mut self) {
        self.planner.begin_pass();
    }

    /// Takes a report that was opened and let through by a [`Gate`](crate::report::Gate).
    pub fn hear(&mut self, report: &Report) -> Effect {
        let (session, next) = (self.link_seq >> 40, self.link_seq);
        // Nobody can have heard what was not sent yet.
        let may_be = |seen: &Observation| {
            let of = seen.first_seq >> 40;
            of < session || (of == session && seen.first_seq.saturating_add(u64::from(seen.span)) <= next)
        };
        super::hear::hear(&mut self.planner, report, may_be)
    }

    /// The loss the sender expects, 0 … 1, after all reports so far.
    #[must_use]
    pub fn expected_loss(&self) -> f64 {
        self.planner.expected_loss()
    }

    /// Fills `burst` with the next datagrams; how many. `None`: no further symbol would add anything before
    /// the next pass.
    ///
    /// # Errors
    /// The store failed or the bundle can't be encoded: the bundle named has been withdrawn. What is in
    /// `burst` was made before that and may be sent.
    pub fn poll_transmit<S: BlockStore>(
        &mut self,
        store: &mut S,
        burst: &mut Burst,
    ) -> Result<Option<usize>, SendError<S::Error>> {
        burst.clear();
        while burst.len() < burst.most {
            let Some(run) = self.planner.next_run() else { break };
            self.transmit(&run, store, burst).map_err(|fault| self.give_up(run.id, fault))?;
            if burst.bundles.last() != Some(&run.id) {
                burst.bundles.push(run.id);
            }
            if run.block != 0 || self.current.is_none() {
                self.current = Some(run.id);
            }
        }
        if !self.config.encode_elsewhere
            && let Some(job) = self.next_job(true, store)?
        {
            self.encoded(job.run());
        }
        Ok(Some(burst.len()).filter(|datagrams| *datagrams > 0))
    }

    /// The next piece of encoding that is worth doing ahead of need, for a caller with a thread to run it.
    ///
    /// # Errors
    /// The store failed: the bundle named has been withdrawn.
    pub fn poll_encode<S: BlockStore>(
        &mut self,
        store: &mut S,
    ) -> Result<Option<EncodeJob>, SendError<S::Error>> {
        self.next_job(false, store)
    }

    /// Takes what an [`EncodeJob`] encoded.
    pub fn encoded(&mut self, encoded: Encoded) {
        // A block that can't be encoded fails again, and loudly, when one of its symbols is needed.
        let _later = self.pool.take(encoded);
    }

    /// How far a bundle has got; `None` if it is not in the plan.
    #[must_use]
    pub fn progress(&self, id: &BundleId) -> Option<Progress> {
        let plan = self.planner.get(id)?;
        let presumed = self.planner.presumed(plan);
        let geometry = plan.geometry;
        Some(Progress {
            sent_symbols: plan.blocks().iter().map(|b| u64::from(b.sent)).sum(),
            source_symbols: (0..geometry.block_count)
                .filter_map(|b| geometry.source_symbols(b))
                .map(u64::from)
                .sum(),
            presumed,
            reached_target: presumed >= base_target(plan.class),
            known: plan.is_whole(),
        })
    }

    /// Makes the exact marks of every bundle durable, so that a restart knows all that was sent: for
    /// the end of a pass and for an orderly stop.
    ///
    /// # Errors
    /// The store failed.
    pub fn checkpoint<S: BlockStore>(&mut self, store: &mut S) -> Result<(), S::Error> {
        let planner = &self.planner;
        let marks = self.marks.exact(|id, block| at(planner, id, block));
        if marks.is_empty() {
            return Ok(());
        }
        store.reserve(&marks).inspect_err(|_| self.marks.failed(&marks))
    }

    fn give_up<E>(&mut self, id: BundleId, fault: SendFault<E>) -> SendError<E> {
        self.marks.forget(&id);
        self.withdraw(&id);
        SendError { id, fault }
    }

    fn transmit<S: BlockStore>(
        &mut self,
        run: &PlannedRun,
        store: &mut S,
        burst: &mut Burst,
    ) -> Result<(), SendFault<S::Error>> {
        self.reserve(run, store)?;
        let plan = self.planner.get(&run.id).ok_or(SendFault::Gone)?;
        let geometry = plan.geometry;
        let who = *self.identities.get(&run.id).ok_or(SendFault::Gone)?;
        let key = self.tag_keys.get(&who).ok_or(SendFault::Gone)?;
        let shared = plan.window().len();
        let mut header = SymbolHeader {
            spacecraft: who.0,
            epoch: who.1,
            bundle: run.id,
            block: run.block,
            class: plan.class,
            esi: 0,
            block_bytes: geometry.block_bytes(run.block).ok_or(SendFault::Gone)?,
            block_count: geometry.block_count,
            link_seq: 0,
        };
        for esi in run.first_esi..run.first_esi + run.count {
            let symbol = self.pool.symbol((run.id, run.block), &geometry, esi, shared, store)?;
            (header.esi, header.link_seq) = (esi, self.link_seq);
            let place = burst.place(usize::from(geometry.symbol_bytes) + OVERHEAD_BYTES);
            if datagram::encode(&header, symbol, key, place).is_err() {
                burst.drop_last();
                return Err(SendFault::Gone);
            }
            self.link_seq += 1;
        }
        Ok(())
    }

    /// Sees to it that the ids of a run are reserved; when the store is written, those of the runs that
    /// follow are reserved too, and what was sent so far is noted.
    fn reserve<S: BlockStore>(&mut self, run: &PlannedRun, store: &mut S) -> Result<(), SendFault<S::Error>> {
        let end = run.first_esi + run.count;
        let reserved = self.marks.uses(run.id, run.block, end, run.count);
        if reserved && self.marks.since_write < self.config.reserve_symbols {
            return Ok(());
        }
        let ahead = self.ids_ahead(run);
        let planner = &self.planner;
        let marks = self.marks.write(&ahead, self.config.reserve_symbols, |id, block| at(planner, id, block));
        store.reserve(&marks).map_err(|e| {
            self.marks.failed(&marks);
            SendFault::Store(e)
        })
    }

    /// `(bundle, block, ids to reserve)`: of all blocks that are sent interleaved at present.
    fn ids_ahead(&self, run: &PlannedRun) -> Vec<(BundleId, u32, u32)> {
        let most = self.config.reserve_symbols;
        let group = self.planner.group();
        let others = group.iter().filter(|id| **id != run.id && group.contains(&run.id));
        let mut blocks = vec![(run.id, run.block)];
        for id in std::iter::once(&run.id).chain(others) {
            let window = self.planner.get(id).map(Plan::window).unwrap_or_default();
            let window = if window.is_empty() { &[0] } else { window };
            blocks.extend(window.iter().map(|block| (*id, *block)).filter(|key| *key != (run.id, run.block)));
        }
        // A quarter more than one write's worth: the next write comes in time.
        let each = most / u32::try_from(blocks.len()).unwrap_or(u32::MAX).max(1);
        let each = each + each / 4 + 16;
        let ahead = blocks.into_iter().map(|(id, block)| {
            let k = self.planner.get(&id).and_then(|plan| plan.geometry.source_symbols(block)).unwrap_or(1);
            (id, block, each.min(k.saturating_mul(2) + 16).max(run.count))
        });
        ahead.collect()
    }

    fn next_job<S: BlockStore>(
        &mut self,
        spread: bool,
        store: &mut S,
    ) -> Result<Option<EncodeJob>, SendError<S::Error>> {
        let Some(id) = self.current else { return Ok(None) };
        let Some(plan) = self.planner.get(&id) else { return Ok(None) };
        let blocks = plan.blocks();
        let window = plan.window().iter();
        let window = window.filter_map(|block| Some((*block, blocks.get(*block as usize)?.next_esi)));
        let geometry = plan.geometry;
        let job = self.pool.ahead(id, &geometry, window, spread, store);
        job.map_err(|fault| self.give_up(id, fault))
    }
}

/// Next id and symbols sent of a block.
fn at(planner: &Planner, id: &BundleId, block: u32) -> Option<(u32, u32)> {
    let block = planner.get(id)?.blocks().get(block as usize)?;
    Some((block.next_esi, block.sent))
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} bundles, link_seq {:#x})", self.planner.len(), self.link_seq)
    }
}

#[cfg(test)]
mod tests;
