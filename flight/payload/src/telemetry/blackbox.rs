//! The black box: which packets of telemetry are kept on disk, so that after any end of power it can be read what
//! happened before it.
//!
//! | kept | when | synced |
//! | --- | --- | --- |
//! | events of severity warning or worse | at once | from error on at once, else within a minute |
//! | housekeeping | each 60 s | with it all before |
//! | housekeeping around an error | each second of the 60 s before it and the 30 s after it | at the end |
//!
//! Quiet, that is 0.5 MB a day, in 1,440 syncs. A fault that lasts can't wear the disk out or push all that was before
//! out of the box: events are taken at one in 10 s on average and 400 at once, seconds around errors at one in 20 s on
//! average and 540 at once, together 3.5 MB a day at most with what is quiet.
//!
//! What is kept is a plain stream of packets as they go down, so that one reader does for both. Here is only what is to
//! be written; never opens a file and reads no clock.

use std::collections::VecDeque;

use passband_proto::dict::{Event, Housekeeping, PACKETS, Packet, Severity};
use passband_proto::packet::{MIN_PACKET_BYTES, TelemetryPacket, may_begin_telemetry};

/// Housekeeping is kept so often, ms.
const EVERY_MS: u64 = 60_000;
/// Seconds before an error that are kept, and as many samples.
const BEFORE: usize = 60;
/// After an error each second is kept for so long, ms.
const AFTER_MS: u64 = 30_000;
/// The least severe event that is kept.
const KEPT: Severity = Severity::Warning;
/// The least severe event around which each second is kept.
const AROUND: Severity = Severity::Error;

/// A packet to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Application process identifier.
    pub apid: u16,
    /// When it was, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// User data.
    pub data: Vec<u8>,
}

impl Record {
    /// A packet of the dictionary.
    pub fn of<P: Packet>(unix_ms: u64, packet: &P) -> Self {
        let mut data = vec![0; P::DEF.data_bytes()];
        // It is of this length by its definition.
        let written = packet.write(&mut data);
        debug_assert_eq!(written, Some(data.len()));
        Self { apid: P::DEF.apid, unix_ms, data }
    }
}

/// What is to be written now, and whether to sync behind it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writing {
    /// In this order.
    pub records: Vec<Record>,
    /// Whether all that was written has to be durable now.
    pub sync: bool,
}

/// Decides what is kept.
#[derive(Debug, Clone)]
pub struct BlackBox {
    /// The last samples that aren't kept.
    ring: VecDeque<Record>,
    /// Until when each sample is kept, ms.
    each_until_ms: Option<u64>,
    /// When the next one is kept in any case, ms.
    next_ms: u64,
    events: Budget,
    seconds: Budget,
}

impl Default for BlackBox {
    fn default() -> Self {
        Self {
            ring: VecDeque::with_capacity(BEFORE),
            each_until_ms: None,
            next_ms: 0,
            events: Budget::new(400, 10_000),
            seconds: Budget::new(540, 20_000),
        }
    }
}

impl BlackBox {
    /// Takes an event.
    pub fn event(&mut self, now_ms: u64, event: &Event) -> Writing {
        if event.severity < KEPT || !self.events.take(now_ms) {
            return Writing::default();
        }
        let record = Record::of(event.unix, event);
        if event.severity < AROUND {
            return Writing { records: vec![record], sync: false };
        }
        let mut records: Vec<Record> = Vec::new();
        for sample in self.ring.drain(..) {
            if self.seconds.take(now_ms) {
                records.push(sample);
            }
        }
        records.push(record);
        self.each_until_ms = Some(now_ms.saturating_add(AFTER_MS));
        Writing { records, sync: true }
    }

    /// Takes the channels of one moment, to be called each second.
    pub fn sample(&mut self, now_ms: u64, unix_ms: u64, channels: &Housekeeping) -> Writing {
        let record = Record::of(unix_ms, channels);
        let over = self.each_until_ms.is_some_and(|until_ms| now_ms > until_ms);
        if over {
            self.each_until_ms = None;
        }
        let due = now_ms >= self.next_ms;
        if due {
            self.next_ms = now_ms.saturating_add(EVERY_MS);
        }
        if due || (self.each_until_ms.is_some() && self.seconds.take(now_ms)) {
            return Writing { records: vec![record], sync: due || over };
        }
        if self.ring.len() >= BEFORE {
            self.ring.pop_front();
        }
        self.ring.push_back(record);
        Writing { records: Vec::new(), sync: over }
    }
}

/// The whole packets in a stream, in order, whatever lies between them: cuts and flipped bits lose what they hit, and
/// nothing behind it. Tags are not looked at.
pub fn packets(stream: &[u8]) -> impl Iterator<Item = TelemetryPacket<'_>> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            if let Some(packet) = first_packet(rest) {
                rest = rest.get(packet.bytes().len()..).unwrap_or_default();
                return Some(packet);
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        None
    })
}

/// The packet that a stream begins with, if it does.
fn first_packet(stream: &[u8]) -> Option<TelemetryPacket<'_>> {
    PACKETS.iter().find_map(|def| {
        let bytes = def.data_bytes().saturating_add(MIN_PACKET_BYTES);
        let whole = stream.get(..bytes).filter(|whole| may_begin_telemetry(whole, def.apid, bytes))?;
        TelemetryPacket::parse(whole).ok()
    })
}

/// So many at once, and one more in so long.
#[derive(Debug, Clone)]
struct Budget {
    left: u64,
    most: u64,
    every_ms: u64,
    since_ms: u64,
}

impl Budget {
    const fn new(most: u64, every_ms: u64) -> Self {
        Self { left: most, most, every_ms, since_ms: 0 }
    }

    fn take(&mut self, now_ms: u64) -> bool {
        let more = now_ms.saturating_sub(self.since_ms) / self.every_ms;
        self.since_ms = self.since_ms.saturating_add(more.saturating_mul(self.every_ms));
        self.left = self.left.saturating_add(more).min(self.most);
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Sample;
    use passband_proto::dict::{EventCode, FixedText};
    use passband_proto::packet::{Cuc, seal_telemetry};
    use proptest::prelude::*;

    fn event(severity: Severity) -> Event {
        Event { number: 1, unix: 5, severity, code: EventCode::Other, text: FixedText::cut("it") }
    }

    fn channels(uptime_s: u64) -> Housekeeping {
        Sample { uptime_s, ..Sample::default() }.housekeeping()
    }

    /// Samples of the seconds from `from` until before `until`; those that are written.
    fn run(blackbox: &mut BlackBox, from: u64, until: u64) -> Vec<u64> {
        let write = |s| blackbox.sample(s * 1000, s, &channels(s)).records;
        (from..until).flat_map(write).map(|record| record.unix_ms).collect()
    }

    #[test]
    fn quiet_it_keeps_a_sample_a_minute_and_syncs_with_it() {
        let mut blackbox = BlackBox::default();
        assert_eq!(run(&mut blackbox, 0, 181), [0, 60, 120, 180]);
        assert!(blackbox.sample(240_000, 240, &channels(240)).sync);
        assert!(!blackbox.sample(241_000, 241, &channels(241)).sync);
    }

    #[test]
    fn around_an_error_it_keeps_every_second() {
        let mut blackbox = BlackBox::default();
        run(&mut blackbox, 0, 100);
        let writing = blackbox.event(99_500, &event(Severity::Error));
        let times: Vec<u64> = writing.records.iter().map(|record| record.unix_ms).collect();
        let before: Vec<u64> = (39..100).filter(|s| *s != 60).collect();
        assert_eq!(times, [before, vec![5]].concat(), "60 s is on the disk by then");
        assert!(writing.sync && writing.records[60].apid == Event::DEF.apid);
        assert_eq!(run(&mut blackbox, 100, 190), [(100..130).collect::<Vec<_>>(), vec![180]].concat());
    }

    #[test]
    fn milder_events_are_kept_alone_and_the_mildest_not() {
        let mut blackbox = BlackBox::default();
        run(&mut blackbox, 0, 10);
        let warning = blackbox.event(10_000, &event(Severity::Warning));
        assert_eq!((warning.records.len(), warning.sync), (1, false));
        assert_eq!(blackbox.event(10_000, &event(Severity::Info)), Writing::default());
        assert!(run(&mut blackbox, 10, 20).is_empty());
    }

    #[test]
    fn a_storm_of_errors_for_a_day_stays_within_what_is_stated() {
        let (mut blackbox, mut bytes) = (BlackBox::default(), 0);
        for s in 0..86_400_u64 {
            for _ in 0..20 {
                bytes += size(&blackbox.event(s * 1000, &event(Severity::Critical)));
            }
            bytes += size(&blackbox.sample(s * 1000, s, &channels(s)));
        }
        assert!((2_000_000..3_700_000).contains(&bytes), "{bytes}");
        let quiet: usize = 1_440 * (Housekeeping::DEF.data_bytes() + MIN_PACKET_BYTES);
        assert!(quiet < 500_000, "{quiet}");
    }

    fn size(writing: &Writing) -> usize {
        writing.records.iter().map(|record| record.data.len() + MIN_PACKET_BYTES).sum()
    }

    fn sealed(number: u32) -> Vec<u8> {
        let (mut out, event) = ([0; 300], Event { number, ..event(Severity::Error) });
        let time = Cuc::new(number, 0);
        let bytes =
            seal_telemetry(&mut out, Event::DEF.apid, 1, time, &Record::of(0, &event).data, None).unwrap();
        out[..bytes].to_vec()
    }

    proptest! {
        #[test]
        fn after_cuts_and_flips_every_whole_packet_is_found(
            pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 1..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut stream, mut whole) = (Vec::new(), Vec::new());
            for (number, (keep, noise)) in (0..).zip(&pieces) {
                let packet = sealed(number);
                if *keep {
                    stream.extend(&packet);
                    whole.push(packet);
                } else {
                    let cut = cut.index(packet.len());
                    stream.extend(&packet[..cut]);
                    // Noise could begin with just what was cut off.
                    stream.push(!packet[cut]);
                }
                stream.extend(noise);
            }
            let found: Vec<Vec<u8>> = packets(&stream).map(|packet| packet.bytes().to_vec()).collect();
            prop_assert_eq!(found, whole);
        }
    }
}
