//! The alerts as the operator sees them: the answer, and its text form.

use std::fmt::Write;

use passband_proto::alert::Position;
use serde::{Deserialize, Serialize};

use super::text::{LIST_LINES, cut, date, duration};
use crate::ordered;
use crate::store::AlertRecord;

/// The answer to [`Request::Alerts`](super::Request::Alerts), and to what changes an alert: that one, then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertsAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The clock on board, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// The alerts, by number.
    pub alerts: Vec<AlertRow>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Its number.
    pub number: u32,
    /// Name of its frame.
    pub frame: String,
    /// Name of the gas.
    pub gas: String,
    /// Probability that it is a leak.
    pub probability: f32,
    /// Largest enhancement in the plume, ppm·m.
    pub peak_ppm_m: f32,
    /// Where the plume is, if that is known.
    pub position: Option<Position>,
    /// Id of the bundle that carries the evidence.
    pub evidence: Option<String>,
    /// `pending`, `acknowledged`, `superseded`, `stale` (never sent) or `through` (sent to the end of its schedule).
    pub state: String,
    /// By whom or what it was acknowledged or superseded.
    pub by: Option<String>,
    /// How many times it was sent.
    pub sends: u32,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// When it is due next, ms since 1970-01-01 UTC; the radio's budget may make it later. None: it isn't.
    pub next_unix_ms: Option<u64>,
}

impl AlertRow {
    /// The row of an alert that is due then.
    pub fn new(alert: &AlertRecord, next_unix_ms: Option<u64>) -> Self {
        Self {
            number: alert.number,
            frame: alert.frame_name.clone(),
            gas: alert.gas.clone(),
            probability: f32::from(alert.probability_permille) / 1000.0,
            peak_ppm_m: alert.peak_ppm_m,
            position: alert.position,
            evidence: alert.evidence.map(|id| id.to_string()),
            state: alert.state.name().to_owned(),
            by: alert.state.by(),
            sends: alert.sends,
            created_unix_ms: alert.created_unix_ms,
            next_unix_ms,
        }
    }
}

/// `passband alerts`: what is pending first, then the newest.
pub fn alerts_text(answer: &AlertsAnswer) -> String {
    if answer.alerts.is_empty() {
        return "no alerts\n".to_owned();
    }
    let mut rows: Vec<_> = answer.alerts.iter().collect();
    ordered::sort_by_key(&mut rows, |row| (row.state != "pending", std::cmp::Reverse(row.number)));
    let mut out = format!(
        "{:>6} {:>6} {:<12} {:>5} {:<12} {:<20} {}\n",
        "number", "sure", "state", "sends", "next in", "made", "frame"
    );
    for row in rows.iter().take(LIST_LINES) {
        let sure = format!("{:.1}%", row.probability * 100.0);
        let next = row.next_unix_ms.map_or_else(|| "-".to_owned(), |next| wait(next, answer.now_unix_ms));
        let (made, frame) = (date(row.created_unix_ms), cut(&row.frame, 13));
        let _ok = writeln!(
            out,
            "{:>6} {sure:>6} {:<12} {:>5} {next:<12} {made:<20} {frame}",
            row.number, row.state, row.sends
        );
    }
    let more = rows.len().saturating_sub(LIST_LINES);
    if more > 0 {
        let pending = rows.iter().filter(|row| row.state == "pending").count();
        let _ok = writeln!(out, "and {more} more; {pending} of {} are pending", rows.len());
    }
    out
}

/// `passband alerts ack` and `passband alerts cancel`.
pub fn alert_text(answer: &AlertsAnswer) -> String {
    let mut out = String::new();
    for row in &answer.alerts {
        let by = row.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        let _ok = writeln!(out, "alert {} of frame {:?} is {}{by}", row.number, row.frame, row.state);
    }
    out
}

fn wait(next_unix_ms: u64, now_unix_ms: u64) -> String {
    match next_unix_ms.saturating_sub(now_unix_ms) {
        0 => "now".to_owned(),
        ms => duration(ms.div_ceil(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::alert;
    use crate::store::{Acknowledger, AlertState, FrameId};

    fn row(number: u32, state: AlertState, next_unix_ms: Option<u64>) -> AlertRow {
        let made = alert(number, 987);
        let record = AlertRecord { state, sends: 1_000, ..AlertRecord::new(FrameId([1; 12]), &made, vec![]) };
        AlertRow { frame: "a frame with a very long name".into(), ..AlertRow::new(&record, next_unix_ms) }
    }

    #[test]
    fn a_thousand_alerts_fit_a_screen_the_pending_ones_first() {
        let acknowledged = AlertState::Acknowledged(Acknowledger::Station(65_535));
        let state = |number| if number == 3 { AlertState::Pending } else { acknowledged };
        let alerts = (1..=1_000).map(|number| row(number, state(number), Some(90_061_000))).collect();
        let text = alerts_text(&AlertsAnswer { schema: 1, now_unix_ms: 1_000, alerts });
        assert!(text.lines().count() <= 23 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let first = text.lines().nth(1).unwrap();
        assert!(first.starts_with("     3  98.7% pending       1000 1 d 1 h"), "{first}");
        assert!(text.ends_with("and 980 more; 1 of 1000 are pending\n"), "{text}");
        let none = AlertsAnswer { schema: 1, now_unix_ms: 0, alerts: vec![] };
        assert_eq!(alerts_text(&none), "no alerts\n");
    }

    #[test]
    fn a_change_is_told_in_a_sentence() {
        let acknowledged = row(7, AlertState::Acknowledged(Acknowledger::Operator), None);
        let answer = AlertsAnswer { schema: 1, now_unix_ms: 0, alerts: vec![acknowledged] };
        let told = "alert 7 of frame \"a frame with a very long name\" is acknowledged by the operator\n";
        assert_eq!(alert_text(&answer), told);
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(
            (&json["alerts"][0]["state"], &json["alerts"][0]["by"]),
            (&"acknowledged".into(), &"the operator".into())
        );
        assert_eq!(json["alerts"][0]["evidence"], "03".repeat(12));
        assert!(alerts_text(&answer).contains(" - "), "no next time");
    }
}
