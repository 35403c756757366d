//! The reader on streams with one thing wrong each, and on those that are made to hurt it.

use super::*;
use passband_proto::packet::{Cuc, seal_telemetry};
use proptest::prelude::*;

/// Packets of 0x101 have 60 bytes, of 0x102 1,400, and what is asked of others doesn't matter here.
#[expect(clippy::unnecessary_wraps, reason = "what a table of lengths looks like")]
fn lengths(apid: u16) -> Option<usize> {
    Some(if apid == 0x102 { 1400 } else { 60 })
}

fn packet(apid: u16, count: u16, fill: &[u8]) -> Vec<u8> {
    let mut out = vec![0; lengths(apid).unwrap()];
    let mut data = vec![0x55; out.len() - MIN_PACKET_BYTES];
    data[..fill.len()].copy_from_slice(fill);
    seal_telemetry(&mut out, apid, count, Cuc::new(9, 9), &data, None).unwrap();
    out
}

/// What is found in a stream, pushed in pieces of `step` bytes.
fn found(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, ReaderStats) {
    let (mut reader, mut out) = (Reader::new(lengths), Vec::new());
    for piece in stream.chunks(step) {
        reader.push(piece, |packet| out.push(packet.bytes().to_vec()));
        assert!(reader.held.len() < MAX_PACKET_BYTES && reader.held.capacity() <= 4 * MAX_PACKET_BYTES);
    }
    reader.finish(|packet| out.push(packet.bytes().to_vec()));
    let stats = *reader.stats();
    assert_eq!(reader.undecided(), 0);
    let in_packets: usize = out.iter().map(Vec::len).sum();
    assert_eq!(stats.bytes, stats.skipped_bytes + in_packets as u64);
    (out, stats)
}

#[test]
fn a_flip_in_a_length_field_costs_its_own_packet_only() {
    let packets: Vec<_> = (0..5).map(|count| packet(0x101, count, &[])).collect();
    for bit in 0..16 {
        let mut stream = packets.concat();
        stream[64 + bit / 8] ^= 1 << (bit % 8);
        let (out, stats) = found(&stream, 7);
        assert_eq!(out, [&packets[..1], &packets[2..]].concat(), "bit {bit}");
        assert_eq!(stats.skipped_bytes, 60);
    }
}

#[test]
fn the_head_of_a_long_packet_whose_rest_is_lost_hides_none_of_those_behind_it() {
    let long = packet(0x102, 0, &[]);
    let short: Vec<_> = (0..30).map(|count| packet(0x101, count, &[])).collect();
    let stream = [&long[..200], &short.concat()].concat();
    for step in [1, 59, 4000] {
        let (out, stats) = found(&stream, step);
        assert_eq!(out, short);
        assert_eq!((stats.crc_failures, stats.skipped_bytes), (1, 200));
    }
}

#[test]
fn a_whole_packet_inside_anothers_data_comes_out_only_if_the_outer_one_is_damaged() {
    let inner = packet(0x101, 3, &[]);
    let outer = packet(0x102, 4, &inner);
    assert_eq!(found(&outer, 100).0.concat(), outer);
    let mut damaged = outer;
    damaged[1300] ^= 1;
    assert_eq!(found(&damaged, 100).0, [inner]);
}

#[test]
fn after_a_silence_whole_packets_come_out_once_and_the_unfinished_one_is_waited_for() {
    let inner = packet(0x101, 3, &[]);
    let outer = packet(0x102, 4, &inner);
    let (mut reader, mut out) = (Reader::new(lengths), Vec::new());
    let cut = packet(0x102, 9, &[]);
    for piece in [&cut[..50], &inner, &outer[..1000]] {
        reader.push(piece, |_| unreachable!("nothing is decided"));
    }
    for _ in 0..3 {
        reader.idle(|packet| out.push(packet.bytes().to_vec()));
    }
    assert_eq!(out, [inner.clone(), inner.clone()], "one by itself, and one that may be part of another");
    reader.push(&outer[1000..], |packet| out.push(packet.bytes().to_vec()));
    reader.push(&inner, |packet| out.push(packet.bytes().to_vec()));
    reader.finish(|packet| out.push(packet.bytes().to_vec()));
    assert_eq!(out[2..], [outer, inner]);
    assert_eq!((reader.stats().packets, reader.stats().skipped_bytes), (4, 50));
}

/// A stream of places where a packet could begin, as close as they can stand: 0 and 1, 8 and 9, …
fn hostile(bytes: usize) -> Vec<u8> {
    let unit = [0x09, 0x09, 0xC0, 0xC0, 0x05, 0x05, 0x2E, 0x2E];
    unit.iter().copied().cycle().take(bytes).collect()
}

/// Lengths that make the most of [`hostile`].
fn hostile_lengths(apid: u16) -> Option<usize> {
    match apid {
        0x109 => Some(0x505 + 7),
        0x1C0 => Some(0x52E + 7),
        _ => None,
    }
}

#[test]
fn hostile_bytes_cost_a_bounded_amount_of_work_each() {
    let stream = hostile(400_000);
    let mut reader = Reader::new(hostile_lengths);
    for piece in stream.chunks(1000) {
        reader.push(piece, |_| unreachable!("no CRC holds"));
    }
    reader.finish(|_| unreachable!("no CRC holds"));
    let stats = reader.stats();
    assert_eq!(stats.skipped_bytes, stats.bytes);
    assert!(stats.crc_failures >= 99_000, "the stream is no test: {stats:?}");
    assert!(stats.checked_bytes <= stats.bytes * 2 * MAX_PACKET_BYTES as u64 / 8, "{stats:?}");
}

proptest! {
    #[test]
    fn of_eight_bytes_in_a_row_two_can_begin_a_packet(
        bytes in proptest::collection::vec(
            prop_oneof![Just(0x09), Just(0xC0), Just(0xC9), Just(0x05), Just(0x2E), Just(0), any::<u8>()], 14),
        lengths in proptest::collection::vec(25..=MAX_PACKET_BYTES, 256),
    ) {
        // Whatever lengths the APIDs have, even those that each place would ask for.
        let could = |at: &usize| {
            let head = &bytes[*at..at + HEAD_BYTES];
            let says = usize::from(u16::from_be_bytes([head[4], head[5]])) + 7;
            let apid = 0x100 | u16::from(head[1]);
            head[0] == 0x09 && says <= MAX_PACKET_BYTES && may_begin_telemetry(head, apid, says)
        };
        prop_assert!((0..8).filter(could).count() <= 2);
        let (mut reader, table) = (Reader::new(|apid| lengths.get(usize::from(apid & 0xFF)).copied()), &bytes);
        reader.push(table, |_| ());
        reader.finish(|_| ());
        prop_assert_eq!(reader.stats().skipped_bytes, 14);
    }

    #[test]
    fn how_a_stream_is_cut_into_pushes_changes_nothing(
        noise in proptest::collection::vec(prop_oneof![Just(0x09), Just(0x01), Just(0xC0), any::<u8>()], 0..300),
        at in 0..300_usize, step in 1..2000_usize,
    ) {
        let mut stream = [packet(0x101, 1, &[]), packet(0x102, 2, &[]), packet(0x101, 3, &[])].concat();
        let at = (at * 5).min(stream.len());
        stream.splice(at..at, noise);
        prop_assert_eq!(found(&stream, step), found(&stream, stream.len()));
    }
}
