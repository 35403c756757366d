//! A record of the archive: one packet and when it was received.
//!
//! ```text
//!  0  magic "PT"        4  received, ms since 1970-01-01 UTC, u64    16  packet [N]
//!  2  N u16            12  CRC-32C of bytes 0 … 11
//! ```
//!
//! Integers are big endian; the packet has a CRC of its own. A walk over a file goes from record to record and, where
//! there is none (a write that was torn, a damaged medium), searches for the next one byte by byte.

use passband_proto::crc32c;
use passband_proto::packet::{MAX_PACKET_BYTES, MIN_PACKET_BYTES, TelemetryPacket};

/// Bytes in front of the packet.
const HEADER_BYTES: usize = 16;

/// Most bytes of a record.
pub(super) const MAX_BYTES: usize = HEADER_BYTES + MAX_PACKET_BYTES;

const MAGIC: &[u8; 2] = b"PT";

/// A record within a file's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// When it was received, ms since 1970-01-01 UTC.
    pub(super) received_unix_ms: u64,
    /// Its packet.
    pub(super) packet: TelemetryPacket<'a>,
    /// Where it begins, bytes.
    pub(super) at: usize,
}

impl Record<'_> {
    /// Where it ends, bytes.
    pub(super) fn end(&self) -> usize {
        self.at + HEADER_BYTES + self.packet.bytes().len()
    }

    /// The time that its packet says, ms since 1970-01-01 UTC.
    pub(super) fn unix_ms(&self) -> u64 {
        self.packet.time().to_unix_ms()
    }
}

/// The bytes of a record.
pub(super) fn encode(received_unix_ms: u64, packet: &TelemetryPacket<'_>) -> Vec<u8> {
    let bytes = packet.bytes();
    let mut out = Vec::with_capacity(HEADER_BYTES + bytes.len());
    out.extend_from_slice(MAGIC);
    // A packet has 1,500 bytes at most.
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&received_unix_ms.to_be_bytes());
    out.extend_from_slice(&crc32c::checksum(&out).to_be_bytes());
    out.extend_from_slice(bytes);
    out
}

/// All whole records in `bytes`, whatever lies between them.
pub(super) fn walk(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(ahead) = bytes.get(at..).filter(|ahead| ahead.len() >= HEADER_BYTES) {
            if let Some((received_unix_ms, packet)) = decode(ahead) {
                let record = Record { received_unix_ms, packet, at };
                at = record.end();
                return Some(record);
            }
            at += 1;
        }
        None
    })
}

/// The record at the front of `ahead`.
fn decode(ahead: &[u8]) -> Option<(u64, TelemetryPacket<'_>)> {
    let (head, rest) = ahead.split_first_chunk::<HEADER_BYTES>()?;
    let (said, crc) = head.split_last_chunk::<4>()?;
    if !said.starts_with(MAGIC) || crc32c::checksum(said) != u32::from_be_bytes(*crc) {
        return None;
    }
    let [_, _, high, low, received @ ..] = said else { return None };
    let bytes = usize::from(u16::from_be_bytes([*high, *low]));
    if !(MIN_PACKET_BYTES..=MAX_PACKET_BYTES).contains(&bytes) {
        return None;
    }
    let packet = TelemetryPacket::parse(rest.get(..bytes)?).ok()?;
    Some((u64::from_be_bytes(received.try_into().ok()?), packet))
}
