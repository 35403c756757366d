//! How far an enhancement stands out: its standard deviation by brightness, and a score that looks at a pixel together
//! with its surroundings.
//!
//! The score joins Gaussian neighbourhoods of several widths, since plumes have several: in each the enhancements,
//! weighted with 1/σ², are added up and divided by the standard deviation of that sum; the sum over the widths is scaled
//! by its own scatter (clutter is correlated between neighbours). Single enhancements count no more than
//! [`Params::clip_score`] σ: a pixel of odd ground is no plume, however odd; a plume has neighbours.

use super::apply::Answer;
use super::convolve::convolve;
use super::params::Params;
use super::response::Response;
use crate::numeric::{f32_of, median_and_sigma, quantile};

/// Most values from which a median is taken: enough for one part in a hundred of its own scatter.
const MOST_VALUES: usize = 1 << 16;
/// Least brightness whose noise is told apart.
const DARKEST: f32 = 0.02;
/// A pixel that was not measured has a score when its neighbours know at least this share of what they usually do.
const LEAST_SUPPORT: f32 = 0.03;
/// Fewest pixels of a class of brightness.
const CLASS_PIXELS: usize = 256;

/// The maps of a segment.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Column of gas, ppm·m; NaN where not measured.
    pub(super) enhancement: Vec<f32>,
    /// Standard deviation of a single pixel without gas, ppm·m.
    pub(super) sigma: Vec<f32>,
    /// See the module's words.
    pub(super) score: Vec<f32>,
    /// Median of `sigma`.
    pub(super) noise_ppm_m: f32,
}

/// From the filter's answers to enhancement, its noise and the score; `None` without any scatter.
///
/// Only pixels without a flag in `mask` make up the level of the ground.
pub(super) fn levels(
    answer: Answer,
    mask: &[u8],
    samples: usize,
    response: &Response,
    params: &Params,
) -> Option<Levels> {
    let Answer { mut alpha, brightness } = answer;
    let mut counts: Vec<bool> = mask.iter().map(|flag| *flag == 0).collect();
    let mut result = None;
    // The second time without what may be gas by the first, so that plumes do not raise the level of the ground.
    for _ in 0..2 {
        level_columns(&mut alpha, &counts, samples, params);
        let sigma = level_brightness(&mut alpha, &counts, &brightness, params.brightness_classes)?;
        let score = score(&alpha, &sigma, samples, params)?;
        for ((counts, score), flag) in counts.iter_mut().zip(&score).zip(mask) {
            *counts = *flag == 0 && *score < params.level_score;
        }
        result = Some((sigma, score));
    }
    let (sigma, score) = result?;
    let mut clear: Vec<f32> =
        thinned(&sigma, mask).filter(|(_, flag)| **flag == 0).map(|(sigma, _)| *sigma).collect();
    let noise_ppm_m = quantile(&mut clear, 0.5)?;
    for alpha in &mut alpha {
        *alpha = response.column(*alpha);
    }
    Some(Levels { enhancement: alpha, sigma, score, noise_ppm_m })
}

/// Takes from each column what its median differs from that of the columns around it: what stripes are left.
pub(super) fn level_columns(alpha: &mut [f32], counts: &[bool], samples: usize, params: &Params) {
    let lines = alpha.len() / samples.max(1);
    // An odd step, so that no pattern of the lines is always met.
    let step = (lines / 256).max(1) | 1;
    let mut medians = Vec::with_capacity(samples);
    for sample in 0..samples {
        let column = alpha.iter().zip(counts).skip(sample).step_by(samples * step);
        let mut values: Vec<f32> =
            column.filter(|(a, counts)| **counts && a.is_finite()).map(|(a, _)| *a).collect();
        let count = values.len() * step;
        medians.push(quantile(&mut values, 0.5).map(|median| (f64::from(median), count as f64)));
    }
    let reach = params.level_columns / 2;
    let offsets: Vec<f32> = (0..samples)
        .map(|sample| {
            let Some(Some((median, count))) = medians.get(sample) else { return 0.0 };
            let around = medians
                .get(sample.saturating_sub(reach)..(sample + reach + 1).min(samples))
                .unwrap_or_default();
            let (sum, n) = around.iter().flatten().fold((0.0, 0.0), |(sum, n), (m, _)| (sum + m, n + 1.0));
            f32_of((median - sum / n) * count / (count + params.column_prior_lines))
        })
        .collect();
    for line in alpha.chunks_exact_mut(samples.max(1)) {
        line.iter_mut().zip(&offsets).for_each(|(alpha, offset)| *alpha -= offset);
    }
}

/// Makes the median of `alpha` 0 in each class of brightness and gives the robust standard deviation of each pixel,
/// interpolated over brightness; NaN stays NaN. `None` without scatter.
pub(super) fn level_brightness(
    alpha: &mut [f32],
    counts: &[bool],
    brightness: &[f32],
    classes: usize,
) -> Option<Vec<f32>> {
    let step = alpha.iter().filter(|a| a.is_finite()).count().div_ceil(MOST_VALUES).max(1);
    let measured =
        brightness.iter().zip(&*alpha).zip(counts).filter(|((_, a), counts)| **counts && a.is_finite());
    let mut by_brightness: Vec<(f32, f32)> = measured.step_by(step).map(|((r, a), _)| (*r, *a)).collect();
    // Stable: pixels of equal brightness stay in the frame's order and are not sorted by what is to be measured.
    by_brightness.sort_by(|a, b| a.0.total_cmp(&b.0));
    let classes = (by_brightness.len() / CLASS_PIXELS).clamp(1, classes.max(1));
    let mut knots = Vec::with_capacity(classes);
    for class in by_brightness.chunks(by_brightness.len().div_ceil(classes).max(1)) {
        let mut values: Vec<f32> = class.iter().map(|(_, a)| *a).collect();
        let (median, sigma) = median_and_sigma(&mut values)?;
        let middle = class.get(class.len() / 2)?.0;
        if sigma > 0.0 {
            knots.push(Knot { brightness: middle, median, sigma });
        }
    }
    if knots.is_empty() {
        return None;
    }
    let mut sigmas = Vec::with_capacity(alpha.len());
    for (alpha, brightness) in alpha.iter_mut().zip(brightness) {
        let (median, sigma) = interpolate(&knots, *brightness);
        *alpha -= median;
        sigmas.push(if alpha.is_finite() { sigma } else { f32::NAN });
    }
    Some(sigmas)
}

/// Scatter of one class of brightness.
struct Knot {
    brightness: f32,
    median: f32,
    sigma: f32,
}

fn interpolate(knots: &[Knot], brightness: f32) -> (f32, f32) {
    let after = knots.partition_point(|k| k.brightness < brightness);
    let (before, after) = (after.checked_sub(1).and_then(|i| knots.get(i)), knots.get(after));
    match (before, after) {
        (Some(a), Some(b)) if b.brightness > a.brightness => {
            let share = ((brightness - a.brightness) / (b.brightness - a.brightness)).clamp(0.0, 1.0);
            (a.median + share * (b.median - a.median), a.sigma + share * (b.sigma - a.sigma))
        }
        // Light is what there is to measure with: the less of it, the noisier.
        (None, Some(k)) => (k.median, k.sigma * (k.brightness / brightness.max(DARKEST)).max(1.0)),
        (Some(k), _) => (k.median, k.sigma),
        (None, None) => (0.0, 0.0),
    }
}

fn score(alpha: &[f32], sigma: &[f32], samples: usize, params: &Params) -> Option<Vec<f32>> {
    let threads = params.threads;
    let [low, high] = params.clip_score;
    let weight = |sigma: f32| if sigma > 0.0 { 1.0 / (sigma * sigma) } else { 0.0 };
    let weights: Vec<f32> = sigma.iter().map(|s| weight(*s)).collect();
    let weighted = |(alpha, sigma): (&f32, &f32)| {
        if *sigma > 0.0 { alpha.clamp(low * sigma, high * sigma) * weight(*sigma) } else { 0.0 }
    };
    let signal: Vec<f32> = alpha.iter().zip(sigma).map(weighted).collect();
    let mut sum = vec![0.0_f32; alpha.len()];
    // Of the widest neighbourhood: what is known around a pixel.
    let mut support = Vec::new();
    for (width, share) in params.score_widths.iter().zip(params.score_shares) {
        let kernel = gaussian(*width);
        let squares: Vec<f32> = kernel.iter().map(|k| k * k).collect();
        let mut part = convolve(&signal, samples, &kernel, threads);
        let variance = convolve(&weights, samples, &squares, threads);
        for (part, variance) in part.iter_mut().zip(&variance) {
            *part = if *variance > 0.0 { *part / variance.sqrt() } else { 0.0 };
        }
        support = variance;
        let (median, scatter) = middle_of(&part, sigma)?;
        let share = share / scatter.max(1e-6);
        sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += (part - median) * share);
    }
    let (median, scatter) = middle_of(&sum, sigma)?;
    let scale = 1.0 / scatter.max(1e-6);
    let usual = middle_of(&support, sigma).map_or(0.0, |(median, _)| median);
    for ((sum, sigma), support) in sum.iter_mut().zip(sigma).zip(support) {
        let known = *sigma > 0.0 || (usual > 0.0 && support > LEAST_SUPPORT * usual);
        *sum = if known { (*sum - median) * scale } else { f32::NAN };
    }
    Some(sum)
}

/// Median and robust standard deviation over the measured pixels.
fn middle_of(map: &[f32], sigma: &[f32]) -> Option<(f32, f32)> {
    let measured = thinned(map, sigma).filter(|(_, s)| **s > 0.0);
    let mut values: Vec<f32> = measured.map(|(m, _)| *m).collect();
    median_and_sigma(&mut values).filter(|(_, sigma)| *sigma > 0.0)
}

/// Some of the pixels of two maps, evenly spread, at most [`MOST_VALUES`].
fn thinned<'a, T>(values: &'a [f32], beside: &'a [T]) -> impl Iterator<Item = (&'a f32, &'a T)> {
    // Odd, and so prime to the usual numbers of samples: no column is left out.
    let step = values.len().div_ceil(MOST_VALUES).max(1) | 1;
    values.iter().zip(beside).step_by(step)
}

/// One half of a Gaussian of standard deviation `width`, its middle first; all of it adds up to 1.
pub(super) fn gaussian(width: f32) -> Vec<f32> {
    let width = if width > 0.3 { f64::from(width.min(32.0)) } else { 0.3 };
    let reach = crate::numeric::index_of((3.0 * width).ceil(), 96);
    let half: Vec<f64> = (0..=reach).map(|i| libm::exp(-((i * i) as f64) / (2.0 * width * width))).collect();
    let total = 2.0 * half.iter().sum::<f64>() - 1.0;
    half.iter().map(|v| f32_of(v / total)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed, noise-like sequence.
    fn scatter(index: usize) -> f32 {
        let mut x = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        f32::from(u16::try_from((x >> 40) % 2001).unwrap()) / 1000.0 - 1.0
    }

    #[test]
    fn levelling_removes_a_bias_and_measures_the_scatter_by_brightness() {
        let brightness: Vec<f32> = (0..4096).map(|i| if i % 2 == 0 { 0.5 } else { 1.0 }).collect();
        let mut alpha: Vec<f32> = (0..4096)
            .map(|i| if i % 2 == 0 { 50.0 + 200.0 * scatter(i) } else { 100.0 * scatter(i) })
            .collect();
        let sigma = level_brightness(&mut alpha, &[true; 4096], &brightness, 8).unwrap();
        assert!((sigma[0] / sigma[1] - 2.0).abs() < 0.2, "{} {}", sigma[0], sigma[1]);
        let median = quantile(&mut alpha.iter().copied().step_by(2).collect(), 0.5).unwrap();
        assert!(median.abs() < 15.0, "{median}");
        assert_eq!(level_brightness(&mut [1.0; 10], &[true; 10], &[1.0; 10], 8), None);
        assert_eq!(level_brightness(&mut [], &[], &[], 8), None);
    }

    #[test]
    fn a_column_is_levelled_to_its_neighbours() {
        let mut alpha: Vec<f32> =
            (0..100 * 40).map(|i| scatter(i) + if i % 40 == 17 { 5.0 } else { 0.0 }).collect();
        level_columns(&mut alpha, &[true; 4000], 40, &Params::default());
        let mut column: Vec<f32> = alpha.iter().copied().skip(17).step_by(40).collect();
        let median = quantile(&mut column, 0.5).unwrap();
        assert!(median.abs() < 1.0, "{median}");
    }

    #[test]
    fn neighbours_add_up_and_a_single_odd_pixel_does_not_count_for_more_than_it_may() {
        let mut alpha: Vec<f32> = (0..64 * 64).map(scatter).collect();
        alpha[50 * 64 + 10] = 1000.0;
        for line in 20..26 {
            alpha[line * 64 + 30..line * 64 + 36].fill(1.5);
        }
        alpha[0] = f32::NAN;
        alpha[40 * 64..].fill(f32::NAN);
        let sigma: Vec<f32> = alpha.iter().map(|a| if a.is_nan() { f32::NAN } else { 0.58 }).collect();
        let score = score(&alpha, &sigma, 64, &Params::default()).unwrap();
        assert!(score[0].is_finite() && score[45 * 64].is_finite(), "their surroundings speak for them");
        assert!(score[63 * 64 + 30].is_nan());
        assert!(
            score[22 * 64 + 32] > 2.0 * score[50 * 64 + 10],
            "{} {}",
            score[22 * 64 + 32],
            score[50 * 64 + 10]
        );
    }

    #[test]
    fn a_gaussian_adds_up_to_one() {
        for width in [0.0, 1.2, 8.0, f32::NAN, 1e9] {
            let kernel = gaussian(width);
            let sum = 2.0 * kernel.iter().sum::<f32>() - kernel[0];
            assert!((sum - 1.0).abs() < 1e-5 && kernel.len() <= 97, "{width}: {sum}");
        }
    }
}
