//! What an ELF file says about how it is to be read (System V ABI, "Object files"; ELF for the Arm 64-bit Architecture):
//! 64 bits, little endian, AArch64. Anything else, and anything odd, is told as nothing.

use crate::layout::{MAX_REGIONS, Part, Region};

/// The beginning of a file: ELF, 64 bits, little endian, version 1.
const IDENT: &[u8] = b"\x7fELF\x02\x01\x01";
/// `e_machine`.
const AARCH64: u64 = 183;
/// `sh_type` of sections without bytes in the file.
const NO_BITS: u64 = 8;
/// `sh_flags`.
const SECTION_WRITABLE: u64 = 1;
const SECTION_LOADED: u64 = 2;
const SECTION_CODE: u64 = 4;
/// `p_type` and `p_flags`.
const LOADED: u64 = 1;
const CODE: u64 = 1;
const WRITABLE: u64 = 2;
/// Bytes between two sections that are alike, at most, for them to be one region.
const GAP: u32 = 63;

/// Regions of an image; none of one that isn't understood.
pub(super) fn regions(image: &[u8]) -> Vec<Region> {
    if !image.starts_with(IDENT) || number(image, 18, 2) != Some(AARCH64) {
        return Vec::new();
    }
    let mut found = sections(image).unwrap_or_default();
    if found.is_empty() {
        found = segments(image).unwrap_or_default();
    }
    apart(found, u32::try_from(image.len()).unwrap_or(0))
}

/// A little-endian number of so many bytes, up to 8.
fn number(image: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let from = image.get(usize::try_from(at).ok()?..)?.get(..bytes)?;
    Some(from.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn sections(image: &[u8]) -> Option<Vec<Region>> {
    let (at, size) = (number(image, 40, 8)?, number(image, 58, 2)?);
    let header = |n: u64| at.checked_add(n.checked_mul(size)?);
    let names = number(image, header(number(image, 62, 2)?)?.checked_add(24)?, 8)?;
    let mut out = Vec::new();
    for n in 0..number(image, 60, 2)? {
        let at = header(n)?;
        let field = |offset: u64, bytes| number(image, at.checked_add(offset)?, bytes);
        let (kind, flags, len) = (field(4, 4)?, field(8, 8)?, field(32, 8)?);
        if flags & SECTION_LOADED == 0 || kind == NO_BITS || len == 0 {
            continue;
        }
        let name = name(image, names.checked_add(field(0, 4)?)?);
        let part = if flags & SECTION_CODE != 0 {
            Part::Code
        } else if name.starts_with(b".eh_frame") {
            Part::Near
        } else if flags & SECTION_WRITABLE != 0 || name.starts_with(b".rela") {
            Part::Pointers
        } else {
            Part::Plain
        };
        out.extend(region(part, field(24, 8)?, len, field(16, 8)?));
    }
    Some(out)
}

/// A section's name: what stands before a zero.
fn name(image: &[u8], at: u64) -> &[u8] {
    let rest = usize::try_from(at).ok().and_then(|at| image.get(at..)).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn segments(image: &[u8]) -> Option<Vec<Region>> {
    let (at, size) = (number(image, 32, 8)?, number(image, 54, 2)?);
    let mut out = Vec::new();
    for n in 0..number(image, 56, 2)? {
        let at = at.checked_add(n.checked_mul(size)?)?;
        let field = |offset: u64, bytes| number(image, at.checked_add(offset)?, bytes);
        let flags = field(4, 4)?;
        if field(0, 4)? != LOADED {
            continue;
        }
        let part = if flags & CODE != 0 {
            Part::Code
        } else if flags & WRITABLE != 0 {
            Part::Pointers
        } else {
            Part::Plain
        };
        out.extend(region(part, field(8, 8)?, field(32, 8)?, field(16, 8)?));
    }
    Some(out)
}

fn region(part: Part, offset: u64, len: u64, address: u64) -> Option<Region> {
    Some(Region { part, offset: u32::try_from(offset).ok()?, len: u32::try_from(len).ok()?, address })
}

/// What of regions can be told: inside the image, of whole units, apart; those alike behind one another made one.
fn apart(mut found: Vec<Region>, bytes: u32) -> Vec<Region> {
    found.sort_by_key(|region| region.offset);
    let mut out: Vec<Region> = Vec::new();
    for region in found {
        let Some(region) = whole(region, bytes) else { continue };
        if let Some(last) = out.last_mut() {
            let goes_on = region.offset >= last.end() && region.offset - last.end() <= GAP;
            let moved = u64::from(region.offset - last.offset.min(region.offset));
            if goes_on && region.part == last.part && last.address.checked_add(moved) == Some(region.address)
            {
                last.len = region.end() - last.offset;
                continue;
            }
        }
        let clear = |other: &Region| region.address >= other.last() || other.address >= region.last();
        if out.last().is_none_or(|last| region.offset >= last.end()) && out.iter().all(clear) {
            out.push(region);
        }
    }
    out.truncate(MAX_REGIONS);
    out
}

/// A region cut to the image and to whole units.
fn whole(region: Region, bytes: u32) -> Option<Region> {
    let unit = region.part.unit();
    let skipped = u32::try_from(region.address.next_multiple_of(u64::from(unit)) - region.address).ok()?;
    let offset = region.offset.checked_add(skipped)?;
    let len = region.len.checked_sub(skipped)?.min(bytes.checked_sub(offset)?);
    let len = len - len % unit;
    let address = region.address.checked_add(u64::from(skipped))?;
    (len > 0 && address < 1 << 47).then_some(Region { part: region.part, offset, len, address })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Image, Layout};

    /// A file with two loaded segments and no section.
    fn file() -> Vec<u8> {
        let mut file = vec![0; 400];
        file[..7].copy_from_slice(IDENT);
        file[18] = 183;
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        for (n, (flags, offset)) in [(5, 0xC0_u16), (6, 0x104)].into_iter().enumerate() {
            let at = 64 + n * 56;
            (file[at], file[at + 4], file[at + 18], file[at + 32]) = (1, flags, 0x20 + n as u8, 0x40);
            file[at + 8..at + 10].copy_from_slice(&offset.to_le_bytes());
            file[at + 16] = offset as u8;
        }
        file
    }

    #[test]
    fn segments_are_told_where_there_are_no_sections() {
        let found = regions(&file());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], Region { part: Part::Code, offset: 0xC0, len: 0x40, address: 0x20_00C0 });
        // Addresses of 8 bytes, so the first 4 and the last 4 are left out.
        assert_eq!(found[1], Region { part: Part::Pointers, offset: 0x108, len: 0x38, address: 0x21_0008 });
    }

    #[test]
    fn odd_files_are_told_somehow() {
        let file = file();
        let mut state = 1_u32;
        for _ in 0..20_000 {
            let mut bad = file.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % 176;
                bad[at] = (state >> 3) as u8;
            }
            let found = regions(&bad);
            assert!(Layout::new(Image::Base, found, 400).is_ok());
        }
        assert_eq!(regions(b"#!/bin/sh"), []);
    }
}
