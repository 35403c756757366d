//! Both clocks, and how a span is counted on them over reboots.

use serde::{Deserialize, Serialize};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instants {
    /// A clock that never jumps, ms. It may only begin anew together with another `boot`.
    pub steady_ms: u64,
    /// The wall clock, ms since 1970-01-01 UTC. It may jump.
    pub unix_ms: u64,
    /// Tells one run of the steady clock from others: the number of the boot.
    pub boot: u32,
}

/// How much time a plan had run at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    boot: u32,
    steady_ms: u64,
    unix_ms: u64,
    elapsed_ms: u64,
}

impl Anchor {
    /// A plan that had run for so long by now.
    pub(super) fn new(now: Instants, elapsed_ms: u64) -> Self {
        Self { boot: now.boot, steady_ms: now.steady_ms, unix_ms: now.unix_ms, elapsed_ms }
    }

    /// How long it has run now, ms. Over a reboot the time off counts as the wall clock says, and as nothing if that
    /// stands behind what was noted.
    pub(super) fn elapsed_ms(&self, now: Instants) -> u64 {
        let steady = now.steady_ms.checked_sub(self.steady_ms).filter(|_| now.boot == self.boot);
        let since = steady.unwrap_or_else(|| now.unix_ms.saturating_sub(self.unix_ms));
        self.elapsed_ms.saturating_add(since)
    }

    /// The steady time at which it will have run for so long; of an anchor of this boot.
    pub(super) fn steady_ms(&self, elapsed_ms: u64) -> u64 {
        self.steady_ms.saturating_add(elapsed_ms.saturating_sub(self.elapsed_ms))
    }

    /// Whether the board was started anew since.
    pub(super) fn is_of_another_boot(&self, now: Instants) -> bool {
        self.boot != now.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_goes_on_over_jumps_and_reboots() {
        let at = |boot, steady_ms, unix_ms| Instants { steady_ms, unix_ms, boot };
        let anchor = Anchor::new(at(1, 1_000, 50_000), 300);
        assert_eq!(anchor.elapsed_ms(at(1, 1_200, 9_000_000)), 500, "the wall clock doesn't matter");
        assert_eq!(anchor.elapsed_ms(at(2, 10, 50_700)), 1_000, "off for 700 ms");
        assert_eq!(anchor.elapsed_ms(at(2, 10, 3)), 300, "the wall clock was lost");
        assert_eq!(anchor.elapsed_ms(at(1, 999, 50_001)), 301, "a steady clock that began anew");
        assert_eq!(anchor.steady_ms(500), 1_200);
        assert!(anchor.is_of_another_boot(at(2, 0, 0)) && !anchor.is_of_another_boot(at(1, 0, 0)));
    }
}
