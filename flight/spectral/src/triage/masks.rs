//! Pixels over which no gas can be measured: cloud (bright and white) and dark ground.

use super::bands::{CloudBand, Radiometry};
use super::block::Block;
use super::params::Params;
use super::report::pixel;
use crate::envi::Header;
use crate::numeric::{f32_of, quantile};

/// Snow and ice are dark here, clouds of water are not.
const SNOW_NM: f64 = 1650.0;
/// A white pixel darker than this at [`SNOW_NM`] is snow.
const SNOW_REFLECTANCE: f64 = 0.15;
/// Fewest bands short of 1 µm that "white" can be told from.
const WHITE_BANDS: usize = 2;

/// Flags cloud from the bands of `block` (as stored, in the order of `bands`) and grows it by one pixel. Gives
/// `false` when clouds cannot be told: too few bands, or no physical units.
pub(super) fn cloud(
    block: &Block,
    bands: &[CloudBand],
    header: &Header,
    params: &Params,
    mask: &mut [u8],
) -> bool {
    let visible = bands.iter().filter(|b| b.wavelength_nm < 1000.0).count();
    let radiometry = Radiometry::of(header, bright(block, bands, header));
    if visible < WHITE_BANDS || radiometry == Radiometry::Unknown {
        return false;
    }
    let elevation = header.sun_elevation_deg.map(|deg| libm::sin(deg.to_radians()));
    let sun_cosine = elevation.filter(|c| *c > 0.05).unwrap_or(f64::from(params.sun_cosine));
    let samples = block.samples;
    for (line, flags) in block.lines().zip(mask.chunks_exact_mut(samples)) {
        for (sample, flag) in flags.iter_mut().enumerate() {
            let reflectance = line.chunks_exact(samples).zip(bands).filter_map(|(row, band)| {
                let (gain, offset) = header.scale(band.band);
                let value = f64::from(*row.get(sample)?) * gain + offset;
                Some((band.wavelength_nm, radiometry.reflectance(value, band.irradiance, sun_cosine)))
            });
            if *flag & pixel::BAD == 0 && is_cloud(reflectance, params) {
                *flag |= pixel::CLOUD;
            }
        }
    }
    grow(mask, samples);
    true
}

/// Bright and white up to 1 µm, and not snow.
fn is_cloud(reflectance: impl Iterator<Item = (f64, f64)>, params: &Params) -> bool {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for (nm, value) in reflectance {
        if (nm - SNOW_NM).abs() < 1.0 {
            if value < SNOW_REFLECTANCE {
                return false;
            }
        } else if value.is_nan() {
            return false;
        } else {
            low = low.min(value);
            high = high.max(value);
        }
    }
    low > f64::from(params.cloud_reflectance) && high < low * f64::from(params.cloud_whiteness)
}

/// How bright the frame's brighter pixels are in the band nearest to 0.66 µm.
fn bright(block: &Block, bands: &[CloudBand], header: &Header) -> Option<f32> {
    let (nth, band) = bands.iter().enumerate().find(|(_, b)| (b.wavelength_nm - 660.0).abs() < 1.0)?;
    let rows = block.lines().filter_map(|line| line.chunks_exact(block.samples).nth(nth));
    let mut values: Vec<f32> = rows.flatten().copied().collect();
    let (gain, offset) = header.scale(band.band);
    quantile(&mut values, 0.95).map(|v| f32_of(f64::from(v) * gain + offset))
}

/// A cloud's edge is half cloud.
fn grow(mask: &mut [u8], samples: usize) {
    let before: Vec<bool> = mask.iter().map(|f| f & pixel::CLOUD != 0).collect();
    let lines = mask.len() / samples.max(1);
    for (index, flag) in mask.iter_mut().enumerate() {
        let (line, sample) = (index / samples, index % samples);
        let near = (line.saturating_sub(1)..(line + 2).min(lines)).any(|l| {
            let from = l * samples + sample.saturating_sub(1);
            let to = l * samples + (sample + 2).min(samples);
            before.get(from..to).is_some_and(|row| row.contains(&true))
        });
        if near {
            *flag |= pixel::CLOUD;
        }
    }
}

/// Flags pixels whose mean over the window's bands (physical values) is a small share of the frame's median.
pub(super) fn dark(window: &Block, params: &Params, mask: &mut [u8]) {
    let samples = window.samples;
    let mut signal = vec![0.0_f32; mask.len()];
    for (line, sums) in window.lines().zip(signal.chunks_exact_mut(samples)) {
        for row in line.chunks_exact(samples) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
    let hidden = pixel::BAD | pixel::CLOUD;
    let mut clear: Vec<f32> =
        signal.iter().zip(&*mask).filter(|(_, f)| **f & hidden == 0).map(|(s, _)| *s).collect();
    let Some(median) = quantile(&mut clear, 0.5) else { return };
    for (flag, sum) in mask.iter_mut().zip(signal) {
        if *flag & hidden == 0 && sum <= (median * params.dark_share).max(0.0) {
            *flag |= pixel::DARK;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_and_bright_is_cloud_but_sand_vegetation_and_snow_are_not() {
        let params = Params::default();
        let test = |spectrum: [f64; 5]| {
            is_cloud([470.0, 550.0, 660.0, 865.0, 1650.0].into_iter().zip(spectrum), &params)
        };
        assert!(test([0.62, 0.6, 0.6, 0.6, 0.45]));
        assert!(!test([0.2, 0.3, 0.42, 0.5, 0.55]), "sand");
        assert!(!test([0.05, 0.1, 0.05, 0.5, 0.25]), "vegetation");
        assert!(!test([0.9, 0.9, 0.88, 0.85, 0.05]), "snow");
        assert!(!test([f64::NAN; 5]));
    }

    #[test]
    fn cloud_grows_by_one_pixel() {
        let mut mask = vec![0; 25];
        mask[12] = pixel::CLOUD;
        grow(&mut mask, 5);
        assert_eq!(mask.iter().map(|f| u32::from(*f == pixel::CLOUD)).sum::<u32>(), 9);
        assert_eq!(mask[6], pixel::CLOUD);
        assert_eq!(mask[0], 0);
    }

    #[test]
    fn dark_is_relative_to_the_median() {
        let window = Block { samples: 5, bands: 1, values: vec![10.0, 11.0, 9.0, 0.5, 10.0] };
        let mut mask = vec![0; 5];
        dark(&window, &Params::default(), &mut mask);
        assert_eq!(mask, [0, 0, 0, pixel::DARK, 0]);
    }
}
