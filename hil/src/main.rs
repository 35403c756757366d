//! The rig: runs the very flight binaries on boards, emulated or real, and judges them from outside.
//!
//! It never imports flight code: what it learns, it learns from the binaries' behaviour and files.
#![forbid(unsafe_code)]

mod board;
mod compare;
mod parity;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::board::Board;

#[derive(Parser)]
#[command(
    name = "passband-hil",
    version,
    about = "The rig: runs the very flight binaries on boards and judges them from outside",
    after_help = "Exit status: 0 all equal, 1 something differs, 2 bad usage or input."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Does the satellite's binary give the same bytes as this machine's?
    ///
    /// Runs `passband --version` and, for each frame, `passband triage FRAME --out DIR` with both binaries,
    /// and compares exit status, standard output and every file written, byte for byte.
    #[command(after_help = "Example:\n  passband-hil parity --native target/release/passband \\\n      \
        --target target/aarch64-unknown-linux-musl/flight/passband --frame frames/plume.hdr\n\n\
        Exit status: 0 all equal, 1 something differs, 2 bad usage or input.")]
    Parity(ParityArgs),
}

#[derive(clap::Args)]
struct ParityArgs {
    /// The binary built for this machine
    #[arg(long, value_name = "PASSBAND")]
    native: PathBuf,
    /// The binary built for the board
    #[arg(long, value_name = "PASSBAND")]
    target: PathBuf,
    /// What runs the board's binary here; unless told, qemu-aarch64 for an aarch64 binary on another machine
    #[arg(long, value_name = "PROGRAM")]
    emulator: Option<PathBuf>,
    /// Header of an ENVI frame; may be given several times
    #[arg(long, value_name = "FRAME.hdr", required = true)]
    frame: Vec<PathBuf>,
    /// Let the board's binary use this many threads, which must change no byte
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    target_threads: Option<u8>,
    /// Longest time one run of one binary may take, seconds
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout_s: u64,
    /// Keep what both wrote, in this folder (which must not exist)
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Command::Parity(args) = Cli::parse().command;
    match run_parity(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("passband-hil: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_parity(args: &ParityArgs) -> Result<bool> {
    let scratch;
    let work = if let Some(keep) = &args.keep {
        std::fs::create_dir(keep).with_context(|| format!("can't make {}", keep.display()))?;
        keep.as_path()
    } else {
        scratch = tempfile::tempdir().context("can't make a temporary folder")?;
        scratch.path()
    };
    let timeout = Duration::from_secs(args.timeout_s);
    let native = Board::host(&args.native, timeout)?;
    let target = Board::for_binary(&args.target, args.emulator.as_deref(), timeout)?;
    let report = parity::parity(&native, &target, &args.frame, args.target_threads, work)?;
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.table() };
    std::io::stdout().write_all(text.as_bytes()).context("can't write to standard output")?;
    Ok(report.equal)
}
