//! Time correlation, for the ground: what the board's clocks say against the ground's.
//!
//! A board has a steady clock, which counts from its boot and is never set, and a clock of the day, which is set and
//! slewed. Each [`TimePair`] is one packet's word about both and when the ground received it. The steady clock of one
//! boot against the ground's clock is a straight line, fitted with Siegel's repeated medians (A. F. Siegel, "Robust
//! regression using repeated medians", Biometrika 69(1), 1982), which holds as long as fewer than half of the packets
//! were held up on their way. Steps of the board's clock of the day show exactly, without the way's noise: it jumps
//! against the steady clock.
//!
//! The packets' way counts as part of the offset: a clock that is right shows minus the usual way. Steps of the
//! ground's own clock are not told apart from packets that were held up. Nothing here checks a tag: pairs that are
//! handed in are believed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// Most pairs kept of a boot; beyond, every second one goes, so that they still reach as far.
const MAX_PAIRS: usize = 256;
/// Most boots kept; the lowest numbers go first.
const MAX_BOOTS: usize = 32;
/// Most settings of the clock kept of a boot; the oldest go first.
const MAX_SETTINGS: usize = 64;
/// What the clock of the day may move against the steady clock and not have been set: rounding and late readings.
const STEP_MS: u64 = 100;
/// The fastest that a kernel slews its clock (adjtimex(2)), parts per million.
const SLEW_PPM: u64 = 500;
/// A shorter stretch says nothing of the drift.
const BASELINE_MS: u64 = 60_000;

/// What one packet says of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePair {
    /// Number of the board's boot.
    pub boot: u32,
    /// The board's steady clock, ms since that boot.
    pub steady_ms: u64,
    /// The board's clock of the day, ms since 1970-01-01 UTC.
    pub board_unix_ms: u64,
    /// When the ground received it, by the ground's clock, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
}

/// What a pair shows that the ones before didn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// Nothing: all goes on.
    Nothing,
    /// The first word of this boot.
    Boot,
    /// The board's clock was set.
    Step {
        /// By how much, ms; ahead is positive.
        ms: i64,
    },
}

/// A setting of the board's clock of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The steady clock when it was first seen, ms.
    pub steady_ms: u64,
    /// By how much the clock was set, ms; 0 of the first, which was only met.
    pub step_ms: i64,
}

/// Board time against ground time, boot by boot.
#[derive(Debug, Clone, Default)]
pub struct Correlation {
    boots: BTreeMap<u32, Boot>,
}

impl Correlation {
    /// Takes a pair; they may come in any order.
    pub fn push(&mut self, pair: &TimePair) -> Noticed {
        if let Some(boot) = self.boots.get_mut(&pair.boot) {
            return boot.push(pair);
        }
        self.boots.insert(pair.boot, Boot::new(pair));
        if self.boots.len() > MAX_BOOTS {
            self.boots.pop_first();
        }
        Noticed::Boot
    }

    /// The boots that are known, by number.
    pub fn boots(&self) -> impl Iterator<Item = u32> {
        self.boots.keys().copied()
    }

    /// What is known of a boot.
    #[must_use]
    pub fn fit(&self, boot: u32) -> Option<Fit> {
        self.boots.get(&boot).map(Boot::fit)
    }

    /// How often the board's clock was set during a boot, and by how much; the oldest first.
    #[must_use]
    pub fn settings(&self, boot: u32) -> &[Setting] {
        self.boots.get(&boot).map_or(&[], |boot| &boot.settings)
    }
}

/// The line through the pairs of one boot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The steady clock of the newest pair, ms: the offset is that of this moment.
    pub steady_ms: u64,
    /// Pairs that are kept.
    pub pairs: usize,
    /// How much the board's clock of the day is ahead of the ground's, ms.
    pub offset_ms: f64,
    /// How much faster the steady clock runs than the ground's, parts per million; none while the pairs span less
    /// than a minute.
    pub drift_ppm: Option<f64>,
    /// Median distance of the pairs from the line, ms: how much the way varies.
    pub spread_ms: f64,
    /// Ground time of the steady clock's zero at `steady_ms`, ms since 1970-01-01 UTC.
    zero_unix_ms: f64,
}

impl Fit {
    /// The ground's time when the steady clock said `steady_ms`, ms since 1970-01-01 UTC.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "such casts saturate")]
    pub fn ground_unix_ms(&self, steady_ms: u64) -> u64 {
        let since = steady_ms as f64 - self.steady_ms as f64;
        let slope = -self.drift_ppm.unwrap_or(0.0) / 1e6;
        libm::round(self.zero_unix_ms + slope * since + steady_ms as f64) as u64
    }
}

/// What was said during one boot.
#[derive(Debug, Clone)]
struct Boot {
    /// Steady clock, and ground time less it: ms.
    points: Vec<(u64, i64)>,
    newest_ms: u64,
    /// Clock of the day less steady clock, of the newest pair.
    base_ms: i64,
    settings: Vec<Setting>,
}

impl Boot {
    fn new(pair: &TimePair) -> Self {
        Self {
            points: vec![(pair.steady_ms, difference(pair.received_unix_ms, pair.steady_ms))],
            newest_ms: pair.steady_ms,
            base_ms: difference(pair.board_unix_ms, pair.steady_ms),
            settings: vec![Setting { steady_ms: pair.steady_ms, step_ms: 0 }],
        }
    }

    fn push(&mut self, pair: &TimePair) -> Noticed {
        if self.points.len() >= MAX_PAIRS {
            let mut even = false;
            self.points.retain(|_| {
                even = !even;
                even
            });
        }
        self.points.push((pair.steady_ms, difference(pair.received_unix_ms, pair.steady_ms)));
        if pair.steady_ms < self.newest_ms {
            return Noticed::Nothing;
        }
        let base_ms = difference(pair.board_unix_ms, pair.steady_ms);
        let step_ms = base_ms.saturating_sub(self.base_ms);
        let slewed_ms = u128::from(pair.steady_ms - self.newest_ms) * u128::from(SLEW_PPM) / 1_000_000;
        (self.newest_ms, self.base_ms) = (pair.steady_ms, base_ms);
        if u128::from(step_ms.unsigned_abs()) <= u128::from(STEP_MS) + slewed_ms {
            return Noticed::Nothing;
        }
        if self.settings.len() >= MAX_SETTINGS {
            self.settings.remove(0);
        }
        self.settings.push(Setting { steady_ms: pair.steady_ms, step_ms });
        Noticed::Step { ms: step_ms }
    }

    fn fit(&self) -> Fit {
        // Numbers of an ms since 1970 keep their last digit as f64; near zero they keep more.
        let first = self.points.first().map_or(0, |(_, y)| *y);
        let at =
            |(x, y): &(u64, i64)| (difference(*x, self.newest_ms) as f64, y.saturating_sub(first) as f64);
        let points: Vec<(f64, f64)> = self.points.iter().map(at).collect();
        let oldest = self.points.iter().map(|(x, _)| *x).min().unwrap_or(self.newest_ms);
        let long = self.newest_ms.saturating_sub(oldest) >= BASELINE_MS;
        let slope = if long { repeated_median(&points) } else { None };
        let level = |(x, y): &(f64, f64)| y - slope.unwrap_or(0.0) * x;
        let zero = median(points.iter().map(level).collect()).unwrap_or(0.0);
        let spread = median(points.iter().map(|p| (level(p) - zero).abs()).collect());
        let zero_unix_ms = first as f64 + zero;
        Fit {
            steady_ms: self.newest_ms,
            pairs: points.len(),
            offset_ms: self.base_ms.saturating_sub(first) as f64 - zero,
            drift_ppm: slope.map(|slope| -slope * 1e6),
            spread_ms: spread.unwrap_or(0.0),
            zero_unix_ms,
        }
    }
}

/// The median over all points of the median slope to the others; none if no two stand apart.
fn repeated_median(points: &[(f64, f64)]) -> Option<f64> {
    let of = |(x, y): &(f64, f64)| {
        let others = points.iter().filter(|(other, _)| (other - x).abs() >= 1.0);
        median(others.map(|(other_x, other_y)| (other_y - y) / (other_x - x)).collect())
    };
    median(points.iter().filter_map(of).collect())
}

/// The middle value; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, at, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let at = *at;
    let before = below.iter().copied().max_by(f64::total_cmp).filter(|_| even);
    Some(before.map_or(at, |before| f64::midpoint(before, at)))
}

/// a − b, as far as it can be said.
fn difference(a: u64, b: u64) -> i64 {
    let signed = |v| i64::try_from(v).unwrap_or(i64::MAX);
    signed(a).saturating_sub(signed(b))
}
