//! How many frames a second are looked at, and for whom. Decides by counts alone: never by what a frame says.
//!
//! Two things are scarce. *Passes of the cipher* can be claimed by anyone who names an SPI, so each SPI has a share of its own
//! that no frame naming another can take, and beyond it all draw on one common pool. *What is done for a holder* (a write
//! to disk, an order) is claimed by authentic frames alone, and each holder has a bucket of its own: one that
//! floods, by mistake or with a stolen key, is held to its rate, and the others don't notice. All are token buckets
//! (RFC 2697 describes the like); tokens are kept in thousandths.

/// A rate that a bucket allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Frames a second in the long run.
    pub per_s: u32,
    /// Frames at once.
    pub burst: u32,
}

impl Rate {
    /// No limit to speak of: 4 billion frames at once.
    pub const UNLIMITED: Self = Self { per_s: u32::MAX, burst: u32::MAX };
}

/// The limits of a receiving end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Passes of the cipher for frames that name one SPI: its own share.
    pub share: Rate,
    /// Passes of the cipher for frames of all SPIs, beyond their shares.
    pub pool: Rate,
    /// Authentic frames of one SPI that are let through.
    pub holder: Rate,
}

impl Limits {
    /// No limits, for tests and measurements.
    pub const UNLIMITED: Self =
        Self { share: Rate::UNLIMITED, pool: Rate::UNLIMITED, holder: Rate::UNLIMITED };
}

impl Default for Limits {
    /// For a line of 256 kbit/s, that carries at most 842 of the shortest frames a second: so many passes are always
    /// allowed (2 ms of a core), and a holder's 40 frames a second are more than a bulk upload in long frames needs (31).
    fn default() -> Self {
        Self {
            share: Rate { per_s: 50, burst: 100 },
            pool: Rate { per_s: 1000, burst: 1000 },
            holder: Rate { per_s: 40, burst: 120 },
        }
    }
}

/// A token bucket; full at first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    rate: Rate,
    /// Thousandths of a token.
    tokens: u64,
    last_ms: u64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, tokens: u64::from(rate.burst) * 1000, last_ms: 0 }
    }

    /// Takes a token, if there is one. Time that goes backwards fills nothing.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let gained = now_ms.saturating_sub(self.last_ms).saturating_mul(u64::from(self.rate.per_s));
        self.last_ms = now_ms;
        self.tokens = self.tokens.saturating_add(gained).min(u64::from(self.rate.burst) * 1000);
        match self.tokens.checked_sub(1000) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate { per_s: 10, burst: 5 });
        let taken = |bucket: &mut Bucket, now_ms| (0..100).filter(|_| bucket.take(now_ms)).count();
        assert_eq!(taken(&mut bucket, 1_000_000), 5);
        assert_eq!(taken(&mut bucket, 1_000_099), 0);
        assert_eq!(taken(&mut bucket, 1_000_100), 1);
        assert_eq!(taken(&mut bucket, 1_000_350), 2);
        assert_eq!(taken(&mut bucket, 1_000_400), 1, "halves aren't lost");
        assert_eq!(taken(&mut bucket, u64::MAX), 5, "and no more than the burst");
    }

    #[test]
    fn a_clock_that_steps_back_neither_fills_nor_blocks() {
        let mut bucket = Bucket::new(Rate { per_s: 10, burst: 1 });
        assert!(bucket.take(5000) && !bucket.take(4000) && !bucket.take(4050) && bucket.take(4100));
    }
}
