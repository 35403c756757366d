//! Figures over pixels: average precision of the score, the noise of the enhancement over clean ground, and how the
//! retrieved column goes with the true one.

use serde::Serialize;

use super::truth::{PLUME_PPM_M, Truth};

/// A pixel with less than this is taken as free of gas, ppm·m.
const FREE_PPM_M: f32 = 1.0;
/// Width of the smoothing before the second figure of noise, pixels: the one that published figures use.
const SMOOTH_PIXELS: f64 = 1.2;
/// Columns over which the slope is fitted, ppm·m.
pub(super) const SLOPE_PPM_M: [f32; 2] = [300.0, 6000.0];
/// Bits of a score's pattern that tell the bins of the pooled histogram apart: steps of 0.05 %.
const BIN_BITS: u32 = 20;

/// A threshold's place on the curve of precision and recall.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Lowest score that counts as found.
    pub threshold: f64,
    /// Share of the found that is true.
    pub precision: f64,
    /// Share of the true that is found.
    pub recall: f64,
}

/// Counts of what is at some score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) positive: u64,
    pub(super) negative: u64,
}

/// Precision and recall at each distinct score, from the highest, and the average precision Σ (Rₙ − Rₙ₋₁) Pₙ: what has
/// the same score is found together. `levels` go down in score; `None` without anything to find.
pub(super) fn curve(levels: impl Iterator<Item = (f64, Count)> + Clone) -> Option<(Vec<CurvePoint>, f64)> {
    let all: u64 = levels.clone().map(|(_, c)| c.positive).sum();
    if all == 0 {
        return None;
    }
    let (mut found, mut wrong, mut points, mut ap) = (0_u64, 0_u64, Vec::new(), 0.0);
    for (threshold, count) in levels {
        if count == Count::default() {
            continue;
        }
        found += count.positive;
        wrong += count.negative;
        let precision = found as f64 / (found + wrong) as f64;
        ap += count.positive as f64 / all as f64 * precision;
        points.push(CurvePoint { threshold, precision, recall: found as f64 / all as f64 });
    }
    Some((points, ap))
}

/// Exact average precision of scored things; a NaN is below everything. `None` without anything to find.
pub(crate) fn average_precision(scored: &mut [(f32, bool)]) -> Option<f64> {
    for (score, _) in scored.iter_mut() {
        // −0 and 0 are one score.
        *score = if score.is_nan() { f32::NEG_INFINITY } else { *score + 0.0 };
    }
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let levels = scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).map(|same| {
        let positive = same.iter().filter(|(_, is)| *is).count() as u64;
        (f64::from(same[0].0), Count { positive, negative: same.len() as u64 - positive })
    });
    curve(levels).map(|(_, ap)| ap)
}

/// Scores of the pixels of many frames, in bins of equal relative width: bounded, whatever the number of pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    bins: Vec<Count>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![Count::default(); 1 << BIN_BITS] }
    }
}

impl Histogram {
    /// The bin of a score: the upper bits of its pattern, turned so that they rise with the score.
    fn bin(score: f32) -> usize {
        let bits = if score.is_nan() { f32::NEG_INFINITY.to_bits() } else { (score + 0.0).to_bits() };
        let rising = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        (rising >> (32 - BIN_BITS)) as usize
    }

    /// Lowest score of a bin.
    fn floor(bin: usize) -> f64 {
        let rising = u32::try_from(bin).unwrap_or(u32::MAX) << (32 - BIN_BITS);
        let bits = if rising >> 31 == 1 { rising & !(1 << 31) } else { !rising };
        let score = f32::from_bits(bits);
        // The lowest bin begins among the patterns that are no numbers.
        if score.is_nan() { f64::NEG_INFINITY } else { f64::from(score) }
    }

    pub(super) fn add(&mut self, scored: &[(f32, bool)]) {
        for (score, positive) in scored {
            let bin = &mut self.bins[Self::bin(*score)];
            if *positive { bin.positive += 1 } else { bin.negative += 1 }
        }
    }

    /// Precision and recall down the bins, and the average precision.
    pub(super) fn curve(&self) -> Option<(Vec<CurvePoint>, f64)> {
        curve(self.bins.iter().enumerate().rev().map(|(bin, count)| (Self::floor(bin), *count)))
    }
}

/// The noise of the enhancement over ground without gas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Noise {
    /// Standard deviation, ppm·m.
    pub sd_ppm_m: f64,
    /// Robust standard deviation (1.4826 times the median deviation from the median), ppm·m.
    pub robust_ppm_m: f64,
    /// Standard deviation after smoothing with a Gaussian of 1.2 pixels, ppm·m.
    pub smoothed_sd_ppm_m: f64,
}

/// Measures the noise over the pixels that the detector takes for clear and that hold no gas; `None`: too few.
pub(super) fn noise(enhancement_ppm_m: &[f32], mask: &[u8], truth: &Truth, samples: usize) -> Option<Noise> {
    let ground: Vec<f32> = (0..enhancement_ppm_m.len())
        .map(|at| {
            let is_free = truth.columns_ppm_m[at] < FREE_PPM_M && !truth.is_hidden(at) && mask[at] == 0;
            if is_free { enhancement_ppm_m[at] } else { f32::NAN }
        })
        .collect();
    let values: Vec<f64> = ground.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
    let smooth = smoothed(&ground, samples);
    (values.len() > 1).then(|| Noise {
        sd_ppm_m: deviation(&values),
        robust_ppm_m: 1.4826 * median_deviation(&values),
        smoothed_sd_ppm_m: deviation(&smooth),
    })
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
}

fn median_deviation(values: &[f64]) -> f64 {
    let middle = super::median(values).unwrap_or(0.0);
    super::median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>()).unwrap_or(0.0)
}

/// A Gaussian over what was measured, at the pixels that were measured.
fn smoothed(map: &[f32], samples: usize) -> Vec<f64> {
    let side: Vec<f64> =
        (0..=4).map(|d| libm::exp(-f64::from(d * d) / (2.0 * SMOOTH_PIXELS * SMOOTH_PIXELS))).collect();
    let weights: Vec<f64> = side.iter().skip(1).rev().chain(&side).copied().collect();
    let along = |values: &[(f64, f64)], stride: usize, at: usize, place: usize, length: usize| {
        let mut sum = (0.0, 0.0);
        for (n, w) in weights.iter().enumerate().filter(|(n, _)| place + n >= 4 && place + n - 4 < length) {
            let (value, weight) = values[at + n * stride - 4 * stride];
            sum = (sum.0 + w * value, sum.1 + w * weight);
        }
        sum
    };
    let start: Vec<(f64, f64)> =
        map.iter().map(|v| if v.is_finite() { (f64::from(*v), 1.0) } else { (0.0, 0.0) }).collect();
    let lines = map.len() / samples.max(1);
    let across: Vec<_> = (0..map.len()).map(|at| along(&start, 1, at, at % samples, samples)).collect();
    (0..map.len())
        .filter(|at| map[*at].is_finite())
        .map(|at| along(&across, samples, at, at / samples, lines))
        .map(|(sum, weight)| sum / weight)
        .collect()
}

/// Sums for a straight line through retrieved over true columns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Slope {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Slope {
    /// Takes the visible, measured pixels with columns of [`SLOPE_PPM_M`].
    pub(super) fn of(enhancement_ppm_m: &[f32], truth: &Truth) -> Self {
        let mut sums = Self::default();
        for (at, (&x, &y)) in truth.columns_ppm_m.iter().zip(enhancement_ppm_m).enumerate() {
            if (SLOPE_PPM_M[0]..=SLOPE_PPM_M[1]).contains(&x) && y.is_finite() && !truth.is_hidden(at) {
                let (x, y) = (f64::from(x), f64::from(y));
                sums.add(&Self { n: 1.0, x, y, xx: x * x, xy: x * y });
            }
        }
        sums
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.n += more.n;
        self.x += more.x;
        self.y += more.y;
        self.xx += more.xx;
        self.xy += more.xy;
    }

    pub(super) fn pixels(&self) -> f64 {
        self.n
    }

    /// Least squares: the true column has no error. `None` with fewer than 20 pixels.
    pub(super) fn slope(&self) -> Option<f64> {
        let spread = self.xx - self.x * self.x / self.n.max(1.0);
        (self.n >= 20.0 && spread > 0.0).then(|| (self.xy - self.x * self.y / self.n) / spread)
    }

    /// Retrieved over true, in sum. `None` with fewer than 20 pixels.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.n >= 20.0).then(|| self.y / self.x)
    }
}

/// The score of each pixel that counts, and whether it is of a plume. What is known to be hidden doesn't count; what
/// the detector did not measure though it could be seen comes last.
pub(super) fn scored(score: &[f32], truth: &Truth) -> Vec<(f32, bool)> {
    (0..score.len())
        .filter(|at| !truth.is_hidden(*at) && !truth.columns_ppm_m[*at].is_nan())
        .map(|at| (score[at], truth.columns_ppm_m[at] >= PLUME_PPM_M))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand_with_ties_and_nan() {
        // Down the scores: 9 true; 7 true and false together; 5 false; NaN true.
        let mut scored = [(7.0, true), (9.0, true), (f32::NAN, true), (5.0, false), (7.0, false)];
        // 1/3 · 1 + 1/3 · 2/3 + 1/3 · 3/5
        let by_hand = (1.0 + 2.0 / 3.0 + 0.6) / 3.0;
        assert!((average_precision(&mut scored).unwrap() - by_hand).abs() < 1e-12);
        assert_eq!(average_precision(&mut [(1.0, false)]), None);
        assert_eq!(average_precision(&mut [(1.0, true), (0.5, false)]), Some(1.0));
        let all_alike = average_precision(&mut [(2.0, true), (2.0, false), (2.0, false), (2.0, false)]);
        assert_eq!(all_alike, Some(0.25), "ties give the share of the true");
        assert_eq!(average_precision(&mut [(0.0, true), (-0.0, false)]), Some(0.5), "zero has no sign");
    }

    #[test]
    fn the_histogram_agrees_with_the_exact_figure() {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0
        };
        let mut scored: Vec<(f32, bool)> = (0..5000)
            .map(|_| {
                let positive = next() < 0.1;
                (next() * 6.0 - 3.0 + if positive { 2.0 } else { 0.0 }, positive)
            })
            .collect();
        scored.push((f32::NAN, true));
        let mut histogram = Histogram::default();
        histogram.add(&scored);
        let (points, pooled) = histogram.curve().unwrap();
        let exact = average_precision(&mut scored).unwrap();
        assert!((pooled - exact).abs() < 1e-3, "{pooled} {exact}");
        assert!((0.3..0.8).contains(&exact), "{exact}");
        assert!(points.windows(2).all(|w| w[0].threshold > w[1].threshold && w[0].recall <= w[1].recall));
        assert!((points.last().unwrap().recall - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bins_rise_with_the_score() {
        let scores = [f32::NEG_INFINITY, -1e9, -1.0, -1e-9, 0.0, 1e-9, 0.5, 1.0, 1.001, 3e8, f32::INFINITY];
        let bins: Vec<usize> = scores.iter().map(|s| Histogram::bin(*s)).collect();
        assert!(bins.windows(2).all(|w| w[0] < w[1]), "{bins:?}");
        assert_eq!(Histogram::bin(f32::NAN), bins[0]);
        assert!((Histogram::floor(Histogram::bin(1.25)) - 1.25).abs() < 1e-3);
        assert!((Histogram::floor(Histogram::bin(-2.5)) + 2.5).abs() < 2e-3);
    }

    fn truth(columns: Vec<f32>, samples: usize) -> Truth {
        Truth::new(columns, None, None, samples).unwrap()
    }

    #[test]
    fn noise_is_that_of_the_ground_alone() {
        let mut columns = vec![0.0; 400];
        columns[200..240].fill(5000.0);
        let enhancement: Vec<f32> = (0..400)
            .map(|n| if (200..240).contains(&n) { 9e3 } else { [-30.0, 30.0][(n / 20 + n) % 2] })
            .collect();
        let mut mask = vec![0; 400];
        mask[0] = 1;
        let noise = noise(&enhancement, &mask, &truth(columns, 20), 20).unwrap();
        assert!((noise.sd_ppm_m - 30.0).abs() < 0.1, "{noise:?}");
        assert!((median_deviation(&[1.0, 9.0, 1.0, 2.0, 6.0, 2.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!(noise.smoothed_sd_ppm_m < 6.0, "a chessboard smooths away: {noise:?}");
    }

    #[test]
    fn smoothing_keeps_a_constant_also_beside_holes_and_edges() {
        let mut map = vec![5.0_f32; 120];
        map[37] = f32::NAN;
        let smooth = smoothed(&map, 12);
        assert_eq!(smooth.len(), 119);
        assert!(smooth.iter().all(|v| (v - 5.0).abs() < 1e-9));
    }

    #[test]
    fn the_slope_is_that_of_the_line() {
        let columns: Vec<f32> = (0..100).map(|n| n as f32 * 50.0).collect();
        let enhancement: Vec<f32> = columns.iter().map(|c| 0.8 * c + 40.0).collect();
        let sums = Slope::of(&enhancement, &truth(columns, 10));
        assert!((sums.slope().unwrap() - 0.8).abs() < 1e-9);
        assert!(sums.ratio().unwrap() > 0.8 && sums.pixels() > 90.0);
        assert_eq!(Slope::default().slope(), None);
    }
}
