//! `passband-ground release pack`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use passband_proto::release::ImageId;
use passband_proto::release::envelope::MAX_ENVELOPE_BYTES;
use passband_proto::release::root::MAX_ROOT_BYTES;
use passband_proto::release::trust::Trust;

use super::tell;
use crate::release::facts::Facts;
use crate::release::files::{self, Old};
use crate::release::update::{Parts, choose, pack, size_facts};
use crate::release::{deltas, id_of, images, manifests};

/// Make the update file that goes up: roots, manifest, and the shortest delta that the board can use.
///
/// The manifest must be signed by all who have to: what a board would refuse isn't packed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["delta", "deltas"])))]
pub(super) struct PackArgs {
    /// The signed manifest.
    manifest: PathBuf,
    /// The root that the board believes now.
    #[arg(long, value_name = "ROOT")]
    trust: PathBuf,
    /// A root that goes up with it, if the board doesn't believe it yet; once for each, in order.
    #[arg(long = "root", value_name = "ROOT")]
    roots: Vec<PathBuf>,
    /// The folder with the deltas, of which the shortest that can be used is taken.
    #[arg(long, value_name = "FOLDER")]
    deltas: Option<PathBuf>,
    /// This very delta.
    #[arg(long, value_name = "FILE")]
    delta: Option<PathBuf>,
    /// An image that the board has, by its file or its id; once for each. Not given: it has all that the deltas begin with.
    #[arg(long, value_name = "IMAGE", conflicts_with = "delta")]
    has: Vec<String>,
    /// The board is taken to have no image: the delta that needs none.
    #[arg(long, conflicts_with_all = ["has", "delta"])]
    full: bool,
    /// The update file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PackArgs) -> Result<ExitCode> {
    let trust = Trust::new(&files::read(&args.trust, MAX_ROOT_BYTES)?);
    let trust = trust.with_context(|| format!("root {}", args.trust.display()))?;
    let roots: Vec<_> =
        args.roots.iter().map(|path| files::read(path, MAX_ROOT_BYTES)).collect::<Result<_>>()?;
    let manifest = files::read(&args.manifest, MAX_ENVELOPE_BYTES)?;
    let delta = delta(args, &manifest)?;
    let (bytes, approved) =
        pack(&trust, &roots, &manifest, &delta).with_context(|| format!("packing {}", args.out.display()))?;
    files::put(&args.out, &bytes, 0o644, Old::Replaced)?;
    let base =
        approved.manifest.deltas.iter().find(|info| info.digest == id_of(&delta)).map(|info| info.base);
    let facts = Facts::new()
        .with("name", approved.manifest.name.as_str())
        .with("image", approved.manifest.image.to_string())
        .with("from", base.filter(|base| *base != ImageId::NONE).map(|base| base.to_string()))
        .and(size_facts(&Parts::of(&bytes)?));
    tell(&facts, args.json)
}

fn delta(args: &PackArgs, manifest: &[u8]) -> Result<Vec<u8>> {
    if let Some(path) = &args.delta {
        return files::read(path, deltas::MAX_BYTES);
    }
    let folder = args.deltas.as_deref().context("--delta or --deltas is wanted")?;
    let at = || format!("manifest {}", args.manifest.display());
    let manifest = manifests::claimed(manifest).with_context(at)?;
    let has: Option<Vec<ImageId>> = match (args.full, args.has.as_slice()) {
        (true, _) => Some(Vec::new()),
        (false, []) => None,
        (false, named) => Some(named.iter().map(|name| image(name)).collect::<Result<_>>()?),
    };
    let digest = choose(&manifest, has.as_deref()).with_context(at)?;
    let mut all = deltas::list(folder, &manifest.image)?.into_iter();
    let found = all.find(|(info, _)| info.digest == digest);
    let (_, bytes) = found.with_context(|| {
        format!("{} lacks the delta of digest {digest:.8}, which the manifest names", folder.display())
    })?;
    Ok(bytes)
}

fn image(named: &str) -> Result<ImageId> {
    match named.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(id_of(&files::read(Path::new(named), images::MAX_BYTES)?)),
    }
}
