//! The second look at a candidate: is its spectrum that of the gas, or of some ground that only resembles it?
//!
//! The mean spectrum inside is divided by that of the ring around it; what is left of striping, the atmosphere and the
//! ground that both have in common cancel. The logarithm of the ratio is fitted with a smooth curve in each of the gas's
//! windows (a cubic in wavelength, for the ground's colour) without and with −α k(λ); the partial R² = (S₀ − S₁) / S₀ of
//! the residual sums says how much of the shape the gas explains that smooth curves do not. Fitted with an α of its own in
//! each window, gas gives the same α in all of them; a mineral or a paint that has a feature in one does not. All is taken
//! in units of the mean spectrum and whitened with the background's covariance first (generalised least squares), so that
//! the ways in which the frame's ground differs from pixel to pixel count little and what they leave open counts much.

use super::TriageError;
use super::bands::Window;
use super::linalg::{Cholesky, dot};
use super::lines::Lines;
use super::model::Model;
use super::plumes::Candidate;
use super::report::Overview;
use crate::cube::ReadAt;
use crate::numeric::f32_of;

/// Degree of the smooth curve.
const DEGREE: usize = 3;
/// Width of the ring, and the gap between it and the candidate, pixels.
const RING: usize = 6;
const GAP: usize = 2;
/// Most lines that are read again for one candidate, evenly spread over it.
const MAX_LINES: usize = 48;
/// The core of a candidate is what has at least this share of its greatest enhancement; the rest is its body. Where a plume
/// passes over ground that resembles gas, one of the two is the ground and the other one the plume: both are looked at.
const CORE_SHARE: f32 = 0.3;
/// A window's own α is worth comparing when it is known to this share of α or better.
const AMOUNT_SHARE: f64 = 0.2;

/// What the second look saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Partial R² of the gas, 0 when the fitted α is not positive.
    pub(super) spectral_match: f32,
    /// α over its standard deviation.
    pub(super) snr: f32,
    /// Greatest difference between a window's α and that of all, in standard deviations.
    pub(super) windows_differ: f32,
    /// Logarithm of the brightness inside over that of the ring.
    pub(super) contrast: f32,
}

/// A frame as the second look needs it.
pub(super) struct Frame<'a, R> {
    pub(super) lines: &'a Lines<'a, R>,
    pub(super) height: usize,
    pub(super) window: &'a Window,
    pub(super) model: &'a Model,
    pub(super) overview: &'a Overview,
    /// Candidates that are no ground for each other.
    pub(super) candidates: &'a [Candidate],
}

/// Mean spectra of the parts.
struct Sides {
    core: Mean,
    body: Mean,
    ring: Mean,
}

/// Where a pixel belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Core,
    Body,
    Ring,
}

impl Sides {
    fn of(&mut self, role: Role) -> &mut Mean {
        match role {
            Role::Core => &mut self.core,
            Role::Body => &mut self.body,
            Role::Ring => &mut self.ring,
        }
    }
}

impl<R: ReadAt> Frame<'_, R> {
    /// Looks at one candidate; `None` when there is no ring to compare it with.
    pub(super) fn look(&self, candidate: &Candidate) -> Result<Option<Look>, TriageError> {
        let samples = self.lines.samples;
        let reach = RING + GAP;
        let bbox = &candidate.bbox;
        let first = (bbox.line0 as usize).saturating_sub(reach);
        let end = (bbox.line1 as usize + reach).min(self.height);
        let across =
            (bbox.sample0 as usize).saturating_sub(reach)..(bbox.sample1 as usize + reach).min(samples);
        let step = (end - first).div_ceil(MAX_LINES).max(1);
        let peak = candidate.spans.iter().flat_map(|s| &s.enhancement).copied().max().unwrap_or(0);
        let core = f32::from(peak) * CORE_SHARE;
        let mean = || Mean::new(self.window.bands.len());
        let mut sides = Sides { core: mean(), body: mean(), ring: mean() };
        for line in (first..end).step_by(step) {
            let picks: Vec<(usize, Role)> = across
                .clone()
                .filter_map(|sample| self.role(candidate, core, line, sample).map(|role| (sample, role)))
                .collect();
            if picks.is_empty() {
                continue;
            }
            self.lines.each(line, 1, |part| {
                let usable = |sample: usize| part.flags.get(sample).is_some_and(|f| *f == 0);
                for &(sample, role) in picks.iter().filter(|(s, _)| usable(*s)) {
                    let values = part.values.iter().skip(sample).step_by(samples);
                    let gains = self.model.gains.iter().skip(sample).step_by(samples);
                    let spectrum = values.zip(gains).map(|(v, g)| f64::from(*v) / f64::from(*g));
                    sides.of(role).add(spectrum);
                }
            })?;
        }
        Ok(self.compare(sides))
    }

    fn role(&self, candidate: &Candidate, core: f32, line: usize, sample: usize) -> Option<Role> {
        if let Some(enhancement) = candidate.enhancement_at(line, sample) {
            let inside = if f32::from(enhancement) >= core { Role::Core } else { Role::Body };
            return (enhancement > 0).then_some(inside);
        }
        let is_ground = self.overview.at(line, sample) == 0
            && candidate.is_near(line, sample, RING + GAP)
            && !candidate.is_near(line, sample, GAP)
            && !self.candidates.iter().any(|c| c.holds(line, sample));
        is_ground.then_some(Role::Ring)
    }

    /// Of core and body the one that looks more like gas.
    fn compare(&self, sides: Sides) -> Option<Look> {
        let ring = sides.ring.mean()?;
        let looks = [sides.core, sides.body].map(|part| self.compare_part(&part.mean()?, &ring));
        let better = |a: Look, b: Look| if b.spectral_match > a.spectral_match { b } else { a };
        looks.into_iter().flatten().reduce(better)
    }

    fn compare_part(&self, inside: &[f64], ring: &[f64]) -> Option<Look> {
        let ratio: Vec<f64> = inside.iter().zip(ring).map(|(i, r)| libm::log(i / r)).collect();
        // Bands without light (deep in water vapour) have no ratio: they say nothing.
        let ratio: Vec<f64> =
            ratio.into_iter().map(|v| if v.is_finite() { v.clamp(-3.0, 3.0) } else { 0.0 }).collect();
        let whiten = |v: &[f64]| {
            let scaled: Vec<f64> = v.iter().zip(&self.model.spectrum).map(|(v, m)| v * m).collect();
            self.model.covariance.whiten(&scaled)
        };
        let fit = Fit::of(&ratio, self.window, &whiten)?;
        let sum = |v: &[f64]| v.iter().sum::<f64>();
        let contrast = libm::log(sum(inside) / sum(ring));
        Some(Look {
            spectral_match: f32_of(fit.partial_r2),
            snr: f32_of(fit.snr),
            windows_differ: f32_of(fit.windows_differ),
            contrast: if contrast.is_finite() { f32_of(contrast) } else { 0.0 },
        })
    }
}

/// What the fits say.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fit {
    partial_r2: f64,
    snr: f64,
    windows_differ: f64,
}

impl Fit {
    fn of(ratio: &[f64], window: &Window, whiten: &dyn Fn(&[f64]) -> Vec<f64>) -> Option<Self> {
        let strongest = window.absorption.iter().copied().fold(0.0, f64::max);
        let smooth: Vec<Vec<f64>> = curves(window).iter().map(|c| whiten(c)).collect();
        let values = whiten(ratio);
        let without = least_squares(&values, &smooth)?;
        let gas: Vec<f64> = window.absorption.iter().map(|k| -k / strongest).collect();
        let mut columns = smooth.clone();
        columns.push(whiten(&gas));
        let with = least_squares(&values, &columns)?;
        let freedom = values.len().checked_sub(columns.len()).filter(|n| *n > 0)? as f64;
        let scatter = with.sum / freedom;
        let (amount, variance) = with.last()?;
        let snr = if amount > 0.0 && scatter > 0.0 { amount / (variance * scatter).sqrt() } else { 0.0 };
        let partial_r2 = if amount > 0.0 && without.sum > 0.0 {
            ((without.sum - with.sum) / without.sum).clamp(0.0, 1.0)
        } else {
            0.0
        };
        let mut windows_differ = 0.0_f64;
        for part in parts(window) {
            let own: Vec<f64> =
                gas.iter().enumerate().map(|(b, k)| if part.contains(&b) { *k } else { 0.0 }).collect();
            let rest: Vec<f64> = gas.iter().zip(&own).map(|(all, own)| all - own).collect();
            if rest.iter().all(|k| k.abs() < 1e-12) || own.iter().all(|k| k.abs() < 1e-12) {
                continue;
            }
            let mut columns = smooth.clone();
            columns.extend([whiten(&rest), whiten(&own)]);
            let Some(both) = least_squares(&values, &columns) else { continue };
            let (Some((own, own_variance)), Some((rest, rest_variance))) = (both.last(), both.last_but_one())
            else {
                continue;
            };
            let unsure =
                (own_variance + rest_variance) * scatter + AMOUNT_SHARE * AMOUNT_SHARE * amount * amount;
            if unsure > 0.0 {
                windows_differ = windows_differ.max((own - rest).abs() / unsure.sqrt());
            }
        }
        Some(Self { partial_r2, snr, windows_differ })
    }
}

/// The places of each window's bands.
fn parts(window: &Window) -> Vec<core::ops::Range<usize>> {
    let mut from = 0;
    window
        .parts
        .iter()
        .map(|count| {
            let part = from..from + count;
            from += count;
            part
        })
        .collect()
}

/// The smooth curves: powers of wavelength in each window, 0 outside it.
fn curves(window: &Window) -> Vec<Vec<f64>> {
    let mut curves = Vec::new();
    for part in parts(window) {
        let here = window.wavelengths_nm.get(part.clone()).unwrap_or_default();
        let (Some(first), Some(last)) = (here.first(), here.last()) else { continue };
        let (middle, half) = (f64::midpoint(*first, *last), ((last - first) / 2.0).max(1e-9));
        let degree = DEGREE.min(here.len().saturating_sub(1) / 3);
        for power in 0..=degree {
            let value = |(b, nm): (usize, &f64)| {
                if part.contains(&b) { power_of((nm - middle) / half, power) } else { 0.0 }
            };
            curves.push(window.wavelengths_nm.iter().enumerate().map(value).collect());
        }
    }
    curves
}

/// xⁿ by multiplication: `powi` may round differently from one target to the next.
fn power_of(x: f64, n: usize) -> f64 {
    (0..n).fold(1.0, |product, _| product * x)
}

struct Solution {
    coefficients: Vec<f64>,
    /// Variance of each for residuals of variance 1.
    variances: Vec<f64>,
    /// Sum of squared residuals.
    sum: f64,
}

impl Solution {
    fn nth_last(&self, n: usize) -> Option<(f64, f64)> {
        let at = self.coefficients.len().checked_sub(n)?;
        Some((*self.coefficients.get(at)?, *self.variances.get(at)?))
    }

    fn last(&self) -> Option<(f64, f64)> {
        self.nth_last(1)
    }

    fn last_but_one(&self) -> Option<(f64, f64)> {
        self.nth_last(2)
    }
}

/// Least squares by the normal equations (a dozen well-scaled columns).
fn least_squares(values: &[f64], columns: &[Vec<f64>]) -> Option<Solution> {
    let matrix: Vec<Vec<f64>> = columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect();
    let right: Vec<f64> = columns.iter().map(|a| dot(a, values)).collect();
    let factor = Cholesky::new(matrix.iter().map(Vec::as_slice))?;
    let coefficients = factor.solve(&right);
    let sum = dot(values, values) - dot(&coefficients, &right);
    Some(Solution { coefficients, variances: factor.inverse_diagonal(), sum: sum.max(0.0) })
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

    fn add(&mut self, spectrum: impl Iterator<Item = f64>) {
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
        let of = |from: u32, count: u32| (0..count).map(move |i| f64::from(from + 10 * i));
        let wavelengths_nm: Vec<f64> = of(1595, 20).chain(of(2125, 36)).collect();
        let absorption = wavelengths_nm.iter().map(|&nm| Target::ch4().band_absorption(nm, 10.0)).collect();
        Window {
            bands: (0..56).collect(),
            wavelengths_nm,
            absorption,
            depths: Vec::new(),
            parts: vec![20, 36],
        }
    }

    /// A little noise, the same every time.
    fn fit(f: impl Fn(f64, f64) -> f64) -> Fit {
        let window = window();
        let noise = |i: usize| (((i * 7919 + 13) % 101) as f64 / 50.0 - 1.0) * 2e-4;
        let both = window.wavelengths_nm.iter().zip(&window.absorption).enumerate();
        let ratio: Vec<f64> = both.map(|(i, (&nm, &k))| f(nm, k) + noise(i)).collect();
        Fit::of(&ratio, &window, &<[f64]>::to_vec).unwrap()
    }

    #[test]
    fn gas_on_a_sloped_spectrum_matches_and_other_shapes_do_not() {
        let gas = fit(|nm, k| 0.1 + 1e-4 * (nm - 2300.0) - 800.0 * k);
        assert!(gas.partial_r2 > 0.99 && gas.snr > 50.0 && gas.windows_differ < 2.0, "{gas:?}");
        assert!(fit(|_, k| 800.0 * k).partial_r2 < 1e-12, "less gas than around");
        // The carbonate feature at 2340 nm, as smooth as minerals are.
        let carbonate = fit(|nm, _| -0.2 * libm::exp(-((nm - 2340.0) / 40.0) * ((nm - 2340.0) / 40.0)));
        assert!(carbonate.partial_r2 < 0.4, "{carbonate:?}");
        // The same amount of a feature that only one window has.
        let one_sided = fit(|nm, k| if nm > 2000.0 { -800.0 * k } else { 0.0 });
        assert!(one_sided.windows_differ > 3.0, "{one_sided:?}");
    }
}
