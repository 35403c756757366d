//! Releases: which software a board may run, who says so, and how an image is put together.
//!
//! Roles, thresholds and the rotation of keys are those of The Update Framework (TUF specification 1.0.33, §2.1 roles,
//! §5.3 updating the root), cut down to what an uplink of 9,600 bit/s and a board without a trusted clock can use: a
//! *root* names the keys, a *manifest* signed by the release role describes one image. What TUF's timestamp and
//! snapshot roles are for, refusing what is older than what was seen, is done by a ratchet of versions for each key,
//! which moves only once an image was confirmed in flight.
//!
//! | part | what |
//! | --- | --- |
//! | [`envelope`] | bytes and the ed25519 signatures over them; nothing is read of the bytes before these were counted |
//! | [`root`] | the keys of both roles, and their thresholds; one root hands over to the next |
//! | [`manifest`] | one image: for which board, what it needs, its digest, and that of each delta with its base |
//! | [`trust`] | what a board believes: its root and its ratchets; says whether a manifest holds, or why not |
//! | [`image`] | the program with its files behind it, which is what a slot holds |
//!
//! An *update file*, as it goes up, is any number of roots, one manifest, and one delta, back to back.
//!
//! Nothing here reads a file or a clock, and nothing here decides when something is installed.

#[cfg(feature = "std")]
pub mod envelope;
pub mod image;
#[cfg(feature = "std")]
pub mod manifest;
#[cfg(feature = "std")]
mod refusal;
#[cfg(feature = "std")]
pub mod root;
#[cfg(all(test, feature = "std"))]
mod tests;
#[cfg(feature = "std")]
pub mod trust;

use core::fmt;
use core::str::FromStr;

#[cfg(feature = "std")]
pub use refusal::Refusal;

/// SHA-256 of a whole image, or of a delta: its name everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ImageId(pub [u8; 32]);

impl ImageId {
    /// No image.
    pub const NONE: Self = Self([0; 32]);

    /// The beginning of it, which people are shown: 8 hexadecimal digits.
    #[must_use]
    pub fn short(&self) -> [u8; 4] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "{:.8}" gives the first digits, as for a text.
        let digits = f.precision().unwrap_or(64);
        self.0.iter().take(digits.div_ceil(2)).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageId({self})")
    }
}

/// A text that is no image id: 64 hexadecimal digits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadImageId;

impl fmt::Display for BadImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image id is 64 hexadecimal digits")
    }
}

impl core::error::Error for BadImageId {}

impl FromStr for ImageId {
    type Err = BadImageId;

    fn from_str(text: &str) -> Result<Self, BadImageId> {
        crate::ids::parse_hex(text).map(Self).ok_or(BadImageId)
    }
}
