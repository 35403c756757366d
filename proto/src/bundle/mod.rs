//! A bundle: one product, sealed once, at creation, and kept sealed from then on.
//!
//! Block 0, the head, holds the manifest, the preview (a quicklook) and, for a small bundle, the
//! content too. Blocks 1 … hold the content in equal segments, the last one shorter. Each block is
//! sealed by itself (AES-256-GCM), so each is usable as soon as it is whole:
//!
//! - key: derived for this bundle alone from the epoch key, salted with the bundle's id;
//! - nonce: block number (u32), 1 for the last block or else 0 (u8), seven zero bytes;
//! - associated data: the first 24 bytes of the file header below and the number of blocks (u32).
//!
//! The content is the manifest's files one after another. The sealed file (`.pbb`) is a header of
//! [`FILE_HEADER_BYTES`] in clear and the sealed blocks in order:
//!
//! ```text
//!  0  magic "PBBUNDL1"     12  id [12]           28  block_count u32     40  tail_bytes u32
//!  8  spacecraft u16       24  class u8, 0       32  head_bytes u32      44  zero [16]
//! 10  key epoch u16        26  symbol_bytes u16  36  segment_bytes u32   60  crc u32
//! ```
//!
//! `head_bytes`, `segment_bytes` and `tail_bytes` are sealed sizes of block 0, of every further
//! block but the last, and of the last.

mod manifest;
mod open;
mod seal;

pub use manifest::{
    FORMAT, FileEntry, MAX_FILES, MAX_MANIFEST_BYTES, MAX_NAME_BYTES, MAX_PREVIEW_BYTES, Manifest,
    ManifestError, safe_name,
};
pub use open::{Head, OpenError, Opener};
pub use seal::{SealError, SealOptions, seal_bundle};

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::crc32c;
pub use crate::datagram::MAX_BLOCK_BYTES;
use crate::datagram::{MAX_BLOCK_SYMBOLS, MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES};
use crate::ids::{BundleId, Class};
use crate::wire::{Reader, Writer};

/// Bytes of the clear header of a sealed file.
pub const FILE_HEADER_BYTES: usize = 64;
/// What sealing adds to a segment.
pub const SEAL_BYTES: u32 = 16;

const FILE_MAGIC: [u8; 8] = *b"PBBUNDL1";
const ASSOCIATED_BYTES: usize = 28;

/// How a bundle is cut into blocks and symbols. All sizes are sealed sizes, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Symbol size T.
    pub symbol_bytes: u16,
    /// Blocks, the head among them.
    pub block_count: u32,
    /// Size of block 0.
    pub head_bytes: u32,
    /// Size of every further block but the last.
    pub segment_bytes: u32,
    /// Size of the last block; that of the head when there is no other.
    pub tail_bytes: u32,
}

impl Geometry {
    /// Size of a block, or `None` if there is no such block.
    #[must_use]
    pub fn block_bytes(&self, block: u32) -> Option<u32> {
        match block {
            0 => Some(self.head_bytes),
            b if b >= self.block_count => None,
            b if b + 1 == self.block_count => Some(self.tail_bytes),
            _ => Some(self.segment_bytes),
        }
    }

    /// Where a block begins in the sealed file, or `None` if there is no such block.
    #[must_use]
    pub fn block_offset(&self, block: u32) -> Option<u64> {
        let start = FILE_HEADER_BYTES as u64;
        match block {
            0 => Some(start),
            b if b >= self.block_count => None,
            b => Some(start + u64::from(self.head_bytes) + u64::from(b - 1) * u64::from(self.segment_bytes)),
        }
    }

    /// K of a block, or `None` if there is no such block.
    #[must_use]
    pub fn source_symbols(&self, block: u32) -> Option<u32> {
        self.block_bytes(block).map(|bytes| bytes.div_ceil(u32::from(self.symbol_bytes.max(1))))
    }

    /// Size of the sealed file, bytes.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        let last = self.block_count.saturating_sub(1);
        let start = self.block_offset(last).unwrap_or_default();
        start + u64::from(self.block_bytes(last).unwrap_or_default())
    }

    /// Whether every size is within the limits of this version.
    ///
    /// # Errors
    /// The name of the first field that is not.
    pub fn check(&self) -> Result<(), BadGeometry> {
        let fail = |field| Err(BadGeometry { field });
        let fits = |bytes: u32| {
            let symbols = bytes.div_ceil(u32::from(self.symbol_bytes.max(1)));
            bytes > SEAL_BYTES && bytes <= MAX_BLOCK_BYTES && symbols <= MAX_BLOCK_SYMBOLS
        };
        if !(MIN_SYMBOL_BYTES..=MAX_SYMBOL_BYTES).contains(&self.symbol_bytes) {
            return fail("symbol_bytes");
        }
        if self.block_count == 0 {
            return fail("block_count");
        }
        if !fits(self.head_bytes) {
            return fail("head_bytes");
        }
        if self.block_count > 2 && !fits(self.segment_bytes) {
            return fail("segment_bytes");
        }
        let single = self.block_count == 1 && self.tail_bytes != self.head_bytes;
        let longer = self.block_count > 2 && self.tail_bytes > self.segment_bytes;
        if !fits(self.tail_bytes) || single || longer {
            return fail("tail_bytes");
        }
        Ok(())
    }
}

/// A geometry outside the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadGeometry {
    /// The first field that is.
    pub field: &'static str,
}

impl fmt::Display for BadGeometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bundle geometry: '{}' is out of range", self.field)
    }
}

impl core::error::Error for BadGeometry {}

/// The clear header of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it is sealed under.
    pub epoch: u16,
    /// Its id.
    pub id: BundleId,
    /// Its class when it was written.
    pub class: Class,
    /// How it is cut.
    pub geometry: Geometry,
}

impl FileHeader {
    /// The header as it stands in the file.
    #[must_use]
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        let g = &self.geometry;
        let mut w = Writer::new(&mut out);
        w.put(&FILE_MAGIC)
            .put(&self.spacecraft.to_be_bytes())
            .put(&self.epoch.to_be_bytes())
            .put(&self.id.0)
            .put(&[self.class as u8, 0])
            .put(&g.symbol_bytes.to_be_bytes())
            .put(&g.block_count.to_be_bytes())
            .put(&g.head_bytes.to_be_bytes())
            .put(&g.segment_bytes.to_be_bytes())
            .put(&g.tail_bytes.to_be_bytes());
        debug_assert!(w.fitted());
        let crc = out.split_last_chunk::<4>().map_or(0, |(body, _)| crc32c::checksum(body));
        if let Some(place) = out.last_chunk_mut::<4>() {
            *place = crc.to_be_bytes();
        }
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Not a sealed bundle, damaged, or out of range.
    pub fn decode(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<Self, FileHeaderError> {
        let mut r = Reader::new(bytes);
        if r.array() != Some(FILE_MAGIC) {
            return Err(FileHeaderError::NotABundle);
        }
        let crc = bytes.split_last_chunk::<4>().map(|(body, crc)| (crc32c::checksum(body), *crc));
        if crc.is_none_or(|(is, says)| is.to_be_bytes() != says) {
            return Err(FileHeaderError::Damaged);
        }
        let mut fields = || {
            let (spacecraft, epoch, id) = (r.u16()?, r.u16()?, BundleId(r.array()?));
            let [class, _] = r.array()?;
            let symbol_bytes = r.u16()?;
            let (block_count, head_bytes, segment_bytes, tail_bytes) =
                (r.u32()?, r.u32()?, r.u32()?, r.u32()?);
            let geometry = Geometry { symbol_bytes, block_count, head_bytes, segment_bytes, tail_bytes };
            Some((spacecraft, epoch, id, class, geometry))
        };
        let (spacecraft, epoch, id, class, geometry) = fields().ok_or(FileHeaderError::Damaged)?;
        geometry.check().map_err(FileHeaderError::Geometry)?;
        let class = Class::from_code(class).ok_or(FileHeaderError::Class)?;
        Ok(Self { spacecraft, epoch, id, class, geometry })
    }
}

/// Why a file is not a sealed bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileHeaderError {
    /// It does not begin with `PBBUNDL1`.
    NotABundle,
    /// The header's CRC does not match.
    Damaged,
    /// An unknown class.
    Class,
    /// A size out of range.
    Geometry(BadGeometry),
}

impl fmt::Display for FileHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABundle => f.write_str("not a sealed bundle (it does not begin with 'PBBUNDL1')"),
            Self::Damaged => f.write_str("the bundle's header is damaged (its CRC does not match)"),
            Self::Class => f.write_str("the bundle's header names an unknown class"),
            Self::Geometry(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for FileHeaderError {}

/// The nonce of a block.
fn nonce(block: u32, last: bool) -> [u8; 12] {
    let [a, b, c, d] = block.to_be_bytes();
    [a, b, c, d, u8::from(last), 0, 0, 0, 0, 0, 0, 0]
}

/// The associated data of every block of a bundle.
fn associated(spacecraft: u16, epoch: u16, id: &BundleId, block_count: u32) -> [u8; ASSOCIATED_BYTES] {
    let mut out = [0; ASSOCIATED_BYTES];
    let mut w = Writer::new(&mut out);
    w.put(&FILE_MAGIC)
        .put(&spacecraft.to_be_bytes())
        .put(&epoch.to_be_bytes())
        .put(&id.0)
        .put(&block_count.to_be_bytes());
    debug_assert!(w.fitted());
    out
}

#[cfg(test)]
mod tests;
