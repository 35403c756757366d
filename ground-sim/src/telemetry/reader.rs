//! Finds telemetry packets in a stream of bytes, whatever lies between them.
//!
//! At each byte the reader asks whether a packet could begin there: packet id of a known APID, sequence flags, the
//! very length that packets of this APID have, the time's P-field. Where one could, all of it is waited for and its CRC
//! decides: it is a packet and the search goes on behind it, or it is none and the search goes on **one byte** on. A
//! length field is never followed, so a flip in it costs its own packet and no other; a header that only looks like
//! one (in noise, in the data of a packet that was cut) costs nothing.
//!
//! Cost. Two places where a packet could begin stand 1, 3, 5, or 7 and more bytes apart: at 2, 4 and 6 the first byte of
//! the one falls on flags, length or P-field of the other, which can't be 0x09. Two odd distances make an even one, so of
//! any eight bytes in a row at most two are such places, and a CRC is computed over at most 2/8 · 1,500 = 375 bytes for a
//! byte of input, if somebody makes the stream for it; of a clean stream over one. Each call of [`Reader::idle`] may do as
//! much for the bytes that are held. Memory: two packets at most.
//!
//! The reader reads no clock: whoever feeds it from a live line tells it of a silence ([`Reader::idle`]).

#[cfg(test)]
mod tests;

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
