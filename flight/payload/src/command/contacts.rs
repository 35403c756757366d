//! Passes for people: `passband passes`, and the line of the next pass in `passband status`.

use std::fmt::Write;

use super::PassesAnswer;
use super::text::{LIST_LINES, cut, date, duration};
use crate::passes::{Pass, PlanStatus, Source};

/// `passband passes`.
pub fn passes_text(answer: &PassesAnswer) -> String {
    let mut out = String::new();
    if answer.passes.is_empty() {
        out.push_str("no pass to come\n");
    } else {
        let _ok = writeln!(
            out,
            "{:<20} {:<12} {:>7} {:>7} {:<10} station",
            "aos", "length", "highest", "Mbit/s", "source"
        );
    }
    for pass in answer.passes.iter().take(LIST_LINES) {
        let highest = pass.max_elevation_deg.map_or_else(|| "-".to_owned(), |deg| format!("{deg:.1}°"));
        let rate = pass.rate_bps.map_or_else(|| "-".to_owned(), |bps| format!("{:.1}", bps as f64 / 1e6));
        let _ok = writeln!(
            out,
            "{:<20} {:<12} {highest:>7} {rate:>7} {:<10} {}",
            date(pass.aos_unix_ms),
            duration(length_s(pass)),
            format!("{}{}", pass.source.name(), if pass.stale { "*" } else { "" }),
            cut(&pass.station, 19)
        );
    }
    let more = answer.passes.len().saturating_sub(LIST_LINES);
    if more > 0 {
        let _ok = writeln!(out, "and {more} more");
    }
    out.push_str(&made_of(&answer.plan));
    out
}

/// The next pass in a line, or the one that is on.
pub(super) fn next_pass(next: Option<&Pass>, now_unix_ms: u64) -> String {
    let Some(pass) = next else { return "none planned".to_owned() };
    let station = cut(&pass.station, 30);
    let seconds = |from: u64, until: u64| duration(until.saturating_sub(from) / 1000);
    if pass.aos_unix_ms <= now_unix_ms {
        return format!("now over {station}, {} left", seconds(now_unix_ms, pass.los_unix_ms));
    }
    let (ahead, length) = (seconds(now_unix_ms, pass.aos_unix_ms), duration(length_s(pass)));
    format!("in {ahead} for {length} over {station}")
}

fn length_s(pass: &Pass) -> u64 {
    pass.los_unix_ms.saturating_sub(pass.aos_unix_ms) / 1000
}

/// What the plan is made of, in a line.
fn made_of(plan: &PlanStatus) -> String {
    let windows = format!("{} {}s to come", plan.windows, Source::Window.name());
    let Some(epoch) = plan.epoch_unix_ms else { return format!("{windows}; no elements\n") };
    let old = if plan.stale { ": too old" } else { "" };
    let name = plan.satellite.as_deref().map_or_else(|| "elements".to_owned(), |name| cut(name, 12));
    format!("{windows}; {} stations; {name}, {}{old}\n", plan.stations, date(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::SCHEMA;

    fn pass(aos_unix_ms: u64) -> Pass {
        Pass {
            aos_unix_ms,
            los_unix_ms: aos_unix_ms + 501_500,
            station: "a station with a very long name".into(),
            rate_bps: Some(10_000_000_000),
            max_elevation_deg: Some(85.09),
            source: Source::Predicted,
            stale: true,
        }
    }

    fn answer(passes: Vec<Pass>, plan: PlanStatus) -> PassesAnswer {
        PassesAnswer { schema: SCHEMA, now_unix_ms: 0, plan, passes }
    }

    #[test]
    fn passes_fit_a_screen() {
        let plan = PlanStatus {
            windows: 4096,
            stations: 64,
            satellite: Some("A NAME THAT IS LONG ENOUGH".into()),
            epoch_unix_ms: Some(1_795_608_000_000),
            stale: true,
        };
        let text = passes_text(&answer(vec![pass(1_795_749_214_594); 60], plan));
        assert!(text.lines().count() <= 23 && text.contains("\nand 40 more\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = "2026-11-27T03:13:34Z 8 min 21 s     85.1° 10000.0 predicted* a station with a v…";
        assert_eq!(text.lines().nth(1), Some(row));
        let last = "4096 windows to come; 64 stations; A NAME THAT…, 2026-11-25T12:00:00Z: too old";
        assert_eq!(text.lines().last(), Some(last));
        let none = passes_text(&answer(vec![], PlanStatus::default()));
        assert_eq!(none, "no pass to come\n0 windows to come; no elements\n");
    }

    #[test]
    fn the_next_pass_is_a_line_of_status() {
        let pass = pass(86_399_000_000);
        let line = next_pass(Some(&pass), 0);
        assert_eq!(line, "in 999 d 23 h for 8 min 21 s over a station with a very long na…");
        assert!(line.chars().count() <= 67);
        assert_eq!(
            next_pass(Some(&pass), 86_399_001_000),
            "now over a station with a very long na…, 8 min 20 s left"
        );
        assert_eq!(next_pass(None, 0), "none planned");
    }
}
