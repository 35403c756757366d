//! Finds telemetry packets in a stream of bytes, whatever lies between them.
//!
//! At each byte the reader asks whether a packet could begin there: packet id of a known APID, sequence flags, the
//! very length that packets of this APID have, the time's P-field. Where one could, all of it is waited for and its CRC
//! decides: it is a packet and the search goes on behind it, or it is none and the search goes on **one byte** on. A
//! length field is never followed, so a flip in it costs its own packet and no other; a header that only looks like
//! one (in noise, in the data of a packet that was cut) costs nothing.
//!
//! Cost. Two places where a packet could begin can't stand closer together than their fields allow: of any seven
//! bytes in a row at most two are such places. So a CRC is computed over at most 2/7 · 1,500 ≈ 429 bytes for a byte of
//! input, if somebody makes the stream for it; of a clean stream over one. Each call of [`Reader::idle`] may do as much
//! for the bytes that are held. Memory: two packets at most.
//!
//! The reader reads no clock: whoever feeds it from a live line tells it of a silence ([`Reader::idle`]).

use passband_proto::packet::{
    MAX_PACKET_BYTES, MIN_PACKET_BYTES, TELEMETRY_APIDS, TelemetryPacket, may_begin_telemetry,
};
use serde::Serialize;

/// Bytes that tell whether a packet could begin.
const HEAD_BYTES: usize = 7;
/// The byte that begins every telemetry packet: version 0, type 0, secondary header 1, APID 0x1xx.
const FIRST_BYTE: u8 = 0x09;

/// Finds packets in one stream of bytes. `L` says how long the packets of an APID are; none if there is no such APID.
#[derive(Debug)]
pub struct Reader<L> {
    lengths: L,
    /// What is not decided yet: less than a packet.
    held: Vec<u8>,
    /// Where in the stream it begins.
    offset: u64,
    /// Where packets begin that were handed out though what stands before them is not decided.
    given: Vec<u64>,
    stats: ReaderStats,
}

/// What a [`Reader`] has met so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReaderStats {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Packets found.
    pub packets: u64,
    /// Bytes that belong to no packet, as far as it is decided.
    pub skipped_bytes: u64,
    /// Places where a packet could begin and whose CRC did not hold: damaged packets, mostly.
    pub crc_failures: u64,
    /// Bytes that a CRC was computed over, again and again: the work that was done.
    pub checked_bytes: u64,
}

impl ReaderStats {
    /// Adds what another reader has met.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.skipped_bytes += other.skipped_bytes;
        self.crc_failures += other.crc_failures;
        self.checked_bytes += other.checked_bytes;
    }
}

/// What stands at the front of some bytes.
enum Front {
    /// No packet in so many bytes.
    Nothing(usize),
    /// Perhaps a packet: there are too few bytes to tell.
    Undecided,
    /// Perhaps a packet, of so many bytes, which are all there.
    Candidate(usize),
}

impl<L: Fn(u16) -> Option<usize>> Reader<L> {
    /// A reader at the beginning of a stream.
    pub fn new(lengths: L) -> Self {
        Self { lengths, held: Vec::new(), offset: 0, given: Vec::new(), stats: ReaderStats::default() }
    }

    /// Takes the next bytes of the stream, cut anywhere, and hands out the packets that they complete.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&TelemetryPacket<'_>)) {
        self.stats.bytes += bytes.len() as u64;
        for part in bytes.chunks(MAX_PACKET_BYTES) {
            self.held.extend_from_slice(part);
            self.scan(false, &mut sink);
        }
    }

    /// Nothing has come for a while: hands out whole packets that stand behind something undecided, such as the
    /// beginning of a long packet whose rest was lost. That is waited for all the same, and nothing is handed out twice.
    pub fn idle(&mut self, mut sink: impl FnMut(&TelemetryPacket<'_>)) {
        let mut at = 0;
        while let Some(ahead) = self.held.get(at..).filter(|ahead| !ahead.is_empty()) {
            let bytes = match front(ahead, &self.lengths) {
                Front::Nothing(bytes) => bytes,
                Front::Undecided => 1,
                Front::Candidate(bytes) => {
                    self.stats.checked_bytes += bytes as u64;
                    let place = self.offset + at as u64;
                    if let Some(packet) = whole(ahead, bytes) {
                        if !self.given.contains(&place) {
                            self.given.push(place);
                            self.stats.packets += 1;
                            sink(&packet);
                        }
                        bytes
                    } else {
                        1
                    }
                }
            };
            at += bytes;
        }
    }

    /// The stream has ended: decides what is left. What is pushed afterwards begins another stream.
    pub fn finish(&mut self, mut sink: impl FnMut(&TelemetryPacket<'_>)) {
        self.scan(true, &mut sink);
    }

    /// What was met so far.
    pub fn stats(&self) -> &ReaderStats {
        &self.stats
    }

    /// Bytes that are not decided yet.
    pub fn undecided(&self) -> usize {
        self.held.len()
    }

    /// Decides as much as can be decided, or, at the end of the stream, all.
    fn scan(&mut self, ended: bool, sink: &mut impl FnMut(&TelemetryPacket<'_>)) {
        let mut at = 0;
        while let Some(ahead) = self.held.get(at..).filter(|ahead| !ahead.is_empty()) {
            let (taken, skipped) = match front(ahead, &self.lengths) {
                Front::Nothing(bytes) => (bytes, bytes),
                Front::Undecided if ended => (1, 1),
                Front::Undecided => break,
                Front::Candidate(bytes) => {
                    self.stats.checked_bytes += bytes as u64;
                    if let Some(packet) = whole(ahead, bytes) {
                        if !self.given.contains(&(self.offset + at as u64)) {
                            self.stats.packets += 1;
                            sink(&packet);
                        }
                        (bytes, 0)
                    } else {
                        self.stats.crc_failures += 1;
                        (1, 1)
                    }
                }
            };
            at += taken;
            self.stats.skipped_bytes += skipped as u64;
        }
        self.held.drain(..at);
        self.offset += at as u64;
        self.given.retain(|place| *place >= self.offset);
        debug_assert!(ended || self.held.len() < MAX_PACKET_BYTES, "less than a packet is undecided");
    }
}

/// The packet of `bytes` at the front, if it is one.
fn whole(ahead: &[u8], bytes: usize) -> Option<TelemetryPacket<'_>> {
    ahead.get(..bytes).and_then(|packet| TelemetryPacket::parse(packet).ok())
}

/// What stands at the front of bytes, of which there is one at least.
fn front(ahead: &[u8], lengths: impl Fn(u16) -> Option<usize>) -> Front {
    match ahead.iter().position(|byte| *byte == FIRST_BYTE) {
        Some(0) => {}
        Some(bytes) => return Front::Nothing(bytes),
        None => return Front::Nothing(ahead.len()),
    }
    let Some(low) = ahead.get(1) else { return Front::Undecided };
    let apid = TELEMETRY_APIDS.start() | u16::from(*low);
    let bytes = lengths(apid).filter(|bytes| (MIN_PACKET_BYTES..=MAX_PACKET_BYTES).contains(bytes));
    let Some(bytes) = bytes else { return Front::Nothing(1) };
    if ahead.len() < HEAD_BYTES {
        Front::Undecided
    } else if !may_begin_telemetry(ahead, apid, bytes) {
        Front::Nothing(1)
    } else if ahead.len() < bytes {
        Front::Undecided
    } else {
        Front::Candidate(bytes)
    }
}

#[cfg(test)]
mod tests {
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

    /// A stream of places where a packet could begin, as close as they can stand: 0 and 1, 7 and 8, …
    fn hostile(bytes: usize) -> Vec<u8> {
        let unit = [0x09, 0x09, 0xC0, 0xC0, 0x05, 0x05, 0x2E];
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
        let stream = hostile(700_000);
        let mut reader = Reader::new(hostile_lengths);
        for piece in stream.chunks(1000) {
            reader.push(piece, |_| unreachable!("no CRC holds"));
        }
        reader.finish(|_| unreachable!("no CRC holds"));
        let stats = reader.stats();
        assert_eq!(stats.skipped_bytes, stats.bytes);
        assert!(stats.crc_failures >= 99_000, "the stream is no test: {stats:?}");
        assert!(stats.checked_bytes <= stats.bytes * 2 * MAX_PACKET_BYTES as u64 / 7, "{stats:?}");
    }

    proptest! {
        #[test]
        fn of_seven_bytes_in_a_row_two_can_begin_a_packet(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0x09), Just(0xC0), Just(0xC9), Just(0x05), Just(0x2E), Just(0), any::<u8>()], 13),
            lengths in proptest::collection::vec(25..=MAX_PACKET_BYTES, 256),
        ) {
            // Whatever lengths the APIDs have, even those that each place would ask for.
            let could = |at: &usize| {
                let head = &bytes[*at..at + HEAD_BYTES];
                let says = usize::from(u16::from_be_bytes([head[4], head[5]])) + 7;
                let apid = 0x100 | u16::from(head[1]);
                head[0] == 0x09 && says <= MAX_PACKET_BYTES && may_begin_telemetry(head, apid, says)
            };
            prop_assert!((0..7).filter(could).count() <= 2);
            let (mut reader, table) = (Reader::new(|apid| lengths.get(usize::from(apid & 0xFF)).copied()), &bytes);
            reader.push(table, |_| ());
            reader.finish(|_| ());
            prop_assert_eq!(reader.stats().skipped_bytes, 13);
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
}
