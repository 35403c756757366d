//! The budget of the alert radio: never more than so many messages in any minute.
//!
//! A bucket of tokens that fills at the radio's rate lets through more than a minute's worth after a quiet time;
//! one that fills slower wastes the rest. So the messages of the last minute are remembered, and the limit holds
//! for any 60 s, exactly. That alone would let repeats use a minute up at once, and keep a new alert waiting for
//! its end: so repeats leave a third of the minute, and keep a distance to each other. A new alert then goes at
//! once, unless other new ones have used the whole minute.

/// How long a message counts, ms.
const MINUTE_MS: u64 = 60_000;

/// What the alert radio may send.
#[derive(Debug)]
pub(super) struct Budget {
    /// Most messages in a minute, and most after which a repeat goes.
    most: usize,
    most_with_repeat: usize,
    /// When the messages of the last minute stop to count, rising.
    until_ms: Vec<u64>,
    /// No repeat before.
    repeat_from_ms: u64,
}

impl Budget {
    /// At most so many messages in any minute, 1 or more.
    pub(super) fn new(per_minute: u32) -> Self {
        let most = usize::try_from(per_minute).unwrap_or(usize::MAX).max(1);
        let left = (most / 3).max(1).min(most - 1);
        Self { most, most_with_repeat: most - left, until_ms: Vec::new(), repeat_from_ms: 0 }
    }

    /// When there is room for a message, a first one or a repeat: `now_ms` or later.
    pub(super) fn free_ms(&self, now_ms: u64, repeat: bool) -> u64 {
        let most = if repeat { self.most_with_repeat } else { self.most };
        let from_ms = if repeat { self.repeat_from_ms.max(now_ms) } else { now_ms };
        let counting = self.until_ms.len() - self.until_ms.partition_point(|until| *until <= now_ms);
        let over = counting.checked_sub(most);
        let nth = over.map(|over| self.until_ms.len() - counting + over);
        nth.and_then(|nth| self.until_ms.get(nth)).map_or(from_ms, |until| from_ms.max(*until))
    }

    /// Takes note of a message that is sent.
    pub(super) fn spend(&mut self, now_ms: u64, repeat: bool) {
        self.until_ms.retain(|until| *until > now_ms);
        self.note(now_ms.saturating_add(MINUTE_MS));
        if repeat {
            let distance_ms = MINUTE_MS / u64::try_from(self.most_with_repeat).unwrap_or(u64::MAX).max(1);
            self.repeat_from_ms = now_ms.saturating_add(distance_ms);
        }
    }

    /// Takes note of a message that was sent in an earlier run, so long ago.
    pub(super) fn recall(&mut self, now_ms: u64, ago_ms: u64) {
        if let Some(left_ms) = MINUTE_MS.checked_sub(ago_ms) {
            self.note(now_ms.saturating_add(left_ms));
        }
    }

    fn note(&mut self, until_ms: u64) {
        let place = self.until_ms.partition_point(|until| *until <= until_ms);
        self.until_ms.insert(place, until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many_and_repeats_leave_a_third_of_them() {
        let mut budget = Budget::new(6);
        for at_ms in [0, 15_000, 30_000, 45_000] {
            assert_eq!(budget.free_ms(at_ms, true), at_ms);
            budget.spend(at_ms, true);
        }
        assert_eq!(budget.free_ms(46_000, true), 60_000, "four of six");
        for _ in 0..2 {
            assert_eq!(budget.free_ms(46_000, false), 46_000);
            budget.spend(46_000, false);
        }
        assert_eq!(budget.free_ms(46_000, false), 60_000);
        assert_eq!(budget.free_ms(46_000, true), 90_000, "until fewer than four count");
    }

    #[test]
    fn repeats_keep_a_distance_and_the_smallest_budgets_still_send_them() {
        let mut budget = Budget::new(60);
        budget.spend(0, true);
        assert_eq!((budget.free_ms(0, true), budget.free_ms(0, false)), (1_500, 0));
        for per_minute in [0, 1, 2] {
            let mut budget = Budget::new(per_minute);
            assert_eq!(budget.free_ms(7, true), 7);
            budget.spend(7, true);
            assert_eq!(budget.free_ms(8, true), 60_007);
            assert_eq!(budget.free_ms(8, false), if per_minute == 2 { 8 } else { 60_007 });
        }
    }

    #[test]
    fn a_restart_does_not_give_it_anew() {
        let mut budget = Budget::new(2);
        for ago_ms in [70_000, 50_000, 10_000] {
            budget.recall(1_000, ago_ms);
        }
        assert_eq!(budget.free_ms(1_000, false), 11_000);
    }
}
