//! Releases, as the ground makes and checks them: keys and roots, images, deltas, manifests, and the update file that goes up.
//!
//! | module | what |
//! | --- | --- |
//! | [`keys`] | the key files of those who sign |
//! | [`roots`] | the first root, and the one after another |
//! | [`signing`] | one more signature on a root or a manifest; who has signed, and who may still |
//! | [`images`] | a program and its files, made one image |
//! | [`deltas`] | the ways from the images on board to a new one, and the list of them |
//! | [`manifests`] | what is said of an image, before it is signed |
//! | [`update`] | roots, manifest and delta in one file, and how many passes that is |
//! | [`verify`] | all that a board checks of such a file, with the code that the board checks with |
//! | [`inspect`] | what any of these files is |
//! | [`facts`] | what is told of them, as text and as JSON |
//! | [`files`] | reading within limits, and writing so that no file is ever there by half |
//!
//! The formats are those of [`passband_proto::release`] and of the crate `passband-delta`. Nothing here reads a clock; only key
//! files are drawn at random: an image depends on nothing but the bytes that it is made of.

pub mod deltas;
pub mod facts;
pub mod files;
pub mod images;
pub mod inspect;
pub mod keys;
pub mod manifests;
pub mod roots;
pub mod signing;
#[cfg(test)]
mod tests;
pub mod update;
pub mod verify;

use passband_proto::release::ImageId;
use sha2::{Digest, Sha256};

/// The SHA-256 of an image or a delta: its name everywhere.
#[must_use]
pub fn id_of(bytes: &[u8]) -> ImageId {
    ImageId(Sha256::digest(bytes).into())
}
