//! What the daemon takes while nothing happens: its share of a core, and memory.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::board::Board;
use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "idle";
const MOST_PERCENT: f64 = 1.0;
const MOST_MIB: f64 = 20.0;
/// The kernel's clock of processes, ticks a second: 100 for all that a program can see (proc(5), `USER_HZ`).
const TICKS_PER_S: f64 = 100.0;
/// From the start until nothing of it is left to be done, s.
const SETTLED_S: u64 = 5;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let seconds = bench.pick(5, 30, 300);
    let Some(mut board) = Board::new(&bench.program)? else {
        let note =
            format!("not measured: there is no {}", bench.program.with_file_name("passband").display());
        return sink(Row::new(GROUP, "an idle daemon", None, "%", Op::AtMost, MOST_PERCENT).note(note));
    };
    board.start()?;
    std::thread::sleep(Duration::from_secs(SETTLED_S));
    let (begun, before) = (Instant::now(), cpu_s(board.pid()?)?);
    std::thread::sleep(Duration::from_secs(seconds));
    let percent = 100.0 * (cpu_s(board.pid()?)? - before) / begun.elapsed().as_secs_f64();
    let mib = resident_mib(board.pid()?)?;
    let note = format!("over {seconds} s, with uplink, telemetry, camera and a planned pass");
    let what = "share of a core that an idle daemon takes";
    sink(Row::new(GROUP, what, Some(percent), "%", Op::AtMost, MOST_PERCENT).note(note))?;
    let note = "a build for flight is smaller than one for a workstation; pages of the program are counted";
    let what = "memory that an idle daemon has resident";
    sink(Row::new(GROUP, what, Some(mib), "MiB", Op::AtMost, MOST_MIB).note(note))
}

/// What a process has taken of the CPU, in user and kernel, s: fields 14 and 15 of its stat.
fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading a process's time")?;
    ticks(&stat).map(|ticks| ticks / TICKS_PER_S).context("a process's time is not as it was")
}

fn ticks(stat: &str) -> Option<f64> {
    // Behind the name, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// `VmRSS` of a process.
fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("reading a process's memory")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process without memory")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("a process's memory")?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_kernel_time_are_added() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 107 0 0 0 31 11 0 0 20 0 1 0 4242 2228224 159";
        assert_eq!(ticks(stat), Some(42.0));
        assert!(cpu_s(std::process::id()).unwrap() >= 0.0 && resident_mib(std::process::id()).unwrap() > 1.0);
    }
}
