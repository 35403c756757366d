//! Alerts: which message goes over the alert radio now.
//!
//! Each alert is sent at fixed times after it was made, the first at once, until the schedule is
//! through; all alerts together within a number of messages a minute. A message is always the same
//! sealed bytes. After a restart the schedule goes on where it was.
//!
//! This module is handed times of the wall clock and never sends, stores or reads anything.

use std::collections::{BTreeMap, VecDeque};

const MINUTE_MS: u64 = 60_000;

/// Decides what the alert radio sends.
#[derive(Debug)]
pub struct Schedule {
    repeat_ms: Vec<u64>,
    per_minute: usize,
    pending: BTreeMap<u32, Pending>,
    /// When the messages of the last minute were sent.
    recent_ms: VecDeque<u64>,
}

#[derive(Debug)]
struct Pending {
    created_ms: u64,
    sends: u32,
    sealed: Vec<u8>,
}

/// A message to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the alert.
    pub number: u32,
    /// How many times it has been sent, this time counted.
    pub sends: u32,
    /// Whether it is the last time.
    pub last: bool,
    /// The bytes.
    pub sealed: Vec<u8>,
}

impl Schedule {
    /// Alerts go at these times after they were made, s, rising.
    pub fn new(repeat_s: &[u64], per_minute: u32) -> Self {
        Self {
            repeat_ms: repeat_s.iter().map(|s| s.saturating_mul(1000)).collect(),
            per_minute: per_minute.max(1) as usize,
            pending: BTreeMap::new(),
            recent_ms: VecDeque::new(),
        }
    }

    /// Takes an alert that was sent `sends` times already.
    pub fn add(&mut self, number: u32, created_ms: u64, sends: u32, sealed: Vec<u8>) {
        if (sends as usize) < self.repeat_ms.len() {
            self.pending.insert(number, Pending { created_ms, sends, sealed });
        }
    }

    /// Alerts with messages to come.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The message that is due at `now_ms`, if any; to be asked again until there is none. Alerts sent
    /// less often go first, then newer ones. Repeats that were missed are not made up for.
    pub fn poll(&mut self, now_ms: u64) -> Option<Message> {
        // A clock set back must not silence the radio: times ahead of now are forgotten.
        self.recent_ms.retain(|t| *t <= now_ms && now_ms - *t < MINUTE_MS);
        if self.recent_ms.len() >= self.per_minute {
            return None;
        }
        let repeat_ms = &self.repeat_ms;
        let (&number, pending) = self
            .pending
            .iter_mut()
            .filter(|(_, p)| is_due(repeat_ms, p, now_ms))
            .min_by_key(|(number, p)| (p.sends, std::cmp::Reverse(**number)))?;
        let sends = sends_after(repeat_ms, pending, now_ms);
        let last = sends as usize >= repeat_ms.len();
        pending.sends = sends;
        let message = Message { number, sends, last, sealed: pending.sealed.clone() };
        self.recent_ms.push_back(now_ms);
        if last {
            self.pending.remove(&number);
        }
        Some(message)
    }
}

/// A message is due when its time has come; also when the clock was set back to before the alert.
fn is_due(repeat_ms: &[u64], pending: &Pending, now_ms: u64) -> bool {
    let due = repeat_ms.get(pending.sends as usize).map(|after| pending.created_ms.saturating_add(*after));
    due.is_some_and(|due| now_ms >= due || now_ms < pending.created_ms && pending.sends == 0)
}

/// The count of sends once a message goes now: repeats whose time has passed are counted as done.
fn sends_after(repeat_ms: &[u64], pending: &Pending, now_ms: u64) -> u32 {
    let age_ms = now_ms.saturating_sub(pending.created_ms);
    let passed = repeat_ms.iter().filter(|after| **after <= age_ms).count();
    u32::try_from(passed).unwrap_or(u32::MAX).max(pending.sends.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(schedule: &mut Schedule, now_ms: u64) -> Vec<(u32, u32, bool)> {
        std::iter::from_fn(|| schedule.poll(now_ms)).map(|m| (m.number, m.sends, m.last)).collect()
    }

    #[test]
    fn an_alert_goes_at_once_and_then_by_schedule() {
        let mut s = Schedule::new(&[0, 10, 30], 6);
        s.add(1, 1_000_000, 0, vec![7]);
        assert_eq!(numbers(&mut s, 1_000_000), [(1, 1, false)]);
        assert_eq!(numbers(&mut s, 1_009_999), []);
        assert_eq!(numbers(&mut s, 1_010_000), [(1, 2, false)]);
        assert_eq!(numbers(&mut s, 1_030_000), [(1, 3, true)]);
        assert_eq!((numbers(&mut s, 9_000_000), s.pending()), (vec![], 0));
    }

    #[test]
    fn a_restart_goes_on_and_does_not_make_up_for_missed_repeats() {
        let mut s = Schedule::new(&[0, 10, 30, 60], 6);
        s.add(1, 1_000_000, 1, vec![]);
        s.add(2, 1_000_000, 4, vec![]);
        assert_eq!(s.pending(), 1, "alert 2 is through");
        assert_eq!(numbers(&mut s, 1_040_000), [(1, 3, false)], "10 and 30 s passed: one message");
        assert_eq!(numbers(&mut s, 1_060_000), [(1, 4, true)]);
    }

    #[test]
    fn many_alerts_share_the_minute_and_new_ones_go_first() {
        let mut s = Schedule::new(&[0, 10], 3);
        for number in 1..=5 {
            s.add(number, 0, 0, vec![]);
        }
        assert_eq!(numbers(&mut s, 0), [(5, 1, false), (4, 1, false), (3, 1, false)]);
        assert_eq!(numbers(&mut s, 59_999), []);
        let next = numbers(&mut s, 60_000);
        assert_eq!(next.iter().map(|m| m.0).collect::<Vec<_>>(), [2, 1, 5], "those never sent go first");
    }

    #[test]
    fn a_clock_set_back_does_not_silence_it() {
        let mut s = Schedule::new(&[0, 10], 1);
        s.add(1, 5_000_000, 0, vec![]);
        assert_eq!(numbers(&mut s, 5_000_000), [(1, 1, false)]);
        s.add(2, 1_000, 0, vec![]);
        assert_eq!(numbers(&mut s, 1_000), [(2, 1, false)]);
        s.add(3, 9_000_000, 0, vec![]);
        assert_eq!(numbers(&mut s, 70_000).first().map(|m| m.0), Some(3));
    }
}
