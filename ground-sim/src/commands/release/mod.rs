//! `passband-ground release`: keys, roots, images, deltas, manifests and update files.

mod image;
mod key;
mod manifest;
mod pack;
mod parse;
mod root;
mod sign;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::print_json;
use crate::release::facts::Facts;
use crate::release::{files, inspect, keys, update};

/// Make software for the boards and prove it: keys and roots, images, deltas, signed manifests, and the update file that goes up.
///
/// An image is the program with its files behind it. Deltas make it of an image that is on board. A manifest names the image and
/// its deltas, and counts once enough holders of release keys have signed it; which these are says the root.
#[derive(Debug, Args)]
#[command(
    after_help = "Example (docs/RELEASES.md tells all of it):\n  passband-ground release build --program passband --file ch4.csv=targets/ch4.csv --out new.img\n  passband-ground release delta --to new.img --from old.img --from golden.img --full --out deltas\n  passband-ground release manifest --image new.img --deltas deltas --root root-1.pbr --board xcom --name 0.4.1 --version 41 --commit 5f3c… --state 2:1..2 --launcher 1..1 --out 0.4.1.pbm\n  passband-ground release sign 0.4.1.pbm --key alice.secret --root root-1.pbr\n  passband-ground release pack 0.4.1.pbm --deltas deltas --trust root-1.pbr --has old.img --out 0.4.1.pbu\n  passband-ground release verify 0.4.1.pbu --trust root-1.pbr --board xcom --base old.img\n\nExit status: 0 done, 1 not (all) done (verify: a board would refuse it), 2 bad usage or input."
)]
pub struct ReleaseArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keys(key::KeysArgs),
    Root(root::RootArgs),
    Build(image::BuildArgs),
    Delta(image::DeltaArgs),
    Manifest(Box<manifest::ManifestArgs>),
    Sign(sign::SignArgs),
    Pack(pack::PackArgs),
    Verify(verify::VerifyArgs),
    Inspect(InspectArgs),
}

/// Tell what a file of a release is and holds: a root, manifest, update file, image, delta, program or key.
///
/// Signatures are listed as they claim to be: `verify`, `sign` and `root show` verify them.
#[derive(Debug, Args)]
struct InspectArgs {
    /// The file.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground release`.
///
/// # Errors
/// A file can't be read or written, or what stands in it is not what is wanted.
pub fn run(args: &ReleaseArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Keys(args) => key::run(args),
        Command::Root(args) => root::run(args),
        Command::Build(args) => image::build(args),
        Command::Delta(args) => image::delta(args),
        Command::Manifest(args) => manifest::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspected(args),
    }
}

fn inspected(args: &InspectArgs) -> Result<ExitCode> {
    let bytes = files::read(&args.file, update::MAX_BYTES)?;
    let facts = if bytes.starts_with(b"PR\x01") || !is_text(&bytes) {
        inspect::inspect(&bytes).with_context(|| args.file.display().to_string())?
    } else {
        key::facts(&keys::either(&args.file)?, &args.file)?
    };
    tell(&facts, args.json)
}

/// Key files are text that is short; nothing else of a release is.
fn is_text(bytes: &[u8]) -> bool {
    bytes.len() <= 4_096 && std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0)
}

/// Prints facts.
fn tell(facts: &Facts, json: bool) -> Result<ExitCode> {
    if json {
        print_json(&facts.document())?;
    } else {
        say!("{}", facts.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
