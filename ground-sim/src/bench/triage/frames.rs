//! The frames that detectors are measured on: the only place here that calls the scene generator.
//!
//! Ground is always of the held-out half of the surface library: no threshold and no probability was tuned on it. Seeds
//! of one group of rows are never those of another, so that no figure leans on another's frames.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use passband_spectral::cube::Cube;
use passband_spectral::envi::Header;

use crate::scene::{
    Inserted, NoiseModel, PlumeParams, Scene, SceneParams, Split, Truth, VariedParams, generate, insert,
    mask, varied,
};

/// Bands of a frame that are made, nm: all that any detector here looks at, of 300 from 400 to 2500 nm. What is made is
/// the same to the bit as if all were.
const LOOKED_AT_NM: [[f64; 2]; 7] = [
    [455.0, 480.0],
    [545.0, 555.0],
    [635.0, 665.0],
    [860.0, 870.0],
    [1375.0, 1385.0],
    [1570.0, 1990.0],
    [2000.0, 2495.0],
];
/// Bands from 400 to 2500 nm.
const BANDS: usize = 300;
/// Shift of the wavelengths across track that an instrument has on a good day, ± nm.
const SMILE_NM: f64 = 0.3;

/// A frame with its truth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// What it is called in files and errors.
    pub(super) name: String,
    /// As a camera would write it.
    pub(super) header: Header,
    /// The samples.
    pub(super) data: Vec<u8>,
    /// The gas that is really there, ppm·m.
    pub(super) truth_ppm_m: Vec<f32>,
    /// The bits of [`mod@mask`]: what is really there besides.
    pub(super) mask: Vec<u8>,
    /// The record.
    pub(super) truth: Truth,
}

impl Frame {
    /// The frame as a detector reads it.
    pub(super) fn cube(&self) -> Result<Cube<&[u8]>> {
        Cube::new(self.header.clone(), self.data.as_slice()).with_context(|| self.name.clone())
    }

    /// Pixels across track.
    pub(super) fn samples(&self) -> usize {
        self.header.samples
    }

    /// The pixels that count: land without cloud over it whose samples were not lost. The truth says so, not a detector, so
    /// that it is the same for all.
    pub(super) fn usable(&self) -> Vec<bool> {
        self.mask.iter().map(|m| m & (mask::CLOUD | mask::BAD | mask::WATER) == 0).collect()
    }

    /// The pixels whose samples were not lost, clouds among them.
    pub(super) fn usable_samples(&self) -> Vec<bool> {
        self.mask.iter().map(|m| m & mask::BAD == 0).collect()
    }

    /// The pixels with more gas than this.
    pub(super) fn gas(&self, above_ppm_m: f32) -> Vec<bool> {
        self.truth_ppm_m.iter().map(|c| *c > above_ppm_m).collect()
    }
}

/// Frames of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    /// Ranking of pixels.
    Ranking = 1,
    /// Frames without a plume.
    Clean = 2,
    /// How much gas.
    Quantity = 3,
    /// What a probability is worth.
    Calibration = 4,
    /// Time and memory.
    Speed = 5,
    /// What faults cost.
    Robustness = 6,
    /// Nearly all cloud.
    Overcast = 7,
    /// Which plumes are found.
    Recall = 8,
    /// Plumes put into real cubes.
    Real = 9,
    /// Source rates.
    Rate = 10,
}

/// The seed of the `nth` frame of a series.
pub(super) fn seed(bench_seed: u64, series: Series, nth: u64) -> u64 {
    // The bench's seed is mixed before anything is joined to it: else seed 1 of one series is seed 2 of another.
    [bench_seed, series as u64, nth].into_iter().fold(0, |state, next| {
        let mut z = (state ^ next).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// A scene of `samples × lines` with plumes of these rates, kg/h: held-out ground, EMIT's noise, f32 radiance, a wind of
/// 3 m/s, all else as scenes have it by default.
pub(super) fn scene(seed: u64, (samples, lines): (usize, usize), rates_kg_h: &[f64]) -> SceneParams {
    SceneParams {
        samples,
        lines,
        seed,
        bands: Some(BANDS),
        bands_nm: Some(LOOKED_AT_NM.to_vec()),
        noise_model: Some(NoiseModel::Emit),
        f32_radiance: true,
        smile_nm: SMILE_NM,
        surfaces: Split::HeldOut,
        plumes: rates_kg_h.iter().map(|rate| PlumeParams::of_rate(*rate)).collect(),
        ..SceneParams::default()
    }
}

/// The `nth` of a series of scenes that differ in everything: land, light, wind, noise, faults, clouds, confusers.
pub(super) fn any_scene(bench_seed: u64, series: Series, nth: u64, plume_share: f64) -> SceneParams {
    let set = VariedParams {
        plume_share,
        surfaces: Split::HeldOut,
        bands: Some(BANDS),
        bands_nm: Some(LOOKED_AT_NM.to_vec()),
        ..VariedParams::default()
    };
    varied(seed(bench_seed, series, 0), nth, &set)
}

/// Makes a frame.
pub(super) fn frame(name: String, params: &SceneParams) -> Result<Frame> {
    let scene = generate(params).with_context(|| name.clone())?;
    let Scene { header, data, truth_ppm_m, mask, truth } = scene;
    Ok(Frame { name, header, data, truth_ppm_m, mask, truth })
}

/// Puts a plume into a real cube; `None` where the cube is not there.
pub(super) fn real(name: String, cube: &Path, seed: u64, rate_kg_h: f64) -> Result<Option<Frame>> {
    let at = || format!("reading {}", cube.display());
    let data_path = cube.with_extension("bil");
    if !cube.is_file() || !data_path.is_file() {
        return Ok(None);
    }
    let header = Header::parse(&fs::read_to_string(cube).with_context(at)?).with_context(at)?;
    let mut data = fs::read(&data_path).with_context(at)?;
    let params =
        SceneParams { seed, plumes: vec![PlumeParams::of_rate(rate_kg_h)], ..SceneParams::default() };
    let Inserted { truth_ppm_m, mask, truth, .. } = insert(&header, &mut data, &params).with_context(at)?;
    Ok(Some(Frame { name, header, data, truth_ppm_m, mask, truth }))
}

/// The `nth` of `count` values between two, evenly in the logarithm.
pub(super) fn between(nth: u64, count: u64, from: f64, to: f64) -> f64 {
    let share = nth as f64 / count.saturating_sub(1).max(1) as f64;
    from * libm::exp(libm::log(to / from) * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_between_benches_series_and_frames() {
        let mut all: Vec<u64> = [Series::Ranking, Series::Clean, Series::Rate]
            .into_iter()
            .flat_map(|s| [1, 2].map(|b| [0, 1, 2].map(|n| seed(b, s, n))))
            .flatten()
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 18);
    }

    #[test]
    fn a_frame_is_of_the_scene_asked_for() {
        let params = scene(3, (40, 36), &[3000.0]);
        let one = frame("one".into(), &params).unwrap();
        assert_eq!(one, frame("one".into(), &params).unwrap());
        assert_eq!((one.samples(), one.truth.plumes.len(), one.truth.split), (40, 1, Split::HeldOut));
        let water: Vec<bool> = one.mask.iter().map(|m| m & mask::WATER != 0).collect();
        assert!(one.gas(200.0).iter().any(|g| *g) && water.iter().any(|w| *w) && !water.iter().all(|w| *w));
        assert!(one.usable().iter().zip(&water).all(|(usable, water)| usable != water));
        let near = |wanted: f64| {
            let nm = one.header.wavelengths_nm.as_ref().unwrap();
            nm.iter().filter(|nm| (*nm - wanted).abs() < 6.0).count()
        };
        // What our cloud mask and the peers look at.
        assert!(
            [460.0, 470.0, 550.0, 640.0, 660.0, 865.0, 1380.0, 1650.0].into_iter().all(|nm| near(nm) > 0)
        );
        let faulty = SceneParams { cloud_fraction: 0.5, ..params };
        let cloudy = frame("two".into(), &faulty).unwrap();
        let cloud: Vec<bool> = cloudy.mask.iter().map(|m| m & mask::CLOUD != 0).collect();
        let hidden = cloud.iter().filter(|c| **c).count();
        assert!((600..840).contains(&hidden), "{hidden} of 1440");
        let counts = cloudy.usable();
        assert!(counts.iter().zip(water.iter().zip(&cloud)).all(|(u, (w, c))| *u != (*w || *c)));
        assert_eq!(cloudy.truth_ppm_m, one.truth_ppm_m, "the plume is the same");
    }

    #[test]
    fn values_are_even_in_the_logarithm() {
        let all: Vec<f64> = (0..3).map(|n| between(n, 3, 100.0, 10_000.0)).collect();
        assert!((all[1] - 1000.0).abs() < 1e-6 && (all[2] - 10_000.0).abs() < 1e-6, "{all:?}");
        assert!((between(0, 1, 100.0, 200.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn where_there_is_no_real_cube_there_is_no_frame() {
        assert_eq!(real("r".into(), Path::new("/no/such/cube.hdr"), 1, 1000.0).unwrap(), None);
    }
}
