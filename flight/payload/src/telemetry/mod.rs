//! Telemetry: what the operator is told. Events with a severity, counters, the status document, and the packets that
//! go down by themselves.
//!
//! | part | what it says |
//! | --- | --- |
//! | [`Sample`] | how the payload is at one moment, as the channels of the dictionary |
//! | [`Limits`] | which channels are beyond their limits, and which plan is to be started for it |
//! | [`Schedule`] | which packet goes next over a slow link |
//! | [`BlackBox`] | which packets are kept on disk |
//! | [`ClockWatch`] | whether the clock on board was set |
//! | [`Settings`] | what an operator can change of all that |
//!
//! This module never stores, sends or prints anything and reads no clock: the store keeps events, the command socket
//! hands them out, and [`crate::daemon`] sends packets and writes the black box.

mod blackbox;
mod channels;
mod clock;
mod limits;
mod others;
mod schedule;
mod settings;

pub use blackbox::{BlackBox, Record, Writing, packets};
pub use channels::Sample;
pub use clock::ClockWatch;
pub(crate) use limits::known;
pub use limits::{Level, Limits, Outcome};
pub use others::{Marks, OrderCounts, Others, Sensed, UplinkCounts};
pub use schedule::{Due, MAX_ANSWERS, MAX_ASKED, Refused, Schedule};
pub use settings::Settings;

use std::collections::BTreeMap;

use passband_proto::dict::EventCode;
pub use passband_proto::dict::Severity;
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use crate::health::{Before, Cause, Readings, Strain};
use crate::passes::Pass;

/// Version of every JSON document that `passband` writes.
pub const SCHEMA: u32 = 1;
/// Longest text of an event, bytes; a longer one is cut.
pub const MAX_EVENT_TEXT_BYTES: usize = 500;

/// An event before it is stored: what happened, not yet when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How bad it is.
    pub severity: Severity,
    /// What happened.
    pub code: EventCode,
    /// What happened, for people.
    pub text: String,
}

impl Report {
    /// As it should be.
    pub fn info(code: EventCode, text: impl Into<String>) -> Self {
        Self { severity: Severity::Info, code, text: text.into() }
    }

    /// Somebody should look at it some day.
    pub fn warning(code: EventCode, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, text: text.into() }
    }

    /// Something was not done.
    pub fn error(code: EventCode, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, text: text.into() }
    }

    /// The payload can't do its work.
    pub fn critical(code: EventCode, text: impl Into<String>) -> Self {
        Self { severity: Severity::Critical, code, text: text.into() }
    }

    /// The stored form, with number and time; the text cut to [`MAX_EVENT_TEXT_BYTES`] and free of
    /// control characters.
    pub fn at(&self, seq: u64, unix_ms: u64) -> Event {
        Event {
            seq,
            unix_ms,
            severity: self.severity,
            code: self.code.name().to_owned(),
            text: printable(&self.text),
        }
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number, from 1, without gaps over the life of the store.
    pub seq: u64,
    /// When, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// How bad it is.
    pub severity: Severity,
    /// Fixed kebab-case name of what happened.
    pub code: String,
    /// What happened, for people.
    pub text: String,
}

/// `text` on one line, without control characters, cut to [`MAX_EVENT_TEXT_BYTES`].
pub fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > MAX_EVENT_TEXT_BYTES - 3 {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// Lets an event of a kind through once in a while, so that a lasting fault doesn't flood the log.
#[derive(Debug)]
pub struct Throttle {
    gap_ms: u64,
    last: BTreeMap<String, (u64, u64)>,
}

/// Most kinds that one throttle remembers; of more, the one that passed longest ago is forgotten.
const MAX_THROTTLED: usize = 1024;

impl Throttle {
    /// One event of a kind in `gap_ms`.
    pub fn new(gap_ms: u64) -> Self {
        Self { gap_ms, last: BTreeMap::new() }
    }

    /// Whether an event of this kind may pass at `now_ms`: `Some` holds how many were kept back since
    /// the last that passed.
    pub fn pass(&mut self, now_ms: u64, kind: &str) -> Option<u64> {
        if let Some((last_ms, held)) = self.last.get_mut(kind) {
            if now_ms.saturating_sub(*last_ms) < self.gap_ms {
                *held = held.saturating_add(1);
                return None;
            }
            *last_ms = now_ms;
            return Some(std::mem::take(held));
        }
        if self.last.len() >= MAX_THROTTLED {
            self.forget_oldest();
        }
        self.last.insert(kind.to_owned(), (now_ms, 0));
        Some(0)
    }

    fn forget_oldest(&mut self) {
        let oldest = self.last.iter().min_by_key(|(_, (last_ms, _))| *last_ms).map(|(kind, _)| kind.clone());
        if let Some(kind) = oldest {
            self.last.remove(&kind);
        }
    }
}

/// Counts by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ByClass {
    /// Alert.
    pub alert: u64,
    /// Suspect.
    pub suspect: u64,
    /// Routine.
    pub routine: u64,
    /// Discard candidate.
    pub discard_candidate: u64,
}

impl ByClass {
    /// What `count` gives for each class.
    pub fn of(count: impl Fn(Class) -> u64) -> Self {
        Self {
            alert: count(Class::Alert),
            suspect: count(Class::Suspect),
            routine: count(Class::Routine),
            discard_candidate: count(Class::DiscardCandidate),
        }
    }

    /// Adds one.
    pub fn add(&mut self, class: Class) {
        let count = match class {
            Class::Alert => &mut self.alert,
            Class::Suspect => &mut self.suspect,
            Class::Routine => &mut self.routine,
            Class::DiscardCandidate => &mut self.discard_candidate,
        };
        *count = count.saturating_add(1);
    }

    /// The count of a class.
    pub fn get(&self, class: Class) -> u64 {
        match class {
            Class::Alert => self.alert,
            Class::Suspect => self.suspect,
            Class::Routine => self.routine,
            Class::DiscardCandidate => self.discard_candidate,
        }
    }

    /// All classes together.
    pub fn total(&self) -> u64 {
        Class::ALL.iter().map(|class| self.get(*class)).sum()
    }
}

/// What was done since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Frames taken into the store.
    pub frames_accepted: ByClass,
    /// Frames moved to `rejected/`.
    pub frames_rejected: u64,
    /// Frames that were in the store already.
    pub frames_duplicate: u64,
    /// Times that frames were put off for the load of the board: they wait in the spool.
    #[serde(default)]
    pub frames_shed: ByClass,
    /// Datagrams handed to the fast link.
    pub datagrams_sent: u64,
    /// Bytes of those datagrams.
    pub bytes_sent: u64,
    /// Datagrams that the network refused.
    pub send_errors: u64,
    /// Alert messages handed to the alert radio, repeats counted.
    pub alerts_sent: u64,
    /// The longest time from an alert's making to its first message, ms.
    #[serde(default)]
    pub alert_delay_ms_max: u64,
    /// Bus messages that were understood.
    pub bus_messages: u64,
    /// Bus messages that were not.
    pub bus_errors: u64,
    /// Reports and acknowledgements of the ground that were taken.
    pub reports_taken: u64,
    /// Report frames that were forged, damaged or under an unknown key: refused.
    pub reports_forged: u64,
    /// Report frames that came before: refused.
    pub reports_replayed: u64,
    /// Report frames sealed rightly, but of a shape that isn't known: refused.
    pub reports_malformed: u64,
    /// Items of reports that can't be true: passed over.
    pub reports_odd: u64,
    /// Bundles dropped to make room.
    pub bundles_dropped: u64,
    /// Bundles read to see whether they still are what was written.
    pub bundles_scrubbed: u64,
    /// Those of them that weren't.
    pub bundles_damaged: u64,
    /// Events kept back, as there were too many of a kind.
    #[serde(default)]
    pub events_throttled: u64,
}

/// The transmitter as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransmitterStatus {
    /// Who opens it: "bus", "always", "manual" or "plan".
    pub mode: String,
    /// Whether it may be used now.
    pub open: bool,
    /// Since when, ms since 1970-01-01 UTC.
    pub since_unix_ms: Option<u64>,
    /// For how long it stays open unless somebody says more, ms; none when it is always open.
    pub ms_left: Option<u64>,
    /// The rate it sends at, bit/s of UDP payload.
    pub rate_bps: u64,
}

/// The store as `status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// How the disk does: "good", "slow", "full", "failing" or "read-only".
    pub disk: String,
    /// Whether the catalogue is kept in memory, as it can't be written: what is known is lost with a restart.
    pub in_memory: bool,
    /// Bytes of all sealed bundles.
    pub bytes: u64,
    /// What they may grow to.
    pub quota_bytes: u64,
    /// Free space of the file system; none if it couldn't be asked.
    pub free_disk_bytes: Option<u64>,
}

/// The queue as `status` shows it: bundles by class in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueStatus {
    /// Their turn will come.
    pub waiting: ByClass,
    /// The sender has them.
    pub on_link: ByClass,
    /// Down with the probability that their class asks for.
    pub presumed: ByClass,
    /// The ground reported that they are whole.
    pub known: ByClass,
    /// Held by the operator.
    pub held: ByClass,
    /// Found broken on the disk.
    pub damaged: ByClass,
}

/// Counts by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySeverity {
    /// As it should be.
    pub info: u64,
    /// Somebody should look.
    pub warning: u64,
    /// Something was not done.
    pub error: u64,
    /// The payload can't do its work.
    pub critical: u64,
}

impl BySeverity {
    /// Adds one.
    pub fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Info => &mut self.info,
            Severity::Warning => &mut self.warning,
            Severity::Error => &mut self.error,
            Severity::Critical => &mut self.critical,
        };
        *count = count.saturating_add(1);
    }
}

/// The health as `status` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// Why the payload is in safe mode: "failures" or "order"; none if it isn't.
    pub safe_mode: Option<Cause>,
    /// Number of this start on this state folder.
    pub start: u64,
    /// How the start before ended: "unknown", "stopped", "ordered", "power-cut", "died", "failed" or "watchdog".
    pub start_before: Before,
    /// Starts that failed in a row before this one.
    pub failed_starts: u32,
    /// How much is left undone for the load of the board, 0 to 3.
    pub level: u8,
    /// What strains it: "temperature", "power", "memory", "io" or "cpu", the worst first.
    pub strains: Vec<Strain>,
    /// Tasks that are stuck, and nothing helps.
    pub stuck: Vec<String>,
    /// How often tasks were begun anew in the last hour.
    pub restarts: u64,
    /// What the sensors say.
    pub readings: Readings,
}

/// The answer to `passband status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program.
    pub version: String,
    /// Number of the spacecraft.
    pub spacecraft: u16,
    /// For how long the daemon has run, s.
    pub uptime_s: u64,
    /// How many times it was started on this store.
    pub boot_count: u64,
    /// The clock on board, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// The fast link's transmitter.
    pub transmitter: TransmitterStatus,
    /// The pass that is on by the plan, or else the next; none if none is planned.
    pub next_pass: Option<Pass>,
    /// What was done since the start.
    pub counters: Counters,
    /// Bundles by state and class.
    pub queue: QueueStatus,
    /// Disk.
    pub store: StoreStatus,
    /// Alerts that are sent until somebody has heard them.
    pub alerts_pending: u64,
    /// Events that are kept, by severity.
    pub events: BySeverity,
    /// Number of the newest event.
    pub last_event_seq: u64,
    /// Who is stuck, how loaded the board is, safe mode; none from a daemon before it had that.
    #[serde(default)]
    pub health: Option<HealthStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_passes_one_of_a_kind_and_counts_the_rest() {
        let mut throttle = Throttle::new(100);
        assert_eq!(throttle.pass(0, "a"), Some(0));
        assert_eq!(throttle.pass(1, "b"), Some(0));
        assert_eq!([throttle.pass(50, "a"), throttle.pass(99, "a")], [None, None]);
        assert_eq!(throttle.pass(100, "a"), Some(2));
        assert_eq!(throttle.pass(10, "a"), None, "a clock that jumps back keeps quiet");
    }

    #[test]
    fn a_full_throttle_forgets_the_oldest_kind_alone() {
        let mut throttle = Throttle::new(100_000);
        let kind = |n: usize| format!("kind {n}");
        for n in 0..MAX_THROTTLED {
            assert_eq!(throttle.pass(n as u64, &kind(n)), Some(0));
        }
        assert_eq!(throttle.pass(5_000, "one more"), Some(0));
        assert!((1..MAX_THROTTLED).all(|n| throttle.pass(5_000, &kind(n)).is_none()));
        assert_eq!(throttle.pass(5_000, &kind(0)), Some(0), "it passed longest ago");
    }

    #[test]
    fn event_text_is_one_bounded_line() {
        let event = Report::info(EventCode::Other, format!("a\nb{}", "é".repeat(900))).at(1, 2);
        assert!(event.text.len() <= MAX_EVENT_TEXT_BYTES && event.text.starts_with("a b"));
        assert!(event.text.ends_with('…'));
        assert_eq!(Report::info(EventCode::Other, "short").at(1, 2).text, "short");
    }

    #[test]
    fn classes_count_apart() {
        let mut counts = ByClass::default();
        for class in [Class::Alert, Class::Routine, Class::Routine, Class::DiscardCandidate] {
            counts.add(class);
        }
        assert_eq!((counts.routine, counts.get(Class::Suspect), counts.total()), (2, 0, 4));
        let json = serde_json::to_string(&counts).unwrap();
        assert_eq!(json, r#"{"alert":1,"suspect":0,"routine":2,"discard-candidate":1}"#);
    }
}
