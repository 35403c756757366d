//! The digest as a screen of text: what must be known first stands first, and what doesn't fit is left out from the
//! least important on.

use std::fmt::Write;

use passband_proto::dict::{Disk, Mode, ParametersState, Severity, Shed, UpdateState};

use super::{ClassQueue, Facts, Wrong};
use crate::command::{date, duration, size};
use crate::passes::Pass;
use crate::telemetry::Level;

/// Most lines: with a line that says that nothing of it is live, and the shell's prompt, it fits 24.
pub const MAX_SCREEN_LINES: usize = 22;
/// Most bytes: with such a line it is below 1,500.
pub const MAX_SCREEN_BYTES: usize = 1_400;
/// Columns of a screen; lines are cut at as many bytes.
const COLUMNS: usize = 80;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It is always there.
    Must,
    /// A red channel, or an event from error on.
    Bad,
    /// What is to go down, and what ran.
    Asked,
    /// The rest.
    More,
}

/// The facts as text, of at most [`MAX_SCREEN_LINES`] and [`MAX_SCREEN_BYTES`]; `now_unix_ms` is what times are told
/// against: later than the facts' own where they were saved.
pub fn screen(facts: &Facts, now_unix_ms: u64) -> String {
    let mut lines = Lines::default();
    let running = &facts.running;
    lines.must(&format!(
        "passband {}  spacecraft {}  {}",
        running.version,
        facts.spacecraft,
        date(facts.now_unix_ms)
    ));
    lines.must(&pass_line(facts, now_unix_ms));
    wrong(&mut lines, facts);
    since(&mut lines, facts, now_unix_ms);
    queue(&mut lines, facts);
    coming(&mut lines, facts);
    lines.must(&format!(
        "RUNS   {}, start {} ({}), slot {}, up {}",
        mode(running.mode, running.shed),
        running.boot_count,
        running.reset_cause,
        running.slot.as_deref().unwrap_or("-"),
        duration(running.uptime_s)
    ));
    let short = |digest: Option<&str>| digest.map_or_else(|| "-".to_owned(), |hex| first(hex, 8).to_owned());
    lines.must(&format!(
        "  binary {}  config {}  dictionary {}  parameters {}",
        short(running.binary_sha256.as_deref()),
        short(running.configuration_sha256.as_deref()),
        short(Some(&running.dictionary_sha256)),
        short(running.parameters_sha256.as_deref())
    ));
    lines.fit()
}

fn pass_line(facts: &Facts, now_unix_ms: u64) -> String {
    let transmitter = match (facts.transmitter.open, facts.transmitter.ms_left) {
        (true, Some(ms)) => format!("open, {} left", duration(ms / 1000)),
        (true, None) => "open".to_owned(),
        (false, _) => "closed".to_owned(),
    };
    let pass = facts.passes.iter().find(|pass| pass.los_unix_ms > now_unix_ms);
    let none = if facts.running.mode == Mode::Safe { "not known in safe mode" } else { "none planned" };
    format!("PASS   {}; transmitter {transmitter}", pass_words(pass, none, now_unix_ms))
}

fn pass_words(pass: Option<&Pass>, none: &str, now_unix_ms: u64) -> String {
    let Some(pass) = pass else { return none.to_owned() };
    let station = first(&pass.station, 20);
    let until = |unix_ms: u64| duration(unix_ms.saturating_sub(now_unix_ms) / 1000);
    if pass.aos_unix_ms <= now_unix_ms {
        return format!("{} to LOS of {station}", until(pass.los_unix_ms));
    }
    let length = duration(pass.los_unix_ms.saturating_sub(pass.aos_unix_ms) / 1000);
    format!("AOS of {station} in {} for {length}", until(pass.aos_unix_ms))
}

fn mode(mode: Mode, shed: Shed) -> String {
    if shed == Shed::Nothing { mode.to_string() } else { format!("{mode}, shed {shed}") }
}

fn wrong(lines: &mut Lines, facts: &Facts) {
    let wrong = &facts.wrong;
    let words = wrong_words(facts);
    if words.is_empty() && wrong.events.is_empty() && wrong.channels.is_empty() {
        lines.must("GOOD   nothing is wrong");
        return;
    }
    let kinds = wrong.events.len() as u64 + wrong.events_more;
    let mut summary = words;
    for (level, name) in [(Level::Red, "red"), (Level::Yellow, "yellow")] {
        let count = wrong.channels.iter().filter(|channel| channel.level == level).count();
        if count > 0 {
            summary.push(format!("{count} {name}"));
        }
    }
    if kinds > 0 {
        summary.push(format!("events of {kinds} {}", if kinds == 1 { "kind" } else { "kinds" }));
    }
    lines.must(&format!("WRONG  {}", summary.join("; ")));
    for channel in &wrong.channels {
        let rank = if channel.level == Level::Red { Rank::Bad } else { Rank::More };
        let (value, unit) = (short_number(channel.value), &channel.unit);
        lines.put(rank, &format!("  {} {} {value} {unit}", channel.level.name(), channel.channel));
    }
    for event in &wrong.events {
        let rank = if event.severity >= Severity::Error { Rank::Bad } else { Rank::More };
        let times = if event.count > 1 { format!(" x{}", event.count) } else { String::new() };
        let clock = date(event.last_unix_ms);
        let clock = clock.get(11..16).unwrap_or_default();
        let text = &event.text;
        lines.put(
            rank,
            &format!("  {} {}{times} #{} {clock} {text}", event.severity, event.code, event.last_seq),
        );
    }
}

/// What is wrong as it stands, the worst first.
fn wrong_words(facts: &Facts) -> Vec<String> {
    let Wrong { disk, in_memory, parameters, trial_left_s, keys_retired, counters_lost, others, .. } =
        &facts.wrong;
    let mut out = Vec::new();
    if facts.running.mode == Mode::Safe {
        out.push("SAFE MODE".to_owned());
    }
    if *disk != Disk::Good {
        out.push(format!("disk {disk}"));
    }
    if *in_memory {
        out.push("catalogue in memory".to_owned());
    }
    if !counters_lost.is_empty() {
        out.push(format!("uplink counters lost: {}", numbers(counters_lost)));
    }
    match (parameters, trial_left_s) {
        (ParametersState::Confirmed, _) => {}
        (ParametersState::Damaged, _) => out.push("parameters damaged".to_owned()),
        (ParametersState::OnTrial, None) => out.push("parameters on trial".to_owned()),
        (ParametersState::OnTrial, Some(left)) => {
            out.push(format!("parameters on trial, {} left", duration(*left)));
        }
    }
    if !keys_retired.is_empty() {
        out.push(format!("keys retired: {}", numbers(keys_retired)));
    }
    if facts.running.mode == Mode::Shedding || facts.running.shed != Shed::Nothing {
        out.push(format!("shed {}", facts.running.shed));
    }
    out.extend(others.iter().cloned());
    out
}

fn since(lines: &mut Lines, facts: &Facts, now_unix_ms: u64) {
    let since = &facts.since;
    let progress = &since.progress;
    let from = since.los_unix_ms.map_or_else(
        || "SINCE  the first event that is kept".to_owned(),
        |los| format!("SINCE  LOS {} ({} ago)", date(los), duration(now_unix_ms.saturating_sub(los) / 1000)),
    );
    lines.must(&format!("{from}: {} starts, sent {}", since.restarts, size(progress.bytes_sent)));
    let frames = &progress.frames;
    lines.must(&format!(
        "  frames {} alert, {} suspect, {} routine, {} discard, {} rejected",
        frames.alert, frames.suspect, frames.routine, frames.discard_candidate, progress.frames_rejected
    ));
    lines.must(&format!(
        "  alerts {} sent, {} heard, {} pending; orders {} done, {} refused, {} failed",
        since.alerts_sent,
        since.alerts_heard,
        since.alerts_pending,
        since.orders_done,
        since.orders_refused,
        since.orders_failed
    ));
    let (done, failed) = (progress.plan_entries_done, progress.plan_entries_failed);
    if done > 0 || failed > 0 {
        lines.put(Rank::Asked, &format!("  plan entries {done} done, {failed} failed or left out"));
    }
    for script in &since.scripts {
        let (name, end, status) = (&script.name, script.end, script.status);
        lines.put(Rank::Asked, &format!("  script {name} {end} {status}: {}", script.first_line));
    }
}

fn queue(lines: &mut Lines, facts: &Facts) {
    let sum = |of: fn(&ClassQueue) -> u64| facts.queue.iter().map(of).fold(0, u64::saturating_add);
    lines.must(&format!("QUEUE  {} bundles, {}", sum(ClassQueue::open), size(sum(ClassQueue::open_bytes))));
    for class in facts.queue.iter().filter(|class| class.open() > 0) {
        let down = class.down_unix_ms.map_or_else(|| "not in the passes known".to_owned(), date);
        lines.put(
            Rank::Asked,
            &format!(
                "  {:<17} {:>7} {:>9}  down {down}",
                class.class.name(),
                class.open(),
                size(class.open_bytes())
            ),
        );
    }
}

fn coming(lines: &mut Lines, facts: &Facts) {
    let coming = &facts.coming;
    let mut update = format!("update {}", coming.update);
    if coming.update != UpdateState::Idle
        && let Some(text) = &coming.update_text
    {
        let _ok = write!(update, " ({text})");
    }
    lines.must(&format!(
        "COMING {} uploads, {} orders on the agenda; {update}",
        coming.uploads.len(),
        coming.agenda.len()
    ));
    for pending in &coming.agenda {
        let when = pending.unix_ms.map_or_else(|| first(&pending.waits_for, 30).to_owned(), date);
        lines.put(Rank::More, &format!("  {when} {}: {}", pending.plan, pending.order));
    }
    for upload in &coming.uploads {
        let (kind, name, id) = (upload.kind, &upload.name, &upload.id);
        let have = u64::from(upload.pieces.saturating_sub(upload.missing));
        let percent = have.saturating_mul(100) / u64::from(upload.pieces.max(1));
        lines.put(
            Rank::Asked,
            &format!("  {kind} {name} ({id}): {percent} %, {} pieces missing", upload.missing),
        );
    }
}

/// Lines in their order, each with how much it matters.
#[derive(Default)]
struct Lines(Vec<(Rank, String)>);

impl Lines {
    fn must(&mut self, line: &str) {
        self.put(Rank::Must, line);
    }

    fn put(&mut self, rank: Rank, line: &str) {
        let plain: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push((rank, first(plain.trim_end(), COLUMNS).to_owned()));
    }

    /// As many as fit, taken rank by rank, and said in their order.
    fn fit(self) -> String {
        let (mut lines, mut bytes) = (0, 0);
        let mut taken = vec![false; self.0.len()];
        for rank in [Rank::Must, Rank::Bad, Rank::Asked, Rank::More] {
            for ((of, line), taken) in self.0.iter().zip(&mut taken) {
                let fits = lines < MAX_SCREEN_LINES && bytes + line.len() < MAX_SCREEN_BYTES;
                if *of == rank && fits {
                    *taken = true;
                    lines += 1;
                    bytes += line.len() + 1;
                }
            }
        }
        let mut out = String::with_capacity(bytes);
        for ((_, line), _) in self.0.iter().zip(taken).filter(|(_, taken)| *taken) {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

/// The beginning of a text, at most so many bytes, cut between characters.
fn first(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

fn numbers(all: &[u16]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn short_number(x: f64) -> String {
    if x.abs() < 1e9 { format!("{x:.1}") } else { format!("{x:.1e}") }
}

#[cfg(test)]
mod tests;
