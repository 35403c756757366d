//! From reflectance to radiance at the sensor, band by band: atmosphere, sun, methane, cloud.
//!
//! Lookups of `ground-sim/data`, joined to a band and its shifts by smile. Works in `f64`; what the exposure reads per
//! pixel is `f32`.

use anyhow::Result;

use super::clouds;
use super::fields::f32_of;
use super::gas::Growth;
use super::instrument::BandShape;
use super::library::Library;
use super::params::SceneParams;
use super::tables::Tables;

/// Elevation of the sun in the atmosphere's table, degrees.
const TABLE_SUN_DEG: f64 = 39.0;
/// Width of the channels in the atmosphere's table, nm.
const AIR_RESOLUTION_NM: f64 = 5.6;
/// Share of the air mass (and its water vapour) above a water cloud and above cirrus: exponents of the transmittance.
const ABOVE_CLOUD: f64 = 0.55;
const ABOVE_CIRRUS: f64 = 0.06;

/// The state of the sky in one scene.
pub(super) struct Sky {
    /// Weights of the four states of the table.
    weights: [f64; 4],
    /// Sun relative to the table's: cosine of the zenith angle.
    cosine: f64,
    /// Air mass of the sun's and the viewing path relative to the table's.
    air_mass: f64,
}

impl Sky {
    /// Between the table's four states, under this scene's sun.
    pub(super) fn new(params: &SceneParams) -> Self {
        let thick = ((params.aerosol - 0.01) / 0.09).clamp(0.0, 1.0);
        let wet = ((params.water_cm - 1.5) / 0.5).clamp(0.0, 1.0);
        let sine = |deg: f64| libm::sin(deg.to_radians());
        let (here, table) = (sine(params.sun_elevation_deg), sine(TABLE_SUN_DEG));
        Self {
            weights: [(1.0 - thick) * (1.0 - wet), (1.0 - thick) * wet, thick * (1.0 - wet), thick * wet],
            cosine: here / table,
            air_mass: (1.0 + 1.0 / here) / (1.0 + 1.0 / table),
        }
    }
}

/// One band at one shift of its wavelength.
#[derive(Debug, Clone)]
pub(super) struct Optics {
    /// Path radiance.
    pub(super) path: f32,
    /// Sun times two-way transmittance.
    pub(super) sun: f32,
    /// Diffuse share of it.
    pub(super) diffuse: f32,
    /// Spherical albedo of the atmosphere.
    pub(super) albedo: f32,
    /// Radiance of an opaque water cloud.
    pub(super) cloud: f32,
    /// Radiance of cirrus of reflectance 1.
    pub(super) cirrus: f32,
    /// Optical depth of methane at [`super::gas::NODES_PPM_M`].
    pub(super) growth: Growth,
    /// Reflectance of each material of the scene.
    pub(super) materials: Vec<f32>,
}

impl Optics {
    /// Works a band out.
    pub(super) fn new(
        band: &BandShape,
        shift_nm: f64,
        sky: &Sky,
        library: &Library,
        palette: &[usize],
    ) -> Result<Self> {
        let air = &Tables::get().air;
        let (nm, fwhm) = (band.centre_nm + shift_nm, band.fwhm_nm);
        let mean = |column: &[f64]| air.smoothed(column, nm, fwhm, AIR_RESOLUTION_NM);
        // Four columns a state, after the sun's.
        let state = |which: usize| -> f64 {
            sky.weights
                .iter()
                .enumerate()
                .map(|(n, w)| if *w > 0.0 { w * mean(&air.columns[1 + 4 * n + which]) } else { 0.0 })
                .sum()
        };
        let sun = mean(air.column("sun")?) * sky.cosine;
        let transmittance = libm::pow(state(1).clamp(1e-9, 1.0), sky.air_mass);
        let (path, diffuse, albedo) = (state(0), state(2), state(3));
        let above = |exponent: f64| sun * libm::pow(transmittance, exponent);
        Ok(Self {
            path: f32_of(path),
            sun: f32_of(sun * transmittance),
            diffuse: f32_of(diffuse.clamp(0.0, 1.0)),
            albedo: f32_of(albedo),
            cloud: f32_of(0.4 * path + above(ABOVE_CLOUD) * clouds::reflectance(nm)),
            cirrus: f32_of(above(ABOVE_CIRRUS) * clouds::ice(nm)),
            growth: Growth::of_band(nm, fwhm),
            materials: palette.iter().map(|at| f32_of(library.reflectance(*at, nm, fwhm))).collect(),
        })
    }

    /// Radiance over flat ground of this reflectance in full sun, without gas.
    pub(super) fn radiance(&self, reflectance: f32) -> f32 {
        self.path + self.sun * reflectance / (1.0 - self.albedo * reflectance)
    }

    /// Between two shifts.
    pub(super) fn between(from: &Self, to: &Self, share: f32) -> Self {
        let mix = |a: f32, b: f32| a + (b - a) * share;
        Self {
            path: mix(from.path, to.path),
            sun: mix(from.sun, to.sun),
            diffuse: mix(from.diffuse, to.diffuse),
            albedo: mix(from.albedo, to.albedo),
            cloud: mix(from.cloud, to.cloud),
            cirrus: mix(from.cirrus, to.cirrus),
            growth: Growth::between(&from.growth, &to.growth, share),
            materials: from.materials.iter().zip(&to.materials).map(|(a, b)| mix(*a, *b)).collect(),
        }
    }
}
