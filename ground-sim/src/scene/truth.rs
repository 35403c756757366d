//! What is true about a frame, beside it.

use serde::{Deserialize, Serialize};

use super::gas::KG_M2_PER_PPM_M;
use super::instrument::{Kind, NoiseModel};
use super::library::Split;
use super::params::{Confusers, Land};
use super::puffs::Stability;

/// Bits of [`super::Scene::mask`].
pub mod mask {
    /// At least half covered by cloud.
    pub const CLOUD: u8 = 1;
    /// Less than half of the direct sun, by a cloud's shadow.
    pub const SHADOW: u8 = 2;
    /// Water; in a cube that plumes were put into, ground as dark as water at 2.1 µm.
    pub const WATER: u8 = 4;
    /// A dropped line, or a column with a fifth of its bands dead.
    pub const BAD: u8 = 8;
    /// Something put there to confuse.
    pub const CONFUSER: u8 = 16;
}

/// A pixel with at least this much belongs to the plume, ppm·m.
pub const VISIBLE_PPM_M: f64 = 200.0;

/// The record `NAME-truth.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// 1.
    pub schema: u32,
    /// Seed of the scene.
    pub seed: u64,
    /// Where the ground comes from: `None` for a synthetic scene, else the cube that the plume was put into.
    pub cube: Option<String>,
    /// The instrument's bands.
    pub instrument: Option<Kind>,
    /// Number of bands in the frame.
    pub bands: usize,
    /// Whose noise, and how many times.
    pub noise_model: Option<NoiseModel>,
    /// See `noise_model`.
    pub noise: f64,
    /// Side of a pixel, m.
    pub pixel_m: f64,
    /// Mean wind, m/s.
    pub wind_m_s: f64,
    /// Where it blows to, degrees clockwise from the top of the image.
    pub wind_to_deg: f64,
    /// Pasquill's class.
    pub stability: Stability,
    /// Sun, degrees; azimuth clockwise from the top of the image.
    pub sun_elevation_deg: f64,
    /// See `sun_elevation_deg`.
    pub sun_azimuth_deg: f64,
    /// Aerosol optical thickness at 550 nm.
    pub aerosol: f64,
    /// Water vapour, cm.
    pub water_cm: f64,
    /// Every plume.
    pub plumes: Vec<PlumeTruth>,
    /// Share of the frame at least half under cloud.
    pub cloud_fraction: f64,
    /// Share in the clouds' shadow.
    pub shadow_fraction: f64,
    /// Height of the clouds, m.
    pub cloud_height_m: f64,
    /// Mean reflectance of the cirrus.
    pub cirrus: f64,
    /// What was put in on purpose.
    pub faults: Faults,
    /// Which half of the library.
    pub split: Split,
    /// What kind of land.
    pub land: Option<Land>,
    /// The spectra in the frame.
    pub surfaces: Vec<String>,
    /// How many confusers were asked for.
    pub confusers: Confusers,
}

/// One plume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlumeTruth {
    /// Line and sample of the source; `None` for the plain Gaussian.
    pub source: Option<[f64; 2]>,
    /// Source rate, kg/h; `None` for the plain Gaussian.
    pub rate_kg_h: Option<f64>,
    /// Since when it has been blowing, s.
    pub duration_s: Option<f64>,
    /// Methane of this plume in the frame, kg.
    pub ime_kg: f64,
    /// The most in one pixel, ppm·m.
    pub max_ppm_m: f64,
    /// Pixels with at least [`VISIBLE_PPM_M`].
    pub pixels: usize,
    /// Those of them that are neither under cloud nor without data.
    pub visible_pixels: usize,
}

impl PlumeTruth {
    /// Measures a plume's columns; `mask` of the frame.
    pub(super) fn measured(column: &[f64], mask: &[u8], pixel_m: f64) -> Self {
        let strong = column.iter().zip(mask).filter(|(c, _)| **c >= VISIBLE_PPM_M);
        Self {
            source: None,
            rate_kg_h: None,
            duration_s: None,
            ime_kg: column.iter().sum::<f64>() * KG_M2_PER_PPM_M * pixel_m * pixel_m,
            max_ppm_m: column.iter().copied().fold(0.0, f64::max),
            pixels: strong.clone().count(),
            visible_pixels: strong.filter(|(_, m)| **m & (mask::CLOUD | mask::BAD) == 0).count(),
        }
    }
}

/// The faults of the instrument.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Deviation of the gains.
    pub striping: f64,
    /// Deviation of the offsets.
    pub offset_striping: f64,
    /// Smile, ± nm.
    pub smile_nm: f64,
    /// Share of dead elements.
    pub dead_share: f64,
    /// Share of hot elements.
    pub hot_share: f64,
    /// Number of dropped lines.
    pub dropped_lines: usize,
}
