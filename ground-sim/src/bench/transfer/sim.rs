//! The sender that flies, over a channel that loses, towards a ground that only counts: what the rows
//! without a socket measure.
//!
//! The clock is virtual: time is counted in datagrams, a pass is a number of them.

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context, Result, ensure};
use passband_proto::bundle::{Geometry, SEAL_BYTES, SealOptions};
use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, Datagram};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::report::Gate;
use passband_proto::transfer::{BlockMark, BlockStore, Burst, Offer, Sender, SenderConfig};

use super::ground::Ground;
use super::losses::Losses;

/// Symbols of the head: a manifest and a preview of about 100 kB.
const HEAD_SYMBOLS: u32 = 75;
/// The spacecraft and key epoch of all that is simulated.
pub const SPACECRAFT: u16 = 7;

/// The id of the `n`-th bundle that is sent.
fn bundle_id(n: usize) -> BundleId {
    let mut id = BundleId([0xB5; 12]);
    id.0[4..].copy_from_slice(&(n as u64).to_be_bytes());
    id
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

/// A sender, a channel and a ground.
#[derive(Debug)]
pub struct Sim {
    geometry: Geometry,
    ids: Vec<BundleId>,
    config: SenderConfig,
    sender: Sender,
    store: MadeUp,
    losses: Losses,
    burst: Burst,
    gate: Gate,
    /// What the ground has.
    pub ground: Ground,
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
        let ids: Vec<_> = (0..bundles).map(bundle_id).collect();
        let mut this = Self {
            geometry,
            ground: Ground::new(&ids, &geometry, seed),
            ids,
            config,
            sender: Sender::new(&config, keys()),
            store: MadeUp::default(),
            losses,
            burst: Burst::default(),
            gate: Gate::default(),
        };
        this.offer()?;
        Ok(this)
    }

    /// Symbols of all bundles.
    #[must_use]
    pub fn source_symbols(&self) -> u64 {
        super::real::source_symbols(&self.geometry) * self.ids.len() as u64
    }

    /// A pass begins.
    pub fn begin_pass(&mut self) {
        self.ground.begin_pass();
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
        let marked = |id: &BundleId, block| self.store.marks.get(&(*id, block)).map_or(0, |mark| mark.sent);
        self.ground.blocks().map(|(id, n, block)| u64::from(block.sent.abs_diff(marked(id, n)))).sum()
    }

    /// The ground reports all it has, and the sender hears it; the bytes of the report.
    ///
    /// # Errors
    /// The report can't be sealed, or is refused.
    pub fn report(&mut self) -> Result<usize> {
        let frames = self.ground.report(&keys())?;
        frames.iter().try_for_each(|frame| hear(&mut self.gate, &mut self.sender, frame))?;
        Ok(frames.iter().map(Vec::len).sum())
    }

    /// Sends until the ground has it all or `datagrams` have been sent in all; whether it has.
    ///
    /// # Errors
    /// The sender fails.
    pub fn send_until(&mut self, datagrams: u64) -> Result<bool> {
        let mut idle = 0;
        while !self.ground.whole() && self.ground.sent < datagrams && idle < 2 {
            if self.sender.poll_transmit(&mut self.store, &mut self.burst)?.is_some() {
                idle = 0;
                self.cross()?;
            } else {
                // Nothing more in this pass: on a link that stays open another begins.
                idle += 1;
                self.sender.begin_pass();
            }
        }
        Ok(self.ground.whole())
    }

    fn offer(&mut self) -> Result<()> {
        for (id, rank) in self.ids.iter().zip(0..) {
            let (id, geometry, class) = (*id, self.geometry, Class::Routine);
            let marks = self.store.marks.range((id, 0)..=(id, u32::MAX)).map(|(_, mark)| *mark).collect();
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
        for bytes in self.burst.datagrams() {
            let datagram = Datagram::parse(bytes).context("what was sent is no datagram")?;
            let lost = self.losses.loses(self.ground.sent);
            self.ground.sent(datagram.header(), lost)?;
        }
        Ok(())
    }
}

/// Opens a frame of a report and has the sender hear it.
pub(super) fn hear(gate: &mut Gate, sender: &mut Sender, frame: &[u8]) -> Result<()> {
    let report = gate.open(&keys(), frame).ok().context("a report is refused")?;
    let effect = sender.hear(&report);
    ensure!(effect.contradictory == 0, "the sender takes a true report for a false one");
    Ok(())
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
        assert_eq!(sim.ground.repeated, 0);
        assert!(
            sim.ground.sent >= sim.source_symbols() && sim.ground.sent < sim.source_symbols() * 13 / 10,
            "{}",
            sim.ground.sent
        );
    }

    #[test]
    fn reports_are_heard_and_what_is_whole_is_sent_no_more() {
        let mut sim = Sim::new(geometry(600_000, 64, 100), 3, 0.2, Losses::random(0.2, 1.0, 5), 1).unwrap();
        let mut bytes = 0;
        while !sim.ground.whole() {
            sim.send_until(sim.ground.sent + 100).unwrap();
            bytes = sim.report().unwrap().max(bytes);
        }
        assert!((50..600).contains(&bytes), "{bytes}");
        assert!(
            sim.sender.poll_transmit(&mut sim.store, &mut sim.burst).unwrap().is_none(),
            "all is known down"
        );
    }

    #[test]
    fn a_sender_that_is_killed_repeats_no_id() {
        let mut sim = Sim::new(geometry(600_000, 64, 100), 2, 0.2, Losses::random(0.2, 1.0, 5), 1).unwrap();
        for kill in 1..20 {
            sim.send_until(kill * 53).unwrap();
            sim.restart().unwrap();
        }
        assert!(sim.send_until(u64::MAX).unwrap());
        assert_eq!(sim.ground.repeated, 0);
    }
}
