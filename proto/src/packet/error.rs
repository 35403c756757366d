//! Why bytes are not a packet, or a packet can't be written.

use core::fmt;

use super::cuc::CucError;

/// Why bytes are not a packet, or a packet can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketError {
    /// Too short or too long to be one, or to be written where it should be.
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// Its length field says another length than it has.
    LengthField {
        /// What the field says of the whole packet, bytes.
        says: usize,
        /// How long it is.
        bytes: usize,
    },
    /// A packet version this code does not know.
    Version {
        /// The version it names.
        version: u8,
    },
    /// A command where telemetry should be, or the other way round.
    Type,
    /// With a secondary header where none should be, or without where one should be.
    SecondaryHeader,
    /// A piece of a segmented packet.
    Segmented,
    /// Damaged on the way.
    Crc,
    /// Its time is no time of ours.
    Time(CucError),
    /// A field outside its range.
    Range {
        /// Which field.
        field: &'static str,
    },
}

impl PacketError {
    /// A short fixed name, to count by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Length { .. } | Self::LengthField { .. } => "length",
            Self::Version { .. } => "version",
            Self::Type => "type",
            Self::SecondaryHeader => "secondary-header",
            Self::Segmented => "segmented",
            Self::Crc => "crc",
            Self::Time(_) => "time",
            Self::Range { .. } => "range",
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(f, "{bytes} bytes can't be or hold such a packet"),
            Self::LengthField { says, bytes } => {
                write!(f, "the length field says {says} bytes, the packet has {bytes}")
            }
            Self::Version { version } => write!(f, "packet version {version} is not known"),
            Self::Type => f.write_str("the packet type is the wrong one: telemetry is 0, a command 1"),
            Self::SecondaryHeader => f.write_str("the secondary header flag is the wrong one"),
            Self::Segmented => f.write_str("a piece of a segmented packet: sequence flags other than 3"),
            Self::Crc => f.write_str("CRC-32C does not match: damaged on the way"),
            Self::Time(e) => write!(f, "packet time: {e}"),
            Self::Range { field } => write!(f, "field '{field}' is out of range"),
        }
    }
}

impl core::error::Error for PacketError {}
