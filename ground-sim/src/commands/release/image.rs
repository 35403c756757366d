//! `passband-ground release build` and `release delta`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::super::print_json;
use super::{parse, tell};
use crate::release::deltas::{self, Made, SEGMENT_BYTES};
use crate::release::files::{self, Old};
use crate::release::images::{self, Part};
use crate::release::update::passes;

/// Make an image: the program with its files behind it. The same bytes always make the same image.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The program, as scripts/cross builds it.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// A file that goes with it and its name in the image: default parameters, a target's spectrum; any number.
    #[arg(long = "file", value_name = "NAME=PATH", value_parser = parse::part)]
    files: Vec<Part>,
    /// The image to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Make the deltas of an image: one from each image that a board may have, and with --full one from nothing.
///
/// They lie in a folder, each under a name of its own, with a list that `manifest` and `pack` read. Each is decoded before it is
/// written. With an image of some megabytes this takes half a minute a delta.
#[derive(Debug, Args)]
pub(super) struct DeltaArgs {
    /// The new image.
    #[arg(long, value_name = "IMAGE")]
    to: PathBuf,
    /// An image that a board may have: what runs there, the other slot, golden; any number.
    #[arg(long, value_name = "IMAGE", required_unless_present = "full")]
    from: Vec<PathBuf>,
    /// Make one that needs no image, too.
    #[arg(long)]
    full: bool,
    /// Bytes of the image between places where a board goes on after a power cut; 0: none, which is a little shorter.
    #[arg(long, value_name = "BYTES", default_value_t = SEGMENT_BYTES)]
    segment_bytes: u32,
    /// The folder to write into; made if there is none.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn build(args: &BuildArgs) -> Result<ExitCode> {
    let image = images::build(&args.program, &args.files)?;
    files::put(&args.out, &image, 0o755, Old::Replaced)?;
    tell(&images::facts(&image)?, args.json)
}

pub(super) fn delta(args: &DeltaArgs) -> Result<ExitCode> {
    let image = images::read(&args.to)?;
    let bases = args.from.iter().map(|path| base(path).map(Some)).chain(args.full.then_some(Ok(None)));
    let bases: Vec<Option<Vec<u8>>> = bases.collect::<Result<_>>()?;
    let segment_bytes = (args.segment_bytes > 0).then_some(args.segment_bytes);
    if !args.json {
        say!("{:>10}  {:>6}  {:<9}  file", "bytes", "passes", "from");
    }
    let list = deltas::make(&image, &bases, segment_bytes, &args.out, &mut |made| {
        if !args.json {
            row(made);
        }
    })?;
    if args.json {
        print_json(&list)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(made: &Made) {
    let listed = &made.listed;
    let from = listed.base.as_deref().map_or("nothing", |base| base.get(..8).unwrap_or(base));
    say!("{:>10}  {:>6.2}  {from:<9}  {}", listed.bytes, passes(listed.bytes as usize), listed.file);
}

/// A base may be a program that was flown before there were images.
fn base(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path, images::MAX_BYTES)?;
    ensure!(!bytes.is_empty(), "{}: it is empty", path.display());
    if images::trailer(&bytes)?.is_some() {
        images::proved(&bytes).with_context(|| format!("image {}", path.display()))?;
    }
    Ok(bytes)
}
