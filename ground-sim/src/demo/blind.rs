//! What sending a file blindly again and again would have reached: the launch story's own way.
//!
//! The sealed bundle is cut into as many datagrams as it has source symbols and sent from first to last,
//! over and over, in the very slots of the link that the bundle had, with the very losses.

/// A bundle sent blindly.
#[derive(Debug, Clone)]
pub(super) struct Blind {
    received: Vec<bool>,
    next: usize,
    count: usize,
}

impl Blind {
    /// A bundle of so many datagrams.
    pub(super) fn new(datagrams: usize) -> Self {
        Self { received: vec![false; datagrams.max(1)], next: 0, count: 0 }
    }

    /// One slot of the link: whether what was in it arrived.
    pub(super) fn slot(&mut self, arrived: bool) {
        let place = &mut self.received[self.next];
        self.count += usize::from(arrived && !*place);
        *place |= arrived;
        self.next = (self.next + 1) % self.received.len();
    }

    /// Percent of the file that is there.
    pub(super) fn percent(&self) -> f64 {
        100.0 * self.count as f64 / self.received.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_slots_lost_gives_half_of_what_is_missing_each_time() {
        let mut blind = Blind::new(1000);
        let mut state = 1_u32;
        for expected in [50.0, 75.0, 87.5, 93.75] {
            for _ in 0..1000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                blind.slot(state >> 31 == 0);
            }
            assert!((blind.percent() - expected).abs() < 5.0, "{}", blind.percent());
        }
        assert!(blind.percent() < 100.0);
    }
}
