//! The ground of the simulated rows: it counts the distinct symbols of each block, and reports.
//!
//! It decodes nothing. It takes a block for whole once it has its K symbols and the few more that a decoder
//! needs now and then; the `decode` rows measure how many that are.

use anyhow::{Context, Result};
use passband_proto::bundle::Geometry;
use passband_proto::datagram::SymbolHeader;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use passband_proto::report::{BlockState, BundleState, build, seal_report};
use passband_proto::transfer::belief::Observation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Probabilities that a decoder needs one symbol more than K, and two more.
const ONE_MORE: f64 = 5e-3;
const TWO_MORE: f64 = 5e-5;
/// The station that reports.
const STATION: u16 = 1;

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

/// What the ground has.
#[derive(Debug)]
pub struct Ground {
    bundles: Vec<(BundleId, Vec<Block>)>,
    missing_blocks: usize,
    /// What was heard of this pass: its first and last link sequence number, and how many datagrams.
    heard: Option<(u64, u64, u32)>,
    reports: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Datagrams whose encoding symbol id had been sent before.
    pub repeated: u64,
}

impl Ground {
    /// A ground that waits for bundles of this geometry, with a decoder whose luck is drawn.
    #[must_use]
    pub fn new(ids: &[BundleId], geometry: &Geometry, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self::needing(ids, geometry, || match rng.random::<f64>() {
            u if u < TWO_MORE => 2,
            u if u < ONE_MORE => 1,
            _ => 0,
        })
    }

    /// A ground whose blocks all want two symbols more than K, as a station's do before it tries.
    #[must_use]
    pub fn cautious(ids: &[BundleId], geometry: &Geometry) -> Self {
        Self::needing(ids, geometry, || 2)
    }

    fn needing(ids: &[BundleId], geometry: &Geometry, mut more: impl FnMut() -> u32) -> Self {
        let mut block = |n| Block::new(geometry.source_symbols(n).unwrap_or(1) + more());
        let bundles: Vec<(_, Vec<_>)> =
            ids.iter().map(|id| (*id, (0..geometry.block_count).map(&mut block).collect())).collect();
        let missing_blocks = bundles.iter().map(|(_, blocks)| blocks.len()).sum();
        Self { bundles, missing_blocks, heard: None, reports: 0, sent: 0, received: 0, repeated: 0 }
    }

    /// The blocks of all bundles, each with its bundle and number.
    pub fn blocks(&self) -> impl Iterator<Item = (&BundleId, u32, &Block)> {
        self.bundles.iter().flat_map(|(id, blocks)| (0..).zip(blocks).map(move |(n, b)| (id, n, b)))
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.missing_blocks == 0
    }

    /// Another pass: what was heard of the link before is old.
    pub fn begin_pass(&mut self) {
        self.heard = None;
    }

    /// A datagram was sent, and arrived or was lost.
    ///
    /// # Errors
    /// It is of a block that there is not.
    pub fn sent(&mut self, header: &SymbolHeader, lost: bool) -> Result<()> {
        self.sent += 1;
        let mut bundles = self.bundles.iter_mut();
        let bundle = bundles.find(|(id, _)| *id == header.bundle).context("no such bundle")?;
        let block = bundle.1.get_mut(header.block as usize).context("no such block")?;
        block.sent += 1;
        let new = block.sent_ids.insert(header.esi);
        self.repeated += u64::from(!new);
        if lost {
            return Ok(());
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
        Ok(())
    }

    /// The frames of a report of all there is.
    ///
    /// # Errors
    /// There is no key, or the report can't be sealed.
    pub fn report(&mut self, keys: &KeyRing) -> Result<Vec<Vec<u8>>> {
        let link = self.heard.map(|(first_seq, last, heard)| Observation {
            station: STATION,
            first_seq,
            span: u32::try_from(last - first_seq + 1).unwrap_or(u32::MAX),
            heard,
        });
        let state = |b: &Block| BlockState { missing: b.needed.saturating_sub(b.received), as_of: b.as_of };
        let bundles = self.bundles.iter();
        let bundles: Vec<_> = bundles
            .map(|(id, blocks)| BundleState { id: *id, blocks: blocks.iter().map(state).collect() })
            .collect();
        let key = keys.iter().next().context("no key")?;
        let mut frames = Vec::new();
        for report in build(STATION, self.reports + 1, link, &bundles) {
            self.reports = report.number;
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&report.number.to_be_bytes());
            frames.push(seal_report(key, nonce, &report)?);
        }
        Ok(frames)
    }
}

impl Block {
    fn new(needed: u32) -> Self {
        Self { sent_ids: Ids::default(), sent: 0, received: 0, as_of: 0, needed, whole: None }
    }
}
