//! Parts of triage by themselves, for who measures how fast they are. No part of the interface: nothing here decides
//! anything, and it changes with what it shows.

use super::TriageError;
use super::apply::{Answer, apply};
use super::bands::window;
use super::kernels::add_products;
use super::lines::Lines;
use super::model::{Gas, Model};
use super::params::Params;
use super::significance::{level_brightness, level_columns};
use super::statistics::gather;
use crate::cube::{Cube, ReadAt};
use crate::target::Target;

/// Pixels of a tile: see [`covariance`].
pub const TILE: usize = super::kernels::TILE;

/// What [`matched_filter`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Filtered {
    /// Bands used.
    pub bands: usize,
    /// Added gas column of each pixel, ppm·m; NaN where it was not measured.
    pub enhancement_ppm_m: Vec<f32>,
    /// Standard deviation of a pixel without gas, ppm·m.
    pub sigma_ppm_m: Vec<f32>,
}

/// What a matched filter is elsewhere: from the samples of a whole frame, taken as one segment, to the enhancement of
/// each pixel and its noise. Statistics, stripes, robust covariance, filter, levels, curve of growth; no clouds, no
/// survey of the detectors, no score, no plumes. `None` where there is no window or no background.
///
/// # Errors
/// The cube can't be read.
pub fn matched_filter<R: ReadAt + Sync>(
    cube: &Cube<R>,
    target: &Target,
    params: &Params,
) -> Result<Option<Filtered>, TriageError> {
    let header = cube.header();
    let Some(window) = window(header, target, params.min_bands) else { return Ok(None) };
    let lines = Lines::new(cube, &window.bands);
    let all = (0, header.lines);
    let mut mask = vec![0; header.lines * header.samples];
    let statistics = gather(&lines, all, 0.0, &mut mask, params)?;
    let gas = Gas { absorption: &window.absorption, depths: &window.depths };
    let Ok(model) = Model::new(statistics, &gas, params) else { return Ok(None) };
    let Answer { mut alpha, brightness } = apply(&lines, &model, all, &mask, params.threads)?;
    let all = vec![true; alpha.len()];
    level_columns(&mut alpha, &all, header.samples, params);
    let Some(sigma) = level_brightness(&mut alpha, &all, &brightness, params.brightness_classes) else {
        return Ok(None);
    };
    for alpha in &mut alpha {
        *alpha = model.response.column(*alpha);
    }
    Ok(Some(Filtered { bands: window.bands.len(), enhancement_ppm_m: alpha, sigma_ppm_m: sigma }))
}

/// The inner loop of the covariance: the sums of all products of two bands over the pixels of some tiles, lower triangle,
/// `bands × bands`. A tile holds `bands` rows of [`TILE`] values.
pub fn covariance<'a>(tiles: impl Iterator<Item = &'a [f32]>, bands: usize) -> Vec<f64> {
    let mut out = vec![0.0; bands.saturating_mul(bands)];
    tiles.for_each(|tile| add_products(tile, bands, &mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envi::{DataType, Header};
    use crate::triage::{Maps, triage};

    #[test]
    fn the_stage_gives_the_enhancement_that_triage_gives() {
        let (samples, lines, bands) = (64, 96, 60);
        let mut header = Header::new(samples, lines, bands, DataType::F32);
        header.wavelengths_nm = Some((0..bands).map(|b| 2123.0 + 6.0 * b as f64).collect());
        let noise = |i: usize| ((i * 7919 + i * i % 1013 * 31) % 2003) as f32 / 1001.0 - 1.0;
        let values = (0..samples * lines * bands).map(|i| {
            let (line, sample) = (i / samples / bands, i % samples);
            (4.0 + noise(line * samples + sample)) * (1.0 + 0.01 * noise(i))
        });
        let data: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        let cube = Cube::new(header, data).unwrap();
        // Nothing is dark: then both see the same ground.
        let params = Params { dark_share: 0.0, ..Params::default() };
        let mut maps = Maps::default();
        triage(&cube, &Target::ch4(), &params, &mut maps).unwrap();
        let filtered = matched_filter(&cube, &Target::ch4(), &params).unwrap().unwrap();
        assert_eq!(filtered.bands, 60);
        // Triage levels a second time, without the few pixels that stood out the first time.
        let both = filtered.enhancement_ppm_m.iter().zip(&maps.enhancement_ppm_m).zip(&maps.sigma_ppm_m);
        assert!(both.clone().count() == samples * lines);
        for ((stage, whole), sigma) in both {
            assert!((stage - whole).abs() < 0.3 * sigma, "{stage} {whole} {sigma}");
        }
    }

    #[test]
    fn the_covariance_is_of_every_tile() {
        let tile = vec![2.0_f32; TILE * 5];
        let sums = covariance([tile.as_slice(); 3].into_iter(), 5);
        assert!((sums[6] - 4.0 * 3.0 * TILE as f64).abs() < 1e-9 && sums[1].abs() < 1e-12, "{sums:?}");
    }
}
