//! `passband-ground bench`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};

use crate::bench::{Bench, Row, Scale, groups, peers};

/// Measure what Passband promises, on this machine, beside what else there is.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    area: Area,
}

#[derive(Debug, Subcommand)]
enum Area {
    Transfer(TransferArgs),
}

/// Measure the transfer: bytes, passes, time, speed and memory, with no ACK, beside other transfers.
///
/// A row is a figure, its target and, where there is one, a peer's figure of the same run. What is timed is
/// the best of several turns; what is simulated depends on nothing but the seed.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: only what is simulated of 1 GiB\n  passband-ground bench transfer --only zero-ack tail passes\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct TransferArgs {
    /// Every row once and small: under a minute, to see that it works.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All channels with real symbols, 16 GiB through sockets: takes an hour and 80 GB of disk (in TMPDIR).
    #[arg(long)]
    full: bool,
    /// The groups of rows to measure; all if not given.
    #[arg(long, value_name = "ROW", num_args = 1..)]
    only: Vec<String>,
    /// The program that runs the peers; looked for beside this one and on the PATH if not given.
    #[arg(long, value_name = "BIN")]
    peers: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object a row.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground bench`.
///
/// # Errors
/// Something could not be measured.
pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let Area::Transfer(args) = &args.area;
    for group in &args.only {
        let known = groups().any(|g| g == group);
        ensure!(known, "there are no rows '{group}'; there are: {}", groups().collect::<Vec<_>>().join(", "));
    }
    let program = std::env::current_exe().context("finding this program")?;
    let scale = match (args.quick, args.full) {
        (true, _) => Scale::Quick,
        (_, true) => Scale::Full,
        _ => Scale::Usual,
    };
    let peers = args.peers.clone().or_else(|| peers::find(&program));
    let bench = Bench { scale, seed: args.seed, program, peers };
    let (mut rows, mut missed) = (0, 0);
    crate::bench::run(&bench, &args.only, &mut |row| {
        rows += 1;
        missed += u32::from(!row.met);
        print(&row, args.json)
    })?;
    if !args.json {
        say!("{rows} rows, {missed} missed");
    }
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn print(row: &Row, json: bool) -> Result<()> {
    let line = if json { serde_json::to_string(row)? } else { row.to_string() };
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to standard output")
}
