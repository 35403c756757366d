//! The last bytes of the result as they are modelled, and where in them what came last was seen before.

use crate::model::bytes::SURE;
use crate::model::history::hash;

/// Most bytes that a match is followed back.
const FOLLOWED: u32 = 48;
/// Misses after which a match is given up.
const MISSES: u32 = 16;

/// A ring of bytes, and a table of places in it.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// Bytes that came so far.
    at: u32,
    places: Vec<u32>,
    matched: Match,
}

/// What is being matched.
#[derive(Debug, Clone, Copy, Default)]
struct Match {
    /// Where the expected byte stands; 0: nothing is expected.
    at: u32,
    /// Bytes that were right in a row.
    len: u32,
    /// Misses lately.
    misses: u32,
}

impl Window {
    /// Memory that a window of 2^`bits` bytes takes, with its table.
    pub(crate) const fn memory(bits: u32) -> u64 {
        (1 << bits) + (4 << bits.saturating_sub(3))
    }

    /// Of 2^`bits` bytes.
    pub(crate) fn new(bits: u32) -> Self {
        let places = vec![0; 1 << bits.saturating_sub(3)];
        Self { bytes: vec![0; 1 << bits], at: 0, places, matched: Match::default() }
    }

    /// The `back`-th last byte, from 1 on; 0 before the first.
    pub(crate) fn back(&self, back: u32) -> u32 {
        if back > self.at { 0 } else { u32::from(self.byte(self.at - back)) }
    }

    /// Four bytes that end `back` bytes ago, the first the highest.
    pub(crate) fn word(&self, back: u32) -> u32 {
        (1..=4).rev().fold(0, |word, n| word << 8 | self.back(back + n))
    }

    /// The byte that is expected, and how surely.
    pub(crate) fn expected(&self) -> (u8, usize) {
        let Match { at, len, misses } = self.matched;
        if at == 0 {
            return (0, 0);
        }
        let sure = match len {
            0 => 1 + misses.min(3),
            1..16 => 4 + len / 4 + if misses == 0 { 4 } else { 0 },
            16..32 => 12 + u32::from(misses == 0),
            _ => 14 + (len.ilog2() - 5).min(4) * 2 + u32::from(misses == 0),
        };
        (self.byte(at), (sure as usize).min(SURE - 1))
    }

    /// Takes the next byte.
    pub(crate) fn push(&mut self, byte: u8) {
        let Match { at, len, misses } = self.matched;
        if at > 0 {
            self.matched = if self.byte(at) == byte {
                Match { at: at + 1, len: (len + 1).min(65_535), misses: if len >= 16 { 0 } else { misses } }
            } else if misses < MISSES {
                Match { at: at + 1, len: 0, misses: misses + 1 }
            } else {
                Match::default()
            };
        }
        let mask = self.bytes.len().wrapping_sub(1);
        if let Some(entry) = self.bytes.get_mut(self.at as usize & mask) {
            *entry = byte;
        }
        self.at = self.at.wrapping_add(1);
    }

    /// Notes where it is, by its last `by` bytes, and looks where they stood before if nothing better is matched and it is
    /// wanted.
    pub(crate) fn note(&mut self, by: u32, wanted: bool) {
        if self.at < by {
            return;
        }
        let hashed = (1..=by).fold(by, |hashed, n| hash(hashed, self.back(n)));
        let slot = ((u64::from(hashed) * self.places.len() as u64) >> 32) as usize;
        let at = self.at;
        let Some(place) = self.places.get_mut(slot) else { return };
        let before = std::mem::replace(place, at);
        if wanted && self.matched.len < 16 && before > 0 && before != self.matched.at {
            let len = self.common(before);
            if len >= by.min(5) && len > self.matched.len {
                self.matched = Match { at: before, len, misses: 0 };
            }
        }
    }

    /// How many bytes before `place` are the last ones.
    fn common(&self, place: u32) -> u32 {
        let most = FOLLOWED.min(place).min((self.bytes.len() as u32).saturating_sub(self.at - place));
        (1..=most).take_while(|n| self.byte(place - n) == self.byte(self.at - n)).count() as u32
    }

    fn byte(&self, at: u32) -> u8 {
        let mask = self.bytes.len().wrapping_sub(1);
        self.bytes.get(at as usize & mask).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_expected_again() {
        let mut window = Window::new(10);
        let mut right = 0;
        for n in 0..5_000_u32 {
            let byte = (n % 37 * 7) as u8;
            let (expected, sure) = window.expected();
            right += u32::from(sure > 0 && expected == byte);
            window.push(byte);
            window.note(6, true);
        }
        assert!(right > 4_900, "{right}");
        assert_eq!(window.word(0), (4_996..5_000).fold(0, |word, n| word << 8 | (n % 37 * 7)));
    }
}
