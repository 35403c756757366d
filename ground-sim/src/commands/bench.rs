//! `passband-ground bench`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};

use crate::bench::update::Pair;
use crate::bench::{Area, Bench, Row, Scale, operations, queue, transfer, triage, update};

/// Measure what Passband promises, on this machine, beside what else there is.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    area: AreaArgs,
}

#[derive(Debug, Subcommand)]
enum AreaArgs {
    Operations(OperationsArgs),
    Queue(QueueArgs),
    Transfer(TransferArgs),
    Triage(TriageArgs),
    Update(UpdateArgs),
}

/// Measure the queue: a day's frames against a day's passes, alerts, the queue's structure, ingest.
///
/// A row is a figure, its target and, where there is one, a peer's figure of the same run. What is simulated depends
/// on nothing but the seed; what is timed is timed here and now. Ingest is that of the daemon `passband` beside this
/// program.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground bench queue --only day alerts\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct QueueArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Measure operating: an operator's drill over a slow line, the digest, orders over power cuts, forgeries, an idle daemon.
///
/// A row is a figure, its target and, where there is one, a peer's figure of the same run. The daemon is `passband` beside
/// this program; the shell is bash in a pseudo-terminal (`script`, of util-linux) behind a line that is emulated.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground bench operations --only drill cuts\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct OperationsArgs {
    #[command(flatten)]
    common: CommonArgs,
}

/// Measure the transfer: bytes, passes, time, speed and memory, with no ACK, beside other transfers.
///
/// A row is a figure, its target and, where there is one, a peer's figure of the same run. What is timed is
/// the best of several turns; what is simulated depends on nothing but the seed.
#[derive(Debug, Args)]
#[command(
    after_help = "--full takes an hour and 80 GB of disk (in TMPDIR): 16 GiB go through sockets.\n\nExample: only what is simulated of 1 GiB\n  passband-ground bench transfer --only zero-ack tail passes\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct TransferArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The program that runs the peers; looked for beside this one and on the PATH if not given.
    #[arg(long, value_name = "BIN")]
    peers: Option<PathBuf>,
}

/// Measure the detector: ranking, recall, false alerts, quantity, speed and memory, beside other detectors.
///
/// A row is a figure, its target and, where there is one, a peer's figure on the same frames in the same run. What is
/// timed is CPU seconds of one core, the best of several turns; all else depends on nothing but the seed.
#[derive(Debug, Args)]
#[command(
    after_help = "The peers are Python packages (peers/triage/requirements.txt); scripts/bench triage installs them in an environment of their own.\n\nExample:\n  passband-ground bench triage --only ap --peers-python target/peers-venv/bin/python\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct TriageArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The Python that has the peers; without it they are not measured.
    #[arg(long, value_name = "PYTHON")]
    peers_python: Option<PathBuf>,
    /// The program that runs the peers; looked for in the project this program was built in if not given.
    #[arg(long, value_name = "FILE", requires = "peers_python")]
    peers_script: Option<PathBuf>,
}

/// Measure releases: bytes that go up, beside other makers of deltas, and what it takes to apply them.
///
/// A row is a figure, its target and, where there is one, a peer's figure on the same images in the same run. Peers are taken where
/// they are installed: bsdiff, zstd, xdelta3, xz, detools. A pair called `one-line` has to come to 8,000 bytes, any other to 90,000.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground bench update --pair 0.4.0.img 0.4.1.img:one-line --pair 0.3.9.img 0.4.1.img:feature\n\nExit status: 0 every target is met, 1 some are not, 2 something could not be measured."
)]
struct UpdateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The image that a board has and the one that it shall get, with a name for what lies between; any number.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW[:NAME]"], required = true)]
    pair: Vec<String>,
    /// The Python that has detools; without it, it is not measured.
    #[arg(long, value_name = "PYTHON")]
    peers_python: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Every row once and small: to see that it works.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All there is: takes an hour or more.
    #[arg(long)]
    full: bool,
    /// The groups of rows to measure; all if not given.
    #[arg(long, value_name = "ROW", num_args = 1..)]
    only: Vec<String>,
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
    let program = std::env::current_exe().context("finding this program")?;
    match &args.area {
        AreaArgs::Operations(args) => measure(operations::AREA, program, None, &args.common),
        AreaArgs::Queue(args) => measure(queue::AREA, program, None, &args.common),
        AreaArgs::Transfer(args) => {
            let peers = args.peers.clone().or_else(|| transfer::peers::find(&program));
            let peers = peers.map(|peers| vec![OsString::from(peers)]);
            measure(transfer::AREA, program, peers, &args.common)
        }
        AreaArgs::Triage(args) => {
            let peers = triage_peers(args, &program)?;
            measure(triage::AREA, program, peers, &args.common)
        }
        AreaArgs::Update(args) => {
            let pair = |pair: &[String; 2]| Pair::of(&pair[0], &pair[1]);
            let pairs = args.pair.as_chunks().0.iter().map(pair).collect();
            let peers = args.peers_python.clone().map(|python| vec![OsString::from(python)]);
            measure_with(update::AREA, program, peers, pairs, &args.common)
        }
    }
}

fn triage_peers(args: &TriageArgs, program: &Path) -> Result<Option<Vec<OsString>>> {
    let Some(python) = &args.peers_python else { return Ok(None) };
    let script = args.peers_script.clone().or_else(|| triage::peers::find_script(program));
    let script = script.with_context(|| {
        format!("{} is neither here nor above this program: --peers-script names it", triage::peers::SCRIPT)
    })?;
    ensure!(script.is_file(), "{}: there is no such file", script.display());
    Ok(Some(vec![python.into(), script.into()]))
}

fn measure(
    area: Area,
    program: PathBuf,
    peers: Option<Vec<OsString>>,
    args: &CommonArgs,
) -> Result<ExitCode> {
    measure_with(area, program, peers, Vec::new(), args)
}

fn measure_with(
    area: Area,
    program: PathBuf,
    peers: Option<Vec<OsString>>,
    pairs: Vec<Pair>,
    args: &CommonArgs,
) -> Result<ExitCode> {
    for group in &args.only {
        let known = area.groups().any(|g| g == group);
        let all = || area.groups().collect::<Vec<_>>().join(", ");
        ensure!(known, "there are no rows '{group}'; there are: {}", all());
    }
    let scale = match (args.quick, args.full) {
        (true, _) => Scale::Quick,
        (_, true) => Scale::Full,
        _ => Scale::Usual,
    };
    let bench = Bench { scale, seed: args.seed, program, peers, pairs };
    let (mut rows, mut missed) = (0, 0);
    area.run(&bench, &args.only, &mut |row| {
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
