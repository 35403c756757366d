//! What is put into the queue and what comes out of it.

use passband_proto::ids::{BundleId, Class};
use serde::{Deserialize, Serialize};

use super::error::QueueError;
pub use crate::products::Kind;

/// Latest time that is taken, ms since 1970-01-01 UTC: in the year 2109.
pub const MAX_UNIX_MS: u64 = (1 << 42) - 1;
/// Largest bundle that is taken, bytes: 16 TiB.
pub const MAX_BUNDLE_BYTES: u64 = 1 << 44;

/// How far a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its turn will come.
    Waiting,
    /// It was handed to the sender.
    OnLink,
    /// It is down with the probability that its class asks for; it is kept.
    Presumed,
    /// The ground has it; it is kept until its room is needed.
    Known,
    /// The operator holds it: it is neither sent nor dropped for room.
    Held,
    /// It was found broken on the disk: it is not sent, and the first to go.
    Damaged,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::OnLink, Self::Presumed, Self::Known, Self::Held, Self::Damaged];

    /// The name used in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::OnLink => "on-link",
            Self::Presumed => "presumed",
            Self::Known => "known",
            Self::Held => "held",
            Self::Damaged => "damaged",
        }
    }
}

/// A bundle as it is put into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: BundleId,
    /// Its class.
    pub class: Class,
    /// What it is.
    pub kind: Kind,
    /// When it was made, ms since 1970-01-01 UTC.
    pub created_unix_ms: u64,
    /// When it is due, ms since 1970-01-01 UTC; `None`: when its class says.
    pub deadline_unix_ms: Option<u64>,
    /// Size of the sealed file, bytes.
    pub bytes: u64,
    /// Symbols it consists of.
    pub source_symbols: u32,
    /// Number of its tasking in the settings; 0: the default one.
    pub tasking: u16,
}

impl Item {
    /// Can it be as it says, where there are so many taskings?
    pub(super) fn check(&self, taskings: usize) -> Result<(), QueueError> {
        let Self { id, tasking, .. } = *self;
        if usize::from(tasking) >= taskings {
            return Err(QueueError::NoTasking { tasking, taskings });
        }
        let bad = |what| Err(QueueError::BadItem { id, what });
        if !(1..=MAX_BUNDLE_BYTES).contains(&self.bytes) {
            return bad("its size must be 1 byte to 16 TiB");
        }
        if self.source_symbols == 0 {
            return bad("it must have a symbol");
        }
        if self.created_unix_ms > MAX_UNIX_MS || self.deadline_unix_ms.is_some_and(|ms| ms > MAX_UNIX_MS) {
            return bad("its times must lie before the year 2109");
        }
        Ok(())
    }
}

/// What the catalogue keeps of a bundle's place in the queue, so that it is there again after a restart.
///
/// What is on the link stands as it did before: a restart ends every sending.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is apart from being held: waiting, presumed, known or damaged.
    pub state: State,
    /// Its place among those the operator promoted: lower goes first.
    pub promoted: Option<u64>,
    /// Since when the operator holds it, ms since 1970-01-01 UTC.
    pub held_since_unix_ms: Option<u64>,
    /// Number of its tasking in the settings.
    pub tasking: u16,
    /// The class the operator gave it.
    pub class: Option<Class>,
    /// Its own deadline, ms since 1970-01-01 UTC, if it has one.
    pub deadline_unix_ms: Option<u64>,
    /// Symbols that were sent of it.
    pub sent_symbols: u32,
    /// Probability that it is down; what it lacks to 1 is kept with 8 bits of precision.
    pub presumed: f64,
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a standing that changed has to be made durable, and the sender may have to withdraw it"]
pub struct Change {
    /// Which bundle.
    pub id: BundleId,
    /// How it stands now.
    pub standing: Standing,
    /// Whether that is another than before: it has to be made durable.
    pub changed: bool,
    /// Whether the sender has it and has to let go of it.
    pub withdraw: bool,
}

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Which bundle.
    pub id: BundleId,
    /// The order among what the sender holds, 0 to 7, lower first: 0 promoted, otherwise 1 and the class, or
    /// the class that something overdue was let in ahead of.
    pub level: u8,
}

/// A bundle as it is in the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// What it is, with the class and tasking that hold now, and its deadline.
    pub item: Item,
    /// How far it is.
    pub state: State,
    /// What the catalogue keeps.
    pub standing: Standing,
}
