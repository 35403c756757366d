//! Sealing: plain files in, a sealed file out, in one pass over the content and with one segment in
//! memory.

use core::fmt;
use std::io::{self, Read, Write};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use sha2::{Digest, Sha256};

use super::{FileHeader, Geometry, MAX_BLOCK_BYTES, Manifest, ManifestError, SEAL_BYTES, associated, nonce};
use crate::bundle::manifest::MAX_MANIFEST_BYTES;
use crate::datagram::{DEFAULT_SYMBOL_BYTES, MAX_BLOCK_SYMBOLS};
use crate::ids::BundleId;
use crate::keys::EpochKey;

/// A bundle whose manifest, preview and content fit into this many symbols is a single block.
const SINGLE_BLOCK_SYMBOLS: u32 = 256;

/// How to cut a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealOptions {
    /// Symbol size T, bytes.
    pub symbol_bytes: u16,
    /// K of a full content block: 10,000 wastes least when losses are high, less suits a slow link. With
    /// long symbols it is less than that, as a block has at most [`super::MAX_BLOCK_BYTES`].
    pub segment_symbols: u32,
    /// The digests of the manifest's files were taken of this very content a moment ago, in memory: only its length is
    /// checked.
    pub digests_are_fresh: bool,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self { symbol_bytes: DEFAULT_SYMBOL_BYTES, segment_symbols: 10_000, digests_are_fresh: false }
    }
}

/// Seals a bundle: `content` gives the manifest's files one after another.
///
/// `id` must be fresh from a cryptographic random source for every call, also after a call that
/// failed: it salts the key. Nothing written by a failed call may ever be sent.
///
/// # Errors
/// A manifest outside its limits, content that isn't what the manifest says, or an error of
/// `content` or `out`.
pub fn seal_bundle(
    key: &EpochKey,
    id: BundleId,
    manifest: &Manifest,
    preview: &[u8],
    content: &mut dyn Read,
    out: &mut dyn Write,
    options: &SealOptions,
) -> Result<Geometry, SealError> {
    manifest.check().map_err(SealError::Manifest)?;
    check_preview(manifest, preview)?;
    let layout = Layout::new(manifest, preview, *options)?;
    let geometry = layout.geometry;
    let header =
        FileHeader { spacecraft: key.spacecraft(), epoch: key.epoch(), id, class: manifest.class, geometry };
    out.write_all(&header.encode()).map_err(SealError::Write)?;
    let mut content = Checked::new(content, manifest, options.digests_are_fresh);
    let mut sealer = Sealer::new(key, id, geometry, out);
    let mut head = layout.head;
    if layout.content_in_head {
        content.read_into(&mut head, manifest.content_bytes())?;
    }
    sealer.block(&mut head)?;
    let mut segment = Vec::new();
    for block in 1..geometry.block_count {
        segment.clear();
        let sealed = geometry.block_bytes(block).unwrap_or_default();
        content.read_into(&mut segment, u64::from(sealed.saturating_sub(SEAL_BYTES)))?;
        sealer.block(&mut segment)?;
    }
    content.finish()?;
    Ok(geometry)
}

fn check_preview(manifest: &Manifest, preview: &[u8]) -> Result<(), SealError> {
    let fits = match &manifest.preview {
        None => preview.is_empty(),
        Some(entry) => {
            entry.bytes == preview.len() as u64
                && *entry.sha256.as_slice() == *Sha256::digest(preview).as_slice()
        }
    };
    if fits { Ok(()) } else { Err(SealError::Preview) }
}

struct Layout {
    geometry: Geometry,
    /// Manifest and preview, before the content that may follow.
    head: Vec<u8>,
    content_in_head: bool,
}

impl Layout {
    fn new(manifest: &Manifest, preview: &[u8], options: SealOptions) -> Result<Self, SealError> {
        let symbol = u32::from(options.symbol_bytes);
        let too_big = |field| SealError::Geometry(super::BadGeometry { field });
        if options.segment_symbols == 0 || options.segment_symbols > MAX_BLOCK_SYMBOLS {
            return Err(too_big("segment_symbols"));
        }
        let segment_plain = symbol
            .checked_mul(options.segment_symbols)
            .map(|sealed| sealed.min(MAX_BLOCK_BYTES / symbol.max(1) * symbol))
            .and_then(|sealed| sealed.checked_sub(SEAL_BYTES))
            .filter(|plain| *plain > 0)
            .ok_or(too_big("segment_bytes"))?;
        let content = manifest.content_bytes();
        let single = head_plain(&Manifest { segment_bytes: 0, ..manifest.clone() }, preview)?;
        let single_limit = u64::from(symbol) * u64::from(SINGLE_BLOCK_SYMBOLS.min(options.segment_symbols));
        let content_in_head =
            content == 0 || single.len() as u64 + content + u64::from(SEAL_BYTES) <= single_limit;
        let (head, content_blocks, tail_plain) = if content_in_head {
            (single, 0, 0)
        } else {
            let head = head_plain(&Manifest { segment_bytes: segment_plain, ..manifest.clone() }, preview)?;
            let full = (content - 1) / u64::from(segment_plain);
            (head, full + 1, content - full * u64::from(segment_plain))
        };
        let head_plain_bytes = head.len() as u64 + if content_in_head { content } else { 0 };
        let sealed = |plain: u64| u32::try_from(plain + u64::from(SEAL_BYTES)).unwrap_or(u32::MAX);
        let geometry = Geometry {
            symbol_bytes: options.symbol_bytes,
            block_count: u32::try_from(content_blocks + 1).map_err(|_| too_big("block_count"))?,
            head_bytes: sealed(head_plain_bytes),
            segment_bytes: segment_plain + SEAL_BYTES,
            tail_bytes: sealed(if content_in_head { head_plain_bytes } else { tail_plain }),
        };
        geometry.check().map_err(SealError::Geometry)?;
        Ok(Self { geometry, head, content_in_head })
    }
}

/// Plain head without content: manifest length (u32), manifest, preview.
fn head_plain(manifest: &Manifest, preview: &[u8]) -> Result<Vec<u8>, SealError> {
    let record = postcard::to_allocvec(manifest).map_err(|_| SealError::ManifestTooLong)?;
    let length = u32::try_from(record.len())
        .ok()
        .filter(|_| record.len() <= MAX_MANIFEST_BYTES)
        .ok_or(SealError::ManifestTooLong)?;
    let mut head = Vec::with_capacity(record.len() + preview.len() + 4);
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&record);
    head.extend_from_slice(preview);
    Ok(head)
}

struct Sealer<'a> {
    cipher: Aes256Gcm,
    associated: [u8; super::ASSOCIATED_BYTES],
    block_count: u32,
    next: u32,
    out: &'a mut dyn Write,
}

impl<'a> Sealer<'a> {
    fn new(key: &EpochKey, id: BundleId, geometry: Geometry, out: &'a mut dyn Write) -> Self {
        Self {
            cipher: key.bundle_key(&id).cipher(),
            associated: associated(key.spacecraft(), key.epoch(), &id, geometry.block_count),
            block_count: geometry.block_count,
            next: 0,
            out,
        }
    }

    /// Seals the next block in place and writes it.
    fn block(&mut self, plain: &mut [u8]) -> Result<(), SealError> {
        let nonce = nonce(self.next, self.next + 1 == self.block_count);
        self.next += 1;
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce.into(), &self.associated, (&mut *plain).into())
            .map_err(|_| SealError::Geometry(super::BadGeometry { field: "segment_bytes" }))?;
        self.out.write_all(plain).and_then(|()| self.out.write_all(&tag)).map_err(SealError::Write)
    }
}

/// Reads content and checks it against the manifest's files as it passes.
struct Checked<'a> {
    source: &'a mut dyn Read,
    files: std::slice::Iter<'a, super::FileEntry>,
    file: Option<&'a super::FileEntry>,
    left: u64,
    hash: Sha256,
    trusts_digests: bool,
}

impl<'a> Checked<'a> {
    fn new(source: &'a mut dyn Read, manifest: &'a Manifest, trusts_digests: bool) -> Self {
        let mut files = manifest.files.iter();
        let file = files.next();
        let left = file.map_or(0, |f| f.bytes);
        Self { source, files, file, left, hash: Sha256::new(), trusts_digests }
    }

    fn read_into(&mut self, out: &mut Vec<u8>, bytes: u64) -> Result<(), SealError> {
        let start = out.len();
        let read = (&mut *self.source).take(bytes).read_to_end(out).map_err(SealError::Read)?;
        if read as u64 != bytes {
            return Err(SealError::Content { file: self.name(), what: "is shorter than the manifest says" });
        }
        self.check(out.get(start..).unwrap_or_default())
    }

    fn check(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        loop {
            let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
            if !self.trusts_digests {
                self.hash.update(part);
            }
            self.left -= part.len() as u64;
            bytes = rest;
            if self.left > 0 || self.file.is_none() {
                return Ok(());
            }
            self.next_file()?;
        }
    }

    fn next_file(&mut self) -> Result<(), SealError> {
        let digest = std::mem::take(&mut self.hash).finalize();
        if !self.trusts_digests && self.file.is_some_and(|file| *file.sha256.as_slice() != *digest.as_slice())
        {
            return Err(SealError::Content {
                file: self.name(),
                what: "has another SHA-256 than the manifest says",
            });
        }
        self.file = self.files.next();
        self.left = self.file.map_or(0, |f| f.bytes);
        Ok(())
    }

    fn name(&self) -> String {
        self.file.map_or_else(String::new, |f| f.name.clone())
    }

    /// Checks that all files are through and nothing is left over.
    fn finish(mut self) -> Result<(), SealError> {
        self.check(&[])?;
        let mut one = [0];
        if self.source.read(&mut one).map_err(SealError::Read)? != 0 {
            return Err(SealError::Content { file: String::new(), what: "is longer than the manifest says" });
        }
        Ok(())
    }
}

/// Why a bundle could not be sealed.
#[derive(Debug)]
pub enum SealError {
    /// The manifest is outside its limits.
    Manifest(ManifestError),
    /// The manifest is longer than [`MAX_MANIFEST_BYTES`].
    ManifestTooLong,
    /// The preview is not the one the manifest describes.
    Preview,
    /// The content is not what the manifest says.
    Content {
        /// Which file; empty for the content as a whole.
        file: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The sizes asked for are out of range.
    Geometry(super::BadGeometry),
    /// Reading the content failed.
    Read(io::Error),
    /// Writing the sealed file failed.
    Write(io::Error),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(e) => e.fmt(f),
            Self::ManifestTooLong => write!(f, "the manifest is longer than {MAX_MANIFEST_BYTES} bytes"),
            Self::Preview => f.write_str("the preview is not the one the manifest describes"),
            Self::Content { file, what } => write!(f, "content: file {file:?} {what}"),
            Self::Geometry(e) => e.fmt(f),
            Self::Read(e) => write!(f, "reading the content: {e}"),
            Self::Write(e) => write!(f, "writing the sealed bundle: {e}"),
        }
    }
}

impl core::error::Error for SealError {}
