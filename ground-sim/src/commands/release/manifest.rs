//! `passband-ground release manifest`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use passband_proto::release::manifest::StateFormats;

use super::super::unix_ms;
use super::{parse, tell};
use crate::release::files::{self, Old};
use crate::release::manifests::{self, Said};
use crate::release::{deltas, id_of, images, roots};

/// Make the manifest of an image, unsigned. It names all deltas that were made of it.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(super) struct ManifestArgs {
    /// The image.
    #[arg(long)]
    image: PathBuf,
    /// The folder with its deltas.
    #[arg(long, value_name = "FOLDER")]
    deltas: PathBuf,
    /// The root whose release keys will sign it.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The type of board that it is for: printable ASCII without spaces, 24 at most.
    #[arg(long, value_name = "TYPE")]
    board: String,
    /// What people call it, such as 0.4.1: 32 characters at most.
    #[arg(long)]
    name: String,
    /// Counts up from release to release: a board takes none below what it has confirmed.
    #[arg(id = "number", long = "version", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    /// The Git commit that it was built from, all 40 digits.
    #[arg(long, value_name = "HASH", value_parser = parse::commit)]
    commit: [u8; 20],
    /// The format of the state folder that it writes, and those that it reads.
    #[arg(long, value_name = "WRITES:LEAST..MOST", value_parser = parse::state)]
    state: StateFormats,
    /// The versions of the launcher that it works with.
    #[arg(long, value_name = "LEAST..MOST", value_parser = parse::range)]
    launcher: (u16, u16),
    /// When it was built; default now. A board believes that no time before this can be.
    #[arg(long, value_name = "TIME", value_parser = parse::seconds)]
    built: Option<u64>,
    /// From then on boards take it no more: 2027-06-30, 2027-06-30T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse::seconds)]
    expires: Option<u64>,
    /// The manifest to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ManifestArgs) -> Result<ExitCode> {
    let root = roots::read(&args.root)?;
    let image = images::read(&args.image)?;
    let deltas: Vec<_> =
        deltas::list(&args.deltas, &id_of(&image))?.into_iter().map(|(info, _)| info).collect();
    let said = Said {
        board: args.board.clone(),
        name: args.name.clone(),
        version: args.version,
        commit: args.commit,
        built_unix_s: args.built.unwrap_or_else(|| unix_ms() / 1_000),
        expires_unix_s: args.expires,
        launcher: args.launcher,
        state: args.state,
    };
    let bytes = manifests::make(&said, &root, &image, &deltas)?;
    files::put(&args.out, &bytes, 0o644, Old::Kept)?;
    tell(&manifests::facts(&manifests::claimed(&bytes)?), args.json)
}
