//! Whose turn it is: a pause for each message that failed, and one for the server. Never reads the clock: what time it
//! is, is handed in.
//!
//! - Alerts go before pictures; those that were not tried yet before those that failed, which take turns.
//! - A message that fails waits for itself alone; those that failed before are then tried at longer intervals, so that
//!   a server that takes nothing at all is left in peace.
//! - A server that asks for patience, or isn't reached, is left alone: by all if an alert met that, by pictures only if
//!   a picture did.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Limits;
use super::message::Kind;
use super::outbox::Outbox;
use super::post::Whose;

/// Between two tries of messages that failed lies at most the longest pause by this.
const TURNS: u32 = 30;

/// A pause that doubles with each failure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pause {
    /// Failures since it was last ended.
    pub(super) failures: u32,
    /// `None`: none was needed yet.
    pub(super) until: Option<Instant>,
}

/// What messages of a kind wait for.
#[derive(Debug, Default)]
struct Lane {
    /// Each message that failed.
    messages: BTreeMap<String, Pause>,
    /// The server.
    server: Pause,
    /// Those that failed before: each other.
    again: Pause,
}

/// When which message is tried.
#[derive(Debug)]
pub(super) struct Schedule {
    limits: Limits,
    alerts: Lane,
    pictures: Lane,
}

impl Pause {
    /// Begins it, twice as long as the last time, and `at_least` so long.
    pub(super) fn lengthen(&mut self, now: Instant, first: Duration, longest: Duration, at_least: Duration) {
        let pause = first.saturating_mul(1 << self.failures.min(20)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.max(at_least));
    }

    /// How much of it is left.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

impl Schedule {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, alerts: Lane::default(), pictures: Lane::default() }
    }

    /// The message of a kind whose turn it is, if there is one.
    pub(super) fn next(&self, outbox: &Outbox, kind: Kind, now: Instant) -> Option<String> {
        let due = outbox.pending(kind).filter(|(name, _)| self.wait(name, kind, now).is_zero());
        let turn = |name: &str| self.lane(kind).messages.get(name).and_then(|pause| pause.until);
        let first = due.min_by_key(|(name, entry)| (turn(name), entry.order(), *name));
        first.map(|(name, _)| name.clone())
    }

    /// How long it is until it is some message's turn; `None` if none waits.
    pub(super) fn until_next(&self, outbox: &Outbox, now: Instant) -> Option<Duration> {
        let waits = |kind| outbox.pending(kind).map(move |(name, _)| self.wait(name, kind, now));
        waits(Kind::Alert).chain(waits(Kind::Picture)).min()
    }

    /// Takes note that the server has taken a message.
    pub(super) fn taken(&mut self, name: &str, kind: Kind) {
        let lane = self.lane_mut(kind);
        lane.messages.remove(name);
        (lane.server, lane.again) = (Pause::default(), Pause::default());
    }

    /// Takes note that a message failed, over whose fault, and how long the server asks to be left alone; whether it
    /// is the first time.
    pub(super) fn failed(
        &mut self,
        name: &str,
        kind: Kind,
        whose: Whose,
        after: Duration,
        now: Instant,
    ) -> bool {
        let Limits { first_pause, longest_pause, .. } = self.limits;
        let lane = self.lane_mut(kind);
        if whose != Whose::Message {
            lane.server.lengthen(now, first_pause, longest_pause, after);
            if whose == Whose::Server {
                // The next message gets its turn: maybe it is this one that the server has no patience with.
                lane.messages.entry(name.to_owned()).or_default().until = Some(now);
            }
            return lane.server.failures == 1;
        }
        // It was reached.
        lane.server = Pause::default();
        lane.again.lengthen(now, first_pause, longest_pause / TURNS, Duration::ZERO);
        let own = lane.messages.entry(name.to_owned()).or_default();
        own.lengthen(now, first_pause, longest_pause, after);
        own.failures == 1
    }

    /// Forgets a message that is given up.
    pub(super) fn forget(&mut self, name: &str, kind: Kind) {
        self.lane_mut(kind).messages.remove(name);
    }

    /// How long a message has to wait.
    fn wait(&self, name: &str, kind: Kind, now: Instant) -> Duration {
        let lane = self.lane(kind);
        let mut wait = lane.server.left(now);
        if kind == Kind::Picture {
            wait = wait.max(self.alerts.server.left(now));
        }
        if let Some(own) = lane.messages.get(name) {
            wait = wait.max(own.left(now));
            if own.failures > 0 {
                wait = wait.max(lane.again.left(now));
            }
        }
        wait
    }

    fn lane(&self, kind: Kind) -> &Lane {
        match kind {
            Kind::Alert => &self.alerts,
            Kind::Picture => &self.pictures,
        }
    }

    fn lane_mut(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Alert => &mut self.alerts,
            Kind::Picture => &mut self.pictures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::webhook::tests::{alert, write_alert};

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);

    /// An outbox with these alerts to tell.
    fn outbox(numbers: std::ops::RangeInclusive<u32>) -> (tempfile::TempDir, Outbox) {
        let dir = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(dir.path(), Limits::default()).unwrap();
        numbers.for_each(|n| write_alert(dir.path(), &alert(n)));
        outbox.look(0).unwrap();
        (dir, outbox)
    }

    fn name(number: u32) -> String {
        format!("alert-1-1-{number}")
    }

    #[test]
    fn a_message_that_fails_waits_ever_longer_and_holds_no_other_up() {
        let (_dir, outbox) = outbox(1..=3);
        let mut schedule = Schedule::new(Limits::default());
        let now = Instant::now();
        let next = |schedule: &Schedule, at| schedule.next(&outbox, Kind::Alert, at);
        let fail = |schedule: &mut Schedule, n: u32, at| {
            schedule.failed(&name(n), Kind::Alert, Whose::Message, Duration::ZERO, at)
        };
        assert_eq!(
            (next(&schedule, now), schedule.until_next(&outbox, now)),
            (Some(name(1)), Some(Duration::ZERO))
        );
        assert!(fail(&mut schedule, 1, now));
        assert_eq!(next(&schedule, now), Some(name(2)));
        fail(&mut schedule, 2, now);
        fail(&mut schedule, 3, now);
        assert_eq!(next(&schedule, now), None);
        // The third failure in a row: the next of those that failed is tried after 4 s.
        assert_eq!(schedule.until_next(&outbox, now), Some(4 * SECOND));
        assert_eq!(next(&schedule, now + 4 * SECOND), Some(name(1)));
        assert!(!fail(&mut schedule, 1, now + 4 * SECOND));
        assert_eq!(next(&schedule, now + 12 * SECOND), Some(name(2)), "they take turns");
        schedule.taken(&name(2), Kind::Alert);
        assert_eq!(next(&schedule, now + 5 * SECOND), Some(name(2)), "nothing holds the others up");
        for _ in 0..40 {
            fail(&mut schedule, 1, now);
        }
        assert_eq!(schedule.wait(&name(1), Kind::Alert, now), Duration::from_mins(5));
        assert_eq!(
            schedule.wait(&name(3), Kind::Alert, now),
            10 * SECOND,
            "of those that failed one in 10 s"
        );
        assert_eq!(schedule.wait("new", Kind::Alert, now), Duration::ZERO);
    }

    #[test]
    fn what_the_server_asks_for_is_kept_to_by_all_but_by_alerts_only_if_they_were_asked() {
        let (_dir, mut outbox) = outbox(1..=4);
        for n in [1, 2] {
            outbox.taken(&name(n), Kind::Alert, 0);
            outbox.picture_is(&name(n), Path::new("p.png"), 0);
        }
        let now = Instant::now();
        let next = |schedule: &Schedule, kind, at| schedule.next(&outbox, kind, at);
        let mut schedule = Schedule::new(Limits::default());
        schedule.failed(&name(1), Kind::Picture, Whose::Server, HOUR, now);
        assert_eq!(next(&schedule, Kind::Picture, now + HOUR / 2), None);
        assert_eq!(next(&schedule, Kind::Picture, now + HOUR), Some(name(2)), "the next has its turn");
        assert_eq!(next(&schedule, Kind::Alert, now), Some(name(3)));
        let mut schedule = Schedule::new(Limits::default());
        schedule.failed(&name(3), Kind::Alert, Whose::Connection, Duration::ZERO, now);
        assert_eq!([Kind::Alert, Kind::Picture].map(|kind| next(&schedule, kind, now)), [None, None]);
        assert_eq!(next(&schedule, Kind::Alert, now + SECOND), Some(name(3)), "no fault of its own");
        assert_eq!(next(&schedule, Kind::Picture, now + SECOND), Some(name(1)));
    }
}
