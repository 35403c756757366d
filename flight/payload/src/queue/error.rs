//! What the queue refuses, and why.

use core::fmt;

use passband_proto::ids::BundleId;

use super::item::State;
use super::settings::SettingsError;

/// A refusal: nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueError {
    /// No such bundle is in the queue.
    Unknown {
        /// Which was asked for.
        id: BundleId,
    },
    /// A bundle of this id is in the queue already.
    Duplicate {
        /// Which.
        id: BundleId,
    },
    /// The bundle is not in a state in which this can be done.
    WrongState {
        /// Which bundle.
        id: BundleId,
        /// Its state.
        state: State,
        /// What was asked.
        wanted: &'static str,
    },
    /// There is no tasking of this number.
    NoTasking {
        /// The number.
        tasking: u16,
        /// How many there are.
        taskings: usize,
    },
    /// An item can't be as it is described.
    BadItem {
        /// Which bundle.
        id: BundleId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The queue holds as many bundles as it may.
    Full {
        /// How many.
        entries: usize,
    },
    /// The settings are not usable.
    Settings(SettingsError),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { id } => write!(f, "no bundle {id} is in the queue"),
            Self::Duplicate { id } => write!(f, "bundle {id} is in the queue already"),
            Self::WrongState { id, state, wanted } => {
                write!(f, "bundle {id} can't be {wanted}: it is {}", state.name())
            }
            Self::NoTasking { tasking, taskings } => {
                write!(f, "there is no tasking {tasking}: there are {taskings}, counted from 0")
            }
            Self::BadItem { id, what } => write!(f, "bundle {id}: {what}"),
            Self::Full { entries } => write!(f, "the queue is full: {entries} bundles"),
            Self::Settings(e) => write!(f, "settings of the queue: {e}"),
        }
    }
}

impl core::error::Error for QueueError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Settings(e) => Some(e),
            _ => None,
        }
    }
}

impl From<SettingsError> for QueueError {
    fn from(e: SettingsError) -> Self {
        Self::Settings(e)
    }
}
