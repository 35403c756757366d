//! The ways to a new image: one delta from each image that a board may have, and one from nothing. They lie in a folder, with a
//! list that says what each begins with, which a delta itself doesn't.
//!
//! The list is `12345678-deltas.json`, after the first digits of the image's id: `{"schema": 1, "image", "image_bytes",
//! "deltas": [{"file", "base" (null: none), "digest", "bytes"}]}`. The manifest names the deltas by digest, so a list that was
//! tampered with can only point at what isn't taken.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use passband_delta::{Delta, Options, encode};
use passband_proto::release::ImageId;
use passband_proto::release::image::is_name;
use passband_proto::release::manifest::{DeltaInfo, MAX_DELTAS};
use serde::{Deserialize, Serialize};

use super::files::{self, Old};
use super::{id_of, images};

/// Bytes of the result in a segment, unless told: a board that loses power begins anew with the segment that it was in.
pub const SEGMENT_BYTES: u32 = 1 << 20;
/// Longest delta, bytes.
pub const MAX_BYTES: usize = images::MAX_BYTES;
const MAX_LIST_BYTES: usize = 65_536;

/// One delta of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its file, beside the list.
    pub file: String,
    /// The image that it begins with.
    pub base: Option<String>,
    /// SHA-256 of it.
    pub digest: String,
    /// Its length.
    pub bytes: u32,
}

/// The deltas that make one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    schema: u32,
    /// That image.
    pub image: String,
    /// Its length.
    pub image_bytes: u32,
    /// The deltas.
    pub deltas: Vec<Listed>,
}

/// One that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// As it is listed.
    pub listed: Listed,
    /// Memory that applying it takes.
    pub memory_bytes: u64,
    /// How many segments it has.
    pub segments: u32,
}

/// Makes the deltas of an image, writes them into a folder, and tells each as it is done. The list comes last.
///
/// # Errors
/// Two bases are the same, one is the image itself, there are too many, or a file can't be written.
pub fn make(
    image: &[u8],
    bases: &[Option<Vec<u8>>],
    segment_bytes: Option<u32>,
    folder: &Path,
    told: &mut dyn FnMut(&Made),
) -> Result<List> {
    ensure!((1..=MAX_DELTAS).contains(&bases.len()), "{} deltas: 1 to {MAX_DELTAS} are wanted", bases.len());
    let id = id_of(image);
    let ids: Vec<ImageId> = bases.iter().map(|base| base.as_deref().map_or(ImageId::NONE, id_of)).collect();
    for (n, base) in ids.iter().enumerate() {
        ensure!(*base != id, "{base:.8} is the very image that is to be made");
        ensure!(!ids.iter().take(n).any(|other| other == base), "{base:.8} is named twice as a base");
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut deltas = Vec::new();
    for (base, base_id) in bases.iter().zip(ids) {
        let options = Options { segment_bytes, ..Options::default() };
        let delta = encode(base.as_deref(), image, &options)?;
        let made = describe(&delta, base_id, id)?;
        files::put(&folder.join(&made.listed.file), &delta, 0o644, Old::Replaced)?;
        told(&made);
        deltas.push(made.listed);
    }
    let list = List { schema: 1, image: id.to_string(), image_bytes: u32::try_from(image.len())?, deltas };
    let mut text = serde_json::to_string_pretty(&list)?;
    text.push('\n');
    files::put(&folder.join(list_name(&id)), text.as_bytes(), 0o644, Old::Replaced)?;
    Ok(list)
}

fn describe(delta: &[u8], base: ImageId, image: ImageId) -> Result<Made> {
    let head = Delta::read(delta)?;
    let (file, named) = if base == ImageId::NONE {
        (format!("{image:.8}-full.pbd"), None)
    } else {
        (format!("{image:.8}-from-{base:.8}.pbd"), Some(base.to_string()))
    };
    let listed =
        Listed { file, base: named, digest: id_of(delta).to_string(), bytes: u32::try_from(delta.len())? };
    Ok(Made { listed, memory_bytes: head.memory_bytes(), segments: head.segments() })
}

/// The list of an image's deltas in a folder, each with its file looked at.
///
/// # Errors
/// There is none, a field makes no sense, or a delta isn't as it is listed.
pub fn list(folder: &Path, image: &ImageId) -> Result<Vec<(DeltaInfo, Vec<u8>)>> {
    let path = folder.join(list_name(image));
    let text = files::read(&path, MAX_LIST_BYTES)?;
    let at = || path.display().to_string();
    let list: List = serde_json::from_slice(&text).with_context(at)?;
    ensure!(list.schema == 1, "{}: schema {} is not known here", at(), list.schema);
    ensure!(list.image == image.to_string(), "{}: it is of another image, {}", at(), list.image);
    list.deltas.iter().map(|listed| taken(folder, listed).with_context(at)).collect()
}

fn taken(folder: &Path, listed: &Listed) -> Result<(DeltaInfo, Vec<u8>)> {
    ensure!(is_name(&listed.file), "'{}' is not the name of a file beside the list", listed.file);
    let id = |field: &str, text: &str| {
        text.parse::<ImageId>().with_context(|| format!("{field} of {}", listed.file))
    };
    let base = listed.base.as_deref().map_or(Ok(ImageId::NONE), |text| id("base", text))?;
    let info = DeltaInfo { base, digest: id("digest", &listed.digest)?, bytes: listed.bytes };
    let bytes = files::read(&folder.join(&listed.file), MAX_BYTES)?;
    ensure!(
        id_of(&bytes) == info.digest,
        "{}: it isn't the delta that is listed: its digest is another",
        listed.file
    );
    ensure!(bytes.len() == info.bytes as usize, "{}: its length isn't the one that is listed", listed.file);
    Ok((info, bytes))
}

fn list_name(image: &ImageId) -> String {
    format!("{image:.8}-deltas.json")
}
