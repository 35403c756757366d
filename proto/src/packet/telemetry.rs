//! Telemetry packets: written on board, read by anyone, verified by whoever holds the key.

use super::PacketError;
use super::cuc::{Cuc, P_FIELD};
use super::primary::{self, Kind, PRIMARY_BYTES, TELEMETRY_APIDS};
use crate::crc32c;
use crate::keys::TagKey;
use crate::wire::{Reader, Writer};

/// The largest packet: what the links of small satellites and their ground tools take whole (UDP cuts one of more than
/// 1,472 bytes into two IP fragments).
pub const MAX_PACKET_BYTES: usize = 1500;
/// Bytes of the keyed tag behind the data.
pub const TAG_BYTES: usize = 8;
/// Bytes of the CRC behind the tag.
pub const CRC_BYTES: usize = 4;
/// The smallest packet: all that isn't data.
pub const MIN_PACKET_BYTES: usize = HEADER_BYTES + TAG_BYTES + CRC_BYTES;
/// Most bytes of data.
pub const MAX_DATA_BYTES: usize = MAX_PACKET_BYTES - MIN_PACKET_BYTES;

/// Bytes in front of the data.
const HEADER_BYTES: usize = PRIMARY_BYTES + Cuc::BYTES;

/// Writes a telemetry packet to the front of `out` and returns its length.
///
/// `sequence_count` is that of the APID, below [`super::SEQUENCE_COUNTS`], one more from packet to packet
/// ([`super::next_count`]). Without a key the tag is zero.
///
/// # Errors
/// An APID outside [`TELEMETRY_APIDS`], a count out of range, too much data, or `out` too short.
pub fn seal_telemetry(
    out: &mut [u8],
    apid: u16,
    sequence_count: u16,
    time: Cuc,
    data: &[u8],
    key: Option<&TagKey>,
) -> Result<usize, PacketError> {
    if !TELEMETRY_APIDS.contains(&apid) {
        return Err(PacketError::Range { field: "apid" });
    }
    if data.len() > MAX_DATA_BYTES {
        return Err(PacketError::Length { bytes: data.len().saturating_add(MIN_PACKET_BYTES) });
    }
    let total = data.len() + MIN_PACKET_BYTES;
    let short = PacketError::Length { bytes: out.len() };
    let out = out.get_mut(..total).ok_or(short)?;
    let (tagged, trailer) = out.split_at_mut_checked(HEADER_BYTES + data.len()).ok_or(short)?;
    primary::write(Kind::Telemetry, apid, sequence_count, total, tagged)?;
    let mut w = Writer::new(tagged.get_mut(PRIMARY_BYTES..).ok_or(short)?);
    w.put(&time.to_bytes()).put(data);
    debug_assert!(w.fitted());
    let tag = key.map_or([0; 16], |key| key.tag(tagged));
    Writer::new(trailer).put(tag.first_chunk::<TAG_BYTES>().unwrap_or(&[0; TAG_BYTES]));
    let crc = {
        let (body, _) = out.split_at_checked(total - CRC_BYTES).ok_or(short)?;
        crc32c::checksum(body)
    };
    if let Some(place) = out.last_chunk_mut::<CRC_BYTES>() {
        *place = crc.to_be_bytes();
    }
    Ok(total)
}

/// Whether a telemetry packet of `apid` and `bytes` in all could begin with `head`, of which the first seven bytes are
/// looked at: what a search for packets in a stream asks before it tries a CRC.
#[must_use]
pub fn may_begin_telemetry(head: &[u8], apid: u16, bytes: usize) -> bool {
    let Some((header, rest)) = head.split_first_chunk::<PRIMARY_BYTES>() else { return false };
    // What `primary::read` finds, on bytes alone: this is asked of every byte of a stream.
    let [id @ .., flags, _, long_high, long_low] = header;
    u16::from_be_bytes(*id) == 0x0800 | apid
        && flags >> 6 == 0b11
        && usize::from(u16::from_be_bytes([*long_high, *long_low])) + PRIMARY_BYTES + 1 == bytes
        && rest.first() == Some(&P_FIELD)
}

/// A telemetry packet whose structure and CRC are right. Its tag is not checked yet.
#[derive(Debug, Clone, Copy)]
pub struct TelemetryPacket<'a> {
    apid: u16,
    count: u16,
    time: Cuc,
    data: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
    bytes: &'a [u8],
}

impl<'a> TelemetryPacket<'a> {
    /// Reads exactly the bytes of one packet.
    ///
    /// # Errors
    /// What keeps them from being one: length, the primary header's fields, the CRC, the time's P-field, in this order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let length = PacketError::Length { bytes: bytes.len() };
        if !(MIN_PACKET_BYTES..=MAX_PACKET_BYTES).contains(&bytes.len()) {
            return Err(length);
        }
        let (apid, count) = primary::read(Kind::Telemetry, bytes)?;
        if !TELEMETRY_APIDS.contains(&apid) {
            return Err(PacketError::Range { field: "apid" });
        }
        let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(length)?;
        if crc32c::checksum(body) != u32::from_be_bytes(*crc) {
            return Err(PacketError::Crc);
        }
        let (tagged, tag) = body.split_last_chunk::<TAG_BYTES>().ok_or(length)?;
        let (head, data) = tagged.split_first_chunk::<HEADER_BYTES>().ok_or(length)?;
        let mut r = Reader::new(head);
        let _primary: [u8; PRIMARY_BYTES] = r.array().ok_or(length)?;
        let time = Cuc::from_bytes(r.array().ok_or(length)?).map_err(PacketError::Time)?;
        Ok(Self { apid, count, time, data, tag, bytes })
    }

    /// Application process id: which packet it is, in [`TELEMETRY_APIDS`].
    #[must_use]
    pub fn apid(&self) -> u16 {
        self.apid
    }

    /// Sequence count of its APID, below [`super::SEQUENCE_COUNTS`].
    #[must_use]
    pub fn sequence_count(&self) -> u16 {
        self.count
    }

    /// When the board says that it was made.
    #[must_use]
    pub fn time(&self) -> Cuc {
        self.time
    }

    /// Its data: what the dictionary says of the APID.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Its tag; zero if the sender held no key.
    #[must_use]
    pub fn tag(&self) -> [u8; TAG_BYTES] {
        *self.tag
    }

    /// Its CRC: tells it from others of the same APID, count and time.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.bytes.last_chunk::<CRC_BYTES>().map_or(0, |crc| u32::from_be_bytes(*crc))
    }

    /// All of its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether its tag was made with this key, in constant time.
    #[must_use]
    pub fn verify(&self, key: &TagKey) -> bool {
        let tagged = self.bytes.len().checked_sub(TAG_BYTES + CRC_BYTES);
        tagged.and_then(|end| self.bytes.get(..end)).is_some_and(|tagged| key.verify_short(tagged, self.tag))
    }
}
