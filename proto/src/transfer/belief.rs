//! What the sender believes about the link: a distribution over the loss of the next passes.
//!
//! The prior is a Beta distribution around the loss that is expected, on a fixed grid. A block that needs
//! `need` more symbols is down when so many of the `sent` ones arrived; given the loss p, that number is
//! taken as normal with mean n (1 − p) and variance n p (1 − p) × [`BURST_FACTOR`]: losses come in bursts.
//!
//! Each observation of a pass's loss counts as [`EVIDENCE_WEIGHT`] passes more of the same kind, so that a
//! single one, right or wrong, moves the expected loss a quarter of the way at most. The last
//! [`MAX_EVIDENCE`] observations count.
//!
//! Functions of real numbers come from `libm`, so that a plan is the same on every machine.

use std::collections::VecDeque;

use libm::{erfc, exp, log, pow, sqrt};

/// Points of the grid of losses.
const GRID: usize = 48;
/// The largest loss that is believed in.
const MAX_LOSS: f64 = 0.9;
/// By how much bursts widen the binomial variance.
const BURST_FACTOR: f64 = 4.0;
/// How many observed passes the prior is worth (the Beta distribution's α + β).
const PRIOR_WEIGHT: f64 = 24.0;
/// How many passes the observation of one is worth.
const EVIDENCE_WEIGHT: f64 = 8.0;
/// A span of so many datagrams gives an observation its full weight.
const EVIDENCE_SPAN: f64 = 2000.0;
/// Observations that are held.
const MAX_EVIDENCE: usize = 16;
/// Symbols beyond K that a block is taken to need.
pub(super) const DECODE_OVERHEAD: u32 = 1;

/// What a station heard of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The station.
    pub station: u16,
    /// The link sequence number of the first datagram of the pass it heard: names the pass.
    pub first_seq: u64,
    /// Datagrams that were sent from the first it heard to the last, both included.
    pub span: u32,
    /// How many of these it heard.
    pub heard: u32,
}

/// Blocks alike: so many that need so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Symbols that each needs.
    pub need: u32,
    /// Symbols sent of each since.
    pub sent: u32,
    /// How many such blocks.
    pub count: u32,
}

/// A distribution over the loss of a link.
#[derive(Debug, Clone)]
pub struct LossBelief {
    expected: f64,
    evidence: VecDeque<Observation>,
    /// `(loss, weight)`; the weights sum to 1.
    grid: [(f64, f64); GRID],
}

impl LossBelief {
    /// A prior around an expected loss, clamped to 0.01 … 0.85.
    #[must_use]
    pub fn expecting(loss: f64) -> Self {
        let expected = if loss.is_finite() { loss.clamp(0.01, 0.85) } else { 0.2 };
        let mut belief = Self { expected, evidence: VecDeque::new(), grid: [(0.0, 0.0); GRID] };
        belief.weigh();
        belief
    }

    /// Takes an observation; a later one of the same pass by the same station replaces the earlier. Whether
    /// it changed anything: one that can't be is passed over.
    pub fn observe(&mut self, seen: &Observation) -> bool {
        if seen.span == 0 || seen.heard > seen.span || self.evidence.contains(seen) {
            return false;
        }
        let same = |old: &Observation| (old.station, old.first_seq) == (seen.station, seen.first_seq);
        match self.evidence.iter_mut().find(|old| same(old)) {
            // The longer span is the later observation, in whatever order they came.
            Some(old) if old.span < seen.span => *old = *seen,
            Some(_) => return false,
            None => {
                if self.evidence.len() >= MAX_EVIDENCE {
                    self.evidence.pop_front();
                }
                self.evidence.push_back(*seen);
            }
        }
        self.weigh();
        true
    }

    /// Works the grid out from prior and evidence.
    fn weigh(&mut self) {
        let (mut lost, mut came) = (self.expected * PRIOR_WEIGHT, (1.0 - self.expected) * PRIOR_WEIGHT);
        for seen in &self.evidence {
            let weight = EVIDENCE_WEIGHT * (f64::from(seen.span) / EVIDENCE_SPAN).min(1.0);
            let heard = f64::from(seen.heard) / f64::from(seen.span);
            lost += weight * (1.0 - heard);
            came += weight * heard;
        }
        let mut sum = 0.0;
        for (i, (p, weight)) in self.grid.iter_mut().enumerate() {
            *p = (i as f64 + 0.5) / GRID as f64 * MAX_LOSS;
            *weight = exp((lost - 1.0) * log(*p) + (came - 1.0) * log(1.0 - *p));
            sum += *weight;
        }
        for (_, weight) in &mut self.grid {
            *weight /= sum;
        }
    }

    /// The expected loss.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.grid.iter().map(|(p, weight)| p * weight).sum()
    }

    /// Probability that blocks are all down: the loss is the same for all of them, their luck is not.
    #[must_use]
    pub fn all_down(&self, blocks: &[Group]) -> f64 {
        let given = |p: f64| -> f64 {
            let mut all = 1.0;
            for group in blocks {
                all *= pow(down(group.need, group.sent, p), f64::from(group.count));
                if all < 1e-12 {
                    return 0.0;
                }
            }
            all
        };
        self.grid.iter().map(|&(p, weight)| if weight < 1e-12 { 0.0 } else { weight * given(p) }).sum()
    }

    /// Symbols to send of each of `count` blocks that need `need` so that all are down with
    /// probability `target` (0 … 1); at most `64 need + 64`.
    #[must_use]
    pub fn symbols_for(&self, need: u32, count: u32, target: f64) -> u32 {
        if need == 0 {
            return 0;
        }
        let (mut low, mut high) = (need, need.saturating_mul(64).saturating_add(64));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.all_down(&[Group { need, sent: middle, count }]) >= target {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// An aim for `count` blocks that is found at once and asks for a little more than [`Self::aim`] does.
    #[must_use]
    pub fn quick_aim(&self, target: f64, count: u32) -> Aim {
        let mut below = 0.0;
        let doubt = (1.0 - target) / 2.0;
        let at = self.grid.iter().find(|(_, weight)| {
            below += weight;
            below >= 1.0 - doubt
        });
        Aim { loss: at.map_or(MAX_LOSS, |(p, _)| *p), spread: spread(target, count) }
    }

    /// The aim at which all of these blocks, each sent as many symbols as [`Aim::symbols`] says, are down
    /// with probability `target`; the least such aim on a fine scale.
    #[must_use]
    pub fn aim(&self, needs: &[(u32, u32)], target: f64) -> Aim {
        let blocks: u32 = needs.iter().map(|(_, count)| count).fold(0, |a, b| a.saturating_add(*b));
        let spread = spread(target, blocks);
        let reaches = |aim: Aim| {
            let groups: Vec<_> =
                needs.iter().map(|&(need, count)| Group { need, sent: aim.symbols(need), count }).collect();
            self.all_down(&groups) >= target
        };
        let at = |step: u32| Aim { loss: f64::from(step) / f64::from(AIM_STEPS) * MAX_AIM, spread };
        let (mut low, mut high) = (0, AIM_STEPS);
        while low < high {
            let middle = low + (high - low) / 2;
            if reaches(at(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        at(low)
    }
}

/// Steps of the scale of aims.
const AIM_STEPS: u32 = 4096;
/// The largest loss aimed at.
const MAX_AIM: f64 = 0.95;

/// A loss to be prepared for, and by how many standard deviations: tells how many symbols a block gets,
/// whatever it needs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aim {
    loss: f64,
    spread: f64,
}

impl Aim {
    /// The aim that asks for about three percent more.
    #[must_use]
    pub fn beyond(self) -> Self {
        Self { loss: 1.0 - (1.0 - self.loss) * 31.0 / 32.0, ..self }
    }

    /// Symbols to send of a block that needs `need`: the least n with n (1 − p) − need ≥ spread × σ(n).
    #[must_use]
    pub fn symbols(self, need: u32) -> u32 {
        if need == 0 {
            return 0;
        }
        let (p, q) = (self.loss, 1.0 - self.loss);
        let deviation = self.spread * sqrt(p * q * BURST_FACTOR);
        let root = (deviation + sqrt(deviation * deviation + 4.0 * q * f64::from(need))) / (2.0 * q);
        saturating_u32(libm::ceil(root * root)).max(need)
    }
}

/// A number of symbols, 0 or more, that may be larger than any block can have.
fn saturating_u32(symbols: f64) -> u32 {
    if symbols >= f64::from(u32::MAX) {
        return u32::MAX;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ symbols < 2³²")]
    let whole = symbols as u32;
    whole
}

/// How many standard deviations make the luck of each of `blocks` blocks matter less than the doubt
/// about the loss.
fn spread(target: f64, blocks: u32) -> f64 {
    let doubt = ((1.0 - target) / (2.0 * f64::from(blocks.max(1)))).clamp(1e-12, 0.5);
    // Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.23: error below 4.5 × 10⁻⁴.
    let t = sqrt(-2.0 * log(doubt));
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

/// Probability that a block is down after `sent` symbols over a link of loss `p`.
fn down(need: u32, sent: u32, p: f64) -> f64 {
    if need == 0 {
        return 1.0;
    }
    if sent < need {
        return 0.0;
    }
    let n = f64::from(sent);
    let deviation = sqrt(n * p * (1.0 - p) * BURST_FACTOR).max(1e-9);
    let z = (n * (1.0 - p) - f64::from(need) + 0.5) / deviation;
    0.5 * erfc(-z * core::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(first_seq: u64, span: u32, heard: u32) -> Observation {
        Observation { station: 1, first_seq, span, heard }
    }

    #[test]
    fn the_prior_lies_around_what_is_expected() {
        for loss in [0.05, 0.2, 0.5] {
            let mean = LossBelief::expecting(loss).mean();
            assert!((mean - loss).abs() < 0.03, "{loss}: {mean}");
        }
        assert!(LossBelief::expecting(f64::NAN).mean() < 0.3);
    }

    #[test]
    fn one_report_moves_the_belief_a_quarter_of_the_way_and_many_convince() {
        for (expected, reported) in [(0.2, 0.6), (0.5, 0.1), (0.1, 0.9)] {
            let mut belief = LossBelief::expecting(expected);
            let before = belief.mean();
            let heard = saturating_u32((1.0 - reported) * 1e6);
            assert!(belief.observe(&seen(1, 1_000_000, heard)));
            let moved = (belief.mean() - before) / (reported - before);
            assert!((0.15..0.27).contains(&moved), "{expected} → {reported}: {moved}");
            assert!(!belief.observe(&seen(1, 1_000_000, heard)), "once is enough");
            (2..30).for_each(|pass| assert!(belief.observe(&seen(pass, 1_000_000, heard))));
            let moved = (belief.mean() - before) / (reported - before);
            assert!(moved > 0.8 && belief.evidence.len() == MAX_EVIDENCE, "{moved}");
        }
    }

    #[test]
    fn observations_that_can_not_be_or_are_old_change_nothing() {
        let mut belief = LossBelief::expecting(0.2);
        assert!(belief.observe(&seen(7, 5000, 4000)));
        let mean = belief.mean();
        for odd in [seen(8, 0, 0), seen(8, 10, 11), seen(7, 3000, 0), seen(7, 5000, 4000)] {
            assert!(!belief.observe(&odd), "{odd:?}");
        }
        assert!((belief.mean() - mean).abs() < 1e-15);
        assert!(belief.observe(&seen(7, 9000, 4500)), "the same pass, later");
        assert!(belief.evidence.len() == 1);
    }

    #[test]
    fn more_symbols_more_certainty_and_the_target_is_met_with_no_symbol_to_spare() {
        let belief = LossBelief::expecting(0.2);
        for need in [1, 30, 6000] {
            let mut last = 0;
            for target in [0.5, 0.9, 0.99, 0.999] {
                let sent = belief.symbols_for(need, 3, target);
                assert!(sent >= last && sent >= need);
                assert!(belief.all_down(&[Group { need, sent, count: 3 }]) >= target);
                let less = Group { need, sent: sent - 1, count: 3 };
                assert!(sent == need || belief.all_down(&[less]) < target);
                last = sent;
            }
        }
        assert_eq!(belief.symbols_for(0, 3, 0.99), 0);
    }

    #[test]
    fn an_aim_meets_its_target_and_costs_hardly_more_than_the_least_that_does() {
        let belief = LossBelief::expecting(0.2);
        for target in [0.7, 0.9, 0.99, 0.9999] {
            for (need, count) in [(1, 1), (12, 1), (10_001, 77), (300, 5)] {
                let aim = belief.aim(&[(need, count)], target);
                let sent = aim.symbols(need);
                assert!(belief.all_down(&[Group { need, sent, count }]) >= target);
                let least = belief.symbols_for(need, count, target);
                let most = f64::from(least) * 1.002 + 1.0;
                assert!(f64::from(sent) <= most, "{target} {need} × {count}: {sent}, least {least}");
            }
        }
    }

    #[test]
    fn blocks_that_need_different_amounts_get_about_the_cheapest_split() {
        // Brute force over all pairs (a, b) of symbols for two blocks.
        let belief = LossBelief::expecting(0.2);
        for (x, y) in [(4, 20), (10, 11), (1, 40), (8, 64)] {
            let aim = belief.aim(&[(x, 1), (y, 1)], 0.9);
            let cost = aim.symbols(x) + aim.symbols(y);
            let groups = |a, b| [Group { need: x, sent: a, count: 1 }, Group { need: y, sent: b, count: 1 }];
            let best = (x..4 * x + 60)
                .flat_map(|a| (y..4 * y + 60).map(move |b| (a, b)))
                .filter(|(a, b)| a + b < cost && belief.all_down(&groups(*a, *b)) >= 0.9)
                .map(|(a, b)| a + b)
                .min()
                .unwrap_or(cost);
            assert!(f64::from(cost) <= f64::from(best) * 1.04 + 2.0, "{x}, {y}: {cost}, best {best}");
        }
    }

    #[test]
    fn the_spread_is_the_normal_distributions_quantile() {
        for (target, z) in [(0.9, 1.645), (0.5, 0.674), (0.998, 3.09)] {
            assert!((spread(target, 1) - z).abs() < 0.001, "{target}");
        }
    }
}
