//! What happened since the last pass ended, added up event by event and count by count.
//!
//! Events have numbers, so that each counts once, also when they are read again after a restart. Counts begin at zero
//! with each start: what counts is by how much they grew. A tally can be kept in a file and gone on with.

use std::collections::BTreeMap;

use passband_proto::dict::{EventCode, Severity};
use serde::{Deserialize, Serialize};

use super::{MAX_LISTED, Since, Trouble};
use crate::ordered;
use crate::telemetry::{ByClass, Counters, Event};

/// Most kinds of events that are told apart.
const MAX_KINDS: usize = 256;
/// The least severe event that is something wrong.
const WRONG: Severity = Severity::Warning;

/// What is counted, since a start or since the last pass ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Frames taken.
    pub frames: ByClass,
    /// Frames moved to `rejected/`.
    pub frames_rejected: u64,
    /// Datagrams handed to the fast link.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Entries of plans that are done.
    pub plan_entries_done: u64,
    /// Entries of plans that failed or were left out.
    pub plan_entries_failed: u64,
}

impl Progress {
    /// That of a daemon's counters; plans are counted elsewhere.
    pub fn of(counters: &Counters) -> Self {
        Self {
            frames: counters.frames_accepted,
            frames_rejected: counters.frames_rejected,
            datagrams_sent: counters.datagrams_sent,
            bytes_sent: counters.bytes_sent,
            ..Self::default()
        }
    }

    fn zip(self, other: Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            frames: ByClass::of(|class| with(self.frames.get(class), other.frames.get(class))),
            frames_rejected: with(self.frames_rejected, other.frames_rejected),
            datagrams_sent: with(self.datagrams_sent, other.datagrams_sent),
            bytes_sent: with(self.bytes_sent, other.bytes_sent),
            plan_entries_done: with(self.plan_entries_done, other.plan_entries_done),
            plan_entries_failed: with(self.plan_entries_failed, other.plan_entries_failed),
        }
    }
}

/// What happened since the last pass ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of the newest event that was counted.
    last_seq: u64,
    /// Number of the event that said that the pass ended; 0: none.
    los_seq: u64,
    since: Since,
    kinds: BTreeMap<String, Trouble>,
    kinds_more: u64,
    /// What this start's counts were when they were taken last.
    #[serde(skip)]
    taken: Progress,
}

impl Tally {
    /// Goes on with what an earlier start counted, where no pass has ended since: events were counted anew from the
    /// catalogue, counts have no other source.
    pub fn go_on(&mut self, earlier: &Self) {
        if self.los_seq == earlier.los_seq {
            self.since.progress = self.since.progress.zip(earlier.since.progress, u64::saturating_add);
        }
    }

    /// Takes an event; one that was taken before doesn't count again.
    pub fn event(&mut self, event: &Event) {
        if event.seq <= self.last_seq {
            return;
        }
        self.last_seq = event.seq;
        let since = &mut self.since;
        let count = match EventCode::from_name(&event.code) {
            Some(EventCode::PassClosed) => {
                let since = Since { los_unix_ms: Some(event.unix_ms), ..Since::default() };
                let (last_seq, taken) = (self.last_seq, self.taken);
                *self = Self { last_seq, los_seq: last_seq, since, taken, ..Self::default() };
                return;
            }
            Some(EventCode::DaemonStart) => Some(&mut since.restarts),
            Some(EventCode::AlertSent) => Some(&mut since.alerts_sent),
            Some(EventCode::AlertAcknowledged) => Some(&mut since.alerts_heard),
            Some(EventCode::OrderDone) => Some(&mut since.orders_done),
            Some(EventCode::OrderRefused) => Some(&mut since.orders_refused),
            Some(EventCode::OrderFailed) => Some(&mut since.orders_failed),
            _ => None,
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
        if event.severity >= WRONG {
            self.trouble(event);
        }
    }

    /// Takes what was counted since the start.
    pub fn progress(&mut self, now: Progress) {
        let more = now.zip(self.taken, u64::saturating_sub);
        self.taken = now;
        self.since.progress = self.since.progress.zip(more, u64::saturating_add);
    }

    /// Number of the newest event that was counted.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// What was added up; alerts that are pending and scripts are known elsewhere.
    pub fn since(&self) -> &Since {
        &self.since
    }

    /// The worst event.
    pub fn worst(&self) -> Severity {
        self.kinds.values().map(|trouble| trouble.severity).max().unwrap_or(Severity::Info)
    }

    /// What was wrong: kinds of events, the most severe first, of these the newest; and how many kinds there are
    /// beside those that are listed.
    pub fn wrong(&self) -> (Vec<Trouble>, u64) {
        let mut all: Vec<&Trouble> = self.kinds.values().collect();
        ordered::sort_by_key(&mut all, |trouble| std::cmp::Reverse((trouble.severity, trouble.last_seq)));
        let more = all.len().saturating_sub(MAX_LISTED) as u64;
        (all.into_iter().take(MAX_LISTED).cloned().collect(), more.saturating_add(self.kinds_more))
    }

    fn trouble(&mut self, event: &Event) {
        let room = self.kinds.len() < MAX_KINDS;
        if let Some(known) = self.kinds.get_mut(&event.code) {
            let (severity, count) = (known.severity.max(event.severity), known.count.saturating_add(1));
            *known = Trouble { severity, count, ..Trouble::of(event) };
        } else if room {
            self.kinds.insert(event.code.clone(), Trouble::of(event));
        } else {
            self.kinds_more = self.kinds_more.saturating_add(1);
        }
    }
}

impl Trouble {
    fn of(event: &Event) -> Self {
        Self {
            severity: event.severity,
            code: event.code.clone(),
            count: 1,
            last_seq: event.seq,
            last_unix_ms: event.unix_ms,
            text: event.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Report;

    fn event(seq: u64, severity: Severity, code: EventCode) -> Event {
        Report { severity, code, text: format!("number {seq}") }.at(seq, seq * 1000)
    }

    fn sent(bytes_sent: u64) -> Progress {
        Progress { bytes_sent, ..Progress::default() }
    }

    #[test]
    fn the_end_of_a_pass_begins_anew() {
        use EventCode::{DaemonStart, DiskFull, OrderDone, PassClosed};
        let mut tally = Tally::default();
        tally.event(&event(1, Severity::Info, DaemonStart));
        tally.event(&event(2, Severity::Error, DiskFull));
        tally.progress(sent(100));
        assert_eq!((tally.since().los_unix_ms, tally.since().restarts), (None, 1));
        assert_eq!((tally.worst(), tally.since().progress.bytes_sent), (Severity::Error, 100));
        tally.event(&event(3, Severity::Info, PassClosed));
        assert_eq!((tally.since().los_unix_ms, tally.since().restarts), (Some(3000), 0));
        assert_eq!((tally.worst(), tally.wrong().0.len()), (Severity::Info, 0));
        tally.progress(sent(130));
        for _ in 0..2 {
            tally.event(&event(4, Severity::Info, OrderDone));
        }
        let since = tally.since();
        assert_eq!((since.progress.bytes_sent, since.orders_done), (30, 1), "no event counts twice");
    }

    #[test]
    fn a_restart_goes_on_counting() {
        let mut first = Tally::default();
        first.event(&event(1, Severity::Info, EventCode::PassClosed));
        first.progress(sent(100));
        let json = serde_json::to_string(&first).unwrap();
        let kept: Tally = serde_json::from_str(&json).unwrap();
        let mut second = Tally::default();
        second.event(&event(1, Severity::Info, EventCode::PassClosed));
        second.event(&event(2, Severity::Info, EventCode::DaemonStart));
        second.go_on(&kept);
        second.progress(sent(7));
        assert_eq!((second.since().progress.bytes_sent, second.since().restarts), (107, 1));
        let mut third = Tally::default();
        third.event(&event(3, Severity::Info, EventCode::PassClosed));
        third.go_on(&kept);
        assert_eq!(third.since().progress.bytes_sent, 0, "that was before another pass");
    }

    #[test]
    fn kinds_are_listed_once_the_worst_first() {
        let mut tally = Tally::default();
        let mut seq = 0;
        for (severity, code) in [
            (Severity::Warning, EventCode::DiskSlow),
            (Severity::Error, EventCode::SendError),
            (Severity::Warning, EventCode::SendError),
            (Severity::Critical, EventCode::SafeMode),
            (Severity::Info, EventCode::DiskGood),
        ] {
            seq += 1;
            tally.event(&event(seq, severity, code));
        }
        let (wrong, more) = tally.wrong();
        let seen: Vec<_> = wrong.iter().map(|t| (t.code.as_str(), t.severity, t.count, t.last_seq)).collect();
        let (critical, error) = (Severity::Critical, Severity::Error);
        assert_eq!(seen[..2], [("safe-mode", critical, 1, 4), ("send-error", error, 2, 3)]);
        assert_eq!((seen.len(), more), (3, 0));
        assert_eq!(wrong[1].text, "number 3");
        for code in EventCode::ALL.iter().filter(|code| **code != EventCode::PassClosed) {
            seq += 1;
            tally.event(&event(seq, Severity::Warning, *code));
        }
        let (wrong, more) = tally.wrong();
        assert_eq!(wrong.len(), MAX_LISTED);
        assert!(more > 50);
    }
}
