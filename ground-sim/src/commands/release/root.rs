//! `passband-ground release root`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use passband_proto::release::root::{MAX_ROOT_BYTES, Root};

use super::tell;
use crate::release::files::{self, Old};
use crate::release::keys::{PublicKey, SecretKey};
use crate::release::roots::{self, Holders};
use crate::release::signing::{Standing, of_root, sign_root, standings};

/// Make, sign and show roots: which keys speak for which role, and how many of them have to.
///
/// Root keys say which root comes next and are used once in years; release keys sign manifests. Root N + 1 is signed by a
/// threshold of the root keys of N, and of its own.
#[derive(Debug, Args)]
pub(super) struct RootArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the first root of a mission, unsigned.
    New {
        /// The mission's name: printable ASCII without spaces, 24 at most.
        #[arg(long)]
        mission: String,
        #[command(flatten)]
        roles: NewRoles,
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Make the root after another, unsigned; a role whose keys aren't given stays as it is.
    Next {
        /// The root that is believed now, signed.
        before: PathBuf,
        #[command(flatten)]
        roles: NextRoles,
        /// The file to make.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Add a signature to a root, and tell which are still wanted.
    Sign {
        /// The root; it is replaced by the signed one.
        file: PathBuf,
        /// Whose signature.
        #[arg(long, value_name = "SECRET")]
        key: PathBuf,
        /// The root before it; for all but the first.
        #[arg(long, value_name = "FILE")]
        before: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a root and which signatures are still wanted.
    Show {
        /// The root.
        file: PathBuf,
        /// The root before it, to count the signatures of its keys, too.
        #[arg(long, value_name = "FILE")]
        before: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct NewRoles {
    /// Public key file of a holder of a root key; once for each, 5 at most.
    #[arg(long = "root-key", value_name = "PUBLIC", required = true)]
    root_keys: Vec<PathBuf>,
    /// How many of them have to sign a root.
    #[arg(long, value_name = "N")]
    root_threshold: u8,
    /// Public key file of a holder of a release key; once for each, 5 at most.
    #[arg(long = "release-key", value_name = "PUBLIC", required = true)]
    release_keys: Vec<PathBuf>,
    /// How many of them have to sign a manifest.
    #[arg(long, value_name = "N")]
    release_threshold: u8,
}

#[derive(Debug, Args)]
struct NextRoles {
    /// Public key file of a holder of a root key; once for each that there is from now on.
    #[arg(long = "root-key", value_name = "PUBLIC", requires = "root_threshold")]
    root_keys: Vec<PathBuf>,
    /// How many of them have to sign a root.
    #[arg(long, value_name = "N", requires = "root_keys")]
    root_threshold: Option<u8>,
    /// Public key file of a holder of a release key; once for each that there is from now on.
    #[arg(long = "release-key", value_name = "PUBLIC", requires = "release_threshold")]
    release_keys: Vec<PathBuf>,
    /// How many of them have to sign a manifest.
    #[arg(long, value_name = "N", requires = "release_keys")]
    release_threshold: Option<u8>,
}

pub(super) fn run(args: &RootArgs) -> Result<ExitCode> {
    match &args.command {
        Command::New { mission, roles, out } => {
            let root = holders(&roles.root_keys, roles.root_threshold)?;
            let release = holders(&roles.release_keys, roles.release_threshold)?;
            make(&roots::first(mission, &root, &release)?, None, out)
        }
        Command::Next { before, roles, out } => {
            let before = roots::read(before)?;
            let root = roles.root_threshold.map(|n| holders(&roles.root_keys, n)).transpose()?;
            let release = roles.release_threshold.map(|n| holders(&roles.release_keys, n)).transpose()?;
            make(&roots::next(&before, root.as_ref(), release.as_ref())?, Some(&before), out)
        }
        Command::Sign { file, key, before, json } => sign(file, key, before.as_deref(), *json),
        Command::Show { file, before, json } => {
            let before = before.as_deref().map(roots::read).transpose()?;
            let (root, all) = of_root(&read(file)?, before.as_ref()).with_context(|| at(file))?;
            show(&root, &all, *json)
        }
    }
}

fn holders(files: &[PathBuf], threshold: u8) -> Result<Holders> {
    let keys = files.iter().map(|file| PublicKey::read(file)).collect::<Result<_>>()?;
    Ok(Holders { keys, threshold })
}

fn make(bytes: &[u8], before: Option<&Root>, out: &Path) -> Result<ExitCode> {
    let (root, all) = of_root(bytes, before)?;
    files::put(out, bytes, 0o644, Old::Kept)?;
    show(&root, &all, false)
}

fn sign(file: &Path, key: &Path, before: Option<&Path>, json: bool) -> Result<ExitCode> {
    let before = before.map(roots::read).transpose()?;
    let key = SecretKey::read(key)?;
    let (signed, all) = sign_root(&read(file)?, &key, before.as_ref()).with_context(|| at(file))?;
    files::put(file, &signed, 0o644, Old::Replaced)?;
    let (root, _) = of_root(&signed, before.as_ref())?;
    show(&root, &all, json)
}

fn show(root: &Root, all: &[Standing], json: bool) -> Result<ExitCode> {
    tell(&roots::facts(root).and(standings(all)), json)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    files::read(file, MAX_ROOT_BYTES)
}

fn at(file: &Path) -> String {
    format!("root {}", file.display())
}
