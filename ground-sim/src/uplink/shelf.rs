//! Where an outbox keeps what has to outlive it. Handed in, so that the tests can cut the power at every write.

use anyhow::Result;

use super::entry::Entry;
use super::upload::About;

/// Keeps things. Each call returns once what it was given is durable; if it fails, nothing is known of that.
pub trait Shelf {
    /// All counters of frames up to this one are used.
    ///
    /// # Errors
    /// Those of the disk.
    fn keep_mark(&mut self, mark: u64) -> Result<()>;

    /// An order stands so.
    ///
    /// # Errors
    /// Those of the disk.
    fn keep_order(&mut self, entry: &Entry) -> Result<()>;

    /// An upload stands so.
    ///
    /// # Errors
    /// Those of the disk.
    fn keep_upload(&mut self, about: &About) -> Result<()>;

    /// A number for an order that nobody had before, nor will.
    ///
    /// # Errors
    /// Those of the disk; all are used.
    fn new_number(&mut self) -> Result<u32>;

    /// All numbers up to this one are used.
    ///
    /// # Errors
    /// Those of the disk.
    fn use_numbers(&mut self, up_to: u32) -> Result<()>;

    /// Orders stay armed on board for so long, ms.
    ///
    /// # Errors
    /// Those of the disk.
    fn keep_arm(&mut self, arm_ms: u64) -> Result<()>;
}
