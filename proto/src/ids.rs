//! Names of things that cross a link.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Identifies a bundle, and is the salt from which its key is derived: 96 random bits, drawn once
/// when sealing begins and thrown away if sealing is interrupted.
///
/// Two of a million bundles share an id with probability 2⁻⁵⁷ (birthday bound).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BundleId(pub [u8; 12]);

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BundleId({self})")
    }
}

/// A text that is not a bundle id: 24 hexadecimal digits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBundleId;

impl fmt::Display for BadBundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bundle id is 24 hexadecimal digits")
    }
}

impl core::error::Error for BadBundleId {}

impl FromStr for BundleId {
    type Err = BadBundleId;

    fn from_str(text: &str) -> Result<Self, BadBundleId> {
        parse_hex(text).map(Self).ok_or(BadBundleId)
    }
}

/// `N` bytes from exactly `2 N` hexadecimal digits.
#[must_use]
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [hi, lo] = *pair else { return None };
        let value = (hex_digit(hi)? << 4) | hex_digit(lo)?;
        *byte = value;
    }
    Some(out)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok())
}

/// How much a product is worth on the ground; it decides what goes down first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Class {
    /// A leak is sure: its evidence goes first.
    Alert = 0,
    /// A leak is suspected: skips the line on the next pass.
    Suspect = 1,
    /// Ordinary data.
    Routine = 2,
    /// Cloud or nothing: last, and the first to go when space is needed.
    DiscardCandidate = 3,
}

impl Class {
    /// All classes, the most valuable first.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Suspect, Self::Routine, Self::DiscardCandidate];

    /// The class of a code in a datagram.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == code)
    }

    /// The name used in every output and command.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Suspect => "suspect",
            Self::Routine => "routine",
            Self::DiscardCandidate => "discard-candidate",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownClass;

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a class is one of alert, suspect, routine, discard-candidate")
    }
}

impl core::error::Error for UnknownClass {}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(UnknownClass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_id_survives_its_text() {
        let id = BundleId([0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255]);
        assert_eq!(id.to_string(), "000102030405fafbfcfdfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "00", "0001020304050607080900zz", "000102030405fafbfcfdfeff00", "é00102030405fafbfcfdfef"]
        {
            assert_eq!(bad.parse::<BundleId>(), Err(BadBundleId), "{bad:?}");
        }
    }

    #[test]
    fn classes_survive_code_and_name() {
        for class in Class::ALL {
            assert_eq!(Class::from_code(class as u8), Some(class));
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert_eq!(Class::from_code(4), None);
        assert_eq!("leak".parse::<Class>(), Err(UnknownClass));
    }
}
