//! How far an enhancement stands out: its standard deviation by brightness, and a lightly smoothed significance map.

use crate::numeric::{median_and_sigma, quantile};

/// Classes of brightness in which the scatter is measured.
const CLASSES: usize = 8;
/// Fewest pixels of a class.
const CLASS_PIXELS: usize = 256;
/// Binomial smoothing, 3 × 3.
const KERNEL: [f32; 3] = [1.0, 2.0, 1.0];

/// Makes the median of `alpha` 0 in each class of brightness and gives the robust standard deviation of each pixel,
/// interpolated over brightness; NaN stays NaN. `None` without scatter.
pub(super) fn level(alpha: &mut [f32], albedo: &[f32]) -> Option<Vec<f32>> {
    let mut by_albedo: Vec<(f32, f32)> =
        albedo.iter().zip(&*alpha).filter(|(_, a)| a.is_finite()).map(|(r, a)| (*r, *a)).collect();
    // Stable: pixels of equal brightness stay in the frame's order and are not sorted by what is to be measured.
    by_albedo.sort_by(|a, b| a.0.total_cmp(&b.0));
    let classes = (by_albedo.len() / CLASS_PIXELS).clamp(1, CLASSES);
    let mut knots = Vec::with_capacity(classes);
    for class in by_albedo.chunks(by_albedo.len().div_ceil(classes).max(1)) {
        let mut values: Vec<f32> = class.iter().map(|(_, a)| *a).collect();
        let (median, sigma) = median_and_sigma(&mut values)?;
        let middle = class.get(class.len() / 2)?.0;
        if sigma > 0.0 {
            knots.push(Knot { albedo: middle, median, sigma });
        }
    }
    if knots.is_empty() {
        return None;
    }
    let mut sigmas = Vec::with_capacity(alpha.len());
    for (alpha, albedo) in alpha.iter_mut().zip(albedo) {
        let (median, sigma) = interpolate(&knots, *albedo);
        *alpha -= median;
        sigmas.push(if alpha.is_finite() { sigma } else { f32::NAN });
    }
    Some(sigmas)
}

/// Scatter of one class of brightness.
struct Knot {
    albedo: f32,
    median: f32,
    sigma: f32,
}

fn interpolate(knots: &[Knot], albedo: f32) -> (f32, f32) {
    let after = knots.partition_point(|k| k.albedo < albedo);
    let (before, after) = (after.checked_sub(1).and_then(|i| knots.get(i)), knots.get(after));
    match (before, after) {
        (Some(a), Some(b)) if b.albedo > a.albedo => {
            let share = ((albedo - a.albedo) / (b.albedo - a.albedo)).clamp(0.0, 1.0);
            (a.median + share * (b.median - a.median), a.sigma + share * (b.sigma - a.sigma))
        }
        (Some(k), _) | (None, Some(k)) => (k.median, k.sigma),
        (None, None) => (0.0, f32::NAN),
    }
}

/// A smoothed map: enhancement and significance of each pixel; NaN where the pixel itself was not measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Map {
    pub(super) alpha_ppm_m: Vec<f32>,
    /// In standard deviations of the frame.
    pub(super) sigmas: Vec<f32>,
    /// In standard deviations of a pixel, not smoothed.
    pub(super) sharp: Vec<f32>,
}

/// Smooths with weights 1/σ² over the measured neighbours, and scales the significance so that its own robust
/// standard deviation is at most 1 (ground clutter is correlated between neighbours).
pub(super) fn smoothed(alpha: &[f32], sigma: &[f32], samples: usize) -> Map {
    let lines = alpha.len() / samples.max(1);
    let mut map = Map {
        alpha_ppm_m: vec![f32::NAN; alpha.len()],
        sigmas: vec![f32::NAN; alpha.len()],
        sharp: alpha.iter().zip(sigma).map(|(a, s)| a / s).collect(),
    };
    for line in 0..lines {
        for sample in 0..samples {
            let index = line * samples + sample;
            if alpha.get(index).is_none_or(|a| !a.is_finite()) {
                continue;
            }
            let (mut sum, mut weights, mut variance) = (0.0_f32, 0.0_f32, 0.0_f32);
            for (dl, kl) in KERNEL.into_iter().enumerate() {
                let Some(l) = (line + dl).checked_sub(1).filter(|l| *l < lines) else { continue };
                for (ds, ks) in KERNEL.into_iter().enumerate() {
                    let Some(s) = (sample + ds).checked_sub(1).filter(|s| *s < samples) else { continue };
                    let at = l * samples + s;
                    let (Some(&a), Some(&sd)) = (alpha.get(at), sigma.get(at)) else { continue };
                    if a.is_finite() && sd > 0.0 {
                        let weight = kl * ks / (sd * sd);
                        sum += weight * a;
                        weights += weight;
                        variance += weight * kl * ks;
                    }
                }
            }
            if let (Some(a), Some(s)) = (map.alpha_ppm_m.get_mut(index), map.sigmas.get_mut(index))
                && weights > 0.0
            {
                *a = sum / weights;
                *s = sum / variance.sqrt();
            }
        }
    }
    let scatter = median_and_sigma(&mut map.sigmas.clone()).map_or(1.0, |(_, sigma)| sigma.max(1.0));
    map.sigmas.iter_mut().for_each(|s| *s /= scatter);
    map
}

/// The noise of the frame: the median of the pixels' standard deviations.
pub(super) fn noise(sigma: &[f32]) -> Option<f32> {
    quantile(&mut sigma.to_vec(), 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed, noise-like sequence.
    fn scatter(index: usize) -> f32 {
        f32::from(u16::try_from((index * 7919 + index * index * 31) % 2001).unwrap()) / 1000.0 - 1.0
    }

    #[test]
    fn levelling_removes_a_bias_and_measures_the_scatter_by_brightness() {
        let albedo: Vec<f32> = (0..4096).map(|i| if i % 2 == 0 { 0.5 } else { 1.0 }).collect();
        let mut alpha: Vec<f32> = (0..4096)
            .map(|i| if i % 2 == 0 { 50.0 + 200.0 * scatter(i) } else { 100.0 * scatter(i) })
            .collect();
        let sigma = level(&mut alpha, &albedo).unwrap();
        assert!((sigma[0] / sigma[1] - 2.0).abs() < 0.15, "{} {}", sigma[0], sigma[1]);
        let median = quantile(&mut alpha.iter().copied().step_by(2).collect(), 0.5).unwrap();
        assert!(median.abs() < 5.0, "{median}");
        assert_eq!(level(&mut [1.0; 10], &[1.0; 10]), None);
        assert_eq!(level(&mut [], &[]), None);
    }

    #[test]
    fn smoothing_adds_up_neighbours_and_leaves_holes() {
        let mut alpha: Vec<f32> = (0..900).map(scatter).collect();
        for (line, sample) in [(10, 10), (10, 11), (11, 10), (11, 11)] {
            alpha[line * 30 + sample] = 5.0;
        }
        alpha[0] = f32::NAN;
        let map = smoothed(&alpha, &vec![0.58; 900], 30);
        assert!(map.sigmas[0].is_nan() && map.sigmas[1].is_finite());
        let best = map.sigmas.iter().copied().fold(0.0, f32::max);
        assert!(
            best > 8.0
                && best.to_bits()
                    == map.sigmas[10 * 30 + 10..=11 * 30 + 11].iter().copied().fold(0.0, f32::max).to_bits()
        );
    }
}
