//! What can be wrong with the bytes of a frame, or with data that are to be one.

use core::fmt;

use super::frame::{MAX_DATA_BYTES, MAX_FRAME_BYTES};

/// What is wrong with the bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameFault {
    /// Too short to hold anything.
    Truncated {
        /// How many bytes came.
        bytes: usize,
    },
    /// More than [`MAX_FRAME_BYTES`].
    TooLong {
        /// How many bytes came.
        bytes: usize,
    },
    /// A field of the primary header is not that of a Type-BD frame of this length.
    NotAFrame(&'static str),
    /// Damaged on the way.
    Fecf,
    /// For another spacecraft.
    Spacecraft {
        /// The number in the frame, 10 bits.
        scid: u16,
    },
    /// On another virtual channel.
    Channel {
        /// The number in the frame.
        vcid: u8,
    },
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { bytes } => write!(f, "{bytes} bytes are too few for a protected frame"),
            Self::TooLong { bytes } => write!(f, "{bytes} bytes; a frame has at most {MAX_FRAME_BYTES}"),
            Self::NotAFrame(field) => write!(f, "not a Type-BD frame: wrong {field}"),
            Self::Fecf => f.write_str("the FECF doesn't hold: damaged on the way"),
            Self::Spacecraft { scid } => write!(f, "for another spacecraft, SCID {scid}"),
            Self::Channel { vcid } => write!(f, "on another virtual channel, VCID {vcid}"),
        }
    }
}

impl core::error::Error for FrameFault {}

/// Data that fits no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealError {
    /// How many bytes they are.
    pub bytes: usize,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of data; a frame carries 1 to {MAX_DATA_BYTES}", self.bytes)
    }
}

impl core::error::Error for SealError {}
