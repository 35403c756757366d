//! The matched filter of a segment, made from its statistics.
//!
//! With μ the mean spectrum of the ground (stripes taken out), C its covariance, k the gas's absorption per ppm·m in the
//! instrument's bands and t = −k ∘ μ the change of radiance that 1 ppm·m makes,
//!
//! ```text
//! f = C⁻¹ t / (tᵀ C⁻¹ t),    α = fᵀ (x − μ) / s,    s = −fᵀ (k ∘ x)
//! ```
//!
//! s being what 1 ppm·m over this very pixel changes the answer by, 1 for the mean spectrum: the albedo correction of
//! Foote et al. (2020), who take the brightness r = xᵀ μ / μᵀ μ for it, carried on to ground of another colour. Mean and covariance are taken three
//! times, each time without the spectra whose score stands out from the rest, so that a plume does not hide itself in
//! its own background (Theiler and Foy 2006).

use super::destripe;
use super::kernels::{TILE, add_products};
use super::linalg::{Cholesky, dot};
use super::params::Params;
use super::report::Flag;
use super::response::Response;
use super::statistics::Statistics;
use crate::numeric::{f32_of, median_and_sigma};

/// Times that mean and covariance are taken.
const PASSES: usize = 3;

/// The filter and what it was made from.
#[derive(Debug)]
pub(super) struct Model {
    /// Relative gain of each detector: band by band, in a band sample by sample.
    pub(super) gains: Vec<f32>,
    /// Mean spectrum of the ground.
    pub(super) spectrum: Vec<f64>,
    /// Factor of the covariance.
    pub(super) covariance: Cholesky,
    /// α × s = Σ weights × x − offset.
    pub(super) weights: Vec<f32>,
    pub(super) offset: f32,
    /// s = Σ sensitivity × x.
    pub(super) sensitivity: Vec<f32>,
    /// r = Σ brightness × x.
    pub(super) brightness: Vec<f32>,
    /// How α falls behind the true column.
    pub(super) response: Response,
}

/// Bands as the model needs them.
pub(super) struct Gas<'a> {
    /// Absorption per ppm·m of each band.
    pub(super) absorption: &'a [f64],
    /// Optical depth of each band at some columns: see [`Response::new`].
    pub(super) depths: &'a [(f64, Vec<f64>)],
}

impl Model {
    pub(super) fn new(mut statistics: Statistics, gas: &Gas<'_>, params: &Params) -> Result<Self, Flag> {
        let (samples, bands) = (statistics.counts.len(), gas.absorption.len());
        let spectra = statistics.columns.len();
        if spectra < params.min_pixels_per_band.saturating_mul(bands).max(2) {
            return Err(Flag::TooFewPixels);
        }
        let mean = mean_spectrum(&statistics);
        let gains = destripe::gains(&statistics, &mean, params);
        for (spectrum, column) in statistics.spectra.chunks_exact_mut(bands).zip(&statistics.columns) {
            for (value, gain) in spectrum.iter_mut().zip(gains.iter().skip(*column).step_by(samples)) {
                *value /= gain;
            }
        }
        let ground = Ground::new(&statistics.spectra, bands, gas.absorption, params)?;
        let norm = dot(&ground.spectrum, &ground.spectrum);
        if !norm.is_finite() || norm <= 0.0 {
            return Err(Flag::Degenerate);
        }
        let per_detector = |by_band: &dyn Fn(usize) -> f64| -> Vec<f32> {
            let rows = gains.chunks_exact(samples.max(1)).enumerate();
            rows.flat_map(|(b, row)| row.iter().map(move |g| (b, g)))
                .map(|(b, g)| f32_of(by_band(b) / f64::from(*g)))
                .collect()
        };
        let at = |values: &[f64], b: usize| values.get(b).copied().unwrap_or(0.0);
        let weights = per_detector(&|b| at(&ground.filter, b));
        let brightness = per_detector(&|b| at(&ground.spectrum, b) / norm);
        let sensitivity = per_detector(&|b| -at(&ground.filter, b) * at(gas.absorption, b));
        let offset = f32_of(dot(&ground.filter, &ground.spectrum));
        if !weights.iter().chain(&brightness).chain(&sensitivity).chain([&offset]).all(|v| v.is_finite()) {
            return Err(Flag::Degenerate);
        }
        let response = Response::new(&ground.filter, &ground.spectrum, gas);
        let Ground { spectrum, covariance, .. } = ground;
        Ok(Self { gains, spectrum, covariance, weights, offset, sensitivity, brightness, response })
    }
}

fn mean_spectrum(statistics: &Statistics) -> Vec<f64> {
    let count: f64 = statistics.counts.iter().sum::<f64>().max(1.0);
    statistics
        .sums
        .chunks_exact(statistics.counts.len().max(1))
        .map(|row| row.iter().sum::<f64>() / count)
        .collect()
}

/// Mean, covariance and filter of a sample of spectra.
struct Ground {
    spectrum: Vec<f64>,
    covariance: Cholesky,
    filter: Vec<f64>,
}

impl Ground {
    fn new(spectra: &[f32], bands: usize, absorption: &[f64], params: &Params) -> Result<Self, Flag> {
        let mut inside = vec![true; spectra.len() / bands.max(1)];
        let mut ground = Self::once(spectra, bands, &inside, absorption)?;
        for _ in 1..PASSES {
            let scores: Vec<f32> = spectra.chunks_exact(bands).map(|x| ground.score(x)).collect();
            let Some((median, sigma)) = median_and_sigma(&mut scores.clone()) else { break };
            if sigma <= 0.0 {
                break;
            }
            let limit = sigma * params.clip_sigma;
            inside = scores.iter().map(|s| (s - median).abs() <= limit).collect();
            ground = Self::once(spectra, bands, &inside, absorption)?;
        }
        Ok(ground)
    }

    fn once(spectra: &[f32], bands: usize, inside: &[bool], absorption: &[f64]) -> Result<Self, Flag> {
        let counted =
            || spectra.chunks_exact(bands).zip(inside).filter(|(_, inside)| **inside).map(|(x, _)| x);
        let count = counted().count();
        if count < bands.max(2) {
            return Err(Flag::TooFewPixels);
        }
        let mut spectrum = vec![0.0_f64; bands];
        for x in counted() {
            spectrum.iter_mut().zip(x).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        spectrum.iter_mut().for_each(|sum| *sum /= count as f64);
        let covariance = loaded(&covariance(counted(), &spectrum, count), bands, count)?;
        let signature: Vec<f64> = spectrum.iter().zip(absorption).map(|(mean, k)| -k * mean).collect();
        let mut filter = covariance.solve(&signature);
        let strength = dot(&filter, &signature);
        if !strength.is_finite() || strength <= 0.0 {
            return Err(Flag::Degenerate);
        }
        filter.iter_mut().for_each(|f| *f /= strength);
        Ok(Self { spectrum, covariance, filter })
    }

    fn score(&self, x: &[f32]) -> f32 {
        let terms = self.filter.iter().zip(&self.spectrum).zip(x);
        f32_of(terms.fold(0.0, |sum, ((f, mean), v)| sum + f * (f64::from(*v) - mean)))
    }
}

/// Lower triangle of the covariance, row by row.
fn covariance<'a>(spectra: impl Iterator<Item = &'a [f32]>, mean: &[f64], count: usize) -> Vec<f64> {
    let bands = mean.len();
    let mean: Vec<f32> = mean.iter().map(|m| f32_of(*m)).collect();
    let mut out = vec![0.0_f64; bands * bands];
    let mut tile = vec![0.0_f32; bands * TILE];
    let mut filled = 0;
    for x in spectra {
        for ((row, value), mean) in tile.chunks_exact_mut(TILE).zip(x).zip(&mean) {
            row.get_mut(filled).into_iter().for_each(|to| *to = value - mean);
        }
        filled += 1;
        if filled == TILE {
            add_products(&tile, bands, &mut out);
            filled = 0;
        }
    }
    if filled > 0 {
        tile.chunks_exact_mut(TILE).for_each(|row| row.get_mut(filled..).unwrap_or_default().fill(0.0));
        add_products(&tile, bands, &mut out);
    }
    let per = 1.0 / (count as f64 - 1.0).max(1.0);
    out.iter_mut().for_each(|sum| *sum *= per);
    out
}

/// Factors the covariance after adding to each band's variance a share of the part of it that the other bands do not
/// explain, 1 ÷ (C⁻¹)ᵢᵢ: as much as a sample of that size leaves uncertain. Unlike a share of the variance itself this
/// does not drown weak signals under bright ground.
fn loaded(covariance: &[f64], bands: usize, count: usize) -> Result<Cholesky, Flag> {
    let factored = |loads: &[f64]| {
        let mut matrix = covariance.to_vec();
        for (i, (row, load)) in matrix.chunks_exact_mut(bands).zip(loads).enumerate() {
            row.get_mut(i).into_iter().for_each(|variance| *variance += load);
        }
        Cholesky::new(matrix.chunks_exact(bands))
    };
    let variances: Vec<f64> = covariance.iter().copied().step_by(bands + 1).collect();
    // Bands that are sums of others have no inverse: a trace of their variance makes one.
    for trace in [1e-9, 1e-7, 1e-5, 1e-3] {
        let traces: Vec<f64> = variances.iter().map(|v| v * trace).collect();
        let Some(first) = factored(&traces) else { continue };
        let share = bands as f64 / count as f64;
        let loads: Vec<f64> = first
            .inverse_diagonal()
            .iter()
            .zip(&traces)
            .map(|(inverse, trace)| trace + share / inverse)
            .collect();
        if let Some(factor) = factored(&loads) {
            return Ok(factor);
        }
    }
    Err(Flag::Degenerate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectra(count: usize, bands: usize) -> Vec<f32> {
        let noise = |i: usize| ((i * 7919 + i * i % 1013 * 31) % 2003) as f32 / 1001.0 - 1.0;
        (0..count * bands)
            .map(|i| {
                let (pixel, band) = (i / bands, i % bands);
                // Bright and dark ground, and a little of everything else.
                (10.0 + band as f32) * (1.0 + 0.3 * noise(pixel * 3 + 1)) + 0.05 * noise(i * 5 + 2)
            })
            .collect()
    }

    #[test]
    fn the_filter_gives_one_for_the_gas_and_nothing_for_brightness() {
        let (bands, count) = (12, 4000);
        let k: Vec<f64> = (0..bands).map(|b| if b % 3 == 0 { 1e-5 } else { 0.0 }).collect();
        let ground = Ground::new(&spectra(count, bands), bands, &k, &Params::default()).unwrap();
        let with_gas: Vec<f32> =
            ground.spectrum.iter().zip(&k).map(|(m, k)| f32_of(m * (1.0 - 1000.0 * k))).collect();
        assert!((ground.score(&with_gas) - 1000.0).abs() < 1.0);
        let bright: Vec<f32> = ground.spectrum.iter().map(|m| f32_of(m * 1.2)).collect();
        assert!(ground.score(&bright).abs() < 40.0, "{}", ground.score(&bright));
    }

    #[test]
    fn spectra_with_gas_do_not_hide_it() {
        let (bands, count) = (12, 4000);
        let k: Vec<f64> = (0..bands).map(|b| if b % 3 == 0 { 1e-5 } else { 0.0 }).collect();
        let clean = spectra(count, bands);
        let mut leaky = clean.clone();
        for x in leaky.chunks_exact_mut(bands).step_by(25) {
            x.iter_mut().zip(&k).for_each(|(v, k)| *v *= f32_of(1.0 - 3000.0 * k));
        }
        let strength = |spectra: &[f32]| {
            let ground = Ground::new(spectra, bands, &k, &Params::default()).unwrap();
            let x: Vec<f32> =
                ground.spectrum.iter().zip(&k).map(|(m, k)| f32_of(m * (1.0 - 3000.0 * k))).collect();
            let scores: Vec<f32> = spectra.chunks_exact(bands).map(|x| ground.score(x)).collect();
            let (_, sigma) = median_and_sigma(&mut scores.clone()).unwrap();
            ground.score(&x) / sigma
        };
        let (without, with) = (strength(&clean), strength(&leaky));
        assert!(with > 0.9 * without, "{with} against {without}");
    }

    #[test]
    fn bands_that_repeat_each_other_are_no_obstacle() {
        let bands = 12;
        let mut twice = spectra(3000, bands);
        twice.chunks_exact_mut(bands).for_each(|x| x[7] = x[6]);
        let k: Vec<f64> = (0..bands).map(|b| if b == 3 { 1e-5 } else { 0.0 }).collect();
        assert!(Ground::new(&twice, bands, &k, &Params::default()).is_ok());
        let constant = vec![3.0; 3000 * bands];
        assert!(matches!(Ground::new(&constant, bands, &k, &Params::default()), Err(Flag::Degenerate)));
    }
}
