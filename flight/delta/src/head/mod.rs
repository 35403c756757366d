//! The head of a delta: what base and result are like, what is copied, and where each segment's stream lies. The bytes
//! are in `FORMAT.md`. Reads no more than the head, and takes memory only for what was checked.

mod coded;
mod fixed;
#[cfg(all(test, feature = "encode"))]
mod tests;

use crate::checksum::Checksum;
use crate::coder::Decoder;
use crate::copies::{Copied, Map};
use crate::error::DeltaError;
use crate::layout::{Image, Layout, MAX_REGIONS, Numbers};
use crate::run::Run;
use crate::stored::{Stored, read};

#[cfg(feature = "encode")]
pub(crate) use coded::CopyNumbers;
use coded::{read_copies, read_regions};
pub(crate) use fixed::Fixed;
use fixed::SEGMENT_BYTES;
pub use fixed::{FIXED_BYTES, MAGIC, MAX_SEGMENTS, VERSION};

/// A delta whose head was read and checked.
#[derive(Debug)]
pub struct Delta {
    pub(crate) plan: Plan,
    /// Of each segment: where its stream ends, and the checksum of its bytes.
    segments: Vec<(u64, u32)>,
    streams_at: u64,
}

/// What a result is made by.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fixed: Fixed,
    pub(crate) base: Layout,
    pub(crate) result: Layout,
    pub(crate) copies: Vec<Copied>,
    pub(crate) map: Map,
}

/// A segment of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where its bytes begin in the result.
    pub at: u32,
    /// How many they are.
    pub len: u32,
    /// Where its stream begins in the delta.
    pub stream: u64,
    /// Where its stream ends.
    pub stream_end: u64,
    /// CRC-32C of its bytes.
    pub sum: u32,
}

impl Delta {
    /// Reads the head, and checks all of it that can be checked without the base.
    pub fn read(delta: &(impl Stored + ?Sized)) -> Result<Self, DeltaError> {
        let mut bytes = [0; FIXED_BYTES];
        enough(delta, FIXED_BYTES as u64)?;
        read("delta", delta, 0, &mut bytes)?;
        let fixed = Fixed::read(&bytes)?;
        let table_at = FIXED_BYTES as u64 + u64::from(fixed.coded_bytes);
        let streams_at = table_at + u64::from(fixed.segments()) * SEGMENT_BYTES as u64;
        enough(delta, streams_at)?;
        check_sum(delta, &bytes, streams_at)?;
        let plan = Plan::read(delta, fixed)?;
        let segments = read_segments(delta, table_at, fixed.segments(), streams_at)?;
        Ok(Self { plan, segments, streams_at })
    }

    /// Bytes of the base that it was made for; 0: it needs none.
    pub fn base_bytes(&self) -> u32 {
        self.plan.fixed.base_bytes
    }

    /// Bytes of the result.
    pub fn result_bytes(&self) -> u32 {
        self.plan.fixed.result_bytes
    }

    /// How many segments the result has.
    pub fn segments(&self) -> u32 {
        self.plan.fixed.segments()
    }

    /// Bytes of the result that are copied from the base, before what differs is mended.
    pub fn copied_bytes(&self) -> u64 {
        self.plan.copies.iter().map(|copy| u64::from(copy.len)).sum()
    }

    /// Bytes of memory that applying it takes at most, beside the base and what a caller has: never more than
    /// [`MAX_MEMORY_BYTES`](crate::MAX_MEMORY_BYTES).
    pub fn memory_bytes(&self) -> u64 {
        memory(&self.plan.fixed, self.plan.copies.len() as u64)
    }

    /// A segment.
    pub fn segment(&self, segment: u32) -> Result<Segment, DeltaError> {
        let none = DeltaError::NoSegment(segment);
        let (stream_end, sum) = self.segments.get(segment as usize).copied().ok_or(none)?;
        let before = (segment as usize).checked_sub(1).and_then(|before| self.segments.get(before));
        let fixed = &self.plan.fixed;
        let at = segment.checked_mul(fixed.segment_bytes).ok_or(none)?;
        let len = fixed.result_bytes.saturating_sub(at).min(fixed.segment_bytes);
        Ok(Segment { at, len, stream: before.map_or(self.streams_at, |(end, _)| *end), stream_end, sum })
    }

    /// Begins to make a segment.
    pub fn begin(
        &self,
        segment: u32,
        base: &(impl Stored + ?Sized),
        delta: &(impl Stored + ?Sized),
    ) -> Result<Run<'_>, DeltaError> {
        Run::new(self, segment, base, delta)
    }
}

impl Plan {
    fn read(delta: &(impl Stored + ?Sized), fixed: Fixed) -> Result<Self, DeltaError> {
        let end = FIXED_BYTES as u64 + u64::from(fixed.coded_bytes);
        let mut coder = Decoder::new(delta, FIXED_BYTES as u64, end)?;
        let mut numbers = Numbers::new();
        let regions = read_regions(&mut coder, delta, &mut numbers, &[])?;
        let base = Layout::new(Image::Base, regions, fixed.base_bytes)?;
        let regions = read_regions(&mut coder, delta, &mut numbers, base.regions())?;
        let result = Layout::new(Image::Result, regions, fixed.result_bytes)?;
        let copies = read_copies(&mut coder, delta, &fixed)?;
        if !coder.ended() {
            return Err(DeltaError::Field { field: "coded length", value: u64::from(fixed.coded_bytes) });
        }
        let map = Map::new(&copies, &base, &result);
        Ok(Self { fixed, base, result, copies, map })
    }
}

/// Memory that it takes to apply a delta, bytes.
pub(crate) fn memory(fixed: &Fixed, copies: u64) -> u64 {
    let plan =
        copies * size_of::<Copied>() as u64 + Map::memory(copies, MAX_REGIONS as u64) + Layout::MEMORY * 2;
    let segments = u64::from(fixed.segments()) * size_of::<(u64, u32)>() as u64;
    fixed.settings.memory() + plan + segments + Run::MEMORY
}

/// That a delta has so many bytes.
fn enough(delta: &(impl Stored + ?Sized), needed: u64) -> Result<(), DeltaError> {
    let have = delta.bytes();
    if have < needed { Err(DeltaError::Short { needed, have }) } else { Ok(()) }
}

/// That the checksum of all of the head, but itself, is right.
fn check_sum(delta: &(impl Stored + ?Sized), fixed: &[u8; FIXED_BYTES], end: u64) -> Result<(), DeltaError> {
    let Some((checked, told)) = fixed.split_last_chunk::<4>() else { return Err(DeltaError::HeadChecksum) };
    let mut sum = Checksum::new();
    sum.add(checked);
    let mut block = [0; 512];
    let mut at = FIXED_BYTES as u64;
    while at < end {
        let len = (end - at).min(block.len() as u64);
        let part = block.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
        read("delta", delta, at, part)?;
        sum.add(part);
        at += len;
    }
    if sum.value() == u32::from_be_bytes(*told) { Ok(()) } else { Err(DeltaError::HeadChecksum) }
}

/// Reads where the streams end: one behind the other, up to the end of the delta.
fn read_segments(
    delta: &(impl Stored + ?Sized),
    at: u64,
    count: u32,
    streams_at: u64,
) -> Result<Vec<(u64, u32)>, DeltaError> {
    let mut out = Vec::with_capacity(count as usize);
    let mut end = streams_at;
    for n in 0..u64::from(count) {
        let mut entry = [0; SEGMENT_BYTES];
        read("delta", delta, at + n * SEGMENT_BYTES as u64, &mut entry)?;
        let [a, b, c, d, sum @ ..] = entry;
        end += u64::from(u32::from_be_bytes([a, b, c, d]));
        out.push((end, u32::from_be_bytes(sum)));
    }
    enough(delta, end)?;
    match delta.bytes() - end {
        0 => Ok(out),
        more => Err(DeltaError::Long { more }),
    }
}
