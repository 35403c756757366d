//! The gains of the detectors that the calibration left over: stripes.
//!
//! Neighbouring columns see nearly the same ground, so the ratio of a column's mean spectrum to that of the columns
//! around it is its detectors' gain, once the ground's brightness (common to all bands) is taken out. What varies slowly
//! across track (the ground itself, smile) is left in: the covariance knows it.

use super::params::Params;
use super::statistics::Statistics;
use crate::numeric::f32_of;

/// Bands with less than this share of the brightest band's signal have no ratio worth the name.
const LEAST_SIGNAL: f64 = 0.002;
/// No calibration is off by more.
const MOST: f64 = 0.25;

/// Relative gain of each detector, around 1: band by band, in a band sample by sample.
pub(super) fn gains(statistics: &Statistics, spectrum: &[f64], params: &Params) -> Vec<f32> {
    let samples = statistics.counts.len();
    let strongest = spectrum.iter().copied().fold(0.0, f64::max);
    let mut ratios: Vec<f64> = Vec::with_capacity(statistics.sums.len());
    for (row, mean) in statistics.sums.chunks_exact(samples.max(1)).zip(spectrum) {
        let usable = *mean > strongest * LEAST_SIGNAL;
        ratios.extend(row.iter().zip(&statistics.counts).map(|(sum, n)| {
            let ratio = sum / n / mean;
            if usable && *n > 0.0 && ratio > 0.0 { ratio } else { f64::NAN }
        }));
    }
    let mut relative: Vec<f64> = ratios
        .chunks_exact(samples.max(1))
        .flat_map(|row| over_neighbours(row, params.destripe_columns))
        .collect();
    let mut gains = vec![1.0_f32; relative.len()];
    let mut of_column = Vec::new();
    for (sample, count) in statistics.counts.iter().enumerate() {
        of_column.clear();
        of_column.extend(relative.iter().skip(sample).step_by(samples).map(|v| f32_of(*v)));
        let Some(brightness) = crate::numeric::quantile(&mut of_column, 0.5) else { continue };
        let sure = count / (count + params.column_prior_lines);
        let column = relative.iter_mut().zip(&mut gains).skip(sample).step_by(samples);
        for (ratio, gain) in column.filter(|(ratio, _)| ratio.is_finite()) {
            let off = (*ratio / f64::from(brightness) - 1.0).clamp(-MOST, MOST);
            *gain = f32_of(1.0 + off * sure);
        }
    }
    gains
}

/// Each value over the mean of the values around it, as far as there are any.
fn over_neighbours(row: &[f64], columns: usize) -> Vec<f64> {
    let reach = columns / 2;
    let finite = |v: &f64| if v.is_finite() { (*v, 1.0) } else { (0.0, 0.0) };
    let mut sums = vec![(0.0, 0.0)];
    for (sum, n) in row.iter().map(finite) {
        let last = sums.last().copied().unwrap_or_default();
        sums.push((last.0 + sum, last.1 + n));
    }
    let upto = |at: usize| sums.get(at.min(row.len())).copied().unwrap_or_default();
    row.iter()
        .enumerate()
        .map(|(at, value)| {
            let (from, to) = (upto(at.saturating_sub(reach)), upto(at + reach + 1));
            value * (to.1 - from.1) / (to.0 - from.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_is_found_and_the_ground_is_left_alone() {
        let (samples, bands, lines) = (101, 9, 400.0);
        let stripe = |band: usize, sample: usize| if (band, sample) == (4, 50) { 1.03 } else { 1.0 };
        // Ground that brightens across track and has a line of bright columns.
        let ground = |sample: usize| (1.0 + sample as f64 * 0.004) * if sample == 20 { 1.5 } else { 1.0 };
        let mut sums = Vec::new();
        for band in 0..bands {
            sums.extend((0..samples).map(|s| lines * 10.0 * ground(s) * stripe(band, s)));
        }
        let statistics = Statistics { counts: vec![lines; samples], sums, ..Statistics::default() };
        let gains = gains(&statistics, &vec![12.0; bands], &Params::default());
        assert!((gains[4 * samples + 50] - 1.028).abs() < 0.003, "{}", gains[4 * samples + 50]);
        assert!((gains[4 * samples + 20] - 1.0).abs() < 1e-6 && (gains[3 * samples + 50] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn without_signal_or_neighbours_nothing_is_changed() {
        let statistics =
            Statistics { counts: vec![0.0, 5.0], sums: vec![0.0, 5.0, 0.0, 0.0], ..Statistics::default() };
        assert_eq!(gains(&statistics, &[1.0, 0.0], &Params::default()), vec![1.0; 4]);
        assert_eq!(gains(&Statistics::default(), &[], &Params::default()), Vec::<f32>::new());
    }
}
