//! What the catalogue holds: records as they are kept, in postcard.
//!
//! The order and the types of fields are the format: a change needs a new table name.

use passband_proto::bundle::Geometry;
use passband_proto::ids::{BundleId, Class};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::products::Kind;
use crate::queue::Standing;

/// Names a frame by its content: the first 12 bytes of the SHA-256 of the SHA-256 of its header and that of its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameId(pub [u8; 12]);

impl FrameId {
    /// The id of a frame whose header and data have these digests.
    pub fn of(header_sha256: &[u8; 32], data_sha256: &[u8; 32]) -> Self {
        let both = Sha256::new().chain_update(header_sha256).chain_update(data_sha256).finalize();
        let mut id = [0; 12];
        id.iter_mut().zip(both).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

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
    /// Whom it was taken for: the header's field `tasking`; empty without one.
    pub tasking: String,
}

/// A sealed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// Its id.
    pub id: BundleId,
    /// The frame it was made from; `None`: it is about the payload itself.
    pub frame: Option<FrameId>,
    /// That frame's name; empty without a frame.
    pub frame_name: String,
    /// What it is.
    pub kind: Kind,
    /// Name of the product.
    pub name: String,
    /// Its class when it was made.
    pub class: Class,
    /// Whom its frame was taken for; empty: nobody in particular.
    pub tasking: String,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// The spacecraft that sealed it.
    pub spacecraft: u16,
    /// The key epoch it is sealed under.
    pub epoch: u16,
    /// How it is cut.
    pub geometry: Geometry,
    /// SHA-256 of the sealed file.
    pub sha256: [u8; 32],
}

impl BundleRecord {
    /// Size of the sealed file, bytes.
    pub fn bytes(&self) -> u64 {
        self.geometry.sealed_bytes()
    }
}

/// How a bundle stands in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingRecord {
    /// What the queue keeps of it; its tasking is by number, which another configuration may have changed.
    pub standing: Standing,
    /// The name of that tasking.
    pub tasking: String,
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
