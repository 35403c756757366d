//! What is said of an upload at its beginning, how that is kept, and where its pieces are.
//!
//! ```text
//! "PBUP" | format u8 = 1 | kind u8 | number u32 | size u32 | bytes of a piece u16 | SHA-256 | length u8 | name | CRC-32C u32
//! ```
//!
//! Numbers are big endian; the CRC covers all before it.

use core::fmt;
use std::path::PathBuf;

use passband_proto::crc32c::checksum;
use passband_proto::dict::UploadKind;

use super::entry::Complete;
use super::error::UploadError;
use super::pieces::MAX_PIECES;

/// The first bytes of an upload's SHA-256.
pub type UploadId = [u8; 4];

/// Longest name, bytes.
const MAX_NAME_BYTES: usize = 32;
/// Sizes of a piece, bytes.
const PIECE_BYTES: core::ops::RangeInclusive<u16> = 16..=768;

/// What an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What its pieces are told by: the first bytes of its SHA-256.
    pub id: UploadId,
    /// What it is.
    pub kind: UploadKind,
    /// What it is called: letters, digits, `.`, `-`, `_`; no `.` first.
    pub name: String,
    /// Its size, bytes.
    pub size: u32,
    /// Bytes of each piece but the last.
    pub piece: u16,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Rises from one upload to the next; given to it on board.
    pub number: u32,
}

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: usize,
    pub(super) crc_offset: u64,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} (", self.kind, self.name)?;
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl About {
    /// Its pieces.
    pub fn pieces(&self) -> u32 {
        self.size.div_ceil(u32::from(self.piece).max(1))
    }

    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), UploadError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let named = (1..=MAX_NAME_BYTES).contains(&self.name.len()) && self.name.bytes().all(plain);
        let wrong = match () {
            () if !self.sha256.starts_with(&self.id) => "its id is not the beginning of its SHA-256",
            () if !named || self.name.starts_with('.') => "its name is not 1 to 32 letters, digits, . - _",
            () if self.size == 0 => "it is empty",
            () if !PIECE_BYTES.contains(&self.piece) => "its pieces are not of 16 to 768 bytes",
            () if self.pieces() > MAX_PIECES => "it has more than 65535 pieces",
            () => return Ok(()),
        };
        Err(UploadError::Odd(wrong))
    }

    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let number = self.number;
        *self == Self { number, ..other.clone() }
    }

    /// Bytes of its file: content and table.
    pub(super) fn part_bytes(&self) -> u64 {
        u64::from(self.size).saturating_add(u64::from(self.pieces()).saturating_mul(4))
    }

    pub(super) fn place(&self, index: u32) -> Option<Place> {
        if index >= self.pieces() {
            return None;
        }
        let offset = u64::from(index).saturating_mul(self.piece.into());
        let left = u64::from(self.size).saturating_sub(offset).min(self.piece.into());
        let crc_offset = u64::from(self.size).saturating_add(u64::from(index).saturating_mul(4));
        Some(Place { offset, bytes: usize::try_from(left).ok()?, crc_offset })
    }

    /// What stands in the table for a piece: never 0, which stands there for one that isn't there.
    pub(super) fn piece_crc(&self, index: u32, bytes: &[u8]) -> u32 {
        let mut covered = Vec::with_capacity(bytes.len().saturating_add(8));
        covered.extend(self.id);
        covered.extend(index.to_be_bytes());
        covered.extend(bytes);
        checksum(&covered).max(1)
    }

    pub(super) fn complete(&self, path: PathBuf) -> Complete {
        Complete { id: self.id, kind: self.kind, name: self.name.clone(), path }
    }

    /// Writes it as it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = b"PBUP\x01".to_vec();
        out.push(u8::try_from(self.kind.code()).unwrap_or(u8::MAX));
        out.extend(self.number.to_be_bytes());
        out.extend(self.size.to_be_bytes());
        out.extend(self.piece.to_be_bytes());
        out.extend(self.sha256);
        out.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX));
        out.extend(self.name.as_bytes());
        out.extend(checksum(&out).to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` if it isn't that, or can't be.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (framed, crc) = bytes.split_last_chunk::<4>()?;
        let rest = framed.strip_prefix(b"PBUP\x01")?;
        if checksum(framed) != u32::from_be_bytes(*crc) {
            return None;
        }
        let ([kind], rest) = rest.split_first_chunk::<1>()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (piece, rest) = rest.split_first_chunk()?;
        let (sha256, rest) = rest.split_first_chunk::<32>()?;
        let ([length], name) = rest.split_first_chunk::<1>()?;
        let about = Self {
            id: *sha256.first_chunk()?,
            kind: UploadKind::from_code((*kind).into())?,
            name: String::from_utf8(name.to_vec()).ok().filter(|name| name.len() == usize::from(*length))?,
            size: u32::from_be_bytes(*size),
            piece: u16::from_be_bytes(*piece),
            sha256: *sha256,
            number: u32::from_be_bytes(*number),
        };
        about.check().is_ok().then_some(about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn about() -> About {
        About {
            id: [1, 2, 3, 4],
            kind: UploadKind::Script,
            name: "check-1.sh".into(),
            size: 1_000,
            piece: 300,
            sha256: core::array::from_fn(|i| u8::try_from(i + 1).unwrap()),
            number: 9,
        }
    }

    #[test]
    fn it_is_kept_and_read_and_any_flip_is_refused() {
        let bytes = about().encode();
        assert_eq!(About::decode(&bytes), Some(about()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(About::decode(&flipped), None, "{bit}");
        }
    }

    #[test]
    fn places_cover_the_content_once() {
        let about = about();
        let places: Vec<_> = (0..5).map_while(|index| about.place(index)).collect();
        let ends: Vec<_> = places.iter().map(|p| (p.offset, p.bytes, p.crc_offset)).collect();
        assert_eq!(ends, [(0, 300, 1000), (300, 300, 1004), (600, 300, 1008), (900, 100, 1012)]);
        assert_eq!(about.part_bytes(), 1016);
    }

    #[test]
    fn what_can_t_be_an_upload_is_told() {
        let says = |change: fn(&mut About)| {
            let mut about = about();
            change(&mut about);
            about.check().unwrap_err().to_string()
        };
        assert!(says(|a| a.id = [0; 4]).contains("not the beginning of its SHA-256"));
        for name in ["", "a/b", "..", ".hidden", "a b", "ä"] {
            let named = About { name: name.into(), ..about() };
            assert!(named.check().is_err(), "{name}");
        }
        assert!(says(|a| a.size = 0).contains("empty"));
        assert!(says(|a| a.piece = 15).contains("16 to 768"));
        assert!(says(|a| (a.size, a.piece) = (16 * 65_535 + 1, 16)).contains("more than 65535 pieces"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            prop_assert!(About::decode(&bytes).is_none_or(|about| about.encode() == bytes));
        }
    }
}
