//! References in AArch64 code: what an instruction points at, and the instruction that points elsewhere. After the Arm
//! Architecture Reference Manual (Arm DDI 0487), C4.1 "A64 instruction set encoding". Words that are no such
//! instruction are left alone; any word is understood somehow, none is refused.

/// How an instruction says its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// B, BL: 26 bits of words.
    Branch,
    /// B.cond, CBZ, CBNZ, LDR (literal): 19 bits of words from bit 5.
    Near,
    /// TBZ, TBNZ: 14 bits of words from bit 5.
    Test,
    /// ADR: 21 bits of bytes.
    Address,
    /// ADRP: 21 bits of pages.
    Page,
}

/// Bytes of a page that ADRP counts in, less one.
const IN_PAGE: u64 = 0xFFF;

/// What an instruction at an address points at; for ADRP the page's address.
pub(crate) fn target(word: u32, at: u64) -> Option<(Kind, u64)> {
    let kind = kind_of(word)?;
    let away = match kind {
        Kind::Branch => signed(word, 26) * 4,
        Kind::Near => signed(word >> 5, 19) * 4,
        Kind::Test => signed(word >> 5, 14) * 4,
        Kind::Address => signed(joined(word), 21),
        Kind::Page => {
            let pages = signed(joined(word), 21);
            return Some((kind, (at & !IN_PAGE).wrapping_add_signed(pages << 12)));
        }
    };
    Some((kind, at.wrapping_add_signed(away)))
}

/// The low bits of a value as a number with a sign.
fn signed(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)).cast_signed() >> (32 - bits))
}

/// The offset of ADR and ADRP, which is kept in two parts.
fn joined(word: u32) -> u32 {
    word >> 29 & 3 | (word >> 5 & 0x7_FFFF) << 2
}

fn kind_of(word: u32) -> Option<Kind> {
    let is = |mask: u32, value: u32| word & mask == value;
    if is(0x7C00_0000, 0x1400_0000) {
        Some(Kind::Branch)
    } else if is(0xFF00_0010, 0x5400_0000) || is(0x7E00_0000, 0x3400_0000) || is(0x3B00_0000, 0x1800_0000) {
        Some(Kind::Near)
    } else if is(0x7E00_0000, 0x3600_0000) {
        Some(Kind::Test)
    } else if is(0x9F00_0000, 0x1000_0000) {
        Some(Kind::Address)
    } else if is_page(word) {
        Some(Kind::Page)
    } else {
        None
    }
}

/// Whether it is ADRP.
pub(crate) fn is_page(word: u32) -> bool {
    word & 0x9F00_0000 == 0x9000_0000
}

/// Registers that a call may leave with something else in them (Procedure Call Standard for the Arm 64-bit Architecture,
/// 6.1.1): x0 to x18, and x30.
const CALL: u32 = 0x4007_FFFF;

/// The general registers that an instruction writes, a bit each, as far as its encoding tells in short (DDI 0487, C4.1):
/// what is written besides, such as by writing back an address, is left out. A jump that doesn't come back counts as
/// writing all.
pub(crate) fn written(word: u32) -> u32 {
    let is = |mask: u32, value: u32| word & mask == value;
    let lowest = 1 << (word & 31) & !(1 << 31);
    if is_call(word) || is(0xFFFF_FC1F, 0xD63F_0000) {
        return CALL;
    }
    if is_jump(word) || is(0xFF9F_FC1F, 0xD61F_0000) {
        return u32::MAX;
    }
    match word >> 25 & 15 {
        // Of numbers, and of registers.
        8 | 9 | 5 | 13 => lowest,
        // Loads of general registers: of pairs, of what is near, of one.
        4 | 12 => match word >> 27 & 7 {
            5 if is(1 << 22, 1 << 22) => lowest | 1 << (word >> 10 & 31) & !(1 << 31),
            1 if is(1 << 22, 1 << 22) => lowest,
            3 => lowest,
            7 if !is(3 << 22, 0) => lowest,
            _ => 0,
        },
        _ => 0,
    }
}

/// The instruction with its target taken out.
pub(crate) fn bare(word: u32) -> u32 {
    match kind_of(word) {
        Some(Kind::Branch) => word & 0xFC00_0000,
        Some(Kind::Near) => word & 0xFF00_001F,
        Some(Kind::Test) => word & 0xFFF8_001F,
        Some(Kind::Address | Kind::Page) => word & 0x9F00_001F,
        None => word,
    }
}

/// The instruction of that kind that points at `target` from `at`; none where it can't.
pub(crate) fn pointing(word: u32, kind: Kind, at: u64, target: u64) -> Option<u32> {
    let away = target.wrapping_sub(at).cast_signed();
    let words = |bits: u32| if away & 3 == 0 { fitting(away >> 2, bits) } else { None };
    let split = |value: u32| (value & 3) << 29 | (value >> 2 & 0x7_FFFF) << 5;
    let field = match kind {
        Kind::Branch => words(26)?,
        Kind::Near => words(19)? << 5,
        Kind::Test => words(14)? << 5,
        Kind::Address => split(fitting(away, 21)?),
        Kind::Page => {
            let pages = (target & !IN_PAGE).wrapping_sub(at & !IN_PAGE).cast_signed() >> 12;
            split(fitting(pages, 21)?)
        }
    };
    Some(bare(word) | field)
}

/// A number with a sign in so many bits; none where it doesn't fit.
fn fitting(value: i64, bits: u32) -> Option<u32> {
    let half = 1_i64 << (bits - 1);
    let inside = (-half..half).contains(&value);
    inside.then(|| value.rem_euclid(half * 2)).and_then(|value| u32::try_from(value).ok())
}

/// An instruction that adds the low part of an address to a page: the register of the page, and by how much the part is
/// scaled, as a power of two. ADD (immediate, 64 bits), LDR and STR (unsigned offset).
pub(crate) fn low_part(word: u32) -> Option<(usize, u32)> {
    let register = (word >> 5 & 31) as usize;
    if word & 0xFFC0_0000 == 0x9100_0000 {
        Some((register, 0))
    } else if word & 0x3B00_0000 == 0x3900_0000 {
        let vector = word & 0x0480_0000 == 0x0480_0000 && word >> 30 == 0;
        Some((register, if vector { 4 } else { word >> 30 }))
    } else {
        None
    }
}

/// The low part that such an instruction adds, bytes.
pub(crate) fn low_of(word: u32, scale: u32) -> u64 {
    u64::from(word >> 10 & 0xFFF) << scale
}

/// The instruction without its low part.
#[cfg(feature = "encode")]
pub(crate) fn without_low(word: u32) -> u32 {
    word & !(0xFFF << 10)
}

/// The instruction with the low part of another address; none where that can't be scaled so.
pub(crate) fn with_low(word: u32, scale: u32, target: u64) -> Option<u32> {
    let low = u32::try_from(target & IN_PAGE).unwrap_or(0);
    (low & ((1 << scale) - 1) == 0).then_some(word & !(0xFFF << 10) | (low >> scale) << 10)
}

/// An instruction at an address as it is modelled. BL has the target's place instead of the distance to it, ADRP the page's
/// number, so that the same target looks the same from everywhere. Of all others the fields stand in the order in
/// which they tell most: what is done, the register at the lowest bits, then either the register above it, or a number
/// from its top.
pub(crate) fn folded(word: u32, at: u64) -> u32 {
    if is_jump(word) {
        return word;
    }
    if is_call(word) {
        return word & 0xFC00_0000 | word.wrapping_add(low_u32(at >> 2)) & 0x03FF_FFFF;
    }
    let upper = word & 0xFFE0_0000;
    let register = (word & 31) << 16;
    match shape(word) {
        Shape::Number => upper | register | word >> 5 & 0xFFFF,
        Shape::Registers => {
            upper | register | (word >> 5 & 31) << 11 | (word >> 18 & 7) << 8 | word >> 10 & 0xFF
        }
        Shape::Address => {
            let base = if is_page(word) { low_u32(at >> 12) } else { 0 };
            let number = joined(word).wrapping_add(base) & 0x1F_FFFF;
            word & 0x9F00_0000 | (number >> 19) << 29 | (number >> 16 & 7) << 21 | register | number & 0xFFFF
        }
    }
}

/// The instruction that was folded.
pub(crate) fn unfolded(folded: u32, at: u64) -> u32 {
    if is_jump(folded) {
        return folded;
    }
    if is_call(folded) {
        return folded & 0xFC00_0000 | folded.wrapping_sub(low_u32(at >> 2)) & 0x03FF_FFFF;
    }
    let upper = folded & 0xFFE0_0000;
    let register = folded >> 16 & 31;
    match shape(folded) {
        Shape::Number => upper | register | (folded & 0xFFFF) << 5,
        Shape::Registers => {
            upper | register | (folded >> 11 & 31) << 5 | (folded >> 8 & 7) << 18 | (folded & 0xFF) << 10
        }
        Shape::Address => {
            let number = (folded >> 29 & 3) << 19 | (folded >> 21 & 7) << 16 | folded & 0xFFFF;
            let base = if is_page(folded) { low_u32(at >> 12) } else { 0 };
            let number = number.wrapping_sub(base) & 0x1F_FFFF;
            folded & 0x9F00_0000 | (number & 3) << 29 | (number >> 2) << 5 | register
        }
    }
}

/// In which order the fields of an instruction stand when it is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A number of 16 bits or more above the lowest register: jumps on a condition, moves, loads from near.
    Number,
    /// Another register above it.
    Registers,
    /// ADR and ADRP.
    Address,
}

/// The shape, by the upper nine bits alone, which stand where they stood.
fn shape(word: u32) -> Shape {
    let is = |mask: u32, value: u32| word & mask == value;
    if is(0x1F00_0000, 0x1000_0000) {
        Shape::Address
    } else if is(0x7C00_0000, 0x3400_0000)
        || is(0xFF00_0000, 0x5400_0000)
        || is(0x3B00_0000, 0x1800_0000)
        || is(0x1F80_0000, 0x1280_0000)
    {
        Shape::Number
    } else {
        Shape::Registers
    }
}

/// B, which mostly stays near.
fn is_jump(word: u32) -> bool {
    word & 0xFC00_0000 == 0x1400_0000
}

/// BL.
pub(crate) fn is_call(word: u32) -> bool {
    word & 0xFC00_0000 == 0x9400_0000
}

fn low_u32(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_word_is_folded_and_unfolded() {
        let mut word = 1_u32;
        for n in 0..300_000_u64 {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = n * 4 + 0x20_0000;
            assert_eq!(unfolded(folded(word, at), at), word, "{word:08x}");
        }
    }

    #[test]
    fn an_instruction_points_where_it_is_told_to() {
        // BL, B.NE, CBZ, TBNZ, ADR, ADRP, LDR (literal).
        for word in
            [0x9400_0010, 0x5400_0101, 0xB400_0088, 0x3700_0083, 0x1000_0085, 0x9000_0085, 0x5800_0041]
        {
            let (kind, to) = target(word, 0x40_0000).unwrap();
            assert_eq!(pointing(word, kind, 0x40_0000, to), Some(word));
            let moved = pointing(word, kind, 0x40_1000, to + 0x2000).unwrap();
            assert_eq!(target(moved, 0x40_1000), Some((kind, to + 0x2000)));
            assert_eq!(bare(moved), bare(word));
        }
        assert_eq!(pointing(0x3700_0083, Kind::Test, 0, 1 << 20), None, "too far");
        assert_eq!(pointing(0x9400_0010, Kind::Branch, 0, 2), None, "not a word's place");
        assert_eq!(target(0xD503_201F, 0), None, "NOP");
    }

    #[test]
    fn low_parts_are_scaled() {
        // ADD x1, x2, #0x123; LDR x1, [x2, #0x10]; LDR q1, [x2, #0x20].
        assert_eq!(low_part(0x9104_8C41), Some((2, 0)));
        assert_eq!(low_part(0xF940_0841).map(|(_, scale)| low_of(0xF940_0841, scale)), Some(0x10));
        assert_eq!(low_part(0x3DC0_0841).map(|(_, scale)| low_of(0x3DC0_0841, scale)), Some(0x20));
        assert_eq!(with_low(0xF940_0841, 3, 0x7018), Some(0xF940_0C41));
        assert_eq!(with_low(0xF940_0841, 3, 0x7014), None);
    }
}
