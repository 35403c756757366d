//! Back-off: how old an alert is when it is sent again, and when it is too old.
//!
//! Ages are counted by the steady clock of each run, and kept with the record at every sending. What the board
//! was off in between is told by the wall clock, which anybody may set: so it counts for a quarter of an alert's
//! life at most at a start. A clock that was set forward makes an alert due once, and can't end one that nobody
//! has heard; one that was set back delays it by one distance.

use crate::store::{AlertRecord, AlertState};

/// The longest distance of two sendings, ms.
const MAX_GAP_MS: u64 = 3_600_000;
/// How far back messages matter to the budget, ms.
const MINUTE_MS: u64 = 60_000;

/// When an alert is sent again.
#[derive(Debug, Clone)]
pub struct Backoff {
    repeat_ms: Vec<u64>,
    stale_ms: u64,
}

impl Backoff {
    /// Sent at these ages, rising, s; afterwards after the last distance of two of them, or an hour. Given up at
    /// `stale_s`.
    pub fn new(repeat_s: &[u64], stale_s: u64) -> Self {
        let ms = |s: u64| s.saturating_mul(1000);
        Self { repeat_ms: repeat_s.iter().copied().map(ms).collect(), stale_ms: ms(stale_s) }
    }

    /// When an alert is given up, ms of age.
    pub fn stale_ms(&self) -> u64 {
        self.stale_ms
    }

    /// How old an alert is at a time of the wall clock, ms.
    pub fn age_ms(&self, record: &AlertRecord, unix_ms: u64) -> u64 {
        let since_ms = unix_ms.saturating_sub(record.noted_unix_ms).min(self.stale_ms / 4);
        record.age_ms.saturating_add(since_ms)
    }

    /// How old an alert is when it is due, ms.
    pub fn due_age_ms(&self, record: &AlertRecord) -> u64 {
        if record.sends == 0 {
            return self.repeat_ms.first().copied().unwrap_or_default();
        }
        record.age_ms.saturating_add(self.gap_ms(record.sends))
    }

    /// When a pending alert is due by the wall clock, for people, ms since 1970-01-01 UTC; the budget may make it
    /// later. `None`: it isn't sent again.
    pub fn due_unix_ms(&self, record: &AlertRecord) -> Option<u64> {
        let (due_ms, pending) = (self.due_age_ms(record), record.state == AlertState::Pending);
        let after_ms = due_ms.saturating_sub(record.age_ms);
        (pending && due_ms < self.stale_ms).then(|| record.noted_unix_ms.saturating_add(after_ms))
    }

    /// How long ago the messages of an alert were sent, ms, as far as they fall into the last minute: the last is
    /// known, those before at the latest that their distances allow. Nothing where the clock was set back.
    pub(super) fn sent_ago_ms(&self, record: &AlertRecord, unix_ms: u64) -> Vec<u64> {
        let mut out = Vec::new();
        let Some(mut ago_ms) = unix_ms.checked_sub(record.noted_unix_ms) else { return out };
        let mut sends = record.sends;
        while sends > 0 && ago_ms < MINUTE_MS {
            out.push(ago_ms);
            sends -= 1;
            ago_ms = ago_ms.saturating_add(self.gap_ms(sends));
        }
        out
    }

    /// The distance of the sending number `sends` to the next one, ms.
    fn gap_ms(&self, sends: u32) -> u64 {
        let last = self.repeat_ms.len().saturating_sub(1);
        let nth = usize::try_from(sends).unwrap_or(usize::MAX).min(last);
        let times =
            nth.checked_sub(1).and_then(|before| self.repeat_ms.get(before)).zip(self.repeat_ms.get(nth));
        times.map_or(MAX_GAP_MS, |(from, to)| to.saturating_sub(*from)).min(MAX_GAP_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[test]
    fn the_last_distance_goes_on_and_is_an_hour_at_most() {
        let gaps =
            |repeat_s: &[u64]| (1..6).map(|n| Backoff::new(repeat_s, 9).gap_ms(n) / 1000).collect::<Vec<_>>();
        assert_eq!(gaps(&[0, 10, 30, 60]), [10, 20, 30, 30, 30]);
        assert_eq!(gaps(&[5, 100_000]), [3600; 5]);
        assert_eq!(gaps(&[0]), [3600; 5]);
    }

    #[test]
    fn time_that_the_board_was_off_counts_but_a_clock_that_was_set_can_not_end_an_alert() {
        let backoff = Backoff::new(&[0, 10], 100);
        let record = AlertRecord { age_ms: 5_000, noted_unix_ms: 1_000_000, sends: 1, ..alert(1, 990) };
        let age = |unix_ms| backoff.age_ms(&record, unix_ms);
        assert_eq!([age(1_000_000), age(1_007_000)], [5_000, 12_000]);
        assert_eq!([age(0), age(u64::MAX)], [5_000, 30_000]);
        assert_eq!(backoff.due_unix_ms(&record), Some(1_010_000));
        let through = AlertRecord { state: AlertState::Through, ..record };
        assert_eq!(backoff.due_unix_ms(&through), None);
    }

    #[test]
    fn what_was_sent_within_the_last_minute_is_known_after_a_restart() {
        let backoff = Backoff::new(&[0, 10, 30, 60], 86_400);
        let sent = |sends, ago_ms: u64| {
            let record = AlertRecord { sends, noted_unix_ms: 1_000_000 - ago_ms, ..alert(1, 990) };
            backoff.sent_ago_ms(&record, 1_000_000)
        };
        assert_eq!(sent(0, 0), [0; 0]);
        assert_eq!(sent(3, 5_000), [5_000, 25_000, 35_000]);
        assert_eq!(sent(9, 31_000), [31_000]);
        let ahead = AlertRecord { sends: 3, noted_unix_ms: 2_000_000, ..alert(1, 990) };
        assert_eq!(backoff.sent_ago_ms(&ahead, 1_000_000), [0; 0], "the clock was set back");
    }
}
