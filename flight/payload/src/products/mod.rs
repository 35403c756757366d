//! Products: what is made of a frame, as which class, and how cubes are cut.
//!
//! Each product is a bundle of its own with a class of its own, by the [`Rules`] of the configuration. Cubes go down in
//! strips of whole lines, each with a header of its own, so that every one that arrives is of use alone.
//!
//! This module plans and describes; it never reads a file, seals, stores or sends anything.

mod draft;
mod plan;

pub(crate) use draft::manifest;
pub use draft::{
    Draft, Facts, cube_draft, evidence_draft, notes_draft, quicklook_draft, script_draft, title,
};
pub use plan::{Part, Planned, plan};

use core::fmt;

use passband_proto::ids::Class;
use serde::{Deserialize, Deserializer, Serialize};

/// The kinds of products that are bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The picture of the frame, and the verdict in few bytes.
    Quicklook,
    /// The verdict in full, and the cut-out of the enhancement map around the most probable plume.
    Evidence,
    /// All bands of the pixels around the detections.
    Region,
    /// The frame itself, or a strip of its lines.
    Cube,
    /// How the payload is.
    Housekeeping,
    /// What happened on board.
    Log,
    /// What an operator's script said, and how it ended.
    ScriptOutput,
}

impl Kind {
    /// All of them, in the order in which they go down within a class.
    pub const ALL: [Self; 7] = [
        Self::Quicklook,
        Self::Evidence,
        Self::Region,
        Self::Cube,
        Self::Housekeeping,
        Self::Log,
        Self::ScriptOutput,
    ];

    /// The name used in manifests, the configuration and every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quicklook => "quicklook",
            Self::Evidence => "evidence",
            Self::Region => "region",
            Self::Cube => "cube",
            Self::Housekeeping => "housekeeping",
            Self::Log => "log",
            Self::ScriptOutput => "script-output",
        }
    }

    /// What goes first within a tasking and class: 0 everything small, 1 regions, 2 cubes.
    pub fn band(self) -> u8 {
        match self {
            Self::Quicklook | Self::Evidence | Self::Housekeeping | Self::Log | Self::ScriptOutput => 0,
            Self::Region => 1,
            Self::Cube => 2,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a product is made, and as which class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Make(pub Option<Class>);

impl<'de> Deserialize<'de> for Make {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "none" => Ok(Self(None)),
            name => name.parse().map(|class| Self(Some(class))).map_err(|_| {
                serde::de::Error::custom(format!(
                    "{name:?} is none of alert, suspect, routine, discard-candidate, none"
                ))
            }),
        }
    }
}

/// What is made of a frame of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// [`Kind::Quicklook`].
    pub quicklook: Make,
    /// [`Kind::Evidence`].
    pub evidence: Make,
    /// [`Kind::Region`]; only of frames with detections.
    pub region: Make,
    /// [`Kind::Cube`].
    pub cube: Make,
}

impl Rule {
    /// Everything as this class; without detections no region.
    const fn all(class: Class) -> Self {
        let make = Make(Some(class));
        Self { quicklook: make, evidence: make, region: make, cube: make }
    }

    /// Quicklook and cube as this class.
    const fn plain(class: Class) -> Self {
        Self { evidence: Make(None), region: Make(None), ..Self::all(class) }
    }
}

/// What is made of frames: `[products]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Rules {
    /// Of an alert; default everything, as alert.
    pub alert: Rule,
    /// Of a suspect; default everything, as suspect.
    pub suspect: Rule,
    /// Of a routine frame; default quicklook and cube, as routine.
    pub routine: Rule,
    /// Of a discard candidate; default quicklook and cube, as discard candidate.
    pub discard_candidate: Rule,
    /// Largest strip of a cube, bytes of data, 1 to 1,073,741,824; default 14,000,000: just below a full block of
    /// the default size. A frame that is no larger is not cut.
    #[serde(rename = "strip_bytes")]
    pub strip_bytes: u64,
    /// Pixels around a detection that belong to its region, 0 to 10,000; default 16.
    #[serde(rename = "region_margin")]
    pub region_margin: u32,
    /// Bundles that are sealed at the same time, 1 to 16; default 2. They change no byte of a product.
    #[serde(rename = "seal_threads")]
    pub seal_threads: usize,
    /// The class of housekeeping bundles; default suspect.
    pub housekeeping: Make,
    /// The class of log bundles; default routine.
    pub log: Make,
    /// How often housekeeping and log are made, s, 60 to 604,800; default 5,400.
    #[serde(rename = "notes_s")]
    pub notes_s: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            alert: Rule::all(Class::Alert),
            suspect: Rule::all(Class::Suspect),
            routine: Rule::plain(Class::Routine),
            discard_candidate: Rule::plain(Class::DiscardCandidate),
            strip_bytes: 14_000_000,
            region_margin: 16,
            seal_threads: 2,
            housekeeping: Make(Some(Class::Suspect)),
            log: Make(Some(Class::Routine)),
            notes_s: 5_400,
        }
    }
}

impl Rules {
    /// What is made of a frame of this class.
    pub fn of(&self, class: Class) -> &Rule {
        match class {
            Class::Alert => &self.alert,
            Class::Suspect => &self.suspect,
            Class::Routine => &self.routine,
            Class::DiscardCandidate => &self.discard_candidate,
        }
    }
}
