//! The trace of a pass: what is kept of one that is on, so that the next start knows of it, whatever ends this one.
//!
//! A pass that ends while the daemon runs leaves an empty trace. One that is found at a start was cut off: by a power
//! cut, a reset, or the death of the process. What is left of an operator's pass goes on then, if the clock can be
//! believed; the plan and the bus computer open the transmitter by themselves, and a pass that the operator closed stays
//! closed until its LOS.
//!
//! ```text
//! format u8 = 1 | AOS u64 | end u64 | rate u64 | held until u64      times in ms since 1970-01-01 UTC, 0: none
//! ```
//!
//! Numbers are big endian; the rate, bit/s, is 0 where not the operator opened the transmitter. Nothing here reads a
//! clock or a file; the record is kept in a [twin](crate::adapters::twin).

use passband_proto::bus::MAX_ON_FOR_MS;

/// Length of a trace, bytes.
pub const TRACE_BYTES: usize = 1 + 4 * 8;
const FORMAT: u8 = 1;

/// What is kept of the pass that is on, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace {
    /// Its AOS, ms since 1970-01-01 UTC; 0: none is on.
    pub since_unix_ms: u64,
    /// Its end, as far as it was known at AOS, ms since 1970-01-01 UTC.
    pub until_unix_ms: u64,
    /// The rate at which the operator opened the transmitter, bit/s; 0: another did.
    pub rate_bps: u64,
    /// Until when the plan has no say, as the operator ended its pass, ms since 1970-01-01 UTC; 0: it has.
    pub held_until_unix_ms: u64,
}

/// What of an operator's pass goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It was not the operator's.
    OfAnother,
    /// So much, ms.
    Left(u64),
    /// Nothing: its time is over.
    Over,
    /// Nothing: the clock stands behind what was noted.
    ClockLost,
}

impl Trace {
    /// The trace in bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRACE_BYTES);
        out.push(FORMAT);
        for number in [self.since_unix_ms, self.until_unix_ms, self.rate_bps, self.held_until_unix_ms] {
            out.extend(number.to_be_bytes());
        }
        out
    }

    /// Reads a trace; none where the bytes are no trace of this format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (FORMAT, numbers) = bytes.split_first().map(|(format, rest)| (*format, rest))? else {
            return None;
        };
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let [since_unix_ms, until_unix_ms, rate_bps, held_until_unix_ms] =
            <[[u8; 8]; 4]>::try_from(numbers).ok()?.map(u64::from_be_bytes);
        Some(Self { since_unix_ms, until_unix_ms, rate_bps, held_until_unix_ms })
    }

    /// Whether a pass was on.
    pub fn is_of_pass(&self) -> bool {
        self.since_unix_ms != 0
    }

    /// What goes on at a time of the wall clock. `seen_unix_ms` is the latest time that was noted before: a clock that
    /// stands behind it was lost.
    pub fn rest(&self, now_unix_ms: u64, seen_unix_ms: u64) -> Rest {
        if self.rate_bps == 0 {
            return Rest::OfAnother;
        }
        match self.until_unix_ms.saturating_sub(now_unix_ms) {
            _ if now_unix_ms < seen_unix_ms.max(self.since_unix_ms) => Rest::ClockLost,
            0 => Rest::Over,
            left_ms => Rest::Left(left_ms.min(u64::from(MAX_ON_FOR_MS))),
        }
    }

    /// For how long the plan goes on to have no say, ms; none if it has. A lost clock can't say: then the plan has, as
    /// it goes by that clock itself.
    pub fn held_ms(&self, now_unix_ms: u64, seen_unix_ms: u64) -> Option<u64> {
        let behind = now_unix_ms < seen_unix_ms;
        self.held_until_unix_ms.checked_sub(now_unix_ms).filter(|left_ms| *left_ms > 0 && !behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AOS: u64 = 1_796_119_200_000;

    fn of_operator() -> Trace {
        Trace { since_unix_ms: AOS, until_unix_ms: AOS + 300_000, rate_bps: 9_600, held_until_unix_ms: 0 }
    }

    #[test]
    fn the_rest_of_a_pass_is_what_the_clock_says_if_it_can_be_believed() {
        let trace = of_operator();
        assert_eq!(trace.rest(AOS + 100_000, AOS + 90_000), Rest::Left(200_000));
        assert_eq!(trace.rest(AOS + 300_000, AOS), Rest::Over);
        assert_eq!(trace.rest(AOS + 89_999, AOS + 90_000), Rest::ClockLost, "behind what was noted");
        assert_eq!(trace.rest(7, 0), Rest::ClockLost, "behind its AOS");
        assert_eq!(Trace { rate_bps: 0, ..trace }.rest(AOS + 1, AOS), Rest::OfAnother);
        let endless = Trace { until_unix_ms: u64::MAX, ..trace };
        assert_eq!(endless.rest(AOS, 0), Rest::Left(900_000), "never longer than a pass may be");
    }

    #[test]
    fn a_pass_that_the_operator_closed_stays_closed_until_its_los() {
        let trace = Trace { held_until_unix_ms: AOS + 50, ..Trace::default() };
        assert_eq!((trace.held_ms(AOS, AOS), trace.held_ms(AOS + 50, AOS)), (Some(50), None));
        assert_eq!((trace.held_ms(AOS - 1, AOS), Trace::default().held_ms(AOS, AOS)), (None, None));
    }

    proptest! {
        #[test]
        fn bytes_are_read_as_they_were_written_or_not_at_all(numbers: [u64; 4], cut in 0..TRACE_BYTES, format: u8) {
            let [since_unix_ms, until_unix_ms, rate_bps, held_until_unix_ms] = numbers;
            let trace = Trace { since_unix_ms, until_unix_ms, rate_bps, held_until_unix_ms };
            let mut bytes = trace.encode();
            prop_assert_eq!(Trace::decode(&bytes), Some(trace));
            prop_assert_eq!(Trace::decode(&bytes[..cut]), None);
            bytes[0] = format;
            prop_assert_eq!(Trace::decode(&bytes).is_some(), format == FORMAT);
            bytes[0] = FORMAT;
            bytes.push(0);
            prop_assert_eq!(Trace::decode(&bytes), None);
        }
    }
}
