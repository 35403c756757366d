//! Rows of `update`: what a release costs to send up, beside other programs that make deltas, and what it takes to apply.
//!
//! | group | what |
//! | --- | --- |
//! | `signed` | the whole update file: manifest with two signatures, and the delta |
//! | `delta` | the delta alone, beside bsdiff, zstd, xdelta3 and detools on the same two images |
//! | `full` | the image made from nothing, beside compressors |
//! | `decoder` | memory and time of the decoder that flies |
//!
//! The images are given (`--pair`): real ones, made by `release build`, or programs as `scripts/cross` builds them, which are made
//! images here.

mod peers;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use passband_delta::{Delta, MAX_MEMORY_BYTES, Nothing, Options, encode};
use passband_proto::release::envelope::{add_signature, public_key};
use passband_proto::release::image;
use passband_proto::release::manifest::{DeltaInfo, StateFormats};
use passband_proto::release::root::{Role, Root};
use passband_proto::release::{ImageId, envelope};

use self::peers::{Peer, compressors, deltas};
use super::{Area, Bench, Op, Row, Sink, work_folder};
use crate::release::deltas::SEGMENT_BYTES;
use crate::release::manifests::{self, Said};
use crate::release::update::PASS_BYTES;
use crate::release::verify::apply;
use crate::release::{files, id_of, images};

/// What `bench update` measures.
pub const AREA: Area = Area { name: "update", groups: &[(&["signed", "delta", "full", "decoder"], measure)] };

/// Name of a pair whose sources differ in one line: its target is another.
const ONE_LINE: &str = "one-line";
const ONE_LINE_BYTES: f64 = 8_000.0;
const FEATURE_BYTES: f64 = 90_000.0;
const FULL_BYTES: f64 = 3.0 * PASS_BYTES as f64;
/// Half a minute: a board that is cut off once an orbit gets through.
const DECODE_S: f64 = 30.0;
const SECRETS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

/// Two images to measure with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What a board has.
    pub old: PathBuf,
    /// What it shall get.
    pub new: PathBuf,
    /// What lies between them.
    pub name: String,
}

impl Pair {
    /// Of two words of the command line: OLD, and NEW or NEW:NAME.
    #[must_use]
    pub fn of(old: &str, new: &str) -> Self {
        let (new, name) =
            new.rsplit_once(':').filter(|(_, name)| !name.contains('/')).unwrap_or((new, "pair"));
        Self { old: old.into(), new: new.into(), name: name.to_owned() }
    }
}

fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    ensure!(
        !bench.pairs.is_empty(),
        "images are wanted: --pair OLD NEW:NAME (scripts/bench update builds some)"
    );
    let folder = work_folder()?;
    let mut whole: Option<PathBuf> = None;
    for pair in &bench.pairs {
        let (old, new) = (image(&pair.old)?, image(&pair.new)?);
        let (old_path, new_path) = (folder.path().join("old"), folder.path().join("new"));
        for (path, bytes) in [(&old_path, &old), (&new_path, &new)] {
            std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
        ensure!(old != new, "{}: both images of the pair are the same", pair.name);
        let delta = made(Some(&old), &new)?;
        signed(&pair.name, &old, &new, &delta, sink)?;
        for peer in deltas(bench.peers.as_deref(), &old_path, &new_path, folder.path()) {
            sink(beside("delta", format!("{}: the delta", pair.name), delta.len(), &peer))?;
        }
        decoder(&pair.name, &delta, Some(&old), sink)?;
        if whole.as_ref() != Some(&pair.new) {
            full(&pair.name, &new, &new_path, folder.path(), sink)?;
            whole = Some(pair.new.clone());
        }
    }
    Ok(())
}

/// An image, or a program, which is made one.
fn image(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path, images::MAX_BYTES)?;
    let is_image = images::trailer(&bytes).with_context(|| path.display().to_string())?.is_some();
    Ok(if is_image { bytes } else { image::build(&bytes, &[])? })
}

/// As `release delta` makes it.
fn made(base: Option<&[u8]>, new: &[u8]) -> Result<Vec<u8>> {
    Ok(encode(base, new, &Options { segment_bytes: Some(SEGMENT_BYTES), ..Options::default() })?)
}

fn signed(name: &str, old: &[u8], new: &[u8], delta: &[u8], sink: &mut Sink) -> Result<()> {
    let info = DeltaInfo { base: id_of(old), digest: id_of(delta), bytes: u32::try_from(delta.len())? };
    // As a release has them: from two slots, from golden, and from nothing.
    let other = |n: u8| DeltaInfo { base: ImageId([n; 32]), digest: ImageId([!n; 32]), bytes: info.bytes };
    let bare = manifests::make(&said(), &root()?, new, &[info, other(1), other(2), other(3)])?;
    let mut manifest = bare;
    for secret in SECRETS.iter().take(2) {
        manifest = add_signature(&manifest, secret)?;
    }
    envelope::Envelope::whole(&manifest)?;
    let target = if name == ONE_LINE { ONE_LINE_BYTES } else { FEATURE_BYTES };
    let bytes = (manifest.len() + delta.len()) as f64;
    let row = Row::new("signed", format!("{name}: the update file"), Some(bytes), "B", Op::AtMost, target);
    sink(row.note(format!(
        "{} of it the manifest of four deltas, signed by two keys; {:.2} passes of {PASS_BYTES} bytes",
        manifest.len(),
        bytes / f64::from(PASS_BYTES)
    )))
}

fn full(name: &str, new: &[u8], path: &Path, folder: &Path, sink: &mut Sink) -> Result<()> {
    let full = made(None, new)?;
    let what = || format!("{name}: the image of {} bytes from nothing", new.len());
    sink(Row::new("full", what(), Some(full.len() as f64), "B", Op::AtMost, FULL_BYTES))?;
    for peer in compressors(path, folder) {
        sink(beside("full", what(), full.len(), &peer))?;
    }
    decoder(&format!("{name}, from nothing"), &full, None, sink)
}

/// Our size, which has to be no more than a peer's.
fn beside(group: &'static str, what: String, bytes: usize, peer: &Peer) -> Row {
    let row = Row::against(
        group,
        what,
        (Some(bytes as f64), "B", Op::AtMost),
        peer.name,
        peer.bytes.map(|n| n as f64),
    );
    match &peer.missing {
        Some(why) => row.note(format!("not measured: {why}")),
        None => row,
    }
}

fn decoder(name: &str, delta: &[u8], base: Option<&[u8]>, sink: &mut Sink) -> Result<()> {
    let memory = Delta::read(delta)?.memory_bytes() as f64;
    let most = MAX_MEMORY_BYTES as f64;
    sink(Row::new("decoder", format!("{name}: memory of the decoder"), Some(memory), "B", Op::AtMost, most))?;
    let began = Instant::now();
    let image = match base {
        Some(base) => apply(delta, base)?,
        None => apply(delta, &Nothing)?,
    };
    let s = began.elapsed().as_secs_f64();
    let row = Row::new("decoder", format!("{name}: time of the decoder"), Some(s), "s", Op::AtMost, DECODE_S);
    sink(row.note(format!("one core of this machine, {:.2} us a byte", s * 1e6 / image.len().max(1) as f64)))
}

fn root() -> Result<Root> {
    let role = |name| -> Role { Role { name, threshold: 2, keys: SECRETS.iter().map(public_key).collect() } };
    let mission = "bench".try_into().ok().context("a mission's name")?;
    Ok(Root { version: 1, mission, root: role("root"), release: role("release") })
}

fn said() -> Said {
    Said {
        board: "xcom".to_owned(),
        name: "0.0.0".to_owned(),
        version: 1,
        commit: [0; 20],
        built_unix_s: 1,
        expires_unix_s: None,
        launcher: (1, 1),
        state: StateFormats { writes: 1, least: 1, most: 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_named_by_what_follows_the_last_colon() {
        let pair = |new: &str| Pair::of("old", new);
        assert_eq!(
            (pair("new:one-line").name, pair("new:one-line").new),
            ("one-line".to_owned(), "new".into())
        );
        assert_eq!((pair("new").name, pair("a:b/new").new), ("pair".to_owned(), "a:b/new".into()));
    }
}
