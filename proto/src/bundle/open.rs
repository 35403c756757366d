//! Opening: one sealed block in, its plain bytes out, in any order of blocks.

use core::fmt;

use aes::Aes256;
use aes::cipher::{Block, BlockCipherEncrypt};
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use sha2::{Digest, Sha256};

use super::{Manifest, ManifestError, associated, nonce};
use crate::bundle::manifest::MAX_MANIFEST_BYTES;
use crate::ids::BundleId;
use crate::keys::EpochKey;

/// Blocks of AES that are worked out at a time.
const PIECE_BLOCKS: usize = 8;

/// Opens the blocks of one bundle.
pub struct Opener {
    cipher: Aes256Gcm,
    blocks: Aes256,
    associated: [u8; super::ASSOCIATED_BYTES],
    block_count: u32,
}

/// What block 0 holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The manifest, checked against its limits.
    pub manifest: Manifest,
    /// The preview, checked against its digest; empty if there is none.
    pub preview: Vec<u8>,
    /// The content, if the bundle is a single block.
    pub content: Option<Vec<u8>>,
}

impl Opener {
    /// For a bundle of `block_count` blocks sealed under this key.
    #[must_use]
    pub fn new(key: &EpochKey, id: &BundleId, block_count: u32) -> Self {
        Self {
            cipher: key.bundle_key(id).cipher(),
            blocks: key.bundle_key(id).block_cipher(),
            associated: associated(key.spacecraft(), key.epoch(), id, block_count),
            block_count,
        }
    }

    /// Opens a sealed block in place: what remains is its plain bytes.
    ///
    /// # Errors
    /// [`OpenError::Seal`]: damaged, forged, or not this block of this bundle.
    pub fn open(&self, block: u32, sealed: &mut Vec<u8>) -> Result<(), OpenError> {
        let seal = OpenError::Seal { block };
        let (plain, tag) = sealed.split_last_chunk_mut::<16>().ok_or(OpenError::Seal { block })?;
        let nonce = nonce(block, block.checked_add(1) == Some(self.block_count));
        let tag = *tag;
        let bytes = plain.len();
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &self.associated, plain.into(), &tag.into())
            .map_err(|_| seal)?;
        sealed.truncate(bytes);
        Ok(())
    }

    /// Opens a piece of a block in place, without its seal: for authentic bytes of a block that isn't whole
    /// yet. `offset` is where the piece begins in the block, a multiple of 16.
    ///
    /// AES-256-GCM encrypts in counter mode, the first 16 bytes under counter 2 (NIST SP 800-38D, 7.1), so
    /// that any piece can be opened by itself. Nothing here tells whether the bytes are right: that is up to
    /// whoever verified them, such as by their datagrams' tags.
    ///
    /// # Errors
    /// [`OpenError::Piece`]: an offset that is no multiple of 16, or beyond any block.
    pub fn open_piece(&self, block: u32, offset: u32, bytes: &mut [u8]) -> Result<(), OpenError> {
        if !offset.is_multiple_of(16) {
            return Err(OpenError::Piece { block, offset });
        }
        let nonce = nonce(block, block.checked_add(1) == Some(self.block_count));
        let mut counter = (offset / 16).checked_add(2).ok_or(OpenError::Piece { block, offset })?;
        for piece in bytes.chunks_mut(16 * PIECE_BLOCKS) {
            let mut stream = [Block::<Aes256>::default(); PIECE_BLOCKS];
            for mask in &mut stream {
                let (head, tail) = mask.split_at_mut(nonce.len());
                head.copy_from_slice(&nonce);
                tail.copy_from_slice(&counter.to_be_bytes());
                counter = counter.checked_add(1).ok_or(OpenError::Piece { block, offset })?;
            }
            self.blocks.encrypt_blocks(&mut stream);
            for (byte, mask) in piece.iter_mut().zip(stream.iter().flatten()) {
                *byte ^= mask;
            }
        }
        Ok(())
    }

    /// Opens block 0.
    ///
    /// # Errors
    /// The seal, or a head of a shape this version doesn't know.
    pub fn open_head(&self, mut sealed: Vec<u8>) -> Result<Head, OpenError> {
        self.open(0, &mut sealed)?;
        Head::parse(&sealed, self.block_count)
    }
}

impl Head {
    /// Reads the plain bytes of block 0 of a bundle of `block_count` blocks.
    ///
    /// # Errors
    /// A head of a shape this version doesn't know.
    pub fn parse(plain: &[u8], block_count: u32) -> Result<Self, OpenError> {
        let shape = OpenError::Head;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(OpenError::Head)?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MANIFEST_BYTES {
            return Err(shape);
        }
        let (record, rest) = rest.split_at_checked(length).ok_or(OpenError::Head)?;
        let manifest: Manifest = postcard::from_bytes(record).map_err(|_| OpenError::Head)?;
        manifest.check().map_err(OpenError::Manifest)?;
        let preview_bytes = manifest.preview.as_ref().map_or(0, |p| p.bytes);
        let preview_bytes = usize::try_from(preview_bytes).map_err(|_| OpenError::Head)?;
        let (preview, content) = rest.split_at_checked(preview_bytes).ok_or(OpenError::Head)?;
        if manifest
            .preview
            .as_ref()
            .is_some_and(|p| *p.sha256.as_slice() != *Sha256::digest(preview).as_slice())
        {
            return Err(shape);
        }
        let inline = manifest.segment_bytes == 0;
        let expected = if inline { manifest.content_bytes() } else { 0 };
        if content.len() as u64 != expected || inline != (block_count == 1) {
            return Err(shape);
        }
        Ok(Head { preview: preview.to_vec(), content: inline.then(|| content.to_vec()), manifest })
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} blocks)", self.block_count)
    }
}

/// Why a block does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The seal does not hold: damaged, forged, another key, or not this block of this bundle.
    Seal {
        /// Which block.
        block: u32,
    },
    /// A piece that can't be opened by itself: its offset is no multiple of 16, or out of range.
    Piece {
        /// Which block.
        block: u32,
        /// Where the piece begins.
        offset: u32,
    },
    /// The seal holds, but the head is of a shape this version doesn't know.
    Head,
    /// The seal holds, but the manifest is outside its limits.
    Manifest(ManifestError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal { block } => write!(f, "the seal of block {block} does not hold"),
            Self::Piece { block, offset } => {
                write!(f, "a piece at {offset} of block {block} can't be opened by itself")
            }
            Self::Head => f.write_str("the bundle's head is of a shape this version doesn't know"),
            Self::Manifest(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}
