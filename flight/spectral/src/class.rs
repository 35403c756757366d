//! The four classes that triage sorts frames into. Never says what is done with a class: that is the queue's duty.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What a frame is worth, best first; the order of the variants is the order of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A plume that is very probably real: tell the ground at once.
    Alert,
    /// Something like a plume: down before routine frames.
    Suspect,
    /// Nothing seen, or nothing that could be looked for.
    Routine,
    /// Mostly cloud or mostly bad samples: kept until the space is needed.
    DiscardCandidate,
}

impl Class {
    /// The name used in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Suspect => "suspect",
            Self::Routine => "routine",
            Self::DiscardCandidate => "discard-candidate",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
