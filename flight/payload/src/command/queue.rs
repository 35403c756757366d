//! What the operator does to the queue, and the answers.

use passband_proto::ids::{BundleId, Class};
use serde::{Deserialize, Serialize};

use crate::queue::Row;

/// Rows of an answer unless the request says how many.
pub const DEFAULT_ROWS: usize = 1_000;
/// Most rows of an answer.
pub const MAX_ROWS: usize = 100_000;

/// What is done to a bundle of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum QueueAction {
    /// It goes before everything that wasn't promoted earlier.
    Promote,
    /// It goes by its class again.
    Demote,
    /// It is neither sent nor dropped for room.
    Hold,
    /// It is held no more.
    Release,
    /// It is forgotten, and its file removed.
    Drop,
    /// It counts towards another tasking and may have another class from now on.
    Retask {
        /// Name of the tasking; as it is if none is given.
        tasking: Option<String>,
        /// The class; as it is if none is given.
        class: Option<Class>,
    },
}

/// A bundle as a person names it: its id, or the beginning of one that no other has, 4 digits at least.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BundleName(pub String);

impl BundleName {
    /// Whether it can be the beginning of an id: in small letters.
    ///
    /// # Errors
    /// It can't, in words.
    pub fn check(&self) -> Result<String, String> {
        let name = self.0.to_ascii_lowercase();
        if !(4..=24).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{name:?} is no bundle: 4 to 24 hexadecimal digits are wanted"));
        }
        Ok(name)
    }

    /// The only one of `ids` that it names.
    ///
    /// # Errors
    /// None or several of them, or it is no beginning of an id, in words.
    pub fn find(&self, ids: impl Iterator<Item = BundleId>) -> Result<BundleId, String> {
        let name = self.check()?;
        let mut found = ids.filter(|id| id.to_string().starts_with(&name));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err(format!("there is no bundle {name} in the queue")),
            (Some(_), Some(_)) => Err(format!("several bundles begin with {name}: give more digits")),
        }
    }
}

/// The answer to a question for the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// How many bundles there are.
    pub total: u64,
    /// How many of them wait or are on the link.
    pub open: u64,
    /// The first of them, in order.
    pub bundles: Vec<Row>,
}

/// The answer to a [`QueueAction`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionAnswer {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The bundle, 24 hexadecimal digits.
    pub id: String,
    /// What was done.
    pub done: String,
    /// Whether anything is another than before.
    pub changed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_found_by_the_beginning_of_its_id() {
        let ids = [BundleId([0xAB; 12]), BundleId([0xAC; 12]), BundleId([0x12; 12])];
        let find = |name: &str| BundleName(name.into()).find(ids.into_iter());
        assert_eq!(find("ABAB"), Ok(ids[0]));
        assert_eq!(find(&"12".repeat(12)), Ok(ids[2]));
        for (name, why) in [("12", "4 to 24"), ("xyz1", "4 to 24"), ("9999", "no bundle 9999")] {
            assert!(find(name).unwrap_err().contains(why), "{name}");
        }
        let twins = [BundleId([1; 12]), BundleId([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])];
        assert!(BundleName("0101".into()).find(twins.into_iter()).unwrap_err().contains("several"));
    }
}
