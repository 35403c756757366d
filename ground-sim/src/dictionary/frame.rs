//! What stands around a packet's user data: the CCSDS primary header (133.0-B-2), the time (301.0-B-4, CUC) in front, tag
//! and CRC-32C behind.
//!
//! The dictionaries describe it by [`FRONT`] and [`BACK`]; its bytes are those of [`passband_proto::packet`]. No key is known
//! here: a tag is copied, never checked.

use passband_proto::crc32c;
use passband_proto::dict::PacketDef;
use passband_proto::packet::{
    COMMAND_APID, CRC_BYTES, Cuc, MIN_PACKET_BYTES, P_FIELD, PRIMARY_BYTES, SEQUENCE_COUNTS, TAG_BYTES,
    TelemetryPacket, seal_telemetry,
};

/// The P-field of the times: agency epoch (1970-01-01T00:00:00 UTC), 4 bytes of seconds, 2 of their fraction.
pub const TIME_P_FIELD: u8 = P_FIELD;
/// Bytes in front of the user data.
pub const FRONT_BYTES: usize = PRIMARY_BYTES + Cuc::BYTES;
/// Bytes behind the user data.
pub const BACK_BYTES: usize = MIN_PACKET_BYTES - FRONT_BYTES;
/// The application process that takes orders.
pub const ORDER_APID: u16 = COMMAND_APID;

/// Something around the user data.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its size, bits.
    pub bits: u32,
    /// What it says.
    pub doc: &'static str,
}

const fn part(name: &'static str, bits: u32, doc: &'static str) -> Part {
    Part { name, bits, doc }
}

/// The primary header.
pub const HEADER: [Part; 7] = [
    part("ccsds_version", 3, "Version of the packet: 0."),
    part("ccsds_type", 1, "0: telemetry, 1: an order."),
    part("ccsds_secondary_header", 1, "Whether a secondary header follows."),
    part("ccsds_apid", 11, "Application process identifier: which packet."),
    part("ccsds_sequence_flags", 2, "3: not segmented."),
    part("ccsds_sequence_count", 14, "Counts the packets of the identifier."),
    part("ccsds_length", 16, "Bytes behind the primary header, less 1."),
];

/// What follows the primary header of telemetry: the time, in three parts.
pub const FRONT: [Part; 3] = [
    part("time_p_field", 8, "Form of the time: 46."),
    part("time_coarse", 32, "Seconds since 1970-01-01T00:00:00 UTC."),
    part("time_fine", 16, "Their fraction, 1/65536 s."),
];

/// What stands behind the user data.
pub const BACK: [Part; 2] = [
    part("tag", 64, "Keyed tag (the first 8 bytes of AES-128-CMAC); 0: the board holds no key."),
    part("crc", 32, "CRC-32C of all before it."),
];

/// A packet taken apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framed<'a> {
    /// What it is.
    pub def: &'static PacketDef,
    /// Its number among those of its identifier, 14 bits.
    pub count: u16,
    /// Seconds since 1970-01-01T00:00:00 UTC.
    pub coarse: u32,
    /// Their fraction, 1/65536 s.
    pub fine: u16,
    /// Its user data.
    pub data: &'a [u8],
    /// Its keyed tag.
    pub tag: u64,
}

/// The bytes of a packet, with the tag as it is: nothing for a packet that can't be.
#[must_use]
pub fn write(framed: &Framed<'_>) -> Vec<u8> {
    let mut out = vec![0; framed.data.len() + FRONT_BYTES + BACK_BYTES];
    let time = Cuc::new(framed.coarse, framed.fine);
    let count = framed.count % SEQUENCE_COUNTS;
    if seal_telemetry(&mut out, framed.def.apid, count, time, framed.data, None).is_err() {
        return Vec::new();
    }
    if let Some((body, crc)) = out.split_last_chunk_mut::<CRC_BYTES>()
        && let Some((_, tag)) = body.split_last_chunk_mut::<TAG_BYTES>()
    {
        *tag = framed.tag.to_be_bytes();
        *crc = crc32c::checksum(body).to_be_bytes();
    }
    out
}

/// A packet of its bytes, if it is whole, undamaged and in the dictionary.
#[must_use]
pub fn read(packet: &[u8]) -> Option<Framed<'_>> {
    let packet = TelemetryPacket::parse(packet).ok()?;
    let def = PacketDef::of(packet.apid()).filter(|def| def.data_bytes() == packet.data().len())?;
    Some(Framed {
        def,
        count: packet.sequence_count(),
        coarse: packet.time().seconds(),
        fine: packet.time().fine(),
        data: packet.data(),
        tag: u64::from_be_bytes(packet.tag()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::dict::PACKETS;

    #[test]
    fn what_is_written_is_read_and_no_damaged_byte_goes_unseen() {
        let def = PACKETS[0];
        let data: Vec<u8> = (0..def.data_bytes()).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let framed = Framed { def, count: 16_383, coarse: 1_800_000_000, fine: 7, data: &data, tag: 9 };
        let bytes = write(&framed);
        assert_eq!(read(&bytes), Some(framed));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(read(&damaged), None, "byte {at}");
            assert_eq!(read(&bytes[..at]), None);
        }
    }

    #[test]
    fn the_parts_are_as_long_as_the_bytes() {
        let bits = |parts: &[Part]| parts.iter().map(|part| part.bits as usize).sum::<usize>();
        assert_eq!(bits(&HEADER) + bits(&FRONT), 8 * FRONT_BYTES);
        assert_eq!(bits(&BACK), 8 * BACK_BYTES);
    }
}
