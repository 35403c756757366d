//! Why a plan is refused.

use core::fmt;

/// A plan that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// It is longer, with its signature, than [`super::MAX_PLAN_BYTES`].
    Long {
        /// Its bytes.
        bytes: usize,
    },
    /// It is too short to hold a signature.
    Short {
        /// Its bytes.
        bytes: usize,
    },
    /// Its signature is not that of the key.
    Signature,
    /// It is something else, or of another version.
    Kind {
        /// Its first four bytes: magic, version, kind.
        start: [u8; 4],
    },
    /// Its bytes end early, go on too long, or are not how a plan is written.
    Damaged {
        /// Where it was noticed.
        place: &'static str,
    },
    /// It says what no plan may say.
    Field {
        /// The entry, from 1; none: the plan as a whole.
        entry: Option<usize>,
        /// What is wrong.
        what: String,
    },
}

impl PlanError {
    pub(super) fn plan(what: impl Into<String>) -> Self {
        Self::Field { entry: None, what: what.into() }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long { bytes } => {
                write!(f, "{bytes} bytes; a plan has at most {}", super::MAX_PLAN_BYTES)
            }
            Self::Short { bytes } => write!(f, "{bytes} bytes are too few for a signed plan"),
            Self::Signature => f.write_str("the signature is not that of the plan key"),
            Self::Kind { start } => write!(f, "not a plan of a version known here (it begins {start:02x?})"),
            Self::Damaged { place } => write!(f, "not how a plan is written, in its {place}"),
            Self::Field { entry: Some(entry), what } => write!(f, "entry {entry}: {what}"),
            Self::Field { entry: None, what } => f.write_str(what),
        }
    }
}

impl core::error::Error for PlanError {}
