//! Pixels over which no gas can be measured because of cloud: bright and white, or bright where water vapour hides the
//! ground.

use super::TriageError;
use super::bands::{CIRRUS_NM, CloudBand, Radiometry, SNOW_NM};
use super::lines::Lines;
use super::params::Params;
use super::report::pixel;
use crate::cube::{Cube, ReadAt};
use crate::envi::Header;
use crate::numeric::{f32_of, quantile};

/// Fewest bands short of 1 µm that "white" can be told from.
const WHITE_BANDS: usize = 2;
/// Lines from which the units are told.
const LOOKED_AT: usize = 32;

/// Flags the clouds of `count` lines from `first` in `mask`, grown by a margin. Gives `false` when clouds cannot be told:
/// too few bands, or no physical units.
pub(super) fn clouds<R: ReadAt>(
    cube: &Cube<R>,
    bands: &[CloudBand],
    (first, count): (usize, usize),
    params: &Params,
    mask: &mut [u8],
) -> Result<bool, TriageError> {
    let header = cube.header();
    let numbers: Vec<usize> = bands.iter().map(|b| b.band).collect();
    let lines = Lines::new(cube, &numbers);
    let visible = bands.iter().filter(|b| b.wavelength_nm < 1000.0).count();
    let radiometry = Radiometry::of(header, bright(&lines, bands, first, count)?);
    if visible < WHITE_BANDS || radiometry == Radiometry::Unknown {
        return Ok(false);
    }
    let sun_cosine = sun_cosine(header, params);
    // What was made into reflectance of the ground has no cirrus left in it, or anything else.
    let skipped = if radiometry == Radiometry::Reflectance { CIRRUS_NM } else { 0.0 };
    let samples = header.samples;
    lines.each(first, count, |part| {
        let rows = part.values.chunks_exact(lines.line_len()).zip(part.flags.chunks_exact(samples));
        let mask = mask.chunks_exact_mut(samples).skip(part.first - first);
        for ((line, flags), mask) in rows.zip(mask) {
            for (sample, (flag, out)) in flags.iter().zip(mask).enumerate() {
                let values = line.iter().skip(sample).step_by(samples).zip(bands);
                let values = values.filter(|(_, band)| (band.wavelength_nm - skipped).abs() > 1.0);
                let reflectance = values.map(|(value, band)| {
                    (
                        band.wavelength_nm,
                        radiometry.reflectance(f64::from(*value), band.irradiance, sun_cosine),
                    )
                });
                if flag & pixel::BAD == 0 && is_cloud(reflectance, params) {
                    *out |= pixel::CLOUD;
                }
            }
        }
    })?;
    grow(mask, samples, params.cloud_margin);
    Ok(true)
}

fn sun_cosine(header: &Header, params: &Params) -> f64 {
    let elevation = header.sun_elevation_deg.map(|deg| libm::sin(deg.to_radians()));
    elevation.filter(|c| *c > 0.05).unwrap_or(f64::from(params.sun_cosine))
}

/// Bright and white up to 1 µm, and not snow; or seen through water vapour.
fn is_cloud(reflectance: impl Iterator<Item = (f64, f64)>, params: &Params) -> bool {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    let mut snow = false;
    for (nm, value) in reflectance {
        if (nm - CIRRUS_NM).abs() < 1.0 {
            if value > f64::from(params.cirrus_reflectance) {
                return true;
            }
        } else if (nm - SNOW_NM).abs() < 1.0 {
            snow = value < f64::from(params.cloud_swir);
        } else if value.is_nan() {
            return false;
        } else {
            low = low.min(value);
            high = high.max(value);
        }
    }
    !snow && low > f64::from(params.cloud_reflectance) && high < low * f64::from(params.cloud_whiteness)
}

/// How bright the brighter pixels of some lines are in the band nearest to 0.66 µm.
fn bright<R: ReadAt>(
    lines: &Lines<'_, R>,
    bands: &[CloudBand],
    first: usize,
    count: usize,
) -> Result<Option<f32>, TriageError> {
    let Some(nth) = bands.iter().position(|b| (b.wavelength_nm - 660.0).abs() < 1.0) else { return Ok(None) };
    let mut values = Vec::new();
    for at in (first..first + count).step_by(count.div_ceil(LOOKED_AT).max(1)) {
        lines.each(at, 1, |part| {
            let row = part.values.chunks_exact(lines.samples).nth(nth).unwrap_or_default();
            let sound = row.iter().zip(part.flags).filter(|(_, f)| **f & pixel::BAD == 0);
            values.extend(sound.map(|(v, _)| *v));
        })?;
    }
    Ok(quantile(&mut values, 0.95).map(|v| f32_of(f64::from(v))))
}

/// A cloud's edge is half cloud.
fn grow(mask: &mut [u8], samples: usize, margin: usize) {
    let is_cloud: Vec<bool> = mask.iter().map(|f| f & pixel::CLOUD != 0).collect();
    let lines = mask.len() / samples.max(1);
    for line in 0..lines {
        let row = is_cloud.get(line * samples..(line + 1) * samples).unwrap_or_default();
        for (sample, _) in row.iter().enumerate().filter(|(_, cloud)| **cloud) {
            for near in line.saturating_sub(margin)..(line + margin + 1).min(lines) {
                let from = near * samples + sample.saturating_sub(margin);
                let to = near * samples + (sample + margin + 1).min(samples);
                mask.get_mut(from..to).unwrap_or_default().iter_mut().for_each(|f| *f |= pixel::CLOUD);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_and_bright_is_cloud_but_sand_vegetation_and_snow_are_not() {
        let params = Params::default();
        let test = |spectrum: [f64; 6]| {
            is_cloud([470.0, 550.0, 660.0, 865.0, CIRRUS_NM, SNOW_NM].into_iter().zip(spectrum), &params)
        };
        assert!(test([0.62, 0.6, 0.6, 0.6, 0.0, 0.45]));
        assert!(test([0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), "cirrus");
        assert!(!test([0.2, 0.3, 0.42, 0.5, 0.001, 0.55]), "sand");
        assert!(!test([0.05, 0.1, 0.05, 0.5, 0.001, 0.25]), "vegetation");
        assert!(!test([0.9, 0.9, 0.88, 0.85, 0.001, 0.05]), "snow");
        assert!(!test([f64::NAN; 6]));
    }

    #[test]
    fn cloud_grows_by_its_margin() {
        let mut mask = vec![0; 25];
        mask[12] = pixel::CLOUD;
        grow(&mut mask, 5, 1);
        assert_eq!(mask.iter().map(|f| u32::from(*f == pixel::CLOUD)).sum::<u32>(), 9);
        assert_eq!((mask[6], mask[0]), (pixel::CLOUD, 0));
        grow(&mut mask, 5, 2);
        assert!(mask.iter().all(|f| *f == pixel::CLOUD));
    }
}
