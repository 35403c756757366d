//! Which counters of a key were used: the highest, and those of the 64 up to it. Knows nothing of frames or keys.
//!
//! After RFC 4303 §3.4.3 (the window of ESP), of 64 bits.

use serde::{Deserialize, Serialize};

/// Counters that are told apart one by one: the highest and the 63 behind it.
pub const WINDOW: u64 = 64;

/// What of an association has to survive a reboot: 20 bytes or so, written before a frame is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The security parameter index.
    pub spi: u16,
    /// The highest counter that counts as used.
    pub highest: u64,
    /// Bit *i*: counter `highest` − *i* counts as used. What is further behind does anyway.
    pub seen: u64,
    /// Whether the key was retired: for good.
    pub retired: bool,
}

impl Mark {
    /// The mark of a key that was never used: for a key that is installed, never for one whose mark was lost.
    #[must_use]
    pub fn fresh(spi: u16) -> Self {
        Self { spi, highest: 0, seen: u64::MAX, retired: false }
    }
}

/// The counters of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) highest: u64,
    pub(super) seen: u64,
}

/// How a counter stands to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    Used,
    TooOld,
}

impl Window {
    /// Everything up to this counter is used.
    pub(super) fn up_to(highest: u64) -> Self {
        Self { highest, seen: u64::MAX }
    }

    pub(super) fn place(self, counter: u64) -> Place {
        match self.highest.checked_sub(counter) {
            Some(behind) if behind >= WINDOW => Place::TooOld,
            Some(behind) if self.seen >> behind & 1 == 1 => Place::Used,
            None | Some(_) => Place::Free,
        }
    }

    /// The window once a free counter is used.
    pub(super) fn with(self, counter: u64) -> Self {
        match self.highest.checked_sub(counter) {
            Some(behind) => Self { seen: self.seen | shifted(1, behind), ..self },
            None => Self { highest: counter, seen: shifted(self.seen, counter - self.highest) | 1 },
        }
    }

    /// Used in either of the two is used.
    pub(super) fn union(self, other: Self) -> Self {
        let (low, high) = if self.highest < other.highest { (self, other) } else { (other, self) };
        Self { highest: high.highest, seen: high.seen | shifted(low.seen, high.highest - low.highest) }
    }

    /// Whether every counter that `other` says is used counts as used here too.
    pub(super) fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }
}

fn shifted(bits: u64, by: u64) -> u64 {
    u32::try_from(by).ok().and_then(|by| bits.checked_shl(by)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same by a set of all counters used.
    fn naive(used: &BTreeSet<u64>, counter: u64) -> Place {
        let highest = *used.last().unwrap();
        match (used.contains(&counter), u128::from(counter) + u128::from(WINDOW) <= u128::from(highest)) {
            (_, true) => Place::TooOld,
            (true, false) => Place::Used,
            (false, false) => Place::Free,
        }
    }

    fn counters() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 1..200_u64, 2 => 1..100_000_u64, 1 => u64::MAX - 100..=u64::MAX]
    }

    proptest! {
        #[test]
        fn the_window_says_what_a_set_of_all_counters_would(all in prop::collection::vec(counters(), 1..300)) {
            let mut window = Window::up_to(0);
            let mut used = BTreeSet::from([0]);
            for counter in all {
                let place = window.place(counter);
                prop_assert_eq!(place, naive(&used, counter), "{} of {:?}", counter, window);
                if place == Place::Free {
                    window = window.with(counter);
                    used.insert(counter);
                    prop_assert_eq!(window.place(counter), Place::Used);
                }
            }
        }

        #[test]
        fn a_union_frees_nothing(a in 0..300_u64, x: u64, b in 0..300_u64, y: u64) {
            let (one, two) = (Window { highest: a, seen: x | 1 }, Window { highest: b, seen: y | 1 });
            let both = one.union(two);
            prop_assert_eq!(both, two.union(one));
            prop_assert!(both.covers(one) && both.covers(two));
            for counter in 0..400 {
                let free = one.place(counter) == Place::Free && two.place(counter) == Place::Free;
                prop_assert_eq!(both.place(counter) == Place::Free, free, "{}", counter);
            }
        }
    }

    #[test]
    fn the_end_of_the_counter_is_no_trap() {
        let window = Window::up_to(5).with(u64::MAX);
        assert_eq!(window.place(u64::MAX), Place::Used);
        assert_eq!(window.place(u64::MAX - 63), Place::Free);
        assert_eq!(window.place(u64::MAX - 64), Place::TooOld);
        assert_eq!(window.with(u64::MAX - 63).seen, 1 << 63 | 1);
    }
}
