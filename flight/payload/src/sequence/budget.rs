//! The budget of plans: so many orders in any second, all plans together.

use std::collections::VecDeque;

use super::MAX_PER_SECOND;

const SECOND_MS: u64 = 1_000;

/// When the last orders were handed over.
#[derive(Debug, Default)]
pub(super) struct Budget {
    last_ms: VecDeque<u64>,
}

impl Budget {
    /// When the next order may go: `now_ms` or later.
    pub(super) fn free_ms(&self, now_ms: u64) -> u64 {
        if self.last_ms.len() < MAX_PER_SECOND {
            return now_ms;
        }
        self.last_ms.front().map_or(now_ms, |oldest| now_ms.max(oldest.saturating_add(SECOND_MS)))
    }

    /// Takes note of an order.
    pub(super) fn spend(&mut self, now_ms: u64) {
        self.last_ms.push_back(now_ms);
        if self.last_ms.len() > MAX_PER_SECOND {
            self.last_ms.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_second_holds_ten() {
        let mut budget = Budget::default();
        for n in 0..10 {
            assert_eq!(budget.free_ms(500 + n), 500 + n);
            budget.spend(500 + n);
        }
        assert_eq!([budget.free_ms(510), budget.free_ms(1_600)], [1_500, 1_600]);
        budget.spend(1_500);
        assert_eq!(budget.free_ms(1_500), 1_501);
    }
}
