//! How the bytes of an image are to be read: what is code, what holds addresses, and where it all is loaded. Told in the
//! delta by whoever made it; nothing here looks into an image.

use std::fmt;

use crate::coder::Coder;
use crate::error::DeltaError;
use crate::model::chance::Number;

/// Largest image, bytes.
pub const MAX_IMAGE_BYTES: u32 = 1 << 28;
/// Most regions of an image.
pub const MAX_REGIONS: usize = 64;
/// Addresses are below this.
const ADDRESSES: u64 = 1 << 48;

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// What there is.
    Base,
    /// What is made of it.
    Result,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::Result => "result",
        })
    }
}

/// How bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Part {
    /// AArch64 instructions.
    Code,
    /// Addresses of 8 bytes.
    Pointers,
    /// Distances of 4 bytes, from where they stand.
    Near,
    /// Anything.
    #[default]
    Plain,
}

impl Part {
    const ALL: [Self; 4] = [Self::Code, Self::Pointers, Self::Near, Self::Plain];

    /// Bytes that are read together.
    pub(crate) const fn unit(self) -> u32 {
        match self {
            Self::Code | Self::Near => 4,
            Self::Pointers => 8,
            Self::Plain => 1,
        }
    }

    /// Its number in the format.
    pub(crate) const fn number(self) -> usize {
        self as usize
    }
}

/// A stretch of an image and where it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Region {
    pub(crate) part: Part,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) address: u64,
}

impl Region {
    /// The first offset behind it.
    pub(crate) const fn end(&self) -> u32 {
        self.offset.saturating_add(self.len)
    }

    /// Where a byte of it is loaded.
    pub(crate) fn address_of(&self, offset: u32) -> u64 {
        self.address.wrapping_add(u64::from(offset.wrapping_sub(self.offset)))
    }

    /// The first address behind it.
    pub(crate) fn last(&self) -> u64 {
        self.address.saturating_add(u64::from(self.len))
    }
}

/// Regions of an image: rising, apart in the image and in addresses, whole units each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    regions: Vec<Region>,
    low: u64,
    high: u64,
}

impl Layout {
    /// Memory that it takes at most.
    pub(crate) const MEMORY: u64 = (MAX_REGIONS * size_of::<Region>()) as u64;

    /// Of regions that fit an image of `bytes` bytes.
    pub(crate) fn new(image: Image, regions: Vec<Region>, bytes: u32) -> Result<Self, DeltaError> {
        for (n, region) in regions.iter().enumerate() {
            let before = regions.get(..n).unwrap_or_default();
            if let Some(why) = wrong(region, before, bytes) {
                return Err(DeltaError::Region { image, region: u32::try_from(n).unwrap_or(u32::MAX), why });
            }
        }
        let low = regions.iter().map(|region| region.address).min().unwrap_or(0);
        let high = regions.iter().map(Region::last).max().unwrap_or(0);
        Ok(Self { regions, low, high })
    }

    /// Its regions.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region that a byte is in.
    pub(crate) fn at(&self, offset: u32) -> Option<&Region> {
        let n = self.regions.partition_point(|region| region.offset <= offset);
        self.regions.get(..n)?.last().filter(|region| offset < region.end())
    }

    /// Where the region ends that a byte is in, or where the next begins.
    pub(crate) fn turn(&self, offset: u32) -> u32 {
        let n = self.regions.partition_point(|region| region.end() <= offset);
        self.regions
            .get(n)
            .map_or(u32::MAX, |next| if next.offset > offset { next.offset } else { next.end() })
    }

    /// Where a byte is loaded.
    pub(crate) fn address(&self, offset: u32) -> Option<u64> {
        self.at(offset).map(|region| region.address_of(offset))
    }

    /// What is loaded at an address.
    pub(crate) fn part_at(&self, address: u64) -> Option<Part> {
        let inside = |region: &&Region| address >= region.address && address < region.last();
        self.regions.iter().find(inside).map(|region| region.part)
    }

    /// Whether a value may be an address in it.
    pub(crate) fn spans(&self, value: u64) -> bool {
        value > 0 && value >= self.low && value < self.high
    }
}

/// Codes a region, told as what is other than in one like it.
pub(crate) fn code_region<C: Coder>(
    coder: &mut C,
    mut feed: impl FnMut(&mut C) -> Result<(), DeltaError>,
    numbers: &mut Numbers,
    region: Region,
    like: Region,
) -> Result<Region, DeltaError> {
    feed(coder)?;
    let part = numbers.part.code(coder, (region.part.number() ^ like.part.number()) as u64);
    let part = usize::try_from(part).ok().and_then(|part| Part::ALL.get(part ^ like.part.number()));
    let mut field = |value: u64, like: u64| {
        feed(coder)?;
        let by = numbers.field.code_signed(coder, value.wrapping_sub(like).cast_signed());
        Ok(like.wrapping_add_signed(by))
    };
    let offset = field(u64::from(region.offset), u64::from(like.offset))?;
    let len = field(u64::from(region.len), u64::from(like.len))?;
    // Where the image's first byte would be loaded: often the same for regions.
    let origin = |region: &Region| region.address.wrapping_sub(u64::from(region.offset));
    let address = field(origin(&region), origin(&like))?.wrapping_add(offset);
    let short = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Region { part: part.copied().unwrap_or_default(), offset: short(offset), len: short(len), address })
}

/// What layouts are told in.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) count: Number,
    part: Number,
    field: Number,
}

impl Numbers {
    pub(crate) const fn new() -> Self {
        Self { count: Number::new(), part: Number::new(), field: Number::new() }
    }
}

/// What is wrong with a region behind others.
fn wrong(region: &Region, before: &[Region], bytes: u32) -> Option<&'static str> {
    let unit = region.part.unit();
    let end = region.offset.checked_add(region.len);
    if region.len == 0 {
        Some("empty")
    } else if end.is_none_or(|end| end > bytes) {
        Some("ends behind the image")
    } else if region.address >= ADDRESSES || region.last() > ADDRESSES {
        Some("loaded beyond all addresses")
    } else if !region.len.is_multiple_of(unit) || !region.address.is_multiple_of(u64::from(unit)) {
        Some("not of whole units")
    } else if before.last().is_some_and(|last| region.offset < last.end()) {
        Some("begins before the one before it ends")
    } else if before.iter().any(|other| region.address < other.last() && other.address < region.last()) {
        Some("loaded where another one is")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(part: Part, offset: u32, len: u32, address: u64) -> Region {
        Region { part, offset, len, address }
    }

    #[test]
    fn places_are_found() {
        let regions = vec![region(Part::Plain, 10, 10, 0x1000), region(Part::Code, 20, 8, 0x2000)];
        let layout = Layout::new(Image::Base, regions, 100).unwrap();
        assert_eq!(layout.at(9), None);
        assert_eq!(layout.address(19), Some(0x1009));
        assert_eq!(layout.at(27).map(|r| r.part), Some(Part::Code));
        assert_eq!(layout.at(28), None);
        assert_eq!([0, 10, 20, 28].map(|at| layout.turn(at)), [10, 20, 28, u32::MAX]);
        assert_eq!(layout.part_at(0x2007), Some(Part::Code));
        assert_eq!(layout.part_at(0x2008), None);
        assert!(layout.spans(0x1800) && !layout.spans(0x2008) && !layout.spans(0));
    }

    #[test]
    fn regions_that_cannot_be_are_refused() {
        let cases = [
            (vec![region(Part::Plain, 0, 0, 0)], 0, "empty"),
            (vec![region(Part::Plain, 90, 11, 0)], 0, "ends behind the image"),
            (vec![region(Part::Plain, u32::MAX, 2, 0)], 0, "ends behind the image"),
            (vec![region(Part::Plain, 0, 8, u64::MAX - 1)], 0, "loaded beyond all addresses"),
            (vec![region(Part::Code, 0, 6, 0)], 0, "not of whole units"),
            (vec![region(Part::Pointers, 0, 8, 4)], 0, "not of whole units"),
            (
                vec![region(Part::Plain, 8, 8, 0), region(Part::Plain, 15, 8, 90)],
                1,
                "begins before the one before it ends",
            ),
            (
                vec![region(Part::Plain, 0, 8, 4), region(Part::Plain, 8, 8, 0)],
                1,
                "loaded where another one is",
            ),
        ];
        for (regions, region, why) in cases {
            let error = DeltaError::Region { image: Image::Result, region, why };
            assert_eq!(Layout::new(Image::Result, regions, 100), Err(error));
        }
    }
}
