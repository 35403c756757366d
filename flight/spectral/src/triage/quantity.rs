//! How much gas a candidate holds, and how fast it comes out of the ground.
//!
//! The mass is the integrated mass enhancement, Σ α × area × M P / (R T) (Frankenberg et al. 2016,
//! doi:10.1073/pnas.1605617113). A plume in a steady wind u carries Q / u of gas on each metre downwind, so with the part of the mass
//! that lies on a length L along the plume's axis
//!
//! ```text
//! Q = u × mass / L
//! ```
//!
//! (the cross-sectional flux method averaged over the plume: Varon et al. 2018, doi:10.5194/amt-11-5673-2018). The axis is
//! the greater principal axis of the enhancement; L leaves out the faint ends.

use super::params::Params;
use super::plumes::Candidate;
use super::report::Estimate;
use crate::numeric::f32_of;

/// Pressure ÷ (gas constant × temperature), mol/m³: 1013.25 hPa, 298.15 K.
const MOL_PER_M3: f64 = 101_325.0 / (8.314_462_6 * 298.15);
/// Share of the mass at either end of the plume that counts neither as mass nor as length.
const ENDS: f64 = 0.05;
/// Ground clutter is alike over some pixels: sums scatter more than independent pixels would.
const CLUTTER: f64 = 3.0;

/// What frame and gas say about quantities.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Side of a pixel, m.
    pub(super) pixel_m: Option<f64>,
    /// Wind, m/s.
    pub(super) wind_m_s: Option<f64>,
    /// Molar mass, g/mol.
    pub(super) molar_mass_g: Option<f64>,
    /// Standard deviation of a single pixel, ppm·m.
    pub(super) noise_ppm_m: f32,
}

/// Mass, kg, and source rate, kg/h, as far as they can be told.
pub(super) fn quantity(
    candidate: &Candidate,
    scale: &Scale,
    params: &Params,
) -> (Option<Estimate>, Option<Estimate>) {
    let (Some(pixel_m), Some(molar_mass_g)) = (scale.pixel_m, scale.molar_mass_g) else {
        return (None, None);
    };
    let per_ppm_m = molar_mass_g * 1e-3 * MOL_PER_M3 * 1e-6 * pixel_m * pixel_m;
    let sum: f64 = candidate.values().map(|(.., v)| v).sum();
    let mass = sum * per_ppm_m;
    let noise = f64::from(scale.noise_ppm_m) * (candidate.pixels as f64).sqrt() * CLUTTER * per_ppm_m;
    let unsure = params.mass_uncertainty * mass;
    let sigma = (noise * noise + unsure * unsure).sqrt();
    let mass_kg = Estimate { value: f32_of(mass), sigma: f32_of(sigma) };
    let rate = scale.wind_m_s.filter(|u| *u > 0.0).zip(length(candidate)).map(|(wind, pixels)| {
        let value = wind * params.wind_factor * mass * (1.0 - 2.0 * ENDS) / (pixels * pixel_m) * 3600.0;
        let noise = if mass > 0.0 { sigma / mass } else { 1.0 };
        let shares = [noise, params.wind_uncertainty, params.rate_uncertainty];
        let share = shares.iter().map(|s| s * s).sum::<f64>().sqrt();
        Estimate { value: f32_of(value), sigma: f32_of(value.abs() * share) }
    });
    (Some(mass_kg), rate)
}

/// Length along the greater principal axis that holds all of the mass but the ends, pixels.
fn length(candidate: &Candidate) -> Option<f64> {
    let points: Vec<(f64, f64, f64)> = candidate.values().filter(|(.., v)| *v > 0.0).collect();
    let total: f64 = points.iter().map(|p| p.2).sum();
    if total <= 0.0 {
        return None;
    }
    let mean = |f: &dyn Fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| f(p) * p.2).sum::<f64>() / total;
    let (line, sample) = (mean(&|p| p.0), mean(&|p| p.1));
    let (ll, ss) = (mean(&|p| (p.0 - line) * (p.0 - line)), mean(&|p| (p.1 - sample) * (p.1 - sample)));
    let ls = mean(&|p| (p.0 - line) * (p.1 - sample));
    let angle = 0.5 * libm::atan2(2.0 * ls, ss - ll);
    let (sin, cos) = libm::sincos(angle);
    let mut along: Vec<(f64, f64)> =
        points.iter().map(|p| ((p.1 - sample) * cos + (p.0 - line) * sin, p.2)).collect();
    along.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |share: f64| {
        let mut left = share * total;
        along.iter().find_map(|(place, mass)| {
            left -= mass;
            (left <= 0.0).then_some(*place)
        })
    };
    let (from, to) = (at(ENDS)?, at(1.0 - ENDS)?);
    // A pixel is as long as itself.
    Some((to - from).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::plumes::Finder;
    use super::*;

    /// A straight plume of constant column, `length × width` pixels.
    fn plume(length: usize, width: usize, column: f32, slant: bool) -> Candidate {
        let params = Params::default();
        let mut finder = Finder::new(&params);
        for line in 0..length {
            let from = if slant { line } else { 4 };
            let row: Vec<f32> = (0..length + width + 8)
                .map(|s| if (from..from + width).contains(&s) { column } else { 0.0 })
                .collect();
            finder.line(line, &row, &row);
        }
        finder.finish().remove(0)
    }

    #[test]
    fn the_rate_of_a_steady_plume_comes_back() {
        // 1000 kg/h in 3 m/s: so many kg on each metre.
        let per_m = 1000.0 / 3600.0 / 3.0;
        let scale =
            Scale { pixel_m: Some(8.0), wind_m_s: Some(3.0), molar_mass_g: Some(16.043), noise_ppm_m: 300.0 };
        let kg_m2 = 16.043e-3 * MOL_PER_M3 * 1e-6;
        assert!((kg_m2 - 6.557e-7).abs() < 1e-10, "{kg_m2}");
        let column = per_m / (5.0 * 8.0) / kg_m2;
        let (mass, rate) = quantity(&plume(60, 5, f32_of(column), false), &scale, &Params::default());
        assert!((f64::from(mass.unwrap().value) / (per_m * 480.0) - 1.0).abs() < 0.01, "{mass:?}");
        let rate = rate.unwrap();
        assert!((rate.value - 1000.0).abs() < 40.0 && rate.sigma > 200.0, "{rate:?}");
        // Down a diagonal the same column makes a plume √2 longer and √2 narrower.
        let (_, slanted) = quantity(&plume(60, 5, f32_of(column), true), &scale, &Params::default());
        assert!((slanted.unwrap().value * 2.0_f32.sqrt() - 1000.0).abs() < 60.0, "{slanted:?}");
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let scale = Scale { pixel_m: None, wind_m_s: Some(3.0), molar_mass_g: Some(16.0), noise_ppm_m: 1.0 };
        let plume = plume(10, 3, 500.0, false);
        assert_eq!(quantity(&plume, &scale, &Params::default()), (None, None));
        let (mass, rate) =
            quantity(&plume, &Scale { pixel_m: Some(8.0), wind_m_s: None, ..scale }, &Params::default());
        assert!(mass.is_some() && rate.is_none());
    }
}
