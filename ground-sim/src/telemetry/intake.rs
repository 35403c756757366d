//! One intake for all routes: each packet once, and what is missing.
//!
//! The same packet may come by several stations, live and again from a capture. What came lately is remembered in a
//! window of bounded size, by APID, sequence count, time and CRC: two packets that agree in all of these are the same.
//! Gaps are counted by the sequence count, APID by APID, over what is left.
//!
//! A count has 14 bits: more than 8,191 packets missing in a row can't be told from a board that started again. A count that
//! begins again near zero, far from where it was, is taken for such a start; so is a lower count in a packet that was made
//! later. Only what was made earlier, by the board's clock, came late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use passband_proto::packet::{Cuc, SEQUENCE_COUNTS, TelemetryPacket};
use serde::Serialize;

/// Packets that are remembered unless told otherwise: half an hour of ten a second, in 1.5 MiB.
pub const WINDOW_PACKETS: usize = 16_384;

/// Counts at which a board that has started again is first heard.
const START_COUNTS: u16 = 16;
/// A jump of more than so many counts to one of those is a start and no gap.
const START_JUMP: u16 = 1024;

/// What tells a packet from all others.
type Name = (u16, u16, Cuc, u32);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new.
    New,
    /// It came before, by this route or another.
    Duplicate,
}

/// What came of one APID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sequence {
    /// Packets, each once.
    pub packets: u64,
    /// Packets that came once more.
    pub duplicates: u64,
    /// Packets that were sent, by their counts, and did not come.
    pub missing: u64,
    /// Times that some were missing.
    pub gaps: u64,
    /// Packets that came behind later ones.
    pub late: u64,
    /// Times that the counts began again, or stood still.
    pub starts: u64,
    /// The highest count of late.
    pub last_count: u16,
    /// When the packet of that count was made, by the board's clock.
    #[serde(skip)]
    last_time: Option<Cuc>,
}

/// Takes the packets of all routes.
#[derive(Debug, Clone)]
pub struct Intake {
    window: usize,
    order: VecDeque<Name>,
    known: BTreeSet<Name>,
    /// 256 at most: there are no more APIDs.
    sequences: BTreeMap<u16, Sequence>,
}

impl Default for Intake {
    fn default() -> Self {
        Self::new(WINDOW_PACKETS)
    }
}

impl Intake {
    /// An intake that remembers `window` packets, one at least.
    pub fn new(window: usize) -> Self {
        let window = window.max(1);
        Self { window, order: VecDeque::new(), known: BTreeSet::new(), sequences: BTreeMap::new() }
    }

    /// Takes a packet.
    pub fn take(&mut self, packet: &TelemetryPacket<'_>) -> Verdict {
        let name = (packet.apid(), packet.sequence_count(), packet.time(), packet.crc());
        let sequence = self.sequences.entry(packet.apid()).or_default();
        if !self.known.insert(name) {
            sequence.duplicates += 1;
            return Verdict::Duplicate;
        }
        sequence.follow(packet.sequence_count(), packet.time());
        self.order.push_back(name);
        if self.order.len() > self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Verdict::New
    }

    /// What came, by APID.
    pub fn sequences(&self) -> &BTreeMap<u16, Sequence> {
        &self.sequences
    }
}

impl Sequence {
    /// Goes on to a packet's count.
    fn follow(&mut self, count: u16, time: Cuc) {
        self.packets += 1;
        let ahead = count.wrapping_sub(self.last_count) % SEQUENCE_COUNTS;
        let distance = ahead.min(SEQUENCE_COUNTS - ahead);
        let is_behind = ahead >= SEQUENCE_COUNTS / 2;
        let begins = count < START_COUNTS && distance > START_JUMP;
        if self.packets == 1 {
        } else if ahead == 0 || begins || (is_behind && self.last_time.is_some_and(|last| time > last)) {
            self.starts += 1;
        } else if is_behind {
            // It was taken for missing.
            self.late += 1;
            self.missing = self.missing.saturating_sub(1);
            return;
        } else {
            self.missing += u64::from(ahead - 1);
            self.gaps += u64::from(ahead > 1);
        }
        (self.last_count, self.last_time) = (count, Some(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passband_proto::packet::seal_telemetry;

    fn take(intake: &mut Intake, apid: u16, count: u16, seconds: u32) -> Verdict {
        let mut out = [0; 60];
        let bytes = seal_telemetry(&mut out, apid, count, Cuc::new(seconds, 0), &[1; 30], None).unwrap();
        intake.take(&TelemetryPacket::parse(&out[..bytes]).unwrap())
    }

    /// What came of 0x101 with these counts, each made later than the one before.
    fn sequence(counts: &[u16]) -> Sequence {
        let made: Vec<_> = (0..).zip(counts).map(|(seconds, count)| (*count, seconds)).collect();
        sequence_of(&made)
    }

    /// What came of 0x101 with these counts, made at these times, s.
    fn sequence_of(packets: &[(u16, u32)]) -> Sequence {
        let mut intake = Intake::default();
        for (count, seconds) in packets {
            take(&mut intake, 0x101, *count, *seconds);
        }
        intake.sequences()[&0x101]
    }

    #[test]
    fn a_packet_is_taken_once_by_however_many_routes() {
        let mut intake = Intake::default();
        for station in 0..3 {
            for count in 0..100 {
                let verdict = take(&mut intake, 0x101, count, 7);
                assert_eq!(verdict == Verdict::New, station == 0);
            }
        }
        assert_eq!(take(&mut intake, 0x102, 5, 7), Verdict::New, "another APID");
        assert_eq!(take(&mut intake, 0x101, 5, 8), Verdict::New, "another time");
        let sequence = intake.sequences()[&0x101];
        assert_eq!((sequence.packets, sequence.duplicates, sequence.missing), (101, 200, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut intake = Intake::new(10);
        for count in 0..1000 {
            take(&mut intake, 0x101, count, 7);
        }
        assert_eq!((intake.order.len(), intake.known.len()), (10, 10));
        assert_eq!(take(&mut intake, 0x101, 990, 7), Verdict::Duplicate);
        assert_eq!(take(&mut intake, 0x101, 989, 7), Verdict::New, "too long ago");
    }

    #[test]
    fn gaps_late_packets_and_starts_are_told_apart() {
        let told = |counts: &[u16]| {
            let s = sequence(counts);
            (s.missing, s.gaps, s.late, s.starts)
        };
        assert_eq!(told(&[16_382, 16_383, 0, 1]), (0, 0, 0, 0), "the count wraps");
        assert_eq!(told(&[16_380, 2, 3]), (5, 1, 0, 0), "over the wrap");
        let late = sequence_of(&[(5, 5), (9, 9), (7, 7), (10, 10)]);
        assert_eq!((late.missing, late.gaps, late.late, late.starts), (2, 1, 1, 0), "one came late");
        assert_eq!(told(&[9_000, 9_001, 0, 1, 2]), (0, 0, 0, 1), "the board started again");
        assert_eq!(told(&[3_000, 2, 3]), (0, 0, 0, 1), "and again");
        assert_eq!(told(&[700, 3]), (0, 0, 0, 1), "it was made later, so it didn't come late");
        let soon = sequence(&(0..30).chain(0..30).collect::<Vec<_>>());
        assert_eq!((soon.late, soon.starts), (0, 1), "a board that starts again soon has no packet late");
    }
}
