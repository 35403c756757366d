//! What can be wrong with a delta, its base or where they are stored.

use std::fmt;
use std::io::ErrorKind;

use crate::layout::Image;

/// Why a delta was refused, or could not be applied. Names what, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaError {
    /// It ends before `needed` bytes; it has `have`.
    Short {
        /// Bytes that the part being read takes, from the beginning of the delta.
        needed: u64,
        /// Bytes there are.
        have: u64,
    },
    /// It goes on for `more` bytes behind its last segment.
    Long {
        /// Bytes too many.
        more: u64,
    },
    /// It does not begin as a delta does.
    NotADelta,
    /// A version of the format that this program does not know.
    Version(u8),
    /// Bytes of the head are damaged.
    HeadChecksum,
    /// A field of the head has a value that it can't have.
    Field {
        /// Which, as the format names it.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A region of a layout is not as it has to be.
    Region {
        /// Of which image.
        image: Image,
        /// Which region, counted from 0.
        region: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// A copy is not as it has to be.
    Copied {
        /// Which copy, counted from 0.
        copy: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// Applying it would take more memory than is allowed.
    Memory {
        /// Bytes that it would take.
        needed: u64,
        /// Bytes that are allowed.
        most: u64,
    },
    /// The base is not as long as the delta says: it is another one.
    BaseLength {
        /// Bytes it should have.
        told: u64,
        /// Bytes it has.
        have: u64,
    },
    /// There is no such segment.
    NoSegment(u32),
    /// A segment's stream is longer or shorter than what was made of it.
    Stream {
        /// Which segment, counted from 0.
        segment: u32,
    },
    /// What a segment came to is not what was encoded: delta or base are damaged, or the base is another one.
    Checksum {
        /// Which segment, counted from 0.
        segment: u32,
    },
    /// A piece was asked for with no room for a unit of the result.
    Room {
        /// Bytes that are needed at least.
        needed: usize,
    },
    /// What is stored could not be read.
    Unreadable {
        /// What: the delta or the base.
        what: &'static str,
        /// The first byte that was asked for.
        at: u64,
        /// What the storage said.
        kind: ErrorKind,
    },
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, have } => write!(f, "the delta ends after {have} bytes of {needed}"),
            Self::Long { more } => write!(f, "{more} bytes behind the delta's last segment"),
            Self::NotADelta => f.write_str("not a delta: it begins with other bytes"),
            Self::Version(version) => write!(f, "version {version} of the format is not known here"),
            Self::HeadChecksum => f.write_str("the delta's head is damaged: wrong checksum"),
            Self::Field { field, value } => write!(f, "the delta's {field} can't be {value}"),
            Self::Region { image, region, why } => write!(f, "region {region} of the {image}: {why}"),
            Self::Copied { copy, why } => write!(f, "copy {copy}: {why}"),
            Self::Memory { needed, most } => {
                write!(f, "it takes {needed} bytes of memory; allowed are {most}")
            }
            Self::BaseLength { told, have } => {
                write!(f, "another base: it has {have} bytes, the delta's has {told}")
            }
            Self::NoSegment(segment) => write!(f, "there is no segment {segment}"),
            Self::Stream { segment } => write!(f, "segment {segment}: its stream has another length"),
            Self::Checksum { segment } => {
                write!(
                    f,
                    "segment {segment}: wrong checksum: the delta is damaged, or the base is another one"
                )
            }
            Self::Room { needed } => write!(f, "a piece needs room for {needed} bytes"),
            Self::Unreadable { what, at, kind } => write!(f, "the {what} can't be read at byte {at}: {kind}"),
        }
    }
}

impl std::error::Error for DeltaError {}
