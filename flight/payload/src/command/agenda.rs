//! What is pending, what comes up, scripts, the update and the engineer's log, as the operator sees them.

use passband_proto::dict::{Reason, UpdateState, Upload, UploadFate};
use serde::{Deserialize, Serialize};

use super::text::LIST_LINES;
use super::{date, hex, size};
use crate::script::RunRecord;
use crate::sequence;

/// Rows of the agenda in an answer unless the request says how many.
pub const DEFAULT_AGENDA: usize = 18;
/// Most rows of the agenda in an answer.
pub const MAX_AGENDA: usize = 5_000;
/// Lines of the log in an answer unless the request says how many.
pub const DEFAULT_LINES: usize = 20;
/// Most lines of the log in an answer.
pub const MAX_LINES: usize = 500;

/// The answer to a question for the agenda.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgendaAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The clock on board, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// The plans on board.
    pub plans: Vec<PlanLine>,
    /// What is pending, the soonest first.
    pub pending: Vec<AgendaLine>,
}

/// A plan on board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// Its name.
    pub name: String,
    /// Its version; none if its file can't be used any more.
    pub version: Option<u32>,
    /// How many entries it has.
    pub entries: usize,
    /// "loaded", "running", "held", "done", "aborted" or "cancelled".
    pub state: String,
    /// Entries that are pending.
    pub pending: usize,
    /// Entries that are done.
    pub done: u16,
    /// Entries that failed.
    pub failed: u16,
    /// Entries that were left out.
    pub skipped: u16,
    /// When it was last started, ms since 1970-01-01 UTC.
    pub started_unix_ms: Option<u64>,
}

/// An entry that is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgendaLine {
    /// The plan.
    pub plan: String,
    /// The entry, from 1.
    pub entry: u16,
    /// Its label.
    pub label: Option<String>,
    /// Which time it would be, from 1.
    pub occurrence: u32,
    /// "follows", "pending", "waiting", "ready", "running" or "retrying".
    pub state: String,
    /// Whether it is left out when it is due.
    pub skip: bool,
    /// When it is expected, ms since 1970-01-01 UTC, if that can be told.
    pub expected_unix_ms: Option<u64>,
    /// What it waits for.
    pub waits_for: String,
    /// What it does.
    pub what: String,
}

impl From<sequence::PlanRow> for PlanLine {
    fn from(row: sequence::PlanRow) -> Self {
        let state = match (row.status, row.held) {
            (None, _) => "loaded",
            (Some(sequence::Status::Running), true) => "held",
            (Some(status), _) => status.name(),
        };
        Self {
            name: row.name,
            version: row.version,
            entries: row.entries,
            state: state.to_owned(),
            pending: row.pending,
            done: row.tally.done,
            failed: row.tally.failed,
            skipped: row.tally.skipped,
            started_unix_ms: row.started_unix_ms,
        }
    }
}

impl From<sequence::Row> for AgendaLine {
    fn from(row: sequence::Row) -> Self {
        Self {
            plan: row.plan,
            entry: row.entry,
            label: row.label,
            occurrence: row.occurrence,
            state: row.state.name().to_owned(),
            skip: row.skip,
            expected_unix_ms: row.expected_unix_ms,
            waits_for: row.waits_for,
            what: row.what,
        }
    }
}

/// The answer to a question for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptsAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The scripts on board, with their bytes.
    pub scripts: Vec<(String, u64)>,
    /// The newest runs, oldest first.
    pub runs: Vec<RunRecord>,
}

/// The answer to a question for the update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// Where it stands.
    pub state: UpdateState,
    /// The first bytes of the SHA-256 of its file, hexadecimal.
    pub id: Option<String>,
    /// Version of the program that runs.
    pub version: String,
    /// How far it is, or why it failed.
    #[serde(default)]
    pub text: Option<String>,
    /// What each slot holds, and which one runs; none where no launcher started this.
    #[serde(default)]
    pub slots: Option<String>,
    /// What comes up.
    pub uploads: Vec<UploadLine>,
}

/// Something that comes up in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadLine {
    /// The first bytes of its SHA-256, hexadecimal.
    pub id: String,
    /// What it is.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u32,
    /// Its pieces.
    pub pieces: u32,
    /// Those that are missing.
    pub missing: u32,
    /// What becomes of it.
    pub fate: UploadFate,
    /// Why it was refused, or can't be taken now.
    pub reason: Reason,
}

impl From<Upload> for UploadLine {
    fn from(upload: Upload) -> Self {
        Self {
            id: hex(&upload.id),
            kind: upload.kind.name().to_owned(),
            name: upload.name.0.to_string(),
            bytes: upload.size,
            pieces: upload.pieces,
            missing: upload.missing,
            fate: upload.fate,
            reason: upload.reason,
        }
    }
}

/// The answer to a question for the engineer's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// Its newest lines, oldest first.
    pub lines: Vec<String>,
}

/// The answer when something was taken from a file on board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// What was done.
    pub done: String,
}

/// `passband agenda`.
pub fn agenda_text(answer: &AgendaAnswer) -> String {
    let mut out = String::new();
    for plan in answer.plans.iter().filter(|plan| plan.state != "loaded").chain(loaded(&answer.plans)).take(6)
    {
        let version = plan.version.map_or_else(|| "?".to_owned(), |version| version.to_string());
        let failed = if plan.failed > 0 { format!(", {} failed", plan.failed) } else { String::new() };
        let line = format!(
            "plan {:<24} v{version} {:<9} {} of {} pending{failed}",
            plan.name, plan.state, plan.pending, plan.entries
        );
        out += &cut(&line);
        out.push('\n');
    }
    if answer.pending.is_empty() {
        out += "nothing is pending\n";
    }
    let room = LIST_LINES.saturating_sub(out.lines().count());
    for row in answer.pending.iter().take(room) {
        let when = row.expected_unix_ms.map_or_else(|| row.waits_for.clone(), date);
        let skip = if row.skip { " (left out)" } else { "" };
        let line = format!("{when:<20} {:<9} {}:{} {}{skip}", row.state, row.plan, row.entry, row.what);
        out += &cut(&line);
        out.push('\n');
    }
    let more = answer.pending.len().saturating_sub(room);
    if more > 0 {
        put!(out, "... and {more} more; --limit and --json show them\n");
    }
    out
}

fn loaded(plans: &[PlanLine]) -> impl Iterator<Item = &PlanLine> {
    plans.iter().filter(|plan| plan.state == "loaded")
}

/// `passband script`.
pub fn scripts_text(answer: &ScriptsAnswer) -> String {
    let mut out = String::new();
    for (name, bytes) in answer.scripts.iter().take(8) {
        put!(out, "script {name:<24} {}\n", size(*bytes));
    }
    if answer.scripts.is_empty() {
        out += "no scripts on board\n";
    }
    let newest = answer.runs.len().saturating_sub(5);
    for run in answer.runs.iter().skip(newest) {
        let how = run.end.as_ref().map_or_else(|| "runs".to_owned(), ToString::to_string);
        let line = format!(
            "{} {} by {}: {how}, {}",
            date(run.started_unix_ms),
            run.name,
            run.id,
            size(run.output_bytes)
        );
        out += &cut(&line);
        out.push('\n');
        if let Some(first) = run.first_lines.lines().next() {
            out += &cut(&format!("    {first}"));
            out.push('\n');
        }
    }
    out
}

/// `passband update`.
pub fn update_text(answer: &UpdateAnswer) -> String {
    let mut out = format!("update {}", answer.state);
    if let Some(id) = &answer.id {
        put!(out, " {id}");
    }
    put!(out, "; passband {} runs\n", answer.version);
    for text in answer.text.iter().chain(&answer.slots) {
        out += &cut(text);
        out.push('\n');
    }
    for upload in &answer.uploads {
        let there = upload.pieces.saturating_sub(upload.missing);
        let mut line = format!("{:<7} {} {:<24} ", upload.kind, upload.id, upload.name);
        match upload.fate {
            UploadFate::Coming => {
                put!(line, "{there} of {} pieces, {}", upload.pieces, size(upload.bytes.into()));
            }
            fate => put!(line, "{fate}, {}", size(upload.bytes.into())),
        }
        if upload.reason != Reason::None {
            put!(line, ": {}", upload.reason);
        }
        out += &cut(&line);
        out.push('\n');
    }
    out
}

/// `passband logs`.
pub fn logs_text(answer: &LogsAnswer) -> String {
    answer.lines.iter().map(|line| format!("{}\n", cut(line))).collect()
}

/// At most a line of a screen.
fn cut(line: &str) -> String {
    let mut out: String = line.chars().filter(|c| !c.is_control()).take(80).collect();
    if line.chars().count() > 80 {
        out.pop();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agenda_fits_a_screen_whatever_is_pending() {
        let line = AgendaLine {
            plan: "p".repeat(24),
            entry: 4_096,
            label: None,
            occurrence: 9,
            state: "retrying".into(),
            skip: true,
            expected_unix_ms: None,
            waits_for: "w".repeat(200),
            what: "x".repeat(300),
        };
        let plan = PlanLine {
            name: "n".repeat(24),
            version: Some(u32::MAX),
            entries: 4_096,
            state: "cancelled".into(),
            pending: 4_096,
            done: 4_096,
            failed: 4_096,
            skipped: 4_096,
            started_unix_ms: None,
        };
        let answer =
            AgendaAnswer { schema: 1, now_unix_ms: 0, plans: vec![plan; 16], pending: vec![line; 100] };
        let text = agenda_text(&answer);
        assert!(text.lines().count() <= 23 && text.lines().all(|l| l.chars().count() <= 80), "{text}");
    }
}
