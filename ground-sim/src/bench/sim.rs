//! The sender that flies, over a channel that loses, towards a ground that only counts: what the rows
//! without a socket measure.
//!
//! The clock is virtual: time is counted in datagrams, a pass is a number of them. The ground decodes
//! nothing. It takes a block for whole once it has its K distinct symbols and the few more that a
//! decoder needs now and then, drawn as [`Overhead`] was measured (the `decode` rows measure it again).

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context, Result};
use passband_proto::bundle::{Geometry, SEAL_BYTES, SealOptions};
use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, Datagram};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
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

/// The id of the bundle that is sent.
pub const BUNDLE: BundleId = BundleId([0xB5; 12]);

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
#[derive(Debug)]
pub struct MadeUp {
    geometry: Geometry,
    /// The marks made durable so far.
    pub marks: BTreeMap<u32, BlockMark>,
}

impl BlockStore for MadeUp {
    type Error = Infallible;

    fn read_block(&mut self, _: &BundleId, block: u32, out: &mut Vec<u8>) -> Result<(), Infallible> {
        out.clear();
        out.resize(self.geometry.block_bytes(block).unwrap_or_default() as usize, 0xA5);
        Ok(())
    }

    fn reserve(&mut self, _: &BundleId, marks: &[BlockMark]) -> Result<(), Infallible> {
        self.marks.extend(marks.iter().map(|mark| (mark.block, *mark)));
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
    /// What the sender made durable.
    pub store: MadeUp,
    losses: Losses,
    burst: Burst,
    /// The blocks, by number.
    pub blocks: Vec<Block>,
    missing_blocks: usize,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Datagrams whose encoding symbol id had been sent before.
    pub repeated: u64,
}

impl Sim {
    /// A sender with one bundle, told to expect a loss, and what will be lost.
    ///
    /// # Errors
    /// The bundle can't be sent.
    pub fn new(geometry: Geometry, expected_loss: f64, losses: Losses, seed: u64) -> Result<Self> {
        let config = SenderConfig { expected_loss, ..SenderConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let blocks: Vec<_> = (0..geometry.block_count)
            .map(|block| {
                let more = match rng.random::<f64>() {
                    u if u < TWO_MORE => 2,
                    u if u < ONE_MORE => 1,
                    _ => 0,
                };
                let needed = geometry.source_symbols(block).unwrap_or(1) + more;
                Block { sent_ids: Ids::default(), sent: 0, received: 0, needed, whole: None }
            })
            .collect();
        let mut this = Self {
            geometry,
            config,
            sender: Sender::new(&config, keys()),
            store: MadeUp { geometry, marks: BTreeMap::new() },
            losses,
            burst: Burst::default(),
            missing_blocks: blocks.len(),
            blocks,
            sent: 0,
            received: 0,
            repeated: 0,
        };
        this.offer()?;
        Ok(this)
    }

    /// Symbols of the bundle.
    #[must_use]
    pub fn source_symbols(&self) -> u64 {
        (0..self.geometry.block_count).filter_map(|b| self.geometry.source_symbols(b)).map(u64::from).sum()
    }

    /// Whether the ground has all of it.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.missing_blocks == 0
    }

    /// A pass begins.
    pub fn begin_pass(&mut self) {
        self.sender.begin_pass();
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
    /// The bundle can't be sent.
    pub fn restart(&mut self) -> Result<()> {
        self.config.session += 1;
        self.sender = Sender::new(&self.config, keys());
        self.offer()
    }

    /// By how many symbols a sender started now would miscount what was sent, over all blocks.
    #[must_use]
    pub fn astray(&self) -> u64 {
        let marked = |block: u32| self.store.marks.get(&block).map_or(0, |mark| mark.sent);
        (0..).zip(&self.blocks).map(|(n, b)| u64::from(b.sent.abs_diff(marked(n)))).sum()
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
        let marks = self.store.marks.values().copied().collect();
        let (class, geometry) = (Class::Routine, self.geometry);
        let offer = Offer { id: BUNDLE, spacecraft: SPACECRAFT, epoch: 0, class, rank: 1, geometry, marks };
        Ok(self.sender.offer(&offer)?)
    }

    /// Takes the burst across the channel.
    fn cross(&mut self) -> Result<()> {
        for bytes in self.burst.datagrams() {
            let datagram = Datagram::parse(bytes).context("what was sent is no datagram")?;
            let header = datagram.header();
            let lost = self.losses.loses(self.sent);
            self.sent += 1;
            let block = self.blocks.get_mut(header.block as usize).context("a block out of range")?;
            block.sent += 1;
            let new = block.sent_ids.insert(header.esi);
            self.repeated += u64::from(!new);
            if lost {
                continue;
            }
            self.received += 1;
            block.received += u32::from(new);
            if block.whole.is_none() && block.received >= block.needed {
                block.whole = Some((block.sent, self.sent));
                self.missing_blocks -= 1;
            }
        }
        Ok(())
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
        let mut sim = Sim::new(geometry(600_000, 64, 100), 0.01, none, 1).unwrap();
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
    fn a_sender_that_is_killed_repeats_no_id() {
        let mut sim = Sim::new(geometry(600_000, 64, 100), 0.2, Losses::random(0.2, 1.0, 5), 1).unwrap();
        for kill in 1..20 {
            sim.send_until(kill * 53).unwrap();
            sim.restart().unwrap();
        }
        assert!(sim.send_until(u64::MAX).unwrap());
        assert_eq!(sim.repeated, 0);
    }
}
