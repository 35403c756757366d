//! A program and its files, made one image. An image depends on the bytes of these and on the names of the files, on nothing
//! else: who builds the same gets the same.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use passband_proto::release::image::{self, MAX_FILES, Member, TRAILER_BYTES, Trailer, members};
use passband_proto::release::manifest::MAX_IMAGE_BYTES;
use sha2::{Digest, Sha256};

use super::facts::Facts;
use super::{files, id_of};

/// Longest image, bytes, as a length in memory.
pub const MAX_BYTES: usize = MAX_IMAGE_BYTES as usize;

/// A file that goes into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in there.
    pub name: String,
    /// Where it is taken from.
    pub path: PathBuf,
}

/// Makes an image.
///
/// # Errors
/// A file can't be read, the program is none, a name can't be one, or all of it is too long.
pub fn build(program: &Path, parts: &[Part]) -> Result<Vec<u8>> {
    let code = files::read(program, MAX_BYTES)?;
    let at = || program.display().to_string();
    ensure!(code.starts_with(b"\x7fELF"), "{}: not an ELF program", at());
    ensure!(
        trailer(&code).with_context(at)?.is_none(),
        "{}: it is an image already, with files behind it",
        at()
    );
    ensure!(parts.len() <= MAX_FILES, "{} files are too many: {MAX_FILES} at most", parts.len());
    if let Some(part) = parts.iter().find(|part| !image::is_name(&part.name)) {
        let name = &part.name;
        bail!("'{name}' can't be a file's name in an image: letters, digits, . - _, 64 at most");
    }
    let read: Vec<_> = parts.iter().map(|part| files::read(&part.path, MAX_BYTES)).collect::<Result<_>>()?;
    let all: Vec<_> =
        parts.iter().zip(&read).map(|(part, bytes)| (part.name.as_str(), bytes.as_slice())).collect();
    let image = image::build(&code, &all).with_context(at)?;
    ensure!(image.len() <= MAX_BYTES, "the image would have {} bytes, {MAX_BYTES} at most", image.len());
    Ok(image)
}

/// Reads an image and proves it by its trailer.
///
/// # Errors
/// The file can't be read, has no trailer, or is damaged.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(path, MAX_BYTES)?;
    proved(&bytes).with_context(|| format!("image {}", path.display()))?;
    Ok(bytes)
}

/// The trailer, if what is before it has its digest.
///
/// # Errors
/// It has none, or another.
pub fn proved(bytes: &[u8]) -> Result<Trailer> {
    let trailer = trailer(bytes)?.context("it has no trailer: not made by `release build`, or cut off")?;
    // The digest is the last of it.
    let covered = bytes.get(..bytes.len() - trailer.digest.len()).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(covered).into();
    ensure!(digest == trailer.digest, "it is damaged: its trailer has another digest");
    Ok(trailer)
}

/// The trailer, if there is one.
///
/// # Errors
/// There is one that can't be.
pub fn trailer(bytes: &[u8]) -> Result<Option<Trailer>> {
    let Some(last) = bytes.last_chunk::<TRAILER_BYTES>() else { return Ok(None) };
    Ok(Trailer::read(last, bytes.len() as u64)?)
}

/// What is told of an image.
///
/// # Errors
/// It is damaged.
pub fn facts(bytes: &[u8]) -> Result<Facts> {
    let trailer = proved(bytes)?;
    let index_at = usize::try_from(trailer.index_offset)?;
    let index = bytes.get(index_at..bytes.len() - TRAILER_BYTES).context("its index makes no sense")?;
    let listed: Vec<Member<'_>> = members(index, &trailer).collect::<Result<_, _>>()?;
    let program = listed.iter().map(|member| member.offset).min().unwrap_or(trailer.index_offset);
    let row = |member: &Member<'_>| {
        let start = member.offset as usize;
        let content = bytes.get(start..start + member.bytes as usize).unwrap_or_default();
        let digest = id_of(content).to_string();
        Facts::new().with("name", member.name).with("bytes", member.bytes).with("sha256", digest)
    };
    Ok(Facts::new()
        .with("kind", "image")
        .with("id", id_of(bytes).to_string())
        .with("bytes", bytes.len())
        .with("machine", machine(bytes))
        .with("files_begin_at", program)
        .with("files", listed.iter().map(row).collect::<Vec<_>>()))
}

/// What an ELF program runs on (System V ABI, chapter 4: `e_machine`; the numbers are those of its registry).
#[must_use]
pub fn machine(program: &[u8]) -> &'static str {
    match (program.get(5), program.get(18..20)) {
        (Some(1), Some([183, 0])) => "aarch64",
        (Some(1), Some([62, 0])) => "x86-64",
        _ => "another",
    }
}
