//! Synthetic frames: what a pushbroom imaging spectrometer would record over mixed ground, with clouds, instrument faults
//! and methane plumes of known size, for tests, calibration, evaluation and demonstrations.
//!
//! [`generate`] is pure and seeded: the same parameters give the same bytes on any machine. It never stands in for real
//! data where a figure of merit is claimed; the ground, atmosphere, noise and methane come from derived tables in
//! `ground-sim/data`, each of which names its source. `ground-sim/SCENES.md` tells the physics with its limits.
//!
//! At-sensor radiance of a pixel, per band: L = L₀ + τ(c) · S·T·((1 − d)·e + d) · ρ / (1 − s·ρ), with the path radiance L₀
//! (above the plume: untouched by it), the sun S, the two-way transmittance T with its diffuse share d and the spherical
//! albedo s of the atmosphere, the ground's reflectance ρ, the direct light e on its slope and through clouds, and the
//! transmittance τ of the plume's column c, from a curve of growth. Clouds hide the ground and the plume. Then noise
//! σ = |a √(b + L) + c|, the faults of the detectors, and rounding to u16.
//!
//! | module | what |
//! | --- | --- |
//! | `params`, `varied` | what is asked for; thousands of different scenes |
//! | `library`, `surface`, `patches`, `objects`, `terrain` | the ground |
//! | `optics`, `gas`, `clouds`, `tables` | light |
//! | `puffs`, `gaussian` | plumes |
//! | `instrument`, `detectors`, `sensor` | bands, faults, exposure |
//! | `truth`, `write`, `into` | the record; files; plumes into other cubes |

mod clouds;
mod detectors;
mod fields;
mod gas;
mod gaussian;
mod instrument;
mod into;
mod library;
mod objects;
mod optics;
mod params;
mod patches;
mod puffs;
mod sensor;
mod surface;
mod tables;
mod terrain;
mod truth;
mod varied;
mod write;

use anyhow::{Result, ensure};
use passband_spectral::envi::{DataType, Header};

pub use gas::KG_M2_PER_PPM_M;
pub use instrument::{Kind, NoiseModel};
pub use into::{Inserted, insert, insert_file};
pub use library::{Library, Split, Surface, SurfaceClass};
pub use params::{Confusers, Land, MAX_PIXELS, MAX_VALUES, PlumeParams, SceneParams};
pub use puffs::Stability;
pub use truth::{Faults, PlumeTruth, Truth, VISIBLE_PPM_M, mask};
pub use varied::{VariedParams, varied};
pub use write::{header_text, write_scene};

use fields::{Seeded, f32_of, purpose};
use gas::Column;
use puffs::Air;
use sensor::{Exposure, Sensor, View};
use terrain::Sun;

/// A frame and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// ENVI header: u16 with gains and offsets or f32 radiance, BIL, little endian.
    pub header: Header,
    /// The samples.
    pub data: Vec<u8>,
    /// Methane column of each pixel, ppm·m, line by line: all plumes together, clouds or none.
    pub truth_ppm_m: Vec<f32>,
    /// The bits of [`mod@mask`] for each pixel.
    pub mask: Vec<u8>,
    /// The record.
    pub truth: Truth,
}

/// Makes a scene.
///
/// # Errors
/// A parameter is out of range, or no band is left by `bands_nm`.
pub fn generate(params: &SceneParams) -> Result<Scene> {
    params.check()?;
    let sun = Sun::new(params);
    let clouds = clouds::clouds(params, &sun);
    let library = params.library.clone().unwrap_or_else(Library::built_in);
    let mut palette = surface::Palette::new(&library, params.surfaces);
    let mut ground = surface::ground(params, &mut palette);
    objects::place(params, &mut ground, &mut palette);
    let plumes = Plumes::new(params);
    let sensor = Sensor::new(params, &palette)?;
    ensure!(sensor.bands() > 0, "no band of the instrument lies in the ranges asked for");
    let values = params.pixels().saturating_mul(sensor.bands());
    ensure!(values <= MAX_VALUES, "{values} values are more than the {MAX_VALUES} of the largest scene");
    let gas = plumes.gas();
    let view = View { ground: &ground, shading: &sun.shading(params), clouds: &clouds, gas: &gas };
    let exposure = sensor.expose(&view);
    let mask = flags(params, sensor.bands(), &ground, &clouds, &exposure);
    let data_type = if params.f32_radiance { DataType::F32 } else { DataType::U16 };
    let mut header = Header::new(params.samples, params.lines, sensor.bands(), data_type);
    sensor.describe(&mut header);
    header.description = Some(format!("Passband synthetic scene, seed {}", params.seed));
    (header.pixel_size_m, header.wind_m_s) = (Some(params.pixel_m), Some(params.wind_m_s));
    let spectra = palette.spectra.iter().map(|at| library.label(*at)).collect();
    let truth = Truth {
        instrument: params.bands.is_none().then_some(params.instrument),
        bands: sensor.bands(),
        cloud_height_m: clouds.height_m,
        land: Some(ground.land),
        surfaces: spectra,
        ..plumes.record(params, &mask, &exposure.dropped)
    };
    Ok(Scene { header, data: exposure.data, truth_ppm_m: plumes.truth(), mask, truth })
}

/// The mask of every pixel.
fn flags(
    params: &SceneParams,
    bands: usize,
    ground: &surface::Ground,
    clouds: &clouds::Clouds,
    exposure: &Exposure,
) -> Vec<u8> {
    let flag = |at: usize| {
        let (line, sample) = (at / params.samples, at % params.samples);
        let bad = exposure.dropped[line] || exposure.dead[sample] * 5 > bands;
        [
            (clouds.opacity[at] >= 0.5, mask::CLOUD),
            (clouds.sunlight[at] < 0.5, mask::SHADOW),
            (ground.water[at], mask::WATER),
            (bad, mask::BAD),
            (ground.confuser[at], mask::CONFUSER),
        ]
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, bit)| bit)
        .sum()
    };
    (0..params.pixels()).map(flag).collect()
}

/// All the gas over a frame.
struct Plumes {
    air: Air,
    /// Columns of each plume, ppm·m, with what its record is told.
    each: Vec<(Vec<f64>, PlumeTruth)>,
    total: Vec<f64>,
}

impl Plumes {
    fn new(params: &SceneParams) -> Self {
        let air = Air::new(params);
        let empty = PlumeTruth::measured(&[], &[], params.pixel_m);
        let mut each = Vec::new();
        if let Some(strength) = params.plume_ppm_m {
            let mut random = Seeded::new(params.seed, purpose::GAUSSIAN);
            let column = gaussian::column((params.lines, params.samples), strength, &mut random);
            each.push((column, empty.clone()));
        }
        for (nth, of) in params.plumes.iter().enumerate() {
            let plume = puffs::plume(params, nth, of, &air);
            let told = PlumeTruth {
                source: Some(plume.source),
                rate_kg_h: Some(plume.rate_kg_h),
                duration_s: Some(plume.duration_s),
                ..empty.clone()
            };
            each.push((plume.column, told));
        }
        let mut total = vec![0.0; params.pixels()];
        for (column, _) in &each {
            total.iter_mut().zip(column).for_each(|(sum, c)| *sum += c);
        }
        Self { air, each, total }
    }

    /// The pixels that have any.
    fn gas(&self) -> Vec<(usize, Column)> {
        let some = self.total.iter().enumerate().filter(|(_, c)| **c > 0.0);
        some.map(|(at, c)| (at, Column::new(*c))).collect()
    }

    fn truth(&self) -> Vec<f32> {
        self.total.iter().map(|&c| f32_of(c)).collect()
    }

    /// The record, as far as parameters, gas and mask tell it.
    fn record(&self, params: &SceneParams, mask: &[u8], dropped: &[bool]) -> Truth {
        let share = |bit: u8| mask.iter().filter(|m| **m & bit != 0).count() as f64 / mask.len() as f64;
        let plume = |(column, told): &(Vec<f64>, PlumeTruth)| PlumeTruth {
            source: told.source,
            rate_kg_h: told.rate_kg_h,
            duration_s: told.duration_s,
            ..PlumeTruth::measured(column, mask, params.pixel_m)
        };
        Truth {
            schema: 1,
            seed: params.seed,
            cube: None,
            instrument: None,
            bands: 0,
            noise_model: Some(params.noise_model.unwrap_or(params.instrument.noise_model())),
            noise: params.noise,
            pixel_m: params.pixel_m,
            wind_m_s: self.air.wind_m_s,
            wind_to_deg: self.air.to_deg,
            stability: self.air.stability,
            sun_elevation_deg: params.sun_elevation_deg,
            sun_azimuth_deg: Sun::new(params).azimuth_deg,
            aerosol: params.aerosol,
            water_cm: params.water_cm,
            plumes: self.each.iter().map(plume).collect(),
            cloud_fraction: share(mask::CLOUD),
            shadow_fraction: share(mask::SHADOW),
            cloud_height_m: 0.0,
            cirrus: params.cirrus,
            faults: Faults {
                striping: params.striping,
                offset_striping: params.offset_striping,
                smile_nm: params.smile_nm,
                dead_share: params.dead_share,
                hot_share: params.hot_share,
                dropped_lines: dropped.iter().filter(|d| **d).count(),
            },
            split: params.surfaces,
            land: None,
            surfaces: Vec::new(),
            confusers: params.confusers,
        }
    }
}

/// Four frames that show what triage does: a strong plume, a weak one, clear ground, and mostly cloud.
pub fn demo_set(seed: u64) -> Vec<(String, SceneParams)> {
    let scene = |name: &str, nth: u64, plume_ppm_m, cloud_fraction| {
        let seed = seed.wrapping_mul(16).wrapping_add(nth);
        (name.to_owned(), SceneParams { seed, cloud_fraction, plume_ppm_m, ..SceneParams::default() })
    };
    vec![
        scene("strong-plume", 1, Some(6000.0), 0.05),
        scene("weak-plume", 2, Some(1100.0), 0.0),
        scene("clear-ground", 3, None, 0.1),
        scene("mostly-cloud", 4, None, 0.9),
    ]
}

#[cfg(test)]
mod tests;
