//! The column-wise matched filter: from the window's radiances to ppm·m and its standard deviation for each pixel.
//!
//! With x a pixel's spectrum, μ the mean of its detector column (Thompson et al. 2015: each column of a pushbroom
//! instrument is an instrument of its own), C the covariance pooled over columns and t = −k ∘ μ the signature of one
//! ppm·m, the estimate is
//!
//! ```text
//! α = (x − μ)ᵀ C⁻¹ t / (r · tᵀ C⁻¹ t),    r = xᵀm / mᵀm,
//! ```
//!
//! r being the pixel's brightness relative to the mean spectrum m (the albedo correction of Foote et al. 2020). The
//! statistics are taken twice, the second time without pixels beyond [`Params::clip_sigma`], so that a plume does not
//! hide itself in its own background (Theiler and Foy 2006). A column's mean is drawn towards the frame's spectrum
//! when the column is short.

use super::block::Block;
use super::linalg::{Cholesky, dot};
use super::params::Params;
use super::report::Flag;
use crate::numeric::{f32_of, median_and_sigma};

/// Lanes of an inner product: a fixed order of additions that vector units like.
const LANES: usize = 16;
/// Least brightness relative to the mean that is divided by.
const LEAST_ALBEDO: f32 = 0.05;

/// What the filter knows about a block's background, kept for the look at single candidates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Background {
    /// Mean of each detector: band by band, in a band sample by sample.
    pub(super) means: Vec<f32>,
    /// Mean spectrum.
    pub(super) spectrum: Vec<f64>,
    /// Factor of the pooled covariance.
    pub(super) covariance: Cholesky,
}

/// The filter's output for each pixel of a block; NaN where it was not measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filtered {
    pub(super) alpha_ppm_m: Vec<f32>,
    /// Relative brightness.
    pub(super) albedo: Vec<f32>,
    pub(super) background: Background,
}

/// Filters a block of physical values, which are used up (centred in place). `clear` is 1 where a pixel counts, else
/// 0; `absorption` is k, per ppm·m.
pub(super) fn filter(
    mut block: Block,
    clear: &[f32],
    absorption: &[f64],
    params: &Params,
) -> Result<Filtered, Flag> {
    let count = clear.iter().filter(|c| **c > 0.0).count();
    if count < params.min_pixels_per_band.saturating_mul(block.bands).max(2) {
        return Err(Flag::TooFewPixels);
    }
    blank(&mut block, clear);
    let spectrum = band_means(&block, clear);
    let albedo = albedo(&block, &spectrum)?;
    let mut means = vec![0.0; block.samples * block.bands];
    let mut weights = clear.to_vec();
    let (mut covariance, mut alpha) = (None, Vec::new());
    for pass in 0..2 {
        centre(&mut block, &mut means, clear, &weights, params);
        let factor = factored(&pooled_covariance(&block, &weights), block.bands, params.shrinkage)?;
        let bank = FilterBank::new(&means, absorption, &factor, block.samples)?;
        let score = bank.score(&block);
        alpha = bank.alpha(&score, &albedo, clear);
        if pass == 0 {
            weights = without_outliers(&score, clear, params.clip_sigma);
        }
        covariance = Some(factor);
    }
    let covariance = covariance.ok_or(Flag::Degenerate)?;
    Ok(Filtered { alpha_ppm_m: alpha, albedo, background: Background { means, spectrum, covariance } })
}

/// Zeroes the pixels that do not count, so that they add nothing to any sum.
fn blank(block: &mut Block, clear: &[f32]) {
    let samples = block.samples;
    for (line, flags) in block.lines_mut().zip(clear.chunks_exact(samples)) {
        for row in line.chunks_exact_mut(samples) {
            for (value, flag) in row.iter_mut().zip(flags) {
                if *flag == 0.0 {
                    *value = 0.0;
                }
            }
        }
    }
}

fn band_means(block: &Block, clear: &[f32]) -> Vec<f64> {
    let count = sum(clear);
    let mut sums = vec![0.0; block.bands];
    for line in block.lines() {
        for (total, row) in sums.iter_mut().zip(line.chunks_exact(block.samples)) {
            *total += sum(row);
        }
    }
    sums.into_iter().map(|s| s / count).collect()
}

/// r of each pixel.
fn albedo(block: &Block, spectrum: &[f64]) -> Result<Vec<f32>, Flag> {
    let norm = dot(spectrum, spectrum);
    if !norm.is_finite() || norm <= 0.0 {
        return Err(Flag::Degenerate);
    }
    let weights: Vec<f32> = spectrum.iter().map(|m| f32_of(m / norm)).collect();
    let mut out = Vec::new();
    for line in block.lines() {
        let mut sums = vec![0.0_f32; block.samples];
        for (row, weight) in line.chunks_exact(block.samples).zip(&weights) {
            for (total, value) in sums.iter_mut().zip(row) {
                *total += value * weight;
            }
        }
        out.extend_from_slice(&sums);
    }
    Ok(out)
}

/// Moves the block to the mean of each detector over the pixels with weight, and `means` with it. The values hold
/// x − means before and after.
fn centre(block: &mut Block, means: &mut [f32], clear: &[f32], weights: &[f32], params: &Params) {
    let samples = block.samples;
    let mut counts = vec![0.0_f64; samples];
    let mut sums = vec![0.0_f64; means.len()];
    for (line, weights) in block.lines().zip(weights.chunks_exact(samples)) {
        for (count, w) in counts.iter_mut().zip(weights) {
            *count += f64::from(*w);
        }
        for (row, sums) in line.chunks_exact(samples).zip(sums.chunks_exact_mut(samples)) {
            for ((total, value), w) in sums.iter_mut().zip(row).zip(weights) {
                *total += f64::from(value * w);
            }
        }
    }
    // Sums of x, no longer of x − means.
    for (sums, means) in sums.chunks_exact_mut(samples).zip(means.chunks_exact(samples)) {
        for ((total, mean), count) in sums.iter_mut().zip(means).zip(&counts) {
            *total += f64::from(*mean) * count;
        }
    }
    let updated = drawn_to_frame(&sums, &counts, params.column_prior_lines);
    let moves: Vec<f32> = updated.iter().zip(&*means).map(|(new, old)| new - old).collect();
    means.copy_from_slice(&updated);
    for (line, clear) in block.lines_mut().zip(clear.chunks_exact(samples)) {
        for (row, moves) in line.chunks_exact_mut(samples).zip(moves.chunks_exact(samples)) {
            for ((value, by), flag) in row.iter_mut().zip(moves).zip(clear) {
                *value = (*value - by) * flag;
            }
        }
    }
}

/// Column means, each drawn towards the frame's mean spectrum at the column's brightness with the weight of
/// `prior_lines` lines.
fn drawn_to_frame(sums: &[f64], counts: &[f64], prior_lines: f64) -> Vec<f32> {
    let samples = counts.len();
    let total: f64 = counts.iter().sum::<f64>().max(1.0);
    let frame: Vec<f64> = sums.chunks_exact(samples).map(|row| row.iter().sum::<f64>() / total).collect();
    let norm = dot(&frame, &frame);
    let mut brightness = vec![0.0; samples];
    for (row, mean) in sums.chunks_exact(samples).zip(&frame) {
        for ((b, total), count) in brightness.iter_mut().zip(row).zip(counts) {
            *b += total / count.max(1.0) * mean / norm;
        }
    }
    let mut out = Vec::with_capacity(sums.len());
    for (row, mean) in sums.chunks_exact(samples).zip(&frame) {
        for ((total, count), b) in row.iter().zip(counts).zip(&brightness) {
            let prior = if *count > 0.0 { b * mean } else { *mean };
            out.push(f32_of((total + prior_lines * prior) / (count + prior_lines)));
        }
    }
    out
}

/// Lower triangle of the covariance over pixels with weight, row by row, each row `bands` long.
fn pooled_covariance(block: &Block, weights: &[f32]) -> Vec<f64> {
    let (samples, bands) = (block.samples, block.bands);
    let padded = samples.next_multiple_of(LANES);
    let mut weighted = vec![0.0_f32; padded * bands];
    let mut out = vec![0.0_f64; bands * bands];
    for (line, weights) in block.lines().zip(weights.chunks_exact(samples)) {
        for (row, to) in line.chunks_exact(samples).zip(weighted.chunks_exact_mut(padded)) {
            for ((value, w), to) in row.iter().zip(weights).zip(to) {
                *to = value * w;
            }
        }
        for (i, (row, products)) in weighted.chunks_exact(padded).zip(out.chunks_exact_mut(bands)).enumerate()
        {
            for (other, product) in weighted.chunks_exact(padded).zip(products).take(i + 1) {
                *product += f64::from(lane_dot(row, other));
            }
        }
    }
    let count = (sum(weights) - 1.0).max(1.0);
    out.iter_mut().for_each(|product| *product /= count);
    out
}

/// The inner product of two rows whose length is a multiple of [`LANES`].
fn lane_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    lanes.iter().fold(0.0, |sum, lane| sum + lane)
}

/// Factors the covariance with a little of its diagonal blended in, more of it if it needs more.
fn factored(covariance: &[f64], bands: usize, shrinkage: f64) -> Result<Cholesky, Flag> {
    for blend in [1.0, 10.0, 100.0].map(|f| (shrinkage * f).clamp(0.0, 0.5)) {
        let mut matrix = covariance.to_vec();
        for (i, row) in matrix.chunks_exact_mut(bands).enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                if i != j {
                    *value *= 1.0 - blend;
                }
            }
        }
        if let Some(factor) = Cholesky::new(matrix.chunks_exact(bands)) {
            return Ok(factor);
        }
    }
    Err(Flag::Degenerate)
}

/// C⁻¹ t of each column.
struct FilterBank {
    /// Band by band, in a band sample by sample, so that the score has unit variance by the model.
    weights: Vec<f32>,
    /// √(tᵀ C⁻¹ t) of each column.
    strength: Vec<f32>,
}

impl FilterBank {
    fn new(means: &[f32], absorption: &[f64], factor: &Cholesky, samples: usize) -> Result<Self, Flag> {
        let mut weights = vec![0.0_f32; means.len()];
        let mut strength = Vec::with_capacity(samples);
        for sample in 0..samples {
            let column = means.iter().skip(sample).step_by(samples);
            let signature: Vec<f64> = column.zip(absorption).map(|(mean, k)| -k * f64::from(*mean)).collect();
            let filter = factor.solve(&signature);
            let norm = dot(&filter, &signature);
            if !norm.is_finite() || norm <= 0.0 {
                return Err(Flag::Degenerate);
            }
            let root = norm.sqrt();
            strength.push(f32_of(root));
            for (weight, f) in weights.iter_mut().skip(sample).step_by(samples).zip(filter) {
                *weight = f32_of(f / root);
            }
        }
        Ok(Self { weights, strength })
    }

    fn score(&self, block: &Block) -> Vec<f32> {
        let samples = block.samples;
        let mut out = Vec::with_capacity(block.values.len() / block.bands.max(1));
        for line in block.lines() {
            let mut scores = vec![0.0_f32; samples];
            for (row, weights) in line.chunks_exact(samples).zip(self.weights.chunks_exact(samples)) {
                for ((score, value), weight) in scores.iter_mut().zip(row).zip(weights) {
                    *score += value * weight;
                }
            }
            out.extend_from_slice(&scores);
        }
        out
    }

    fn alpha(&self, score: &[f32], albedo: &[f32], clear: &[f32]) -> Vec<f32> {
        let per_pixel = score.iter().zip(albedo).zip(clear).zip(self.strength.iter().cycle());
        per_pixel
            .map(
                |(((score, albedo), clear), strength)| {
                    if *clear > 0.0 { score / (strength * albedo.max(LEAST_ALBEDO)) } else { f32::NAN }
                },
            )
            .collect()
    }
}

/// The weights without pixels whose score is far from the middle.
fn without_outliers(score: &[f32], clear: &[f32], clip_sigma: f32) -> Vec<f32> {
    let mut counted: Vec<f32> = score.iter().zip(clear).filter(|(_, c)| **c > 0.0).map(|(s, _)| *s).collect();
    let Some((median, sigma)) = median_and_sigma(&mut counted) else { return clear.to_vec() };
    if sigma <= 0.0 {
        return clear.to_vec();
    }
    let limit = sigma * clip_sigma;
    score.iter().zip(clear).map(|(s, c)| if (s - median).abs() <= limit { *c } else { 0.0 }).collect()
}

/// Sum in f64, in order.
fn sum(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |sum, v| sum + f64::from(*v))
}
