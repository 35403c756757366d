//! The first thing anyone types: how large it is, and how soon it is there.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use super::board::Board;
use super::drill;
use crate::bench::queue::frames_into_spool;
use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "digest";
const MOST_BYTES: f64 = 1_500.0;
const MOST_MS: f64 = 100.0;
const MOST_FIRST_MS: f64 = 20.0;

/// One digest.
#[derive(Debug, Clone, Copy)]
struct Look {
    bytes: usize,
    first_ms: f64,
    whole_ms: f64,
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let turns = bench.pick(15, 60, 300);
    let Some(board) = drill::board(bench)? else {
        let note =
            format!("not measured: there is no {}", bench.program.with_file_name("passband").display());
        let row = Row::new(GROUP, "bytes of a digest", None, "1", Op::AtMost, MOST_BYTES).note(note);
        return sink(row);
    };
    let idle = looks(&board, turns)?;
    // Frames that keep triage and sealing busy for all of the second half.
    let spool = board.dir().join("state/spool");
    frames_into_spool(&spool, bench.pick(4, 8, 12), bench.pick(256, 512, 1024))?;
    let waiting = || Ok::<_, anyhow::Error>(std::fs::read_dir(&spool)?.count());
    let frames = waiting()?;
    board.wait_until("a frame was taken", |_| Ok(waiting()? < frames))?;
    let busy = looks(&board, turns)?;
    let left = format!("; {} of {frames} files were left in the spool at the end", waiting()?);
    let most = idle.iter().chain(&busy).map(|look| look.bytes).max().unwrap_or_default();
    sink(Row::new(GROUP, "bytes of a digest, the largest", Some(most as f64), "B", Op::AtMost, MOST_BYTES))?;
    for (how, looks, left) in [("idle", &idle, ""), ("busy with frames", &busy, left.as_str())] {
        let note = |times: &[f64]| {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let (least, worst) = (times.first().copied(), times.last().copied());
            let (least, worst) = (least.unwrap_or(f64::NAN), worst.unwrap_or(f64::NAN));
            format!("median of {turns}, {least:.1} to {worst:.1} ms, {cores} cores{left}")
        };
        for (what, most, times) in [
            ("first byte of a digest", MOST_FIRST_MS, sorted(looks, |look| look.first_ms)),
            ("whole digest", MOST_MS, sorted(looks, |look| look.whole_ms)),
        ] {
            let median = times.get(times.len() / 2).copied();
            let what = format!("{what} from the start of the program, daemon {how}");
            sink(Row::new(GROUP, what, median, "ms", Op::AtMost, most).note(note(&times)))?;
        }
    }
    Ok(())
}

fn sorted(looks: &[Look], of: impl Fn(&Look) -> f64) -> Vec<f64> {
    let mut times: Vec<f64> = looks.iter().map(of).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn looks(board: &Board, turns: usize) -> Result<Vec<Look>> {
    (0..turns).map(|_| look(board)).collect()
}

fn look(board: &Board) -> Result<Look> {
    let begun = Instant::now();
    let mut child = Command::new(board.program())
        .args(["digest", "--config"])
        .arg(board.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("running passband digest")?;
    let mut out = child.stdout.take().context("its output")?;
    let mut bytes = vec![0];
    out.read_exact(&mut bytes).context("the first byte of a digest")?;
    let first_ms = begun.elapsed().as_secs_f64() * 1e3;
    out.read_to_end(&mut bytes)?;
    anyhow::ensure!(child.wait()?.success(), "passband digest failed");
    Ok(Look { bytes: bytes.len(), first_ms, whole_ms: begun.elapsed().as_secs_f64() * 1e3 })
}
