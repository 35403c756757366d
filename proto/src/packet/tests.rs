//! Both kinds of packet and their time, from both ends.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::crc32c;
use crate::keys::{EpochKey, TagKey};

fn key() -> TagKey {
    EpochKey::new(1, 1, [9; 32]).telemetry_key()
}

fn telemetry(data: &[u8], key: Option<&TagKey>) -> Vec<u8> {
    let mut out = vec![0; MAX_PACKET_BYTES];
    let bytes = seal_telemetry(&mut out, 0x123, 0x2ABC, Cuc::new(0x6B0A_0102, 0x8000), data, key).unwrap();
    out.truncate(bytes);
    out
}

fn command(order: &[u8]) -> Vec<u8> {
    let mut out = vec![0; CommandPacket::MAX_BYTES];
    let packet = CommandPacket { sequence_count: 5, mode: Mode::Fire, number: 0x0102_0304, order };
    let bytes = packet.write(&mut out).unwrap();
    out.truncate(bytes);
    out
}

#[test]
fn the_bytes_are_those_of_the_standards() {
    let packet = telemetry(b"abc", None);
    let head = [0x09, 0x23, 0xEA, 0xBC, 0x00, 21, 0x2E, 0x6B, 0x0A, 0x01, 0x02, 0x80, 0x00];
    assert_eq!(packet[..13], head);
    assert_eq!(packet[13..24], *b"abc\0\0\0\0\0\0\0\0");
    assert_eq!(packet[24..], crc32c::checksum(&packet[..24]).to_be_bytes());
    let head = [0x10, 0xFF, 0xC0, 0x05, 0x00, 8, 2, 1, 2, 3, 4];
    assert_eq!(command(b"\x00\x01xy"), [head.as_slice(), b"\x00\x01xy"].concat());
}

#[test]
fn every_single_bit_flip_of_telemetry_is_refused() {
    for data in [&[][..], &[0x5A; 100]] {
        let good = telemetry(data, Some(&key()));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(TelemetryPacket::parse(&bad).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_flip_with_a_repaired_crc_fails_the_tag() {
    let good = telemetry(&[3; 40], Some(&key()));
    let end = good.len() - CRC_BYTES;
    for bit in 0..end * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let crc = crc32c::checksum(&bad[..end]).to_be_bytes();
        bad[end..].copy_from_slice(&crc);
        assert!(TelemetryPacket::parse(&bad).map_or(true, |packet| !packet.verify(&key())), "bit {bit}");
    }
    assert!(TelemetryPacket::parse(&good).unwrap().verify(&key()));
    let unsigned = telemetry(&[3; 40], None);
    let unsigned = TelemetryPacket::parse(&unsigned).unwrap();
    assert!(unsigned.tag() == [0; 8] && !unsigned.verify(&key()), "no tag is no proof");
}

#[test]
fn errors_name_what_is_wrong_with_telemetry() {
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut bytes = telemetry(&[7; 20], None);
        change(&mut bytes);
        let end = bytes.len().saturating_sub(CRC_BYTES);
        let crc = crc32c::checksum(&bytes[..end]).to_be_bytes();
        bytes.splice(end.., crc);
        TelemetryPacket::parse(&bytes).unwrap_err()
    };
    assert_eq!(refused(|b| b.truncate(24)), PacketError::Length { bytes: 24 });
    assert_eq!(refused(|b| b.resize(1501, 0)), PacketError::Length { bytes: 1501 });
    assert_eq!(refused(|b| b.truncate(44)), PacketError::LengthField { says: 45, bytes: 44 });
    assert_eq!(refused(|b| b[0] |= 0x20), PacketError::Version { version: 1 });
    assert_eq!(refused(|b| b[0] |= 0x10), PacketError::Type);
    assert_eq!(refused(|b| b[0] &= !0x08), PacketError::SecondaryHeader);
    assert_eq!(refused(|b| b[2] &= 0x7F), PacketError::Segmented);
    assert_eq!(refused(|b| b[0] &= !0x01), PacketError::Range { field: "apid" });
    assert_eq!(refused(|b| b[6] = 0x1E), PacketError::Time(CucError::PField { p_field: 0x1E }));
    let mut damaged = telemetry(&[7; 20], None);
    damaged[15] ^= 1;
    assert_eq!(TelemetryPacket::parse(&damaged).unwrap_err(), PacketError::Crc);
}

#[test]
fn nothing_is_written_out_of_range() {
    let mut out = [0; MAX_PACKET_BYTES];
    let mut seal =
        |apid, count, data: &[u8]| seal_telemetry(&mut out, apid, count, Cuc::new(0, 0), data, None);
    for apid in [0x0FF, 0x200, 0x7FF, 0x923, u16::MAX] {
        assert_eq!(seal(apid, 0, &[]), Err(PacketError::Range { field: "apid" }));
    }
    assert_eq!(seal(0x100, 0x4000, &[]), Err(PacketError::Range { field: "sequence_count" }));
    assert_eq!(seal(0x1FF, 0x3FFF, &[0; MAX_DATA_BYTES]), Ok(MAX_PACKET_BYTES));
    assert_eq!(seal(0x1FF, 0, &[0; MAX_DATA_BYTES + 1]), Err(PacketError::Length { bytes: 1501 }));
    let mut short = [0; 27];
    let sealed = seal_telemetry(&mut short, 0x100, 0, Cuc::new(0, 0), &[0; 3], None);
    assert_eq!(sealed, Err(PacketError::Length { bytes: 27 }));
    assert_eq!((next_count(0x3FFF), next_count(7)), (0, 8));
}

#[test]
fn commands_out_of_range_are_refused() {
    let mut out = [0; CommandPacket::MAX_BYTES];
    let packet = |order| CommandPacket { sequence_count: 0, mode: Mode::Run, number: 1, order };
    assert_eq!(packet(&[0; 800]).write(&mut out), Ok(811));
    assert_eq!(packet(&[0; 801]).write(&mut out), Err(PacketError::Length { bytes: 812 }));
    assert_eq!(packet(&[0; 1]).write(&mut out), Err(PacketError::Length { bytes: 12 }));
    assert_eq!(packet(&[0; 2]).write(&mut out[..12]), Err(PacketError::Length { bytes: 12 }));
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut bytes = command(b"\x00\x01");
        change(&mut bytes);
        CommandPacket::parse(&bytes).unwrap_err()
    };
    assert_eq!(refused(|b| b[6] = 3), PacketError::Range { field: "flags" });
    assert_eq!(refused(|b| b[6] |= 0x80), PacketError::Range { field: "flags" });
    assert_eq!(refused(|b| b[1] = 0xFE), PacketError::Range { field: "apid" });
    assert_eq!(refused(|b| b[0] &= !0x10), PacketError::Type);
    assert_eq!(refused(|b| b[0] |= 0x08), PacketError::SecondaryHeader);
    assert_eq!(refused(|b| b.push(0)), PacketError::LengthField { says: 13, bytes: 14 });
    assert_eq!(refused(|b| b.truncate(10)), PacketError::Length { bytes: 10 });
}

#[test]
fn time_has_exact_bounds() {
    let last = Cuc::from_unix_ms(Cuc::MAX_UNIX_MS).unwrap();
    assert_eq!((last.seconds(), last.to_unix_ms()), (u32::MAX, 4_294_967_295_999));
    let beyond = Cuc::MAX_UNIX_MS + 1;
    assert_eq!(Cuc::from_unix_ms(beyond), Err(CucError::Beyond { unix_ms: beyond }));
    assert_eq!(Cuc::saturating_from_unix_ms(u64::MAX), last);
    assert_eq!(Cuc::from_unix_ms(1).unwrap(), Cuc::new(0, 66), "65.536 ticks, rounded up");
    assert_eq!(Cuc::from_unix_ms(0).unwrap().to_bytes(), [0x2E, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Cuc::from_bytes([0x1E, 0, 0, 0, 0, 0, 0]), Err(CucError::PField { p_field: 0x1E }));
}

proptest! {
    #[test]
    fn telemetry_survives(
        apid in TELEMETRY_APIDS, count in 0..SEQUENCE_COUNTS, seconds: u32, fine: u16,
        data in vec(any::<u8>(), 0..=MAX_DATA_BYTES), tagged: bool,
    ) {
        let (mut out, time, key) = ([0xEE; MAX_PACKET_BYTES], Cuc::new(seconds, fine), key());
        let bytes = seal_telemetry(&mut out, apid, count, time, &data, tagged.then_some(&key)).unwrap();
        prop_assert!(out[bytes..].iter().all(|b| *b == 0xEE), "nothing behind it is touched");
        prop_assert!(may_begin_telemetry(&out, apid, bytes));
        let packet = TelemetryPacket::parse(&out[..bytes]).unwrap();
        prop_assert_eq!((packet.apid(), packet.sequence_count(), packet.time()), (apid, count, time));
        prop_assert_eq!(packet.data(), data);
        prop_assert!(out[..bytes].ends_with(&packet.crc().to_be_bytes()));
        prop_assert_eq!(packet.verify(&key), tagged);
    }

    #[test]
    fn a_command_survives(
        sequence_count in 0..SEQUENCE_COUNTS, mode in 0..3_u8, number: u32, order in vec(any::<u8>(), 2..=800),
    ) {
        let mode = Mode::from_code(mode).unwrap();
        let packet = CommandPacket { sequence_count, mode, number, order: &order };
        let mut out = [0; CommandPacket::MAX_BYTES];
        let bytes = packet.write(&mut out).unwrap();
        prop_assert_eq!(CommandPacket::parse(&out[..bytes]), Ok(packet));
    }

    #[test]
    fn any_bytes_are_refused_or_come_out_the_same(
        mut bytes in vec(any::<u8>(), 0..1600), kind in 0..3_u8, repair: bool,
    ) {
        let length = u16::try_from(bytes.len().saturating_sub(7)).unwrap().to_be_bytes();
        let head = [[0x09, 0x11, 0xC0, 0, length[0], length[1], 0x2E], [0x10, 0xFF, 0xC0, 0, length[0], length[1], 0]];
        if let Some(head) = head.get(usize::from(kind)).filter(|_| bytes.len() >= 7) {
            bytes[..7].copy_from_slice(head);
        }
        if repair && let Some(end) = bytes.len().checked_sub(CRC_BYTES) {
            let crc = crc32c::checksum(&bytes[..end]).to_be_bytes();
            bytes[end..].copy_from_slice(&crc);
        }
        let mut out = vec![0; bytes.len()];
        if let Ok(packet) = CommandPacket::parse(&bytes) {
            prop_assert_eq!(packet.write(&mut out), Ok(bytes.len()));
            prop_assert_eq!(&out, &bytes);
        }
        if let Ok(packet) = TelemetryPacket::parse(&bytes) {
            prop_assert!(may_begin_telemetry(&bytes, packet.apid(), bytes.len()));
            let (count, time) = (packet.sequence_count(), packet.time());
            seal_telemetry(&mut out, packet.apid(), count, time, packet.data(), None).unwrap();
            let body = bytes.len() - TAG_BYTES - CRC_BYTES;
            prop_assert_eq!(&out[..body], &bytes[..body]);
        }
    }

    #[test]
    fn whole_ms_survive_however_a_reader_makes_ms_of_them(ms in 0..=Cuc::MAX_UNIX_MS) {
        let time = Cuc::from_unix_ms(ms).unwrap();
        prop_assert_eq!(time.to_unix_ms(), ms);
        prop_assert_eq!(Cuc::from_bytes(time.to_bytes()), Ok(time));
        let rounded = (f64::from(time.fine()) / 65.536).round();
        prop_assert!((rounded - (ms % 1000) as f64).abs() < 0.5);
    }

    #[test]
    fn time_is_ordered_as_its_ms_are(a in 0..=Cuc::MAX_UNIX_MS, b in 0..=Cuc::MAX_UNIX_MS) {
        let [at_a, at_b] = [a, b].map(|ms| Cuc::from_unix_ms(ms).unwrap());
        prop_assert_eq!(at_a.cmp(&at_b), a.cmp(&b));
    }
}
