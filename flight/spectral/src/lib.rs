//! What is done to images: ENVI cubes in any common layout, a matched-filter gas detector with masks and quality
//! flags, and a quicklook picture.
//!
//! Pure compute. This crate never opens a file or a socket, never reads a clock or a random number, never starts a
//! thread and knows nothing of bundles, queues or links: bytes come in through [`cube::ReadAt`], results go out as
//! values. The same input gives the same bytes on every target: fused multiply-add where it is asked for and nowhere else,
//! reductions in a fixed order, transcendental functions from `libm`.
//!
//! The path of a frame: [`envi::Header::parse`] → [`cube::Cube::new`] → [`triage::triage`] →
//! [`quicklook::quicklook_png`].
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod class;
pub mod cube;
pub mod envi;
pub mod geo;
mod numeric;
pub mod quicklook;
pub mod target;
pub mod triage;

pub use class::Class;
