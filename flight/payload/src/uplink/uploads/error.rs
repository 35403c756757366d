//! Why something of an upload is refused.

use core::fmt;
use std::io;

use passband_proto::dict::Reason;

use super::MAX_UPLOADS;
use super::about::UploadId;

/// An order about uploads that changes nothing.
#[derive(Debug)]
pub enum UploadError {
    /// It can't be an upload, and why.
    Odd(&'static str),
    /// There are as many as there can be.
    TooMany,
    /// It takes more room than there is, bytes.
    NoRoom {
        /// What it takes.
        wanted: u64,
        /// What there is.
        free: u64,
    },
    /// Nothing of this id was begun.
    NotBegun(UploadId),
    /// The upload has no such piece, or one of another size.
    NoPiece {
        /// The upload.
        id: UploadId,
        /// The piece.
        index: u32,
        /// Its size, bytes.
        bytes: usize,
    },
    /// Those of the disk.
    Disk(io::Error),
}

impl UploadError {
    /// As an answer to the order says it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Odd(_) | Self::NoPiece { .. } => Reason::Malformed,
            Self::TooMany | Self::NoRoom { .. } => Reason::NotPossible,
            Self::NotBegun(_) => Reason::NotFound,
            Self::Disk(_) => Reason::Fault,
        }
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Odd(why) => write!(f, "this can't be uploaded: {why}"),
            Self::TooMany => write!(f, "{MAX_UPLOADS} uploads are on board, as many as there can be"),
            Self::NoRoom { wanted, free } => {
                write!(f, "it takes {wanted} bytes, and there is room for {free}")
            }
            Self::NotBegun(id) => write!(f, "no upload {} was begun", Hex(id)),
            Self::NoPiece { id, index, bytes } => {
                write!(f, "upload {} has no piece {index} of {bytes} bytes", Hex(id))
            }
            Self::Disk(e) => write!(f, "keeping an upload: {e}"),
        }
    }
}

impl core::error::Error for UploadError {}

struct Hex<'a>(&'a UploadId);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
