//! The primary header (CCSDS 133.0-B-2, 4.1.3), by the crate `spacepackets`.
//!
//! Two 16-bit words and a length: what they say is checked here once for both kinds of packet.

use core::ops::RangeInclusive;

use spacepackets::{PacketId, PacketSequenceControl, SpHeader};

use super::PacketError;

/// Bytes of the primary header.
pub const PRIMARY_BYTES: usize = 6;
/// Application process ids of telemetry packets.
pub const TELEMETRY_APIDS: RangeInclusive<u16> = 0x100..=0x1FF;
/// Application process id of command packets.
pub const COMMAND_APID: u16 = 0x0FF;
/// How many sequence counts there are: the field has 14 bits.
pub const SEQUENCE_COUNTS: u16 = 1 << 14;

const TYPE_BIT: u16 = 1 << 12;
const SECONDARY_BIT: u16 = 1 << 11;
const APID_MASK: u16 = 0x7FF;
const UNSEGMENTED: u16 = 0b11;

/// The sequence count that follows `count`.
#[must_use]
pub fn next_count(count: u16) -> u16 {
    count.wrapping_add(1) % SEQUENCE_COUNTS
}

/// The two kinds of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Type 0, with a secondary header.
    Telemetry,
    /// Type 1, without.
    Command,
}

impl Kind {
    fn bits(self) -> u16 {
        match self {
            Self::Telemetry => SECONDARY_BIT,
            Self::Command => TYPE_BIT,
        }
    }
}

/// Writes the primary header of a packet of `bytes` in all to the front of `out`.
pub(super) fn write(
    kind: Kind,
    apid: u16,
    count: u16,
    bytes: usize,
    out: &mut [u8],
) -> Result<(), PacketError> {
    if apid > APID_MASK {
        return Err(PacketError::Range { field: "apid" });
    }
    if count >= SEQUENCE_COUNTS {
        return Err(PacketError::Range { field: "sequence_count" });
    }
    let length = PacketError::Length { bytes };
    let behind = bytes.checked_sub(PRIMARY_BYTES + 1).and_then(|behind| u16::try_from(behind).ok());
    let id = PacketId::from(kind.bits() | apid);
    let control = PacketSequenceControl::from(UNSEGMENTED << 14 | count);
    let header = SpHeader::new(id, control, behind.ok_or(length)?);
    header.write_to_slice(out).map(|_| ()).map_err(|_| length)
}

/// Reads the primary header of a packet that is `bytes` to the end: application process id and sequence count.
pub(super) fn read(kind: Kind, bytes: &[u8]) -> Result<(u16, u16), PacketError> {
    let (header, _) =
        SpHeader::from_be_bytes(bytes).map_err(|_| PacketError::Length { bytes: bytes.len() })?;
    let version = header.version.value();
    if version != 0 {
        return Err(PacketError::Version { version });
    }
    let (id, control) = (header.packet_id.raw(), header.psc.raw());
    if (id ^ kind.bits()) & TYPE_BIT != 0 {
        return Err(PacketError::Type);
    }
    if (id ^ kind.bits()) & SECONDARY_BIT != 0 {
        return Err(PacketError::SecondaryHeader);
    }
    if control >> 14 != UNSEGMENTED {
        return Err(PacketError::Segmented);
    }
    let says = header.packet_len();
    if says != bytes.len() {
        return Err(PacketError::LengthField { says, bytes: bytes.len() });
    }
    Ok((id & APID_MASK, control % SEQUENCE_COUNTS))
}
