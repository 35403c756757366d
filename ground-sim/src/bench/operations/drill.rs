//! The operator's drill: what is done in a pass, by script, in a shell over a line of 9,600 bit/s that loses one packet in
//! five.
//!
//! Log in, digest, look at a red channel and its event, change a parameter (staged, in force on trial, confirmed), write a
//! script and put it on the agenda for AOS, begin an update (armed, fired), log out. Each command is typed when the answer
//! to the one before is there.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::board::Board;
use super::line::Line;
use super::terminal::{Lines, Pace, Terminal};
use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "drill";
const BITS_PER_S: f64 = 9_600.0;
const LOSS: f64 = 0.2;
/// What it may take, s.
const MOST_S: f64 = 120.0;
/// The update that is begun.
const IMAGE: &str = "0a0b0c0d";

/// A command of the drill.
#[derive(Debug)]
pub(super) struct Step {
    /// What is typed.
    pub(super) line: String,
    /// What its answer holds if it is done.
    pub(super) shows: &'static str,
    /// What it has the board do; `None` for a question.
    pub(super) effect: Option<Effect>,
}

/// What a command of the drill has the board do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The value is staged, or more.
    Staged,
    /// The value is in force, on trial or for good.
    InForce,
    /// The value is in force for good.
    Confirmed,
    /// The script is on board.
    Loaded,
    /// The script waits for AOS.
    OnAgenda,
    /// The update is armed, or begun.
    Armed,
    /// The update is begun.
    Begun,
}

impl Effect {
    /// Whether the board has it.
    pub(super) fn is_on(self, board: &Board) -> Result<bool> {
        Ok(match self {
            Self::Staged => {
                let row = beacon(board)?;
                row["staged"] == "20" || row["value"] == "20"
            }
            Self::InForce => beacon(board)?["value"] == "20",
            Self::Confirmed => {
                let row = beacon(board)?;
                row["value"] == "20" && row["on_trial"] == false
            }
            Self::Loaded => board.json(&["script"])?["scripts"][0][0] == "check",
            Self::OnAgenda => {
                let agenda = board.json(&["agenda"])?;
                agenda["pending"][0]["what"].as_str().is_some_and(|what| what.contains("script run check"))
            }
            Self::Armed => board.json(&["orders"])?["armed"][0].is_string() || Self::Begun.is_on(board)?,
            Self::Begun => board.json(&["update"])?["id"] == IMAGE,
        })
    }

    /// Whether it is there again after the daemon was killed: what is armed is not, as it says itself.
    pub(super) fn lasts(self) -> bool {
        self != Self::Armed
    }
}

fn beacon(board: &Board) -> Result<Value> {
    Ok(board.json(&["params", "telemetry.beacon"])?["parameters"][0].clone())
}

/// The commands, in order, but for the last, which is `exit`.
pub(super) fn steps() -> Vec<Step> {
    let ask = |line: &str, shows| Step { line: line.to_owned(), shows, effect: None };
    let give = |line: String, shows, effect| Step { line, shows, effect: Some(effect) };
    vec![
        ask("passband digest", "WRONG"),
        ask("passband events", "limit-red"),
        ask("passband tlm disk_free", "limits 80000000"),
        give("passband params set telemetry.beacon 20".into(), ": done", Effect::Staged),
        give("passband params commit".into(), ": done", Effect::InForce),
        give("passband params confirm".into(), ": done", Effect::Confirmed),
        give(
            "echo 'df -h /' >check.sh; passband load script check.sh".into(),
            "ready to run",
            Effect::Loaded,
        ),
        give("passband agenda add 'aos +10s' -- script run check".into(), ": done", Effect::OnAgenda),
        give(format!("passband arm update start {IMAGE}"), ": armed", Effect::Armed),
        give(format!("passband fire update start {IMAGE}"), ": done", Effect::Begun),
    ]
}

/// A board on which a channel is red; it runs. `None`: there is no daemon.
pub(super) fn board(bench: &Bench) -> Result<Option<Board>> {
    let Some(mut board) = Board::new(&bench.program)? else { return Ok(None) };
    board.start()?;
    // No disk has so much room left.
    board.json(&["params", "set", "limits.disk_free", "80000000,90000000,-,-"])?;
    board.json(&["params", "commit"])?;
    board.json(&["params", "confirm"])?;
    board.wait_until("a channel is red", |board| {
        let events = board.json(&["events"])?;
        let rows = events["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(rows.iter().any(|event| event["code"] == "limit-red"))
    })?;
    Ok(Some(board))
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let what = "operator's drill by script over 9600 bit/s with 20 % loss: log in, digest, red event, parameter, script \
                for AOS, update, log out";
    let Some(mut first) = board(bench)? else {
        let note =
            format!("not measured: there is no {}", bench.program.with_file_name("passband").display());
        return sink(Row::new(GROUP, what, None, "s", Op::AtMost, MOST_S).note(note));
    };
    first.kill()?;
    // One drill with the line's time waited for; many more with it counted.
    let real = usize::from(bench.pick(false, true, true));
    let count = bench.pick(5, 20, 100);
    let (mut seconds, mut note) = (Vec::new(), String::new());
    for run in 0..real + count {
        let pace = if run < real { Pace::Real } else { Pace::Counted };
        let mut board = first.copy()?;
        board.start()?;
        let seed = bench.seed.wrapping_add(run as u64);
        let line = |direction| Line::new(BITS_PER_S, LOSS, seed, direction);
        let (took, said) = drill(&board, Lines { up: line(0), down: line(1), pace })?;
        if run < real {
            note = format!("one waited for: {took:.1} s; ");
        }
        if run == real {
            note += &said;
        }
        seconds.push(took);
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied();
    let worst = seconds.last().copied();
    let note =
        format!("the slowest of {}; median {:.1} s; {note}", seconds.len(), median.unwrap_or(f64::NAN));
    sink(Row::new(GROUP, what, worst, "s", Op::AtMost, MOST_S).note(note))
}

/// One drill: how long it took, s, and what went over the line.
fn drill(board: &Board, lines: Lines) -> Result<(f64, String)> {
    let mut terminal = Terminal::log_in(board, lines)?;
    for step in steps() {
        let shown = terminal.command(&step.line)?;
        ensure!(shown.contains(step.shows), "`{}` was answered {shown:?}", step.line);
    }
    let (took, lines) = terminal.log_out()?;
    for effect in steps().into_iter().filter_map(|step| step.effect) {
        ensure!(effect.is_on(board)?, "{effect:?} is not there after the drill");
    }
    let said = format!(
        "{} bytes up and {} down, the log in included, {} of {} segments lost",
        lines.up.bytes,
        lines.down.bytes,
        lines.up.lost + lines.down.lost,
        lines.up.sent + lines.down.sent
    );
    Ok((took.as_secs_f64(), said))
}
