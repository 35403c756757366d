//! The slot launcher's parts that others need as well: the files of the slot record, and the proof that a slot holds
//! the image that the record names. Who updates a board writes the record with the very code that the launcher reads
//! it with.
//!
//! ```text
//! ROOT/a/passband  ROOT/b/passband       the images in the two slots
//! ROOT/golden/passband                   the image flown from the factory, read-only
//! ROOT/slot.0  ROOT/slot.1  ROOT/slot.2  copies of the slot record (`passband_proto::slot`)
//! ```
//!
//! What is decided by the record stands in `passband_proto::slot`. Nothing here starts anything or writes into a slot.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod boot;
pub mod copies;
pub mod deadline;
pub mod linux;
pub mod program;
pub mod proof;

/// The version of what this launcher does, which manifests of images ask for.
pub const VERSION: u16 = 1;
/// The name of an image in its slot.
pub const PROGRAM: &str = "passband";
