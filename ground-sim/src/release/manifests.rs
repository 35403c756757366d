//! What is said of an image: the manifest, before anyone signs it. It is read again as a board would read it, so that a field
//! that can't be is told here by its name.

use anyhow::{Context, Result, anyhow, ensure};
use passband_proto::release::ImageId;
use passband_proto::release::envelope::{self, Envelope, Kind};
use passband_proto::release::manifest::{DeltaInfo, MAX_DELTAS, Manifest, StateFormats};
use passband_proto::release::root::Root;

use super::facts::Facts;
use super::id_of;
use crate::catalogue::time::rfc3339;
use crate::station::hex;

/// What whoever makes a release says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which type of board it is for.
    pub board: String,
    /// What people call it.
    pub name: String,
    /// The number that counts up.
    pub version: u64,
    /// The Git commit.
    pub commit: [u8; 20],
    /// When it was built, seconds since 1970.
    pub built_unix_s: u64,
    /// After this it isn't to be installed any more.
    pub expires_unix_s: Option<u64>,
    /// Versions of the launcher: least and most.
    pub launcher: (u16, u16),
    /// What it does to the state on the disk.
    pub state: StateFormats,
}

/// The manifest of an image under a root, unsigned.
///
/// # Errors
/// A field can't be that: which.
pub fn make(said: &Said, root: &Root, image: &[u8], deltas: &[DeltaInfo]) -> Result<Vec<u8>> {
    ensure!(
        (1..=MAX_DELTAS).contains(&deltas.len()),
        "{} deltas: 1 to {MAX_DELTAS} are wanted",
        deltas.len()
    );
    ensure!(said.version > 0, "the version has to be 1 or more");
    if let Some(expires) = said.expires_unix_s {
        ensure!(expires > said.built_unix_s, "it would be over before it was built: {}", date(expires));
    }
    let manifest = Manifest {
        root: root.version,
        mission: root.mission.clone(),
        board: text("board", &said.board)?,
        name: text("name", &said.name)?,
        version: said.version,
        commit: said.commit,
        built_unix_s: said.built_unix_s,
        expires_unix_s: said.expires_unix_s,
        launcher: said.launcher,
        state: said.state,
        image: id_of(image),
        image_bytes: u32::try_from(image.len()).context("the image is too long")?,
        deltas: heapless::Vec::from_slice(deltas).map_err(|_| anyhow!("too many deltas"))?,
    };
    let body = manifest.body();
    ensure!(Manifest::read(&body)? == manifest, "the manifest doesn't come back as it was written");
    Ok(envelope::seal(Kind::Manifest, &body)?)
}

/// What a manifest says, whoever signed it: only to be shown, or to go on to what verifies it.
///
/// # Errors
/// It isn't one.
pub fn claimed(bytes: &[u8]) -> Result<Manifest> {
    Ok(Manifest::read(Envelope::whole(bytes)?.unverified(Kind::Manifest)?)?)
}

/// What is told of a manifest.
#[must_use]
pub fn facts(manifest: &Manifest) -> Facts {
    Facts::new().with("kind", "manifest").and(fields(manifest))
}

/// The fields of a manifest.
pub(super) fn fields(manifest: &Manifest) -> Facts {
    let row = |delta: &DeltaInfo| {
        Facts::new()
            .with("bytes", delta.bytes)
            .with("base", (delta.base != ImageId::NONE).then(|| delta.base.to_string()))
            .with("digest", delta.digest.to_string())
    };
    let StateFormats { writes, least, most } = manifest.state;
    Facts::new()
        .with("mission", manifest.mission.as_str())
        .with("board", manifest.board.as_str())
        .with("name", manifest.name.as_str())
        .with("version", manifest.version)
        .with("commit", hex(&manifest.commit))
        .with("built", date(manifest.built_unix_s))
        .with("expires", manifest.expires_unix_s.map(date))
        .with("root", manifest.root)
        .with("launcher", format!("{}..{}", manifest.launcher.0, manifest.launcher.1))
        .with("state", format!("{writes}:{least}..{most}"))
        .with("image", manifest.image.to_string())
        .with("image_bytes", manifest.image_bytes)
        .with("deltas", manifest.deltas.iter().map(row).collect::<Vec<_>>())
}

/// Seconds since 1970 as a date.
#[must_use]
pub fn date(unix_s: u64) -> String {
    rfc3339(unix_s.saturating_mul(1_000))
}

fn text<const N: usize>(field: &str, text: &str) -> Result<heapless::String<N>> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let fits = heapless::String::try_from(text).ok().filter(|_| plain);
    fits.with_context(|| format!("{field}: printable ASCII without spaces, {N} characters at most: '{text}'"))
}
