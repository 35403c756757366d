//! The update file: what goes up. Roots, a manifest, and the one delta that is shortest for the images that the board has, back
//! to back.

use anyhow::{Context, Result, bail};
use passband_proto::release::envelope::{Envelope, Kind};
use passband_proto::release::manifest::Manifest;
use passband_proto::release::trust::{Approved, Trust};
use passband_proto::release::{ImageId, Refusal};

use super::facts::Facts;
use super::{deltas, id_of};

/// Longest update file that is read, bytes: an image that can't be compressed, and what stands before it.
pub const MAX_BYTES: usize = deltas::MAX_BYTES + 65_536;
/// What a pass of five minutes at 9,600 bit/s carries, bytes.
pub const PASS_BYTES: u32 = 9_600 / 8 * 300;

/// An update file, taken apart. Nothing of it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The roots that come first.
    pub roots: Vec<&'a [u8]>,
    /// The manifest.
    pub manifest: &'a [u8],
    /// All that comes behind it.
    pub delta: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes an update file apart.
    ///
    /// # Errors
    /// [`Refusal::Shape`]: a part isn't one.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (mut roots, mut rest) = (Vec::new(), bytes);
        loop {
            let envelope = Envelope::first(rest)?;
            let cut_off = Refusal::Shape("cut off");
            let (part, behind) = rest.split_at_checked(envelope.bytes()).ok_or(cut_off)?;
            rest = behind;
            match envelope.kind() {
                Kind::Root => roots.push(part),
                Kind::Manifest => return Ok(Self { roots, manifest: part, delta: rest }),
            }
        }
    }
}

/// An update file for a board that believes `trust`, and what the manifest says.
///
/// # Errors
/// A root doesn't follow, the manifest isn't signed as it has to be, or the delta is none of its.
pub fn pack(trust: &Trust, roots: &[Vec<u8>], manifest: &[u8], delta: &[u8]) -> Result<(Vec<u8>, Approved)> {
    let mut trust = trust.clone();
    for root in roots {
        trust.rotate(root).context("a root that goes up with it")?;
    }
    let approved = trust.authentic(manifest).context("the manifest")?;
    let digest = id_of(delta);
    if !approved.manifest.deltas.iter().any(|info| info.digest == digest) {
        bail!("the manifest names no delta of digest {digest:.8}");
    }
    let mut out = roots.concat();
    out.extend_from_slice(manifest);
    out.extend_from_slice(delta);
    Ok((out, approved))
}

/// The shortest delta of a manifest for a board that has these images; any, if they aren't told.
///
/// # Errors
/// [`Refusal::Base`]: there is none.
pub fn choose(manifest: &Manifest, has: Option<&[ImageId]>) -> Result<ImageId, Refusal> {
    let known = |base: &ImageId| has.is_none_or(|has| has.contains(base));
    manifest.delta(known).map(|info| info.digest).ok_or(Refusal::Base)
}

/// How much of passes so many bytes are.
#[must_use]
pub fn passes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(PASS_BYTES)
}

/// What is told of the size of an update file.
#[must_use]
pub fn size_facts(parts: &Parts<'_>) -> Facts {
    let signed = parts.roots.iter().map(|root| root.len()).sum::<usize>() + parts.manifest.len();
    let bytes = signed + parts.delta.len();
    Facts::new()
        .with("bytes", bytes)
        .with("signed_bytes", signed)
        .with("delta_bytes", parts.delta.len())
        .with("passes", passes(bytes))
}
