//! The coded part of a head: layouts and copies. One shape for both directions, as all that is coded.

use crate::MAX_MEMORY_BYTES;
use crate::coder::{Coder, Decoder};
use crate::copies::{Copied, MAX_COPIES};
use crate::error::DeltaError;
use crate::head::fixed::Fixed;
use crate::head::memory;
use crate::layout::{MAX_REGIONS, Numbers, Region, code_region};
use crate::model::chance::Number;
use crate::stored::Stored;

/// Reads the regions of a layout, told as what is other than in `like`. Not checked yet.
pub(super) fn read_regions(
    coder: &mut Decoder,
    delta: &(impl Stored + ?Sized),
    numbers: &mut Numbers,
    like: &[Region],
) -> Result<Vec<Region>, DeltaError> {
    coder.feed(delta)?;
    let count = numbers.count.code(coder, 0);
    if count > MAX_REGIONS as u64 {
        return Err(DeltaError::Field { field: "number of regions", value: count });
    }
    let mut regions = Vec::with_capacity(MAX_REGIONS);
    for n in 0..count {
        let like = usize::try_from(n).ok().and_then(|n| like.get(n)).copied().unwrap_or_default();
        regions.push(code_region(coder, |coder| coder.feed(delta), numbers, Region::default(), like)?);
    }
    Ok(regions)
}

/// Reads the copies, and checks each, and that there is memory for all.
pub(super) fn read_copies(
    coder: &mut Decoder,
    delta: &(impl Stored + ?Sized),
    fixed: &Fixed,
) -> Result<Vec<Copied>, DeltaError> {
    coder.feed(delta)?;
    let mut numbers = CopyNumbers::new();
    let count = numbers.count.code(coder, 0);
    if count > u64::from(MAX_COPIES) {
        return Err(DeltaError::Field { field: "number of copies", value: count });
    }
    let needed = memory(fixed, count);
    if needed > MAX_MEMORY_BYTES {
        return Err(DeltaError::Memory { needed, most: MAX_MEMORY_BYTES });
    }
    let mut copies: Vec<Copied> = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for n in 0..u32::try_from(count).unwrap_or(0) {
        let last = copies.last().copied();
        let copy = numbers.code(coder, |coder| coder.feed(delta), last, None)?;
        copy.check(n, last.map_or(0, |last| last.end()), fixed.base_bytes, fixed.result_bytes)?;
        copies.push(copy);
    }
    Ok(copies)
}

/// What copies are told in.
#[derive(Debug)]
pub(crate) struct CopyNumbers {
    pub(crate) count: Number,
    gap: Number,
    jump: Number,
    len: Number,
}

impl CopyNumbers {
    pub(crate) const fn new() -> Self {
        Self { count: Number::new(), gap: Number::new(), jump: Number::new(), len: Number::new() }
    }

    /// Codes a copy behind another: bytes between them in the result, how far it jumps in the base, its length. What does
    /// not fit is told as what can't be.
    pub(crate) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        mut feed: impl FnMut(&mut C) -> Result<(), DeltaError>,
        last: Option<Copied>,
        copy: Option<Copied>,
    ) -> Result<Copied, DeltaError> {
        let none = Copied { to: 0, from: 0, len: 0 };
        let (last, copy) = (last.unwrap_or(none), copy.unwrap_or(none));
        let expected = i64::from(last.from) + i64::from(last.len);
        feed(coder)?;
        let gap = self.gap.code(coder, u64::from(copy.to.saturating_sub(last.end())));
        feed(coder)?;
        let jump = self.jump.code_signed(coder, i64::from(copy.from) - expected);
        feed(coder)?;
        let len = self.len.code(coder, u64::from(copy.len));
        let short = |value: Option<u64>| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(u32::MAX);
        Ok(Copied {
            to: short(gap.checked_add(u64::from(last.end()))),
            from: short(expected.checked_add(jump).and_then(|from| u64::try_from(from).ok())),
            len: short(Some(len)),
        })
    }
}
