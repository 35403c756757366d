//! The second look at a candidate: is its spectrum that of the gas, or of some ground that only resembles it?
//!
//! The mean spectrum inside is divided by that of the ring around it; striping and the atmosphere above both cancel.
//! The logarithm of the ratio is fitted with a smooth curve (a cubic in wavelength, for the ground's colour) without
//! and with −α k(λ); the partial R² = (S₀ − S₁) / S₀ of the residual sums says how much of the shape the gas explains
//! that a smooth curve does not. All three are taken in units of the mean spectrum and whitened with the background's
//! covariance first (generalised least squares), so that the ways in which the frame's ground differs from pixel to
//! pixel count little and what they leave open counts much.

use super::TriageError;
use super::bands::Window;
use super::block::Block;
use super::filter::Background;
use super::linalg::{Cholesky, dot};
use super::plumes::Candidate;
use crate::cube::{Cube, ReadAt};
use crate::numeric::f32_of;

/// Degree of the smooth curve.
const DEGREE: usize = 3;
/// Width of the ring, and the gap between it and the candidate, pixels.
const RING: usize = 6;
const GAP: usize = 2;
/// Most lines of a candidate that are read again, around its centre.
const MAX_LINES: usize = 256;
/// The brighter part of the candidate that makes the inner spectrum, as a share of its peak significance.
const CORE_SHARE: f32 = 0.4;

/// What the second look saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Partial R² of the gas, 0 when the fitted α is not positive.
    pub(super) spectral_match: f32,
    /// Logarithm of the brightness inside over that of the ring.
    pub(super) contrast: f32,
}

/// A frame as the second look needs it.
pub(super) struct Frame<'a, R> {
    pub(super) cube: &'a Cube<R>,
    pub(super) window: &'a Window,
    /// Background of each block, with the number of its first line.
    pub(super) backgrounds: &'a [(usize, Background)],
    /// Is the pixel measured, and part of no candidate?
    pub(super) is_ground: &'a dyn Fn(usize) -> bool,
    /// Significance of each pixel.
    pub(super) sigmas: &'a [f32],
}

impl<R: ReadAt> Frame<'_, R> {
    /// Looks at one candidate; `None` when there is no ring to compare it with.
    pub(super) fn look(&self, candidate: &Candidate) -> Result<Option<Look>, TriageError> {
        let header = self.cube.header();
        let (samples, bands) = (header.samples, self.window.bands.len());
        let reach = RING + GAP;
        let bbox = &candidate.bbox;
        let (line0, line1) = (bbox.line0 as usize, bbox.line1 as usize);
        let middle = line0.midpoint(line1);
        let first = line0.max(middle.saturating_sub(MAX_LINES / 2)).saturating_sub(reach);
        let end = (line1.min(middle + MAX_LINES / 2) + reach).min(header.lines);
        let (sample0, sample1) =
            ((bbox.sample0 as usize).saturating_sub(reach), (bbox.sample1 as usize + reach).min(samples));
        let mut inside = Mean::new(bands);
        let mut ring = Mean::new(bands);
        for line in first..end {
            let picks: Vec<(usize, bool)> = (sample0..sample1)
                .filter_map(|sample| self.role(candidate, line, sample).map(|inner| (sample, inner)))
                .collect();
            let Some(background) = self.background(line).filter(|_| !picks.is_empty()) else { continue };
            let block = Block::read(self.cube, line, 1, &self.window.bands)?;
            for (sample, inner) in picks {
                let ratio = self.relative(&block, background, sample);
                if inner { inside.add(&ratio) } else { ring.add(&ratio) }
            }
        }
        let Some(background) = self.background(middle) else { return Ok(None) };
        Ok(self.compare(inside.mean(), ring.mean(), background))
    }

    /// `true`: core of the candidate; `false`: ring; `None`: neither.
    fn role(&self, candidate: &Candidate, line: usize, sample: usize) -> Option<bool> {
        let samples = self.cube.header().samples;
        let index = line * samples + sample;
        if candidate.pixels.binary_search(&index).is_ok() {
            let is_core = self.sigmas.get(index).is_some_and(|s| *s >= candidate.snr * CORE_SHARE);
            return is_core.then_some(true);
        }
        if !(self.is_ground)(index) {
            return None;
        }
        let near = |reach: usize| {
            (line.saturating_sub(reach)..=line + reach).any(|l| {
                let from = l * samples + sample.saturating_sub(reach);
                let to = l * samples + (sample + reach).min(samples - 1);
                let at = candidate.pixels.partition_point(|p| *p < from);
                candidate.pixels.get(at).is_some_and(|p| *p <= to)
            })
        };
        (near(RING + GAP) && !near(GAP)).then_some(false)
    }

    fn background(&self, line: usize) -> Option<&Background> {
        let after = self.backgrounds.partition_point(|(first, _)| *first <= line);
        self.backgrounds.get(after.checked_sub(1)?).map(|(_, background)| background)
    }

    /// A pixel's physical spectrum over its detectors' means.
    fn relative(&self, block: &Block, background: &Background, sample: usize) -> Vec<f64> {
        let samples = block.samples;
        let values = block.values.iter().skip(sample).step_by(samples);
        let means = background.means.iter().skip(sample).step_by(samples);
        values
            .zip(means)
            .zip(&self.window.bands)
            .map(|((value, mean), &band)| {
                let (gain, offset) = self.cube.header().scale(band);
                (f64::from(*value) * gain + offset) / f64::from(*mean)
            })
            .collect()
    }

    fn compare(
        &self,
        inside: Option<Vec<f64>>,
        ring: Option<Vec<f64>>,
        background: &Background,
    ) -> Option<Look> {
        let (inside, ring) = (inside?, ring?);
        let ratio: Vec<f64> = inside.iter().zip(&ring).map(|(i, r)| libm::log(i / r)).collect();
        if ratio.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let whiten = |v: &[f64]| {
            let scaled: Vec<f64> = v.iter().zip(&background.spectrum).map(|(v, m)| v * m).collect();
            background.covariance.whiten(&scaled)
        };
        let spectral_match = f32_of(partial_r2(&ratio, self.window, whiten)?);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        Some(Look { spectral_match, contrast: f32_of(libm::log(mean(&inside) / mean(&ring))) })
    }
}

/// Partial R² of −k after the smooth curve, all of it whitened; 0 when the fitted column is not positive.
fn partial_r2(ratio: &[f64], window: &Window, whiten: impl Fn(&[f64]) -> Vec<f64>) -> Option<f64> {
    let (first, last) = (window.wavelengths_nm.first()?, window.wavelengths_nm.last()?);
    let middle = f64::midpoint(*first, *last);
    let half = (last - first) / 2.0;
    let strongest = window.absorption.iter().copied().fold(0.0, f64::max);
    let power = |n: usize| window.wavelengths_nm.iter().map(move |nm| power_of((nm - middle) / half, n));
    let mut columns: Vec<Vec<f64>> = (0..=DEGREE).map(|n| whiten(&power(n).collect::<Vec<_>>())).collect();
    let values = whiten(ratio);
    let smooth = least_squares(&values, &columns)?;
    columns.push(whiten(&window.absorption.iter().map(|k| -k / strongest).collect::<Vec<_>>()));
    let with_gas = least_squares(&values, &columns)?;
    let column = with_gas.coefficients.last()?;
    if *column <= 0.0 || smooth.sum <= 0.0 {
        return Some(0.0);
    }
    Some(((smooth.sum - with_gas.sum) / smooth.sum).clamp(0.0, 1.0))
}

/// xⁿ by multiplication: `powi` may round differently from one target to the next.
fn power_of(x: f64, n: usize) -> f64 {
    (0..n).fold(1.0, |product, _| product * x)
}

struct Fit {
    coefficients: Vec<f64>,
    /// Sum of squared residuals.
    sum: f64,
}

/// Least squares by the normal equations (five well-scaled columns).
fn least_squares(values: &[f64], columns: &[Vec<f64>]) -> Option<Fit> {
    let matrix: Vec<Vec<f64>> = columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect();
    let right: Vec<f64> = columns.iter().map(|a| dot(a, values)).collect();
    let coefficients = Cholesky::new(matrix.iter().map(Vec::as_slice))?.solve(&right);
    let sum = dot(values, values) - dot(&coefficients, &right);
    Some(Fit { coefficients, sum: sum.max(0.0) })
}

/// A mean of spectra.
struct Mean {
    sums: Vec<f64>,
    count: f64,
}

impl Mean {
    /// Fewest spectra of a mean that is worth something.
    const FEWEST: f64 = 3.0;

    fn new(bands: usize) -> Self {
        Self { sums: vec![0.0; bands], count: 0.0 }
    }

    fn add(&mut self, spectrum: &[f64]) {
        self.count += 1.0;
        self.sums.iter_mut().zip(spectrum).for_each(|(sum, value)| *sum += value);
    }

    fn mean(self) -> Option<Vec<f64>> {
        (self.count >= Self::FEWEST).then(|| self.sums.iter().map(|s| s / self.count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn window() -> Window {
        let wavelengths_nm: Vec<f64> = (0..36).map(|i| 2125.0 + 10.0 * f64::from(i)).collect();
        let absorption = wavelengths_nm.iter().map(|&nm| Target::ch4().band_absorption(nm, 10.0)).collect();
        Window { bands: (0..36).collect(), wavelengths_nm, absorption }
    }

    #[test]
    fn gas_on_a_sloped_spectrum_matches_and_other_shapes_do_not() {
        let window = window();
        let even = <[f64]>::to_vec;
        let shape = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            window.wavelengths_nm.iter().zip(&window.absorption).map(|(&nm, &k)| f(nm, k)).collect()
        };
        let gas = shape(&|nm, k| 0.1 + 1e-4 * (nm - 2300.0) - 800.0 * k);
        assert!(partial_r2(&gas, &window, even).unwrap() > 0.999);
        let less_gas = shape(&|_, k| 800.0 * k);
        assert!(partial_r2(&less_gas, &window, even).unwrap() < 1e-12);
        // The carbonate feature at 2340 nm, as smooth as minerals are.
        let carbonate = shape(&|nm, _| -0.2 * libm::exp(-((nm - 2340.0) / 40.0) * ((nm - 2340.0) / 40.0)));
        let r2 = partial_r2(&carbonate, &window, even).unwrap();
        assert!(r2 < 0.4, "{r2}");
    }
}
