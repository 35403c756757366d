//! What a scene is asked to hold, and which values are sensible.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::instrument::{Kind, NoiseModel};
use super::library::{Library, Split};
use super::puffs::Stability;

/// Most pixels of a scene.
pub const MAX_PIXELS: usize = 1 << 22;
/// Most values (pixels × bands) of a scene.
pub const MAX_VALUES: usize = 1 << 30;

/// What a scene holds. Angles in the image run clockwise from the top (line 0), so with north up they are azimuths.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneParams {
    /// Pixels across track.
    pub samples: usize,
    /// Pixels along track.
    pub lines: usize,
    /// Everything random follows from it.
    pub seed: u64,

    /// Bands and widths.
    pub instrument: Kind,
    /// Instead of the instrument's own: this many bands, equally spaced from 400 to 2500 nm.
    pub bands: Option<usize>,
    /// Make only the bands whose centre is in one of these ranges, nm; their values are those of the whole frame.
    pub bands_nm: Option<Vec<[f64; 2]>>,
    /// `None`: the instrument's own.
    pub noise_model: Option<NoiseModel>,
    /// Multiple of the noise table.
    pub noise: f64,
    /// Write `f32` radiance instead of `u16` digital numbers.
    pub f32_radiance: bool,
    /// Radiance at which the converter is full, in units of that of white ground, or of cloud where that is brighter,
    /// under the scene's sun.
    pub full_scale: f64,
    /// Standard deviation of the detectors' gain errors that calibration has left.
    pub striping: f64,
    /// The same of their offsets, in units of the band's radiance over ground of reflectance 0.3.
    pub offset_striping: f64,
    /// Half the range of the wavelength shift across track (a parabola), nm; the header keeps the nominal centres.
    pub smile_nm: f64,
    /// Share of detector elements (band and column) that give a constant.
    pub dead_share: f64,
    /// Share of detector elements that are hot: biased, noisy, and flickering between two levels.
    pub hot_share: f64,
    /// Share of lines that were dropped: no data in any band.
    pub dropped_share: f64,

    /// Side of a pixel on the ground, m.
    pub pixel_m: f64,
    /// Elevation of the sun, degrees.
    pub sun_elevation_deg: f64,
    /// Where the sun stands; `None`: drawn.
    pub sun_azimuth_deg: Option<f64>,
    /// Aerosol optical thickness at 550 nm, 0.01 to 0.1 (the range of the table).
    pub aerosol: f64,
    /// Water vapour, cm, 1.5 to 2 (the range of the table).
    pub water_cm: f64,

    /// Which half of the surface library.
    pub surfaces: Split,
    /// Another library than the built-in one.
    pub library: Option<Arc<Library>>,
    /// What kind of land; `None`: drawn.
    pub land: Option<Land>,
    /// Kinds of natural ground, each a mixture of three spectra.
    pub kinds: usize,
    /// Slopes of the terrain, standard deviation of rise over run.
    pub relief: f64,
    /// Standard deviation of brightness from pixel to pixel.
    pub texture: f64,
    /// How much mixture and spectral slope vary within a kind of ground; 1: as real land roughly does.
    pub variability: f64,
    /// What looks like a plume or hides one.
    pub confusers: Confusers,

    /// Share of the frame under cloud, 0 to 1.
    pub cloud_fraction: f64,
    /// Height of the clouds, m; `None`: drawn from 600 to 3000.
    pub cloud_height_m: Option<f64>,
    /// Mean reflectance of a veil of cirrus, 0 to 0.3.
    pub cirrus: f64,

    /// Mean wind in the plume's layer, m/s.
    pub wind_m_s: f64,
    /// Where the wind blows to; `None`: drawn.
    pub wind_to_deg: Option<f64>,
    /// Pasquill's class; `None`: drawn among those that go with the wind by day.
    pub stability: Option<Stability>,
    /// Plumes by their source rate.
    pub plumes: Vec<PlumeParams>,
    /// A plain Gaussian plume with this methane column on its axis at the source, ppm·m.
    pub plume_ppm_m: Option<f64>,
}

/// A source of methane.
#[derive(Debug, Clone, PartialEq)]
pub struct PlumeParams {
    /// Source rate, kg/h.
    pub rate_kg_h: f64,
    /// Line and sample; `None`: drawn, upwind of the middle.
    pub at: Option<[f64; 2]>,
    /// Time since it began, s; `None`: drawn so that the plume is about half as long to one and a half times as long
    /// as the frame.
    pub duration_s: Option<f64>,
}

impl PlumeParams {
    /// A source of this rate somewhere.
    pub fn of_rate(rate_kg_h: f64) -> Self {
        Self { rate_kg_h, at: None, duration_s: None }
    }
}

/// What kind of land a scene shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Land {
    /// Rock, soil, clay; little grows.
    Arid,
    /// Dry grass, shrubs and soil.
    Steppe,
    /// A patchwork of green, ripe and bare fields.
    Farmland,
    /// Roofs, yards, roads, a little green.
    Industry,
    /// Trees and meadows.
    Green,
}

impl Land {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Arid, Self::Steppe, Self::Farmland, Self::Industry, Self::Green];
}

/// How many of each thing that confuses a detector; roads and roofs of the land itself come besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusers {
    /// Bright or painted roofs.
    pub roofs: usize,
    /// Plastics, paints and tarred covers with features of hydrocarbons at 1.73 and 2.31 µm.
    pub hydrocarbon: usize,
    /// Patches of carbonate rock or gravel.
    pub carbonate: usize,
    /// Patches of carbonate that are drawn out like a plume.
    pub carbonate_plumes: usize,
    /// Fields of dark panels.
    pub solar_farms: usize,
    /// Asphalt roads.
    pub roads: usize,
    /// Ponds and lakes, dark, some with glint.
    pub waters: usize,
    /// Patches of snow.
    pub snow: usize,
}

impl Default for SceneParams {
    fn default() -> Self {
        Self {
            samples: 128,
            lines: 160,
            seed: 1,
            instrument: Kind::Passband,
            bands: None,
            bands_nm: None,
            noise_model: None,
            noise: 1.0,
            f32_radiance: false,
            full_scale: 1.31,
            striping: 0.003,
            offset_striping: 0.0,
            smile_nm: 0.0,
            dead_share: 0.0,
            hot_share: 0.0,
            dropped_share: 0.0,
            pixel_m: 8.0,
            sun_elevation_deg: 39.0,
            sun_azimuth_deg: None,
            aerosol: 0.1,
            water_cm: 1.5,
            surfaces: Split::All,
            library: None,
            land: None,
            kinds: 6,
            relief: 0.06,
            texture: 0.04,
            variability: 1.0,
            confusers: Confusers { roofs: 4, roads: 1, waters: 1, ..Confusers::default() },
            cloud_fraction: 0.0,
            cloud_height_m: None,
            cirrus: 0.0,
            wind_m_s: 3.0,
            wind_to_deg: None,
            stability: None,
            plumes: Vec::new(),
            plume_ppm_m: None,
        }
    }
}

impl SceneParams {
    /// Pixels of the frame.
    pub(super) fn pixels(&self) -> usize {
        self.samples.saturating_mul(self.lines)
    }

    /// Refuses what makes no scene.
    pub(super) fn check(&self) -> Result<()> {
        let pixels = self.pixels();
        ensure!(pixels > 0 && pixels <= MAX_PIXELS, "a scene has 1 to {MAX_PIXELS} pixels");
        ensure!(self.bands.is_none_or(|n| (2..=1000).contains(&n)), "the bands must be 2 to 1000");
        ensure!((1..=24).contains(&self.kinds), "the kinds of ground must be 1 to 24");
        ensure!(self.plumes.len() <= 64, "a scene has at most 64 plumes");
        self.check_ranges()?;
        ensure!(
            self.library.is_none() || self.surfaces == Split::All,
            "only the built-in library is split into halves: use all surfaces of another one"
        );
        let c = &self.confusers;
        let things =
            [c.roofs, c.hydrocarbon, c.carbonate, c.carbonate_plumes, c.solar_farms, c.roads, c.waters];
        ensure!(things.iter().chain([&c.snow]).all(|n| *n <= 1000), "at most 1000 confusers of a kind");
        for plume in &self.plumes {
            let rate = plume.rate_kg_h;
            ensure!((0.0..=1e6).contains(&rate), "a plume's rate must be 0 to 1000000 kg/h, not {rate}");
            let duration = plume.duration_s.unwrap_or(1.0);
            ensure!((1.0..=86_400.0).contains(&duration), "a plume lasts 1 to 86400 s, not {duration}");
            ensure!(
                plume.at.is_none_or(|at| at.iter().all(|v| v.abs() < 1e6)),
                "a plume's place must be a line and a sample"
            );
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<()> {
        let optional = |value: Option<f64>| value.unwrap_or(0.0);
        for (what, value, from, to) in [
            ("the cloud fraction", self.cloud_fraction, 0.0, 1.0),
            ("the plume in ppm m", optional(self.plume_ppm_m), 0.0, 100_000.0),
            ("the striping", self.striping, 0.0, 0.5),
            ("the striping of offsets", self.offset_striping, 0.0, 0.5),
            ("the noise, in multiples of the table,", self.noise, 0.0, 100.0),
            ("the full scale", self.full_scale, 0.01, 100.0),
            ("the smile in nm", self.smile_nm, 0.0, 10.0),
            ("the share of dead detectors", self.dead_share, 0.0, 1.0),
            ("the share of hot detectors", self.hot_share, 0.0, 1.0),
            ("the share of dropped lines", self.dropped_share, 0.0, 1.0),
            ("the pixel in m", self.pixel_m, 0.5, 1000.0),
            ("the sun's elevation in degrees", self.sun_elevation_deg, 5.0, 90.0),
            ("the sun's azimuth in degrees", optional(self.sun_azimuth_deg), -360.0, 360.0),
            ("the aerosol optical thickness", self.aerosol, 0.01, 0.1),
            ("the water vapour in cm", self.water_cm, 1.5, 2.0),
            ("the relief", self.relief, 0.0, 1.0),
            ("the texture", self.texture, 0.0, 0.5),
            ("the variability", self.variability, 0.0, 5.0),
            ("the clouds' height in m", self.cloud_height_m.unwrap_or(1000.0), 50.0, 20_000.0),
            ("the cirrus", self.cirrus, 0.0, 0.3),
            ("the wind in m/s", self.wind_m_s, 0.2, 50.0),
            ("the wind's direction in degrees", optional(self.wind_to_deg), -360.0, 360.0),
        ] {
            ensure!((from..=to).contains(&value), "{what} must be {from} to {to}, not {value}");
        }
        Ok(())
    }
}

impl FromStr for Land {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "arid" => Ok(Self::Arid),
            "steppe" => Ok(Self::Steppe),
            "farmland" => Ok(Self::Farmland),
            "industry" => Ok(Self::Industry),
            "green" => Ok(Self::Green),
            _ => Err(format!("'{text}' is none of arid, steppe, farmland, industry, green")),
        }
    }
}
