//! The slow line under a shell, as a model: what is said takes its time, loss shows as delay.
//!
//! One direction of a line that a shell's packets share with nobody. Bytes handed over at once go in segments of at most
//! [`SEGMENT_BYTES`], each with the headers of IPv4, TCP with timestamps and SSH's own around it. A segment takes the line
//! for its bytes, and arrives after the way of light. With the chance of the line's loss it doesn't: then it is sent again
//! when the sender's timer runs out, 1 s at first and doubled each time (RFC 6298, sections 2.4 and 5.5, for a sender that
//! has measured nothing; a real one that has waits less). All behind it waits meanwhile, as TCP delivers in order.
//! Acknowledgements cost nothing here and don't get lost: on a line where one side speaks after the other each is on the
//! back of what comes next. Fast retransmission, which would make losses cheaper, is left out.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Most bytes of a shell in a segment.
pub(super) const SEGMENT_BYTES: usize = 512;
/// IPv4 (20), TCP with timestamps (32), SSH's length, padding and tag (RFC 4253 section 6, with a tag of 16: 36 or so).
pub(super) const HEADER_BYTES: usize = 20 + 32 + 36;
/// One way: up and down a low orbit, and the modems.
const WAY_S: f64 = 0.02;
/// RFC 6298 section 2.1: before anything was measured.
const FIRST_TIMER_S: f64 = 1.0;
/// RFC 6298 section 2.5: the least that a longest timer may be.
const LONGEST_TIMER_S: f64 = 60.0;

/// One direction.
#[derive(Debug)]
pub(super) struct Line {
    bits_per_s: f64,
    loss: f64,
    random: ChaCha8Rng,
    /// Segments that were sent, and of these how many were lost.
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Bytes of the shell that were carried.
    pub(super) bytes: u64,
}

impl Line {
    /// A line with a rate, bit/s, and a chance that a segment is lost.
    pub(super) fn new(bits_per_s: f64, loss: f64, seed: u64, direction: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(direction);
        Self { bits_per_s, loss, random, sent: 0, lost: 0, bytes: 0 }
    }

    /// How long it takes until the last of these bytes is there, from when the first is handed over.
    pub(super) fn carry(&mut self, bytes: usize) -> Duration {
        let mut seconds = 0.0;
        let mut left = bytes;
        while left > 0 {
            let part = left.min(SEGMENT_BYTES);
            seconds += self.segment(part);
            left -= part;
        }
        self.bytes += bytes as u64;
        Duration::from_secs_f64(seconds + if bytes == 0 { 0.0 } else { WAY_S })
    }

    fn segment(&mut self, bytes: usize) -> f64 {
        let on_line = ((bytes + HEADER_BYTES) * 8) as f64 / self.bits_per_s;
        let (mut seconds, mut timer) = (on_line, FIRST_TIMER_S);
        self.sent += 1;
        while self.random.random_bool(self.loss) {
            seconds += timer + on_line;
            timer = (timer * 2.0).min(LONGEST_TIMER_S);
            self.sent += 1;
            self.lost += 1;
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_line_for_their_bits_and_their_headers() {
        let mut line = Line::new(9_600.0, 0.0, 1, 0);
        assert_eq!(line.carry(0), Duration::ZERO);
        let whole = (SEGMENT_BYTES + HEADER_BYTES) * 8;
        let two = line.carry(2 * SEGMENT_BYTES).as_secs_f64();
        assert!((two - (2 * whole) as f64 / 9_600.0 - WAY_S).abs() < 1e-6, "{two}");
        assert_eq!((line.sent, line.lost, line.bytes), (2, 0, 1024));
    }

    #[test]
    fn a_loss_costs_a_timer_and_another_sending() {
        let mut line = Line::new(9_600.0, 0.2, 1, 0);
        let seconds: f64 = (0..20_000).map(|_| line.carry(1).as_secs_f64()).sum();
        let rate = line.lost as f64 / line.sent as f64;
        assert!((rate - 0.2).abs() < 0.01, "{rate}");
        // Of all first sendings 20 % wait 1 s, 4 % 2 s more, 0.8 % 4 s more …
        let mean = seconds / 20_000.0;
        let sends = 1.25 * (89.0 * 8.0) / 9_600.0;
        assert!((mean - sends - WAY_S - 0.2 / (1.0 - 0.4)).abs() < 0.06, "{mean}");
    }
}
