//! Opening: one sealed block in, its plain bytes out, in any order of blocks.

use core::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use sha2::{Digest, Sha256};

use super::{Manifest, ManifestError, associated, nonce};
use crate::bundle::manifest::MAX_MANIFEST_BYTES;
use crate::ids::BundleId;
use crate::keys::EpochKey;

/// Opens the blocks of one bundle.
pub struct Opener {
    cipher: Aes256Gcm,
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

    /// Opens block 0.
    ///
    /// # Errors
    /// The seal, or a head of a shape this version doesn't know.
    pub fn open_head(&self, mut sealed: Vec<u8>) -> Result<Head, OpenError> {
        self.open(0, &mut sealed)?;
        let shape = OpenError::Head;
        let (length, rest) = sealed.split_first_chunk::<4>().ok_or(OpenError::Head)?;
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
        if content.len() as u64 != expected || inline != (self.block_count == 1) {
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
    /// The seal holds, but the head is of a shape this version doesn't know.
    Head,
    /// The seal holds, but the manifest is outside its limits.
    Manifest(ManifestError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal { block } => write!(f, "the seal of block {block} does not hold"),
            Self::Head => f.write_str("the bundle's head is of a shape this version doesn't know"),
            Self::Manifest(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}
