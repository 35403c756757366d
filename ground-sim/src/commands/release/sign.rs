//! `passband-ground release sign`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use passband_proto::release::envelope::MAX_ENVELOPE_BYTES;

use super::tell;
use crate::release::files::{self, Old};
use crate::release::keys::SecretKey;
use crate::release::signing::{of_manifest, sign_manifest, standings};
use crate::release::{manifests, roots};

/// Add a signature to a manifest, and tell what was signed and which signatures are still wanted.
///
/// Signatures are collected by passing the file on. Before you sign: build the image yourself from the commit that is named and
/// compare its id; the same sources give the same bytes.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The manifest; it is replaced by the signed one.
    file: PathBuf,
    /// Whose signature; without it, it is only told which are there.
    #[arg(long, value_name = "SECRET")]
    key: Option<PathBuf>,
    /// The root whose release keys sign it.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SignArgs) -> Result<ExitCode> {
    let root = roots::read(&args.root)?;
    let mut bytes = files::read(&args.file, MAX_ENVELOPE_BYTES)?;
    let at = || format!("manifest {}", args.file.display());
    if let Some(key) = &args.key {
        let key = SecretKey::read(key)?;
        (bytes, _) = sign_manifest(&bytes, &key, &root).with_context(at)?;
        files::put(&args.file, &bytes, 0o644, Old::Replaced)?;
    }
    let (manifest, standing) = of_manifest(&bytes, &root).with_context(at)?;
    tell(&manifests::facts(&manifest).and(standings(&[standing])), args.json)
}
