//! Estimates of a bit brought together: logistic mixing after M. Mahoney ("Adaptive weighing of context models for
//! lossless data compression", Florida Tech TR CS-2005-16, 2005), in whole numbers, so that every machine comes to the
//! same.

/// Largest logit, in 256ths: a probability of 1 in 60,000.
pub(crate) const MOST: i32 = 2_815;

/// 65,536 / (1 + e^-x) at x = -12, -11.5 … 12.
const KNOTS: [i32; 49] = [
    0, 1, 1, 2, 3, 5, 8, 13, 22, 36, 60, 98, 162, 267, 439, 720, 1_179, 1_921, 3_108, 4_971, 7_812, 11_955,
    17_625, 24_743, 32_768, 40_793, 47_911, 53_581, 57_724, 60_565, 62_428, 63_615, 64_357, 64_816, 65_097,
    65_269, 65_374, 65_438, 65_476, 65_500, 65_514, 65_523, 65_528, 65_531, 65_533, 65_534, 65_535, 65_535,
    65_536,
];

/// The probability of a logit, of 65,536: from 1 to 65,535.
pub(crate) fn squash(logit: i32) -> i32 {
    let at = (logit.clamp(-MOST, MOST) + 12 * 256) as usize;
    let (knot, part) = (at >> 7, (at & 127) as i32);
    let value = |knot: usize| KNOTS.get(knot).copied().unwrap_or(0);
    (value(knot) * (128 - part) + value(knot + 1) * part) >> 7
}

/// The logits of probabilities: by their first 12 bits, and by all 16 where they are next to certain.
#[derive(Debug)]
pub(crate) struct Stretch {
    middle: Box<[i16; 4_096]>,
    low: Box<[i16; 4_096]>,
}

impl Stretch {
    /// Memory that it takes.
    pub(crate) const MEMORY: u64 = 2 * 2 * 4_096;

    pub(crate) fn new() -> Self {
        let mut new = Self { middle: Box::new([0; 4_096]), low: Box::new([0; 4_096]) };
        let mut logit = -MOST;
        for p1 in 0..65_536_usize {
            while logit < MOST && (squash(logit) as usize) < p1 {
                logit += 1;
            }
            if let Some(entry) = new.low.get_mut(p1) {
                *entry = logit as i16;
            }
            if let Some(entry) = new.middle.get_mut(p1 >> 4).filter(|_| p1 & 15 == 8) {
                *entry = logit as i16;
            }
        }
        new
    }

    /// The logit of a probability of 65,536.
    pub(crate) fn of(&self, p1: u32) -> i16 {
        let entry = |table: &[i16; 4_096], at: u32| table.get(at as usize).copied().unwrap_or(0);
        if p1 < 4_096 {
            entry(&self.low, p1)
        } else if p1 > 65_536 - 4_096 {
            -entry(&self.low, 65_536_u32.saturating_sub(p1))
        } else {
            entry(&self.middle, p1 >> 4)
        }
    }
}

/// What an estimate is off, in 4,096ths, is not learnt from below this.
const SMALL: i32 = 48;

/// A weight of one.
const ONE: i32 = 1 << 13;

/// Weights of `N` estimates, learnt, a set for each of some contexts.
#[derive(Debug)]
pub(crate) struct Mixer<const N: usize> {
    weights: Vec<[i16; N]>,
    set: usize,
    p1: i32,
}

impl<const N: usize> Mixer<N> {
    /// Memory that one of `sets` sets takes.
    pub(crate) const fn memory(sets: usize) -> u64 {
        (sets * N * 2) as u64
    }

    /// Weights begin at `weight`, 8,192 being one.
    pub(crate) fn new(sets: usize, weight: i16) -> Self {
        Self { weights: vec![[weight; N]; sets], set: 0, p1: 1 << 15 }
    }

    /// The logit of all together, by the weights of a set.
    pub(crate) fn mix(&mut self, inputs: &[i16; N], set: usize) -> i32 {
        self.set = set;
        let Some(weights) = self.weights.get(set) else { return 0 };
        let products = weights.iter().zip(inputs).map(|(w, x)| i32::from(*w) * i32::from(*x));
        let logit = (products.fold(0, i32::wrapping_add) / ONE).clamp(-MOST, MOST);
        self.p1 = squash(logit);
        logit
    }

    /// Learns from what the bit was, at a rate.
    pub(crate) fn learn(&mut self, inputs: &[i16; N], bit: bool, rate: i32) {
        // In 4,096ths.
        let off = ((i32::from(bit) << 16) - self.p1) >> 4;
        if off.abs() < SMALL {
            return;
        }
        let off = off * rate;
        let Some(weights) = self.weights.get_mut(self.set) else { return };
        for (weight, input) in weights.iter_mut().zip(inputs) {
            let step = (i32::from(*input) * off + (1 << 15)) >> 16;
            *weight = (i32::from(*weight) + step).clamp(-32_767, 32_767) as i16;
        }
    }
}

/// Knots of a curve.
const CURVE: usize = 24;

/// Estimates made better by what they came to before in a context, between knots over the logit.
#[derive(Debug)]
pub(crate) struct Refiner {
    curves: Vec<[u16; CURVE]>,
    context: usize,
    knot: usize,
}

impl Refiner {
    /// Memory that one of `contexts` contexts takes.
    pub(crate) const fn memory(contexts: usize) -> u64 {
        (contexts * CURVE * 2) as u64
    }

    pub(crate) fn new(contexts: usize) -> Self {
        let mut curve = [0; CURVE];
        for (knot, value) in curve.iter_mut().enumerate() {
            *value = squash((knot as i32 - 11) * 256).clamp(1, 65_535) as u16;
        }
        Self { curves: vec![curve; contexts], context: 0, knot: 0 }
    }

    /// The probability that takes the place of a logit's, of 65,536.
    pub(crate) fn refine(&mut self, logit: i32, context: usize) -> i32 {
        let at = (logit.clamp(-MOST, MOST) + 11 * 256) as usize;
        let (knot, part) = (at >> 8, (at & 255) as i32);
        (self.context, self.knot) = (context, knot + usize::from(part >= 128));
        let Some(curve) = self.curves.get(context) else { return squash(logit) };
        let value = |knot: usize| curve.get(knot).map_or(0, |value| i32::from(*value));
        (value(knot) * (256 - part) + value(knot + 1) * part) >> 8
    }

    /// Learns from what the bit was.
    pub(crate) fn learn(&mut self, bit: bool) {
        let curve = self.curves.get_mut(self.context);
        if let Some(value) = curve.and_then(|curve| curve.get_mut(self.knot)) {
            let off = if bit { 65_535 } else { 0 } - i32::from(*value);
            *value = (i32::from(*value) + (off >> 6)) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_and_probabilities_belong_together() {
        let stretch = Stretch::new();
        for logit in -MOST..=MOST {
            let p1 = squash(logit);
            assert!((1..=65_535).contains(&p1), "{logit}: {p1}");
            let back = i32::from(stretch.of(p1 as u32));
            assert!((squash(back) - p1).abs() <= 70, "{logit} came back as {back}");
        }
    }

    #[test]
    fn a_mixer_finds_the_estimate_that_is_right() {
        let mut mixer = Mixer::<2>::new(1, 0);
        for n in 0..2_000 {
            let bit = n % 3 == 0;
            let inputs = [if bit { 500 } else { -500 }, if n % 2 == 0 { 500 } else { -500 }];
            mixer.mix(&inputs, 0);
            mixer.learn(&inputs, bit, 10);
        }
        assert!(mixer.mix(&[500, -500], 0) > 1_000);
    }
}
