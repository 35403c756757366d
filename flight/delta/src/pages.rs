//! Which registers hold the page of an address, as far as can be seen by reading code from top to bottom: ADRP puts one
//! into a register, and what is written into the register later takes it away. A guess, the same at both ends.

use crate::aarch64;

/// How many instructions behind ADRP the first one is looked for that adds the rest of the address.
pub(crate) const AHEAD: u32 = 16;
/// How many instructions a page is believed to be held.
const HELD: u32 = 400;

/// The registers.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    /// Where each got its page, and the page's address.
    held: [Option<(u32, u64)>; 32],
}

impl Pages {
    pub(crate) const fn new() -> Self {
        Self { held: [None; 32] }
    }

    /// The page that an instruction at `at` adds a low part to, and how that is scaled.
    pub(crate) fn added_to(&self, word: u32, at: u32) -> Option<(u64, u32)> {
        let (register, scale) = aarch64::low_part(word)?;
        let (since, page) = self.held.get(register).copied().flatten()?;
        (at.wrapping_sub(since) <= HELD * 4).then_some((page, scale))
    }

    /// Notes an instruction at `at`, which is loaded at `address`.
    pub(crate) fn note(&mut self, word: u32, at: u32, address: u64) {
        let page = aarch64::is_page(word).then(|| aarch64::target(word, address)).flatten();
        let mut written = aarch64::written(word);
        while written != 0 {
            let register = written.trailing_zeros();
            written &= written - 1;
            if let Some(held) = self.held.get_mut(register as usize) {
                *held = page.map(|(_, page)| (at, page));
            }
        }
    }
}

/// The low part that one of the instructions behind an ADRP into `register` adds to it.
pub(crate) fn low_behind(words: impl Iterator<Item = u32>, register: u32) -> Option<u64> {
    for word in words {
        if let Some((from, scale)) = aarch64::low_part(word)
            && from == register as usize
        {
            return Some(aarch64::low_of(word, scale));
        }
        if aarch64::written(word) >> register & 1 != 0 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ADRP x8, page 1 further; ADD x9, x8, #0x10; LDR x8, [x8, #0x18]; LDR x1, [x8, #8]; BL.
    const CODE: [u32; 5] = [0xB000_0008, 0x9100_4109, 0xF940_0D08, 0xF940_0501, 0x9400_0000];

    #[test]
    fn a_page_is_held_until_its_register_is_written() {
        let mut pages = Pages::new();
        let mut found = Vec::new();
        for (at, word) in (0..).step_by(4).zip(CODE) {
            found.push(pages.added_to(word, at).map(|(page, _)| page));
            pages.note(word, at, 0x40_0000 + u64::from(at));
        }
        assert_eq!(found, [None, Some(0x40_1000), Some(0x40_1000), None, None]);
        // A call leaves what it must not touch.
        pages.note(0xB000_0013, 0, 0x40_0000);
        pages.note(0xB000_0000, 0, 0x40_0000);
        pages.note(CODE[4], 4, 0x40_0004);
        assert!(pages.added_to(0xF940_0261, 8).is_some(), "x19");
        assert!(pages.added_to(0xF940_0001, 8).is_none(), "x0");
        assert!(pages.added_to(0xF940_0261, HELD * 4 + 4).is_none(), "too long ago");
    }

    #[test]
    fn what_is_added_is_found_ahead() {
        assert_eq!(low_behind(CODE[1..].iter().copied(), 8), Some(0x10));
        assert_eq!(low_behind(CODE[3..].iter().copied(), 8), Some(8));
        assert_eq!(low_behind([CODE[4], CODE[1]].into_iter(), 8), None);
    }
}
