//! The link of the simulated day: passes, losses, and bundles of which symbols arrive.
//!
//! Counted in symbols, without making any: a bundle is down once as many arrived as it consists of, which is what the
//! fountain needs (zero in a thousand more, by the transfer bench). What arrives of so many that were sent is drawn
//! from the normal approximation of the binomial distribution, with the loss of the pass.

use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, OVERHEAD_BYTES};
use rand::{Rng, RngExt};

/// A day, ms.
pub(super) const DAY_MS: u64 = 86_400_000;

/// A pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub(super) aos_ms: u64,
    pub(super) los_ms: u64,
    /// The share of datagrams that is lost in it.
    pub(super) loss: f64,
}

/// `count` passes of a day, evenly, each of `length_ms`, whose losses are drawn evenly from a range.
pub(super) fn passes(count: u64, length_ms: u64, loss: (f64, f64), rng: &mut impl Rng) -> Vec<Pass> {
    let gap_ms = DAY_MS / count;
    let pass = |n: u64| {
        let aos_ms = n * gap_ms + gap_ms - length_ms;
        Pass { aos_ms, los_ms: aos_ms + length_ms, loss: rng.random_range(loss.0..=loss.1) }
    };
    (0..count).map(pass).collect()
}

/// Datagrams that a link of this rate carries in a second.
pub(super) fn datagrams_a_second(rate_bps: f64) -> f64 {
    rate_bps / 8.0 / (f64::from(DEFAULT_SYMBOL_BYTES) + OVERHEAD_BYTES as f64)
}

/// What of a bundle was sent and has arrived, symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel {
    pub(super) symbols: u32,
    pub(super) sent: u32,
    pub(super) arrived: f64,
    /// When it was whole on the ground.
    pub(super) down_ms: Option<u64>,
}

impl Parcel {
    pub(super) fn new(symbols: u32) -> Self {
        Self { symbols, sent: 0, arrived: 0.0, down_ms: None }
    }

    /// Sends some symbols, the last of them at `ms`.
    pub(super) fn send(&mut self, symbols: u32, ms: u64, loss: f64, rng: &mut impl Rng) {
        self.sent = self.sent.saturating_add(symbols);
        let n = f64::from(symbols);
        let (mean, spread) = (n * (1.0 - loss), (n * loss * (1.0 - loss)).sqrt());
        self.arrived += (mean + spread * normal(rng)).clamp(0.0, n);
        if self.arrived >= f64::from(self.symbols) {
            self.down_ms.get_or_insert(ms);
        }
    }

    /// Symbols that it still lacks.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than it consists of")]
    pub(super) fn lacks(&self) -> u32 {
        (f64::from(self.symbols) - self.arrived).max(0.0).ceil() as u32
    }
}

/// A draw from the normal distribution (Box and Muller, 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random_range(0.0..1.0));
    (-2.0 * a.ln()).sqrt() * (core::f64::consts::TAU * b).cos()
}
