//! The sealed sizes of a bundle's blocks, as far as they are known: all of the head's, of a segment's, and of
//! the last block's, since the blocks between are of one size.

use passband_proto::bundle::Geometry;

use super::blocks::source_symbols;
use super::folder::About;

/// What is known of the sizes of a bundle's blocks.
#[derive(Debug)]
pub(super) struct Sizes {
    symbol_bytes: u16,
    block_count: u32,
    /// Of the head, of a segment, of the last block.
    known: [Option<u32>; 3],
}

impl Sizes {
    /// Nothing is known yet.
    pub(super) fn of(about: &About) -> Self {
        Self { symbol_bytes: about.symbol_bytes, block_count: about.block_count, known: [None; 3] }
    }

    /// Whether a block may have this size; remembers it.
    pub(super) fn fits(&mut self, block: u32, bytes: u32) -> bool {
        let kind = self.kind(block);
        self.known.get_mut(kind).is_some_and(|size| *size.get_or_insert(bytes) == bytes)
    }

    /// Forgets the size of a block, and of its like: it may have been wrong.
    pub(super) fn forget(&mut self, block: u32) {
        let kind = self.kind(block);
        if let Some(size) = self.known.get_mut(kind) {
            *size = None;
        }
    }

    /// Whether two blocks have the same size.
    pub(super) fn are_alike(&self, a: u32, b: u32) -> bool {
        self.kind(a) == self.kind(b)
    }

    pub(super) fn size_of(&self, block: u32) -> Option<u32> {
        self.known.get(self.kind(block)).copied().flatten()
    }

    /// Symbols of the bundle, as far as can be said: sizes that aren't known are taken to be the largest of those
    /// that are, but a head's to be small.
    pub(super) fn source_symbols(&self) -> u64 {
        let k = |bytes: u32| u64::from(source_symbols(bytes, self.symbol_bytes));
        let [head, segment, tail] = self.known;
        let largest = self.largest().map_or(0, k);
        let segments = u64::from(self.block_count).saturating_sub(2) * segment.map_or(largest, k);
        let tail = if self.block_count > 1 { tail.map_or(largest, k) } else { 0 };
        head.map_or(1, k) + segments + tail
    }

    pub(super) fn largest(&self) -> Option<u32> {
        self.known.iter().flatten().max().copied()
    }

    /// As much of the geometry as it takes to place a block; sizes that don't matter for that are made up.
    pub(super) fn geometry_around(&self, block: u32) -> Option<Geometry> {
        let [head, segment, tail] = self.known;
        let (count, symbol_bytes) = (self.block_count, self.symbol_bytes);
        let head_bytes = head?;
        let segment_bytes =
            if count > 2 && block > 0 { segment? } else { segment.or(tail).unwrap_or(head_bytes) };
        let tail_bytes = if count == 1 { head_bytes } else { tail.unwrap_or(segment_bytes) };
        if block > 0 && block + 1 == count {
            tail?;
        }
        Some(Geometry { symbol_bytes, block_count: count, head_bytes, segment_bytes, tail_bytes })
    }

    /// Which of the three sizes a block has.
    fn kind(&self, block: u32) -> usize {
        match block {
            0 => 0,
            b if b + 1 == self.block_count => 2,
            _ => 1,
        }
    }
}
