//! The uplink's rate: when the next frame may go.

/// Fewer frames a second than the satellite takes of one holder, which are 40.
const FRAME_US: u64 = 1_000_000 / 30;

/// A line that carries one frame after the other.
#[derive(Debug)]
pub(super) struct Line {
    rate_bps: u64,
    /// When it is through with what it carries, µs.
    free_us: u64,
}

impl Line {
    pub(super) fn new(rate_bps: u64) -> Self {
        Self { rate_bps: rate_bps.max(1), free_us: 0 }
    }

    pub(super) fn is_free(&self, now_ms: u64) -> bool {
        self.free_us <= now_ms.saturating_mul(1000)
    }

    /// When it is free, from `now_ms` on.
    pub(super) fn free_ms(&self, now_ms: u64) -> u64 {
        now_ms.max(self.free_us.div_ceil(1000))
    }

    pub(super) fn send(&mut self, now_ms: u64, bytes: usize) {
        let takes_us = (bytes as u64).saturating_mul(8_000_000) / self.rate_bps;
        self.free_us = self.free_us.max(now_ms.saturating_mul(1000)).saturating_add(takes_us.max(FRAME_US));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_no_more_than_its_rate_and_than_the_board_takes() {
        for (rate_bps, bytes, most) in [(9600, 120, 10), (1_000_000, 50, 30)] {
            let mut line = Line::new(rate_bps);
            let mut sent = 0;
            for now_ms in 0..10_000 {
                if line.is_free(now_ms) {
                    line.send(now_ms, bytes);
                    sent += 1;
                }
            }
            assert!((most * 10 - 10..=most * 10 + 1).contains(&sent), "{sent} at {rate_bps}");
        }
    }
}
