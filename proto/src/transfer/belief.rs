//! What the sender believes about the link: a distribution over the loss of the next passes.
//!
//! The prior is a Beta distribution around the loss that is expected, on a fixed grid. A block of K
//! source symbols is down when about K + 1 of its `n` symbols arrived; given the loss p, that number is
//! taken as normal with mean n (1 − p) and variance n p (1 − p) × [`BURST_FACTOR`]: losses come in bursts.

/// Points of the grid of losses.
const GRID: usize = 48;
/// By how much bursts widen the binomial variance.
const BURST_FACTOR: f64 = 4.0;
/// How many observed passes the prior is worth (the Beta distribution's α + β).
const PRIOR_WEIGHT: f64 = 24.0;
/// Symbols beyond K that a block is taken to need.
const DECODE_OVERHEAD: f64 = 1.0;

/// A distribution over the loss of a link.
#[derive(Debug, Clone)]
pub struct LossBelief {
    /// `(loss, weight)`; the weights sum to 1.
    grid: [(f64, f64); GRID],
}

impl LossBelief {
    /// A prior around an expected loss, clamped to 0.01 … 0.6.
    #[must_use]
    pub fn expecting(loss: f64) -> Self {
        let mean = if loss.is_finite() { loss.clamp(0.01, 0.6) } else { 0.2 };
        let (alpha, beta) = (mean * PRIOR_WEIGHT, (1.0 - mean) * PRIOR_WEIGHT);
        let mut grid = [(0.0, 0.0); GRID];
        let mut sum = 0.0;
        for (i, (p, weight)) in grid.iter_mut().enumerate() {
            *p = (i as f64 + 0.5) / GRID as f64 * 0.9;
            *weight = ((alpha - 1.0) * p.ln() + (beta - 1.0) * (1.0 - *p).ln()).exp();
            sum += *weight;
        }
        for (_, weight) in &mut grid {
            *weight /= sum;
        }
        Self { grid }
    }

    /// The expected loss.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.grid.iter().map(|(p, weight)| p * weight).sum()
    }

    /// Probability that blocks are all down, given `(K, symbols sent, how many such blocks)` of each
    /// kind of block: the loss is the same for all of them, their luck is not.
    #[must_use]
    pub fn all_down(&self, blocks: &[(u32, u32, u32)]) -> f64 {
        let given = |p: f64| -> f64 {
            blocks.iter().map(|&(k, sent, count)| down(k, sent, p).powf(f64::from(count))).product()
        };
        self.grid.iter().map(|&(p, weight)| weight * given(p)).sum()
    }

    /// Symbols to send of each of `count` blocks of K source symbols so that all are down with
    /// probability `target` (0 … 1); at most `64 K + 64`.
    #[must_use]
    pub fn symbols_for(&self, k: u32, count: u32, target: f64) -> u32 {
        let (mut low, mut high) = (k, k.saturating_mul(64).saturating_add(64));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.all_down(&[(k, middle, count)]) >= target {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

/// Probability that a block is down after `sent` symbols over a link of loss `p`.
fn down(k: u32, sent: u32, p: f64) -> f64 {
    let n = f64::from(sent);
    let spread = (n * p * (1.0 - p) * BURST_FACTOR).sqrt().max(1e-9);
    normal_cdf((n * (1.0 - p) - f64::from(k) - DECODE_OVERHEAD + 0.5) / spread)
}

/// Standard normal distribution function, absolute error below 1.5 × 10⁻⁷ (Abramowitz and Stegun,
/// Handbook of Mathematical Functions, 7.1.26).
fn normal_cdf(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = ((((1.061_405_429 * t - 1.453_152_027) * t + 1.421_413_741) * t - 0.284_496_736) * t
        + 0.254_829_592)
        * t;
    let half_erfc = 0.5 * poly * (-x * x).exp();
    if z < 0.0 { half_erfc } else { 1.0 - half_erfc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_lies_around_what_is_expected() {
        for loss in [0.05, 0.2, 0.5] {
            let mean = LossBelief::expecting(loss).mean();
            assert!((mean - loss).abs() < 0.03, "{loss}: {mean}");
        }
        assert!(LossBelief::expecting(f64::NAN).mean() < 0.3);
    }

    #[test]
    fn more_symbols_more_certainty_and_the_target_is_met_with_no_symbol_to_spare() {
        let belief = LossBelief::expecting(0.2);
        for k in [1, 30, 6000] {
            let mut last = 0;
            for target in [0.5, 0.9, 0.99, 0.999] {
                let n = belief.symbols_for(k, 3, target);
                assert!(n >= last && n >= k);
                assert!(belief.all_down(&[(k, n, 3)]) >= target);
                assert!(n == k || belief.all_down(&[(k, n - 1, 3)]) < target);
                last = n;
            }
        }
    }

    #[test]
    fn the_normal_distribution_matches_known_values() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.841_344_7), (-1.959_964, 0.025), (6.0, 1.0)] {
            assert!((normal_cdf(z) - p).abs() < 1e-6, "{z}");
        }
    }
}
