//! Paces datagrams to the rate of the link: when the next piece may go, and how large it may be.
//!
//! Pieces go by an absolute schedule, so that small delays don't add up to a lower rate; a piece is at
//! most [`PIECE_NS`] of data. A delay longer than [`CATCH_UP_NS`] is not made up for: a link can't be
//! flooded because the sender slept. Handed times of a steady clock; never sleeps itself.

/// Most data sent at once, ns of the link's time.
pub const PIECE_NS: u64 = 2_000_000;
/// The longest delay that is made up for, ns.
pub const CATCH_UP_NS: u64 = 20_000_000;

/// The schedule of the link.
#[derive(Debug, Clone, Default)]
pub struct Pacer {
    /// When the next piece may go, ns; `None`: nothing was sent yet.
    next_ns: Option<u64>,
    /// Part of a nanosecond that is owed, in units of 1 / rate.
    owed: u64,
    rate_bps: u64,
}

impl Pacer {
    /// How long to wait at `now_ns` before the next piece may go, ns.
    pub fn wait_ns(&self, now_ns: u64) -> u64 {
        self.next_ns.map_or(0, |next| next.saturating_sub(now_ns))
    }

    /// How many datagrams of this size may go at once: what [`PIECE_NS`] carries, at least one.
    pub fn piece(datagram_bytes: usize, rate_bps: u64) -> usize {
        let bits = u128::from(rate_bps) * u128::from(PIECE_NS) / 1_000_000_000;
        let each = datagram_bytes.max(1) as u128 * 8;
        usize::try_from(bits / each).unwrap_or(usize::MAX).max(1)
    }

    /// Notes that `bytes` go at `now_ns`.
    pub fn sent(&mut self, now_ns: u64, bytes: usize, rate_bps: u64) {
        let rate_bps = rate_bps.max(1);
        if rate_bps != self.rate_bps {
            (self.rate_bps, self.owed) = (rate_bps, 0);
        }
        let from_ns = self.next_ns.unwrap_or(now_ns).max(now_ns.saturating_sub(CATCH_UP_NS));
        let scaled = bytes as u128 * 8 * 1_000_000_000 + u128::from(self.owed);
        let took_ns = u64::try_from(scaled / u128::from(rate_bps)).unwrap_or(u64::MAX);
        self.owed = u64::try_from(scaled % u128::from(rate_bps)).unwrap_or_default();
        self.next_ns = Some(from_ns.saturating_add(took_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends about 10 s of datagrams, oversleeping by what `late_ns` says; returns when the last piece
    /// went, and when it should have gone, s.
    fn run(rate_bps: u64, mut late_ns: impl FnMut(usize) -> u64) -> (f64, f64) {
        let (mut pacer, mut now) = (Pacer::default(), 1_000);
        let piece = Pacer::piece(1472, rate_bps);
        let piece_s = (piece * 1472 * 8) as f64 / rate_bps as f64;
        let mut pieces = 0_u32;
        while f64::from(pieces) * piece_s < 10.0 {
            let wait = pacer.wait_ns(now);
            now += if wait > 0 { wait + late_ns(pieces as usize) } else { 0 };
            pacer.sent(now, piece * 1472, rate_bps);
            pieces += 1;
        }
        ((now - 1_000) as f64 * 1e-9, f64::from(pieces - 1) * piece_s)
    }

    #[test]
    fn the_rate_holds_over_time_in_spite_of_oversleeping() {
        for rate_bps in [200_000, 40_000_000, 1_600_000_000] {
            for late_ns in [0, 90_000, 1_900_000] {
                let (took, should) = run(rate_bps, |i| if i % 3 == 0 { late_ns } else { 0 });
                assert!(
                    (took - should).abs() < 0.003,
                    "{rate_bps} bit/s, late by {late_ns} ns: {took} {should}"
                );
            }
        }
    }

    #[test]
    fn a_piece_is_two_milliseconds_of_data_or_one_datagram() {
        assert_eq!(Pacer::piece(1472, 40_000_000), 6);
        assert_eq!(Pacer::piece(1472, 200_000), 1);
        assert_eq!(Pacer::piece(1472, 1_600_000_000), 271);
        assert_eq!(Pacer::piece(0, u64::MAX), usize::try_from(u128::from(u64::MAX) / 500 / 8).unwrap());
    }

    #[test]
    fn a_long_delay_is_not_made_up_for() {
        let mut pacer = Pacer::default();
        pacer.sent(0, 125_000, 1_000_000);
        assert_eq!(pacer.wait_ns(0), 1_000_000_000);
        let late = 60_000_000_000;
        let mut burst_bytes = 0;
        while pacer.wait_ns(late) == 0 {
            pacer.sent(late, 250, 1_000_000);
            burst_bytes += 250;
        }
        assert!(burst_bytes <= 2_750, "{burst_bytes}: 20 ms at 1 Mbit/s and one piece");
    }
}
