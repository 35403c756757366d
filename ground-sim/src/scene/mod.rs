//! Synthetic frames: what a pushbroom imaging spectrometer would record over mixed ground, with clouds and a methane
//! plume of known size, for tests and demonstrations.
//!
//! [`generate`] is pure and seeded: the same parameters give the same bytes. It never stands in for real data where
//! a figure of merit is claimed; the ground, atmosphere, noise and methane come from derived tables in
//! `ground-sim/data`, each of which names its source.
//!
//! At-sensor radiance of a pixel, per band: L = (L₀ + S·T·ρ / (1 − s·ρ)) · τ(c), with the path radiance L₀, the sun S,
//! the two-way transmittance T and the spherical albedo s of the atmosphere, the ground's reflectance ρ times its
//! illumination, and the transmittance τ of the plume's column c, from the table's curve of growth (Beer–Lambert line
//! by line, joined to 1 nm bins). Where there is cloud, the ground and the plume are hidden behind it. Then noise
//! σ = a √(b + L), the gain and offset of each detector, and rounding to u16.

mod clouds;
mod fields;
mod plume;
mod sensor;
mod surface;
mod tables;
mod write;

use anyhow::{Context, Result, ensure};
use passband_spectral::envi::{DataType, Header};

pub use write::write_scene;

use fields::Seeded;
use sensor::Instrument;

/// Most pixels of a scene.
const MAX_PIXELS: usize = 1 << 22;

/// What a scene holds.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneParams {
    /// Pixels across track.
    pub samples: usize,
    /// Pixels along track.
    pub lines: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// Methane column at the plume's source, ppm·m; `None`: no plume.
    pub plume_ppm_m: Option<f64>,
    /// Share of the frame under cloud, 0 to 1.
    pub cloud_fraction: f64,
    /// Standard deviation of the detectors' gain errors across track.
    pub striping: f64,
    /// Multiple of the noise table.
    pub noise: f64,
}

impl Default for SceneParams {
    fn default() -> Self {
        Self {
            samples: 128,
            lines: 160,
            seed: 1,
            plume_ppm_m: None,
            cloud_fraction: 0.0,
            striping: 0.003,
            noise: 1.0,
        }
    }
}

/// A frame and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// ENVI header: u16, BIL, little endian, with gains.
    pub header: Header,
    /// The samples.
    pub data: Vec<u8>,
    /// Methane column of each pixel, ppm·m, line by line.
    pub truth_ppm_m: Vec<f32>,
}

/// Makes a scene.
pub fn generate(params: &SceneParams) -> Result<Scene> {
    let pixels = params.samples.saturating_mul(params.lines);
    ensure!(pixels > 0 && pixels <= MAX_PIXELS, "a scene has 1 to {MAX_PIXELS} pixels");
    ensure!((0.0..=1.0).contains(&params.cloud_fraction), "the cloud fraction must be 0 to 1");
    let strength = params.plume_ppm_m.unwrap_or(0.0);
    ensure!((0.0..=100_000.0).contains(&strength), "the plume must be 0 to 100000 ppm m");
    ensure!((0.0..=0.5).contains(&params.striping), "the striping must be 0 to 0.5");
    ensure!((0.0..=100.0).contains(&params.noise), "the noise must be 0 to 100 times the table");
    let instrument = Instrument::new().context("the instrument's tables")?;
    let shape = (params.lines, params.samples);
    let ground = surface::ground(shape, &mut Seeded::new(params.seed, 1), &instrument);
    let cloud = clouds::opacity(shape, params.cloud_fraction, &mut Seeded::new(params.seed, 2));
    let column = plume::column(shape, strength, &mut Seeded::new(params.seed, 3));
    let data = instrument.expose(params, &ground, &cloud, &column);
    let mut header = Header::new(params.samples, params.lines, instrument.bands(), DataType::U16);
    instrument.describe(&mut header);
    header.description = Some(format!("Passband synthetic scene, seed {}", params.seed));
    let truth_ppm_m = column.iter().map(|&c| fields::f32_of(c)).collect();
    Ok(Scene { header, data, truth_ppm_m })
}

/// Four frames that show what triage does: a strong plume, a weak one, clear ground, and mostly cloud.
pub fn demo_set(seed: u64) -> Vec<(String, SceneParams)> {
    let scene = |name: &str, nth: u64, plume_ppm_m, cloud_fraction| {
        let seed = seed.wrapping_mul(16).wrapping_add(nth);
        (name.to_owned(), SceneParams { seed, plume_ppm_m, cloud_fraction, ..SceneParams::default() })
    };
    vec![
        scene("strong-plume", 1, Some(6000.0), 0.05),
        scene("weak-plume", 2, Some(1500.0), 0.0),
        scene("clear-ground", 3, None, 0.1),
        scene("mostly-cloud", 4, None, 0.9),
    ]
}

#[cfg(test)]
mod tests;
