//! What the catalogue holds: records as they are kept, in postcard.
//!
//! The order and the types of fields are the format: a change needs a new table name.

use passband_proto::bundle::Geometry;
use passband_proto::ids::{BundleId, Class};
use serde::{Deserialize, Serialize};

/// Names a frame by its content: the first 12 bytes of the SHA-256 of header and data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameId(pub [u8; 12]);

impl core::fmt::Display for FrameId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        BundleId(self.0).fmt(f)
    }
}

impl core::fmt::Debug for FrameId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FrameId({self})")
    }
}

/// A frame that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Its id.
    pub id: FrameId,
    /// Its name.
    pub name: String,
    /// When it was taken, ms since 1970-01-01 UTC.
    pub accepted_unix_ms: u64,
    /// What triage made of it.
    pub class: Class,
    /// Probability of its best detection.
    pub probability: f32,
    /// Why that class.
    pub reason: String,
    /// Size of header and data, bytes.
    pub bytes: u64,
}

/// A sealed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// Its id.
    pub id: BundleId,
    /// The frame it was made from.
    pub frame: FrameId,
    /// That frame's name.
    pub frame_name: String,
    /// Kind of product: "evidence" or "cube".
    pub product: String,
    /// Name of the product.
    pub name: String,
    /// Its class.
    pub class: Class,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it is sealed under.
    pub epoch: u16,
    /// How it is cut.
    pub geometry: Geometry,
}

impl BundleRecord {
    /// Size of the sealed file, bytes.
    pub fn bytes(&self) -> u64 {
        self.geometry.sealed_bytes()
    }
}

/// An alert, sealed once, and how far its sending has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Number, from 1.
    pub number: u32,
    /// The frame it speaks of.
    pub frame: FrameId,
    /// That frame's name.
    pub frame_name: String,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// The message, as it goes over the radio.
    pub sealed: Vec<u8>,
    /// How many times it was sent.
    pub sends: u32,
}

/// What tells a file of the spool from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its name in the spool.
    pub name: String,
    /// Its inode.
    pub inode: u64,
    /// Its size, bytes.
    pub bytes: u64,
}
