//! What the catalogue holds: records as they are kept, in postcard.
//!
//! The order and the types of fields are the format: a change needs a new table name.

use passband_proto::alert::{Alert, Position};
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

    /// What an alert is known by before the whole frame was read: its header and what the detector says, which the
    /// same frame gives again.
    pub fn of_verdict(header: &[u8], record: &[u8]) -> Self {
        Self::of(&Sha256::digest(header).into(), &Sha256::digest(record).into())
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
    /// SHA-256 of the sealed file; `None` of one that was adopted, until the scrub has seen that its seals hold.
    pub sha256: Option<[u8; 32]>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Number, from 1.
    pub number: u32,
    /// The frame it speaks of: each has one alert at most, so a frame that is looked at again has this one.
    pub frame: FrameId,
    /// That frame's name, as the message has it.
    pub frame_name: String,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// Name of the gas.
    pub gas: String,
    /// Probability that it is a leak, per mille.
    pub probability_permille: u16,
    /// Largest enhancement in the plume, ppm·m.
    pub peak_ppm_m: f32,
    /// Where the plume is, if that is known.
    pub position: Option<Position>,
    /// The bundle that carries the evidence.
    pub evidence: Option<BundleId>,
    /// The message, as it goes over the radio.
    pub sealed: Vec<u8>,
    /// What became of it.
    pub state: AlertState,
    /// How many times it was sent.
    pub sends: u32,
    /// Its age when it was sent last, ms, by clocks that nobody sets; 0 before.
    pub age_ms: u64,
    /// When that was, or when it was made, by the wall clock, ms since 1970-01-01 UTC.
    pub noted_unix_ms: u64,
}

impl AlertRecord {
    /// The record of an alert that was just sealed and never sent.
    pub fn new(frame: FrameId, alert: &Alert, sealed: Vec<u8>) -> Self {
        Self {
            number: alert.number,
            frame,
            frame_name: alert.frame.as_str().to_owned(),
            created_unix_ms: alert.time_unix_ms,
            gas: alert.gas.as_str().to_owned(),
            probability_permille: alert.probability_permille,
            peak_ppm_m: alert.peak_ppm_m,
            position: alert.position,
            evidence: alert.evidence,
            sealed,
            state: AlertState::Pending,
            sends: 0,
            age_ms: 0,
            noted_unix_ms: alert.time_unix_ms,
        }
    }

    /// How sure and how strong it is, then how new: the greater goes first.
    pub fn worth(&self) -> (u16, u32, u32) {
        // The bits of floats that are not negative rise as they do; NaN counts as 0.
        (self.probability_permille, self.peak_ppm_m.max(0.0).to_bits(), self.number)
    }
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertState {
    /// It is sent until somebody has heard it.
    Pending,
    /// The ground has it.
    Acknowledged(Acknowledger),
    /// Something newer stands in its place.
    Superseded(Superseder),
    /// It was too old before it could be sent even once.
    Stale,
    /// It was sent by the schedule to its end, and nobody acknowledged it.
    Through,
}

/// Who says that the ground has an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledger {
    /// The station of this number.
    Station(u16),
    /// A report that the alert's evidence is whole on the ground.
    Evidence,
    /// The operator.
    Operator,
}

/// What stands in an alert's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Superseder {
    /// The alert of this number, of the same site.
    Alert(u32),
    /// What the operator knows.
    Operator,
}

impl AlertState {
    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acknowledged(_) => "acknowledged",
            Self::Superseded(_) => "superseded",
            Self::Stale => "stale",
            Self::Through => "through",
        }
    }

    /// By whom or what, where that is told.
    pub fn by(self) -> Option<String> {
        match self {
            Self::Pending | Self::Stale | Self::Through => None,
            Self::Acknowledged(Acknowledger::Station(station)) => Some(format!("station {station}")),
            Self::Acknowledged(Acknowledger::Evidence) => Some("its evidence".to_owned()),
            Self::Superseded(Superseder::Alert(number)) => Some(format!("alert {number}")),
            Self::Acknowledged(Acknowledger::Operator) | Self::Superseded(Superseder::Operator) => {
                Some("the operator".to_owned())
            }
        }
    }

    /// Whether an alert in this state may come into another: what is pending into any, and what was given up may
    /// still be acknowledged.
    pub fn may_become(self, other: Self) -> bool {
        match self {
            Self::Pending => other != Self::Pending,
            Self::Acknowledged(_) => false,
            Self::Superseded(_) | Self::Stale | Self::Through => matches!(other, Self::Acknowledged(_)),
        }
    }
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
