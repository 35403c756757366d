//! Answers for people: each fits a screen of 80 columns and 24 lines.

use std::fmt::Write;

use passband_proto::ids::Class;

use super::contacts::next_pass;
use super::{ActionAnswer, EventsAnswer, QueueAnswer};
use crate::health::Cause;
use crate::telemetry::{ByClass, HealthStatus, Status, TransmitterStatus};

/// Lines of a screen that a list may fill, its head and foot not counted.
pub(crate) const LIST_LINES: usize = 20;
/// Columns of a screen.
const COLUMNS: usize = 80;
/// Indent of an event's further lines.
const INDENT: usize = 8;

/// `passband status`.
pub fn status_text(s: &Status) -> String {
    let mut out = String::new();
    let c = &s.counters;
    let mut line = |text: String| {
        // Writing to a string doesn't fail.
        let _ok = writeln!(out, "{text}");
    };
    line(format!("passband {}  spacecraft {}  {}", s.version, s.spacecraft, date(s.now_unix_ms)));
    line(format!("up {}, start {} of this store", duration(s.uptime_s), s.boot_count));
    line(String::new());
    line(format!("transmitter  {}", transmitter(&s.transmitter, s.now_unix_ms)));
    line(format!("rate         {} bit/s", s.transmitter.rate_bps));
    line(format!("next pass    {}", next_pass(s.next_pass.as_ref(), s.now_unix_ms)));
    line(format!(
        "sent         {} datagrams, {} ({} refused)",
        c.datagrams_sent,
        size(c.bytes_sent),
        c.send_errors
    ));
    line(format!("alerts       {} messages sent, {} alerts pending", c.alerts_sent, s.alerts_pending));
    line(format!("bus          {} messages, {} not understood", c.bus_messages, c.bus_errors));
    line(format!(
        "reports      {} taken; refused: {} forged, {} replayed, {} odd",
        c.reports_taken,
        c.reports_forged,
        c.reports_replayed,
        c.reports_malformed + c.reports_odd
    ));
    line(String::new());
    line(format!(
        "{:<12} {:>10} {:>10} {:>10} {:>18}",
        "", "alert", "suspect", "routine", "discard-candidate"
    ));
    for (name, counts) in [
        ("frames", &c.frames_accepted),
        ("waiting", &s.queue.waiting),
        ("on link", &s.queue.on_link),
        ("presumed", &s.queue.presumed),
        ("known", &s.queue.known),
    ] {
        line(class_line(name, counts));
    }
    line(format!(
        "rejected {}, duplicate {}, dropped for room {}, held {}, damaged {}",
        c.frames_rejected,
        c.frames_duplicate,
        c.bundles_dropped,
        s.queue.held.total(),
        s.queue.damaged.total()
    ));
    line(String::new());
    let free = s.store.free_disk_bytes.map_or_else(|| "unknown".to_owned(), size);
    let memory = if s.store.in_memory { ", in memory" } else { "" };
    line(format!(
        "store        {} of {}, disk {}, free {free}{memory}",
        size(s.store.bytes),
        size(s.store.quota_bytes),
        s.store.disk
    ));
    if let Some(health) = &s.health {
        line(format!("health       {}", health_text(health)));
    }
    let e = &s.events;
    line(format!(
        "events       {} critical, {} error, {} warning, {} info; newest {}",
        e.critical, e.error, e.warning, e.info, s.last_event_seq
    ));
    out
}

/// Mode, load, who is stuck and the hottest zone, in a line.
fn health_text(health: &HealthStatus) -> String {
    let mut out = match health.safe_mode {
        None => "normal mode".to_owned(),
        Some(Cause::Order) => "SAFE MODE by order".to_owned(),
        Some(Cause::Failures) => "SAFE MODE after failed starts".to_owned(),
    };
    let _ok = write!(out, ", load level {}", health.level);
    if !health.stuck.is_empty() {
        let _ok = write!(out, ", stuck: {}", health.stuck.join(" "));
    }
    if let Some(temperature_c) = health.readings.temperature_c {
        let _ok = write!(out, ", {temperature_c:.0} °C");
    }
    if let Some(percent) = health.readings.memory_available_percent {
        let _ok = write!(out, ", {percent:.0} % memory free");
    }
    cut(&out, COLUMNS - 13)
}

/// `passband queue`.
pub fn queue_text(answer: &QueueAnswer) -> String {
    let rows = &answer.bundles;
    if rows.is_empty() {
        return "the queue is empty\n".to_owned();
    }
    let mut out = format!(
        "{:>4} {:<8} {:<17} {:<9} {:>8} {:<8} {:>5} {}\n",
        "rank", "id", "class", "product", "bytes", "state", "sent", "frame"
    );
    for row in rows.iter().take(LIST_LINES) {
        let percent = row.sent_symbols.saturating_mul(100) / row.source_symbols.max(1);
        let sent = if percent < 1_000 { format!("{percent}%") } else { format!("{}x", percent / 100) };
        let _ok = writeln!(
            out,
            "{:>4} {:<8} {:<17} {:<9} {:>8} {:<8} {sent:>5} {}",
            row.rank,
            row.id.get(..8).unwrap_or(&row.id),
            row.class,
            cut(row.product.name(), 9),
            size(row.bytes),
            row.state.name(),
            cut(&row.frame, 12)
        );
    }
    let more = answer.total.saturating_sub(LIST_LINES as u64);
    if more > 0 {
        let _ok =
            writeln!(out, "and {more} more; {} of {} wait or are on the link", answer.open, answer.total);
    }
    out
}

/// `passband queue promote` and the like.
pub fn action_text(answer: &ActionAnswer) -> String {
    let before = if answer.changed { "" } else { " (it was so before)" };
    format!("bundle {}: {}{before}\n", answer.id, answer.done)
}

/// `passband events`: each event wrapped to the screen, and cut to `most_lines` if that is given.
pub fn events_text(answer: &EventsAnswer, most_lines: Option<usize>) -> String {
    if answer.events.is_empty() {
        return "no events\n".to_owned();
    }
    let mut out = String::new();
    for e in &answer.events {
        let line = format!("{:>6} {} {:<8} {}: {}", e.seq, date(e.unix_ms), e.severity, e.code, e.text);
        wrap(&line, most_lines.unwrap_or(usize::MAX), &mut out);
    }
    out
}

/// Writes `text` in lines of at most [`COLUMNS`], all but the first indented, broken at spaces where
/// there are any; what doesn't fit into `most_lines` is cut.
pub(crate) fn wrap(text: &str, most_lines: usize, out: &mut String) {
    let mut rest: Vec<char> = text.chars().collect();
    for nth in 1.. {
        let indent = if nth == 1 { 0 } else { INDENT };
        let room = COLUMNS - indent;
        let last = nth >= most_lines;
        let whole = rest.len() <= room;
        let take = if whole || last {
            room.min(rest.len())
        } else {
            let space = rest.iter().take(room).rposition(|c| *c == ' ');
            space.map_or(room, |at| at + 1)
        };
        let after = rest.split_off(take);
        let mut line: String = rest.into_iter().collect();
        if last && !whole {
            line.pop();
            line.push('…');
        }
        let _ok = writeln!(out, "{:indent$}{}", "", line.trim_end());
        if whole || last {
            return;
        }
        rest = after;
    }
}

/// `passband pass`.
pub fn pass_text(t: &TransmitterStatus) -> String {
    match (t.open, t.ms_left) {
        (true, Some(left)) => {
            format!("transmitter open for {} at {} bit/s\n", duration(left.div_ceil(1000)), t.rate_bps)
        }
        (true, None) => format!("transmitter open at {} bit/s\n", t.rate_bps),
        (false, _) => "transmitter closed\n".to_owned(),
    }
}

fn transmitter(t: &TransmitterStatus, now_unix_ms: u64) -> String {
    let state = if t.open { "open" } else { "closed" };
    let since = t.since_unix_ms.map_or_else(String::new, |since| {
        format!(" for {}", duration(now_unix_ms.saturating_sub(since) / 1000))
    });
    let left = t.ms_left.map_or_else(String::new, |ms| format!(", {}.{} s left", ms / 1000, ms % 1000 / 100));
    format!("{state}{since}{left}; opened by: {}", t.mode)
}

fn class_line(name: &str, counts: &ByClass) -> String {
    let [a, s, r, d] = Class::ALL.map(|class| counts.get(class));
    format!("{name:<12} {a:>10} {s:>10} {r:>10} {d:>18}")
}

/// The first `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Bytes with a decimal unit.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB", "TB", "PB"] {
        if bytes / unit < 1000 || name == "PB" {
            return match unit {
                1 => format!("{bytes} B"),
                unit => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
            };
        }
        unit = unit.saturating_mul(1000);
    }
    format!("{bytes} B")
}

pub(crate) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A date as ISO 8601, UTC; the civil calendar by the rule of 400 years of 146,097 days.
pub(crate) fn date(unix_ms: u64) -> String {
    let (days, seconds) = (unix_ms / 86_400_000, unix_ms / 1000 % 86_400);
    // Days since 1 March of year 0: leap days come last in such years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::DEFAULT_EVENTS;
    use crate::products::Kind;
    use crate::store::tests::bundle;
    use crate::telemetry::{BySeverity, Counters, Event, QueueStatus, SCHEMA, Severity, StoreStatus};

    fn fits(text: &str) {
        assert!(text.lines().count() <= 23, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
    }

    #[test]
    fn dates_are_right() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(unix_s * 1000), text);
        }
    }

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_550_000, u64::MAX].map(size),
            ["0 B", "999 B", "1.0 kB", "1.5 MB", "18446.7 PB"]
        );
        assert_eq!([5, 61, 3_700, 90_000].map(duration), ["5 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!([cut("short", 8), cut("a name that is long", 8)], ["short", "a name …"]);
    }

    #[test]
    fn a_full_status_fits_a_screen() {
        let transmitter = TransmitterStatus {
            mode: "always".into(),
            open: true,
            since_unix_ms: Some(0),
            ms_left: Some(900_000),
            rate_bps: 10_000_000_000,
        };
        let big = 10_u64.pow(9);
        let many = ByClass { alert: big, suspect: big, routine: big, discard_candidate: big };
        let text = status_text(&Status {
            schema: SCHEMA,
            version: "0.1.0 (0123456789ab)".into(),
            spacecraft: 65_535,
            uptime_s: big,
            boot_count: big,
            now_unix_ms: 1_800_000_000_000,
            transmitter,
            next_pass: None,
            counters: Counters { datagrams_sent: big * 1000, frames_accepted: many, ..Counters::default() },
            queue: QueueStatus {
                waiting: many,
                on_link: many,
                presumed: many,
                known: many,
                ..QueueStatus::default()
            },
            store: StoreStatus {
                disk: "read-only".into(),
                in_memory: true,
                bytes: u64::MAX,
                quota_bytes: u64::MAX,
                free_disk_bytes: None,
            },
            alerts_pending: 1000,
            events: BySeverity { info: 9_700, warning: 100, error: 100, critical: 100 },
            last_event_seq: big,
            health: Some(HealthStatus {
                safe_mode: Some(Cause::Failures),
                start: big,
                start_before: crate::health::Before::PowerCut,
                failed_starts: 3,
                level: 3,
                strains: vec![],
                stuck: vec!["scrub".into(), "sensors".into()],
                restarts: 9,
                readings: crate::health::Readings {
                    temperature_c: Some(-89.9),
                    ..crate::health::Readings::default()
                },
            }),
        });
        fits(&text);
        assert!(text.contains("transmitter  open for 20833 d 8 h, 900.0 s left"), "{text}");
    }

    #[test]
    fn events_fit_a_screen_and_lose_nothing_unless_asked_to() {
        let text = format!("frame {:?} rejected: {}", "n".repeat(90), "a reason with many words ".repeat(9));
        let event = Event {
            seq: 10_000,
            unix_ms: 1,
            severity: Severity::Critical,
            code: "frame-rejected".into(),
            text,
        };
        let answer = EventsAnswer { schema: SCHEMA, events: vec![event; DEFAULT_EVENTS] };
        let cut = events_text(&answer, Some(2));
        fits(&cut);
        assert_eq!(cut.matches('…').count(), DEFAULT_EVENTS);
        let all = events_text(&answer, None);
        assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
        let words = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(words(&all).matches(&words(&answer.events[0].text)).count(), DEFAULT_EVENTS);
        assert_eq!(events_text(&EventsAnswer { schema: SCHEMA, events: vec![] }, None), "no events\n");
    }

    #[test]
    fn a_long_queue_fits_a_screen() {
        use crate::queue::{Queue, Row, Settings, item_of};
        let settings = Settings::default();
        let mut queue = Queue::new(settings.clone()).unwrap();
        let rows = (1..=60).map(|i| {
            let mut record = bundle(i, Class::DiscardCandidate, Kind::Housekeeping, 1);
            record.frame_name = "a frame with a very long name indeed".into();
            drop(queue.insert(&item_of(&record, &settings)));
            let view = queue.get(&record.id).unwrap();
            Row::new(u64::from(i), record, &view, None, &settings)
        });
        let mut answer = QueueAnswer { schema: SCHEMA, total: 60, open: 60, bundles: rows.collect() };
        let text = queue_text(&answer);
        fits(&text);
        assert!(text.ends_with("and 40 more; 60 of 60 wait or are on the link\n"), "{text}");
        assert!(text.contains("\n   1 01010101 discard-candidate housekee"), "{text}");
        answer.bundles.clear();
        assert_eq!(queue_text(&answer), "the queue is empty\n");
    }
}
