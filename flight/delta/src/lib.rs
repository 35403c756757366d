//! Deltas of flight images: what makes a new image of one that is there, in as few bytes as can be sent up.
//!
//! - [`Delta::read`] reads the head of a delta and checks it; [`Delta::begin`] makes one segment of the result,
//!   [`Run::piece`] by piece, and checks it. Segments stand by themselves, so that a run that was cut off goes on with the
//!   segment it was in.
//! - `encode`, on the ground only (feature `encode`), makes deltas, also such against nothing: a compressed
//!   image is the same format with nothing copied.
//!
//! What is copied is found on images whose references are masked out, after C. Percival ("Naive differences of
//! executable code", 2003); what the copied code points at is then moved as what it points at was. What is left is
//! coded by an arithmetic coder (Witten, Neal and Cleary, 1987) with estimates that are mixed (Mahoney, 2005).
//! Instructions are understood by the Arm Architecture Reference Manual (Arm DDI 0487). The format is in `FORMAT.md`,
//! byte by byte.
//!
//! Decoding never panics, whatever it is given; takes at most [`MAX_MEMORY_BYTES`]; reads base and delta through
//! [`Stored`], never as a whole; never looks into an image for what it is; and counts in whole numbers only, so that
//! every machine comes to the same bytes. It is pure: no file, no clock. It doesn't know digests or signatures: those
//! of base and result are checked by whoever holds the signed manifest. Its own checksums only tell damage.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::verbose_bit_mask,
    clippy::many_single_char_names,
    reason = "a codec: fields of bits, fixed-point numbers and hashes are cut to their widths on purpose; sizes are \
              bounded before anything is counted in them"
)]

mod aarch64;
mod checksum;
mod coder;
mod copies;
#[cfg(feature = "encode")]
mod encode;
mod engine;
mod error;
mod head;
mod layout;
mod model;
mod pages;
mod predict;
mod run;
mod stored;

pub use copies::MAX_COPIES;
#[cfg(feature = "encode")]
pub use encode::{EncodeError, Options, encode};
pub use error::DeltaError;
pub use head::{Delta, FIXED_BYTES, MAGIC, MAX_SEGMENTS, Segment, VERSION};
pub use layout::{Image, MAX_IMAGE_BYTES, MAX_REGIONS};
pub use run::{MIN_PIECE_BYTES, Piece, Run};
pub use stored::{Nothing, Stored};

/// Memory that applying a delta takes at most, bytes, beside the base.
pub const MAX_MEMORY_BYTES: u64 = 8 << 20;
