//! The sender that flies, over a channel that loses, towards a ground that only counts: what the rows
//! without a socket measure.
//!
//! The clock is virtual: time is counted in datagrams, a pass is a number of them. The ground decodes
//! nothing. It takes a block for whole once it has its K distinct symbols and the few more that a
//! decoder needs now and then, drawn as [`Overhead`] was measured (the `decode` rows measure it again).

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::{Geometry, SEAL_BYTES, SealOptions};
use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, Datagram, SymbolHeader};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::report::{BlockState, BundleState, Gate, build, seal_report};
use passband_proto::transfer::belief::Observation;
use passband_proto::transfer::{BlockMark, BlockStore, Burst, Offer, Sender, SenderConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::emulator::channel::{Channel, ChannelParams, Verdict};

/// Symbols of the head: a manifest and a preview of about 100 kB.
const HEAD_SYMBOLS: u32 = 75;
/// Probabilities that a decoder needs one symbol more than K, and two more.
const ONE_MORE: f64 = 5e-3;
const TWO_MORE: f64 = 5e-5;
/// The spacecraft and key epoch of all that is simulated.
pub const SPACECRAFT: u16 = 7;

/// The station that reports.
const STATION: u16 = 1;

/// The id of the `n`-th bundle that is sent.
fn bundle_id(n: usize) -> BundleId {
    let mut id = BundleId([0xB5; 12]);
    id.0[4..].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

/// Which bundle has this id.
fn bundle_number(id: &BundleId) -> Option<usize> {
    id.0.last_chunk().and_then(|n| usize::try_from(u64::from_be_bytes(*n)).ok())
}

/// The keys of both ends.
#[must_use]
pub fn keys() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(EpochKey::new(SPACECRAFT, 0, [0x5A; 32]));
    ring
}

/// How a bundle of `bytes` of content would be cut with the usual symbols, in symbols of
/// `symbol_bytes`: as many blocks and as many symbols in each, whatever they hold.
#[must_use]
pub fn geometry(bytes: u64, symbol_bytes: u16, segment_symbols: u32) -> Geometry {
    let symbols = bytes.div_ceil(u64::from(DEFAULT_SYMBOL_BYTES));
    let segments = u32::try_from(symbols.div_ceil(u64::from(segment_symbols))).unwrap_or(u32::MAX - 1);
    let full = u64::from(segments.saturating_sub(1)) * u64::from(segment_symbols);
    let tail = u32::try_from(symbols - full.min(symbols)).unwrap_or(segment_symbols);
    let bytes_of = |symbols: u32| (symbols * u32::from(symbol_bytes)).max(SEAL_BYTES + 1);
    Geometry {
        symbol_bytes,
        block_count: segments + 1,
        head_bytes: bytes_of(HEAD_SYMBOLS),
        segment_bytes: bytes_of(segment_symbols),
        tail_bytes: bytes_of(tail),
    }
}

/// K of a full segment, as bundles are sealed by default.
#[must_use]
pub fn segment_symbols() -> u32 {
    SealOptions::default().segment_symbols
}

/// Blocks made up when they are read, and marks that survive their sender.
#[derive(Debug, Default)]
pub struct MadeUp {
    /// The marks made durable so far.
    marks: BTreeMap<(BundleId, u32), BlockMark>,
}

impl BlockStore for MadeUp {
    type Error = Infallible;

    fn read_block(&mut self, _: &BundleId, _: u32, _: u32, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0xA5);
        Ok(())
    }

    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), Infallible> {
        self.marks.extend(marks.iter().map(|(id, mark)| ((*id, mark.block), *mark)));
        Ok(())
    }
}

/// What is lost.
#[derive(Debug)]
pub enum Losses {
    /// What a seeded channel loses.
    Channel(Box<Channel>),
    /// The first `lost` of every `period` datagrams.
    Periodic {
        /// Datagrams of a period.
        period: u64,
        /// How many of them are lost.
        lost: u64,
    },
}

impl Losses {
    /// Losses at random, in bursts of `burst_len` on average.
    #[must_use]
    pub fn random(loss: f64, burst_len: f64, seed: u64) -> Self {
        Self::Channel(Box::new(Channel::new(ChannelParams { loss, burst_len, seed, ..Default::default() })))
    }

    /// Whether the `n`-th datagram is lost.
    pub fn loses(&mut self, n: u64) -> bool {
        match self {
            Self::Periodic { period, lost } => n % *period < *lost,
            Self::Channel(channel) => {
                let verdict = channel.send(n, &[]);
                while channel.receive(u64::MAX).is_some() {}
                verdict != Verdict::Delivered
            }
        }
    }
}

/// A set of encoding symbol ids.
#[derive(Debug, Clone, Default)]
struct Ids(Vec<u64>);

impl Ids {
    /// Adds an id; whether it was new.
    fn insert(&mut self, id: u32) -> bool {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// A block as it was sent and as the ground has it.
#[derive(Debug, Clone)]
pub struct Block {
    sent_ids: Ids,
    /// Symbols sent.
    pub sent: u32,
    /// Distinct symbols received.
    pub received: u32,
    /// One more than the highest id received.
    as_of: u32,
    /// Distinct symbols that a decoder needs.
    pub needed: u32,
    /// Symbols sent of it, and datagrams sent in all, when it became whole.
    pub whole: Option<(u32, u64)>,
}

/// A sender, a channel and a ground.
#[derive(Debug)]
pub struct Sim {
    geometry: Geometry,
    config: SenderConfig,
    sender: Sender,
    store: MadeUp,
    losses: Losses,
    burst: Burst,
    /// The blocks of each bundle.
    bundles: Vec<Vec<Block>>,
    missing_blocks: usize,
    /// What was heard of this pass: its first and last link sequence number, and how many datagrams.
    heard: Option<(u64, u64, u32)>,
    reports: u64,
    gate: Gate,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Datagrams whose encoding symbol id had been sent before.
    pub repeated: u64,
}

impl Sim {
    /// A sender with `bundles` alike, told to expect a loss, and what will be lost.
    ///
    /// # Errors
    /// The bundles can't be sent.
    pub fn new(
        geometry: Geometry,
        bundles: usize,
        expected_loss: f64,
        losses: Losses,
        seed: u64,
    ) -> Result<Self> {
        let config = SenderConfig { expected_loss, seed, ..SenderConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let bundles: Vec<Vec<_>> = (0..bundles)
            .map(|_| (0..geometry.block_count).map(|block| Block::new(&geometry, block, &mut rng)).collect())
            .collect();
        let mut this = Self {
            geometry,
            config,
            sender: Sender::new(&config, keys()),
            store: MadeUp::default(),
            losses,
            burst: Burst::default(),
            missing_blocks: bundles.iter().map(Vec::len).sum(),
            bundles,
            heard: None,
            reports: 0,
            gate: Gate::default(),
            sent: 0,
            received: 0,
            repeated: 0,
        };
        this.offer()?;
        Ok(this)
    }

    /// Symbols of all bundles.
    #[must_use]
    pub fn source_symbols(&self) -> u64 {
        super::real::source_symbols(&self.geometry) * self.bundles.len() as u64
    }

    /// The blocks of all bundles.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.bundles.iter().flatten()
    }

    /// Whether the ground has all of it.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.missing_blocks == 0
    }

    /// A pass begins.
    pub fn begin_pass(&mut self) {
        self.heard = None;
        self.sender.begin_pass();
    }

    /// How many symbols go between two writes of the marks.
    pub fn set_reserve_symbols(&mut self, symbols: u32) {
        self.config.reserve_symbols = symbols;
        self.sender.set_reserve_symbols(symbols);
    }

    /// The sender stops in good order.
    ///
    /// # Errors
    /// None that a made-up store has.
    pub fn checkpoint(&mut self) -> Result<()> {
        Ok(self.sender.checkpoint(&mut self.store)?)
    }

    /// Another sender takes over, which knows only what is durable.
    ///
    /// # Errors
    /// The bundles can't be sent.
    pub fn restart(&mut self) -> Result<()> {
        self.config.session += 1;
        self.config.seed += 1;
        self.sender = Sender::new(&self.config, keys());
        self.offer()
    }

    /// By how many symbols a sender started now would miscount what was sent, over all blocks.
    #[must_use]
    pub fn astray(&self) -> u64 {
        let marked =
            |n: usize, block: u32| self.store.marks.get(&(bundle_id(n), block)).map_or(0, |mark| mark.sent);
        let blocks = |n: usize| (0..).zip(self.bundles.get(n).into_iter().flatten());
        let of =
            |n: usize| -> u64 { blocks(n).map(|(at, b)| u64::from(b.sent.abs_diff(marked(n, at)))).sum() };
        (0..self.bundles.len()).map(of).sum()
    }

    /// The ground reports all it has, and the sender hears it; the bytes of the report.
    ///
    /// # Errors
    /// The report can't be sealed, or is refused.
    pub fn report(&mut self) -> Result<usize> {
        let link = self.heard.map(|(first_seq, last, heard)| Observation {
            station: STATION,
            first_seq,
            span: u32::try_from(last - first_seq + 1).unwrap_or(u32::MAX),
            heard,
        });
        let state = |b: &Block| BlockState { missing: b.needed.saturating_sub(b.received), as_of: b.as_of };
        let bundles = self.bundles.iter().enumerate();
        let bundles: Vec<_> = bundles
            .map(|(n, blocks)| BundleState { id: bundle_id(n), blocks: blocks.iter().map(state).collect() })
            .collect();
        let keys = keys();
        let key = keys.newest(SPACECRAFT).context("no key")?;
        let mut bytes = 0;
        for report in build(STATION, self.reports + 1, link, &bundles) {
            self.reports = report.number;
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&report.number.to_be_bytes());
            let frame = seal_report(key, nonce, &report)?;
            bytes += frame.len();
            let report = self.gate.open(&keys, &frame).ok().context("a report is refused")?;
            let effect = self.sender.hear(&report);
            ensure!(effect.contradictory == 0, "the sender takes a true report for a false one");
        }
        Ok(bytes)
    }

    /// Sends until the ground has it all or `datagrams` have been sent in all; whether it has.
    ///
    /// # Errors
    /// The sender fails.
    pub fn send_until(&mut self, datagrams: u64) -> Result<bool> {
        let mut idle = 0;
        while !self.whole() && self.sent < datagrams && idle < 2 {
            if self.sender.poll_transmit(&mut self.store, &mut self.burst)?.is_some() {
                idle = 0;
                self.cross()?;
            } else {
                // Nothing more in this pass: on a link that stays open another begins.
                idle += 1;
                self.sender.begin_pass();
            }
        }
        Ok(self.whole())
    }

    fn offer(&mut self) -> Result<()> {
        for n in 0..self.bundles.len() {
            let (id, geometry) = (bundle_id(n), self.geometry);
            let marks = self.store.marks.range((id, 0)..=(id, u32::MAX)).map(|(_, mark)| *mark).collect();
            let (class, rank) = (Class::Routine, n as u64);
            self.sender.offer(&Offer {
                id,
                spacecraft: SPACECRAFT,
                epoch: 0,
                class,
                rank,
                geometry,
                marks,
            })?;
        }
        Ok(())
    }

    /// Takes the burst across the channel.
    fn cross(&mut self) -> Result<()> {
        let burst = std::mem::take(&mut self.burst);
        for bytes in burst.datagrams() {
            let datagram = Datagram::parse(bytes).context("what was sent is no datagram")?;
            let lost = self.losses.loses(self.sent);
            self.sent += 1;
            self.arrive(datagram.header(), lost).context("a block that there is not")?;
        }
        self.burst = burst;
        Ok(())
    }

    fn arrive(&mut self, header: &SymbolHeader, lost: bool) -> Option<()> {
        let block = self.bundles.get_mut(bundle_number(&header.bundle)?)?.get_mut(header.block as usize)?;
        block.sent += 1;
        let new = block.sent_ids.insert(header.esi);
        self.repeated += u64::from(!new);
        if lost {
            return Some(());
        }
        self.received += 1;
        let (first, last, heard) = self.heard.unwrap_or((header.link_seq, header.link_seq, 0));
        self.heard = Some((first, last.max(header.link_seq), heard + 1));
        block.received += u32::from(new);
        block.as_of = block.as_of.max(header.esi + 1);
        if block.whole.is_none() && block.received >= block.needed {
            block.whole = Some((block.sent, self.sent));
            self.missing_blocks -= 1;
        }
        Some(())
    }
}

impl Block {
    fn new(geometry: &Geometry, block: u32, rng: &mut ChaCha8Rng) -> Self {
        let more = match rng.random::<f64>() {
            u if u < TWO_MORE => 2,
            u if u < ONE_MORE => 1,
            _ => 0,
        };
        let needed = geometry.source_symbols(block).unwrap_or(1) + more;
        Self { sent_ids: Ids::default(), sent: 0, received: 0, as_of: 0, needed, whole: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_as_many_symbols_whatever_their_size() {
        for bytes in [1, 14_080_000, 1 << 30] {
            let (a, b) = (geometry(bytes, 1408, 10_000), geometry(bytes, 64, 10_000));
            a.check().unwrap();
            b.check().unwrap();
            assert_eq!(a.block_count, b.block_count);
            assert!((0..a.block_count).all(|n| a.source_symbols(n) == b.source_symbols(n)));
            let content = a.sealed_bytes() - u64::from(a.head_bytes);
            assert!(content >= bytes && content < bytes + 3000, "{bytes}: {content}");
        }
    }

    #[test]
    fn without_losses_a_bundle_is_whole_after_its_own_symbols_or_little_more() {
        let none = Losses::Periodic { period: 2, lost: 0 };
        let mut sim = Sim::new(geometry(600_000, 64, 100), 1, 0.01, none, 1).unwrap();
        assert!(sim.send_until(u64::MAX).unwrap());
        assert_eq!(sim.repeated, 0);
        assert!(
            sim.sent >= sim.source_symbols() && sim.sent < sim.source_symbols() * 13 / 10,
            "{}",
            sim.sent
        );
    }

    #[test]
    fn losses_are_those_that_were_asked_for() {
        let mut losses = Losses::random(0.3, 1.0, 1);
        let lost = (0..20_000).filter(|n| losses.loses(*n)).count();
        assert!((5700..6300).contains(&lost), "{lost}");
        let mut losses = Losses::Periodic { period: 7, lost: 3 };
        assert_eq!((0..14).filter(|n| losses.loses(*n)).collect::<Vec<_>>(), [0, 1, 2, 7, 8, 9]);
    }

    #[test]
    fn reports_are_heard_and_what_is_whole_is_sent_no_more() {
        let mut sim = Sim::new(geometry(600_000, 64, 100), 3, 0.2, Losses::random(0.2, 1.0, 5), 1).unwrap();
        let mut bytes = 0;
        while !sim.whole() {
            sim.send_until(sim.sent + 100).unwrap();
            bytes = sim.report().unwrap().max(bytes);
        }
        assert!((50..600).contains(&bytes), "{bytes}");
        sim.missing_blocks = 1;
        let sent = sim.sent;
        assert!(!sim.send_until(u64::MAX).unwrap(), "nothing more comes of whole bundles");
        assert_eq!(sim.sent, sent);
    }

    #[test]
    fn a_sender_that_is_killed_repeats_no_id() {
        let mut sim = Sim::new(geometry(600_000, 64, 100), 2, 0.2, Losses::random(0.2, 1.0, 5), 1).unwrap();
        for kill in 1..20 {
            sim.send_until(kill * 53).unwrap();
            sim.restart().unwrap();
        }
        assert!(sim.send_until(u64::MAX).unwrap());
        assert_eq!(sim.repeated, 0);
    }
}
