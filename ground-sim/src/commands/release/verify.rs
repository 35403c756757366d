//! `passband-ground release verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use passband_proto::release::manifest::StateFormats;
use passband_proto::release::root::MAX_ROOT_BYTES;
use passband_proto::release::trust::Trust;

use super::super::unix_ms;
use super::{parse, tell};
use crate::release::verify::{Known, verify};
use crate::release::{files, images, update};

/// Check an update file as a board does, with the code that flies: roots, signatures, board, delta, image.
///
/// What isn't told of the board is not checked, and named.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 a board would take it, 1 it would refuse it, 2 bad usage or input.")]
pub(super) struct VerifyArgs {
    /// The update file.
    file: PathBuf,
    /// The root that the board believes now.
    #[arg(long, value_name = "ROOT")]
    trust: PathBuf,
    /// An image that the board has; once for each.
    #[arg(long, value_name = "IMAGE")]
    base: Vec<PathBuf>,
    /// The board's type.
    #[arg(long, value_name = "TYPE")]
    board: Option<String>,
    /// The version of what its launcher does.
    #[arg(long, value_name = "N")]
    launcher: Option<u16>,
    /// The format of the state on its disk.
    #[arg(long, value_name = "N")]
    state: Option<u16>,
    /// What the version that runs there writes and reads, as in its manifest.
    #[arg(long, value_name = "WRITES:LEAST..MOST", value_parser = parse::state)]
    runs: Option<StateFormats>,
    /// The time at which it is looked at; default now.
    #[arg(long, value_name = "TIME", value_parser = parse::seconds)]
    at: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let trust = Trust::new(&files::read(&args.trust, MAX_ROOT_BYTES)?);
    let trust = trust.with_context(|| format!("root {}", args.trust.display()))?;
    let update = files::read(&args.file, update::MAX_BYTES)?;
    let bases: Vec<_> =
        args.base.iter().map(|path| files::read(path, images::MAX_BYTES)).collect::<Result<_>>()?;
    let known = Known {
        board: args.board.clone(),
        launcher: args.launcher,
        state: args.state,
        runs: args.runs,
        now_unix_s: Some(args.at.unwrap_or_else(|| unix_ms() / 1_000)),
    };
    let verdict = verify(&update, &trust, &known, &bases);
    tell(&verdict.facts(), args.json)?;
    Ok(ExitCode::from(u8::from(verdict.refusal.is_some())))
}
