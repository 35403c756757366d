//! Makes reports of what a station has: as many frames as it takes, each standing by itself.

use super::{Item, MAX_ITEM_BYTES, MAX_REPORT_BLOCKS, Report, codes};
use crate::ids::BundleId;
use crate::transfer::belief::Observation;

/// Bytes of an item that says a bundle is whole.
const WHOLE_BYTES: usize = 13;
/// Bytes of an item about blocks, in front of its codes.
const BLOCKS_BYTES: usize = 21;
/// How far the `as_of` of blocks in one item may lie apart, if that takes no more than [`ALIKE_ITEMS`] items.
const AS_OF_SPREAD: u32 = 64;
/// Items of a bundle for the sake of their `as_of`.
const ALIKE_ITEMS: usize = 6;

/// What a station has of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockState {
    /// Symbols it still needs; 0: it is whole.
    pub missing: u32,
    /// One more than the highest encoding symbol id that was heard of it; 0: none was.
    pub as_of: u32,
}

/// What a station has of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleState {
    /// The bundle.
    pub id: BundleId,
    /// All its blocks in order; empty: all of them are there.
    pub blocks: Vec<BlockState>,
}

/// Reports about bundles, the most pressing first, numbered from `first_number` on: each becomes one frame.
///
/// Blocks of one item share one `as_of`, that of the block that was heard of last: for the others the
/// satellite then assumes a few symbols less than it might. Blocks that were heard of much less far go into
/// items of their own.
#[must_use]
pub fn build(
    station: u16,
    first_number: u64,
    link: Option<Observation>,
    bundles: &[BundleState],
) -> Vec<Report> {
    let mut builder =
        Builder { station, number: first_number, link, reports: Vec::new(), left: 0, blocks: 0 };
    for bundle in bundles {
        if bundle.blocks.iter().all(|block| block.missing == 0) {
            builder.add(Item::Whole(bundle.id), WHOLE_BYTES, 0);
        } else {
            builder.add_blocks(bundle);
        }
    }
    if builder.reports.is_empty() && link.is_some() {
        builder.next_report();
    }
    builder.reports
}

struct Builder {
    station: u16,
    number: u64,
    link: Option<Observation>,
    reports: Vec<Report>,
    /// Bytes left in the last report.
    left: usize,
    /// Blocks the last report speaks of.
    blocks: usize,
}

impl Builder {
    fn next_report(&mut self) {
        let (station, number, link) = (self.station, self.number, self.link);
        self.number = self.number.saturating_add(1);
        self.reports.push(Report { station, number, link, items: Vec::new() });
        (self.left, self.blocks) = (MAX_ITEM_BYTES, 0);
    }

    fn add(&mut self, item: Item, bytes: usize, blocks: usize) {
        if self.left < bytes || self.blocks + blocks > MAX_REPORT_BLOCKS {
            self.next_report();
        }
        if let Some(report) = self.reports.last_mut() {
            report.items.push(item);
        }
        self.left = self.left.saturating_sub(bytes);
        self.blocks += blocks;
    }

    /// All blocks in one item if they fit into one report, or else in as few as it takes.
    fn add_blocks(&mut self, bundle: &BundleState) {
        let mut rest = bundle.blocks.as_slice();
        let spread = spread(rest);
        let mut first_block = 0_u32;
        while !rest.is_empty() {
            let (taken, item, bytes) = longest(bundle.id, first_block, rest, spread);
            self.add(item, bytes, taken);
            first_block = first_block.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// How far apart the `as_of` of blocks in an item may lie for this bundle: as little as few items allow.
fn spread(blocks: &[BlockState]) -> u32 {
    let items = |spread: u32| {
        let (mut rest, mut items) = (blocks, 0);
        while !rest.is_empty() && items <= ALIKE_ITEMS {
            rest = rest.get(alike(rest, spread)..).unwrap_or_default();
            items += 1;
        }
        items
    };
    let mut spread = AS_OF_SPREAD;
    while items(spread) > ALIKE_ITEMS && spread < 1 << 24 {
        spread *= 2;
    }
    spread
}

/// How many of the first blocks were heard of about equally far, those that are whole not counted; at least
/// one.
fn alike(blocks: &[BlockState], spread: u32) -> usize {
    let mut range: Option<(u32, u32)> = None;
    let breaks = |block: &BlockState| {
        if block.missing == 0 {
            return false;
        }
        let (low, high) = range
            .map_or((block.as_of, block.as_of), |(low, high)| (low.min(block.as_of), high.max(block.as_of)));
        range = Some((low, high));
        high - low > spread
    };
    blocks.iter().position(breaks).unwrap_or(blocks.len()).max(1)
}

/// An item about as many of the blocks as fit into a report of their own: how many, and its bytes.
fn longest(id: BundleId, first_block: u32, blocks: &[BlockState], spread: u32) -> (usize, Item, usize) {
    let room = MAX_ITEM_BYTES - BLOCKS_BYTES;
    let most = alike(blocks, spread).min(MAX_REPORT_BLOCKS);
    // More blocks never take fewer codes, but for a run's end: halving finds a length that fits.
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = (low + high).div_ceil(2);
        let missing: Vec<_> = blocks.iter().take(middle).map(|block| block.missing).collect();
        if codes::encode(&missing).len() <= room {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let taken: Vec<_> = blocks.iter().take(low).collect();
    let missing: Vec<_> = taken.iter().map(|block| block.missing).collect();
    let open = taken.iter().filter(|block| block.missing > 0);
    let as_of = open.map(|block| block.as_of).max().unwrap_or_default().min(0xFF_FFFF);
    let bytes = BLOCKS_BYTES + codes::encode(&missing).len();
    (low, Item::Blocks { id, first_block, as_of, missing }, bytes)
}
