//! The instrument: its bands, and from reflectance to digital numbers.

use anyhow::Result;
use passband_spectral::envi::Header;

use super::SceneParams;
use super::clouds;
use super::fields::{Seeded, index_of};
use super::surface::Ground;
use super::tables::Table;

/// Bands every 20 nm up to the methane window, every 10 nm in it.
const COARSE_NM: f64 = 20.0;
const FINE_NM: f64 = 10.0;
const FINE_FROM_NM: f64 = 2100.0;
const FIRST_NM: f64 = 400.0;
const LAST_NM: f64 = 2490.0;
/// Digital number of ground of reflectance 1 under the whole sun.
const WHITE_DN: f64 = 50_000.0;
/// Elevation of the sun in the atmosphere's table, degrees.
const SUN_ELEVATION_DEG: f64 = 39.0;

/// One band as the tables describe it.
struct Band {
    centre_nm: f64,
    fwhm_nm: f64,
    path: f64,
    /// Sun times two-way transmittance.
    sun: f64,
    albedo: f64,
    noise: (f64, f64),
    cloud: f64,
    /// Radiance per digital number.
    gain: f64,
    /// (column of gas in ppm·m, −ln transmittance), rising.
    growth: Vec<(f64, f64)>,
    /// Reflectance of each material.
    materials: Vec<f64>,
}

/// The instrument over its atmosphere.
pub(super) struct Instrument {
    bands: Vec<Band>,
    names: Vec<String>,
}

impl Instrument {
    /// The default instrument: 400 to 2490 nm, 125 bands, 36 of them in the methane window.
    pub(super) fn new() -> Result<Self> {
        let tables = (Table::atmosphere()?, Table::noise()?, Table::surfaces()?, Table::ch4()?);
        let mut bands = Vec::new();
        let mut centre = FIRST_NM;
        while centre <= LAST_NM {
            let step = if centre < FINE_FROM_NM { COARSE_NM } else { FINE_NM };
            bands.push(band(&tables, centre, step * 1.05)?);
            centre += step;
        }
        Ok(Self { bands, names: tables.2.names })
    }

    /// Number of bands.
    pub(super) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// The materials whose name holds one of the words, in the order of the words; a word given twice counts twice.
    pub(super) fn materials(&self, words: &[&str]) -> Vec<usize> {
        let with = |word: &&str| {
            let word = (*word).to_owned();
            self.names.iter().enumerate().filter(move |(_, name)| name.contains(&word)).map(|(at, _)| at)
        };
        words.iter().flat_map(with).collect()
    }

    /// Fills in what the header says about the bands.
    pub(super) fn describe(&self, header: &mut Header) {
        header.wavelengths_nm = Some(self.bands.iter().map(|b| b.centre_nm).collect());
        header.fwhm_nm = Some(self.bands.iter().map(|b| b.fwhm_nm).collect());
        header.gains = Some(self.bands.iter().map(|b| b.gain).collect());
        header.offsets = Some(vec![0.0; self.bands.len()]);
        header.data_units = Some("uW/cm^2/nm/sr".to_owned());
        header.sun_elevation_deg = Some(SUN_ELEVATION_DEG);
    }

    /// The digital numbers of the whole frame, BIL, little endian.
    pub(super) fn expose(
        &self,
        params: &SceneParams,
        ground: &Ground,
        cloud: &[f32],
        column: &[f64],
    ) -> Vec<u8> {
        let mut random = Seeded::new(params.seed, 4);
        let stripes: Vec<f64> =
            (0..self.bands.len() * params.samples).map(|_| 1.0 + params.striping * random.normal()).collect();
        let mut noise = Seeded::new(params.seed, 5);
        let mut data = Vec::with_capacity(column.len() * self.bands.len() * 2);
        for line in 0..params.lines {
            for (band, stripes) in self.bands.iter().zip(stripes.chunks_exact(params.samples)) {
                for (sample, stripe) in stripes.iter().enumerate() {
                    let at = line * params.samples + sample;
                    let (first, second, share) = ground.mixture[at];
                    let share = f64::from(share);
                    let mixed = band.materials[first] * (1.0 - share) + band.materials[second] * share;
                    let clear =
                        band.radiance(mixed * f64::from(ground.light[at])) * band.transmittance(column[at]);
                    let covered = f64::from(cloud[at]);
                    let radiance = clear * (1.0 - covered) + band.radiance(band.cloud) * covered;
                    let sigma = params.noise * band.noise.0 * (band.noise.1 + radiance).max(0.0).sqrt();
                    let measured = (radiance + sigma * noise.normal()) * stripe;
                    data.extend_from_slice(&digital(measured / band.gain).to_le_bytes());
                }
            }
        }
        data
    }
}

/// Rounds to the nearest digital number within the range of the converter.
fn digital(value: f64) -> u16 {
    u16::try_from(index_of(value + 0.5)).unwrap_or(u16::MAX)
}

fn band(tables: &(Table, Table, Table, Table), centre: f64, fwhm: f64) -> Result<Band> {
    let (air, noise, surfaces, gas) = tables;
    let mean = |name: &str| -> Result<f64> {
        let column = air.column(name)?;
        Ok(air.band_mean(column, None, centre, fwhm).unwrap_or_else(|| air.at(column, centre)))
    };
    let sun = mean("sun")? * mean("transmittance")?;
    let (path, albedo) = (mean("path")?, mean("albedo")?);
    let weights = gas.column("radiance")?;
    let growth = gas
        .names
        .iter()
        .zip(&gas.columns)
        .filter_map(|(name, column)| {
            let transmittance = gas.band_mean(column, Some(weights), centre, fwhm)?;
            Some((name.parse::<f64>().ok()?, -libm::log(transmittance)))
        })
        .collect();
    // In the atmosphere's own absorption bands there is no light; the converter's range ends somewhere all the same.
    let white = path + sun.max(0.05 * mean("sun")?);
    Ok(Band {
        centre_nm: centre,
        fwhm_nm: fwhm,
        path,
        sun,
        albedo,
        noise: (noise.at(noise.column("a")?, centre), noise.at(noise.column("b")?, centre)),
        cloud: clouds::reflectance(centre),
        gain: white / WHITE_DN,
        growth,
        materials: surfaces.columns.iter().map(|column| surfaces.at(column, centre)).collect(),
    })
}

impl Band {
    fn radiance(&self, reflectance: f64) -> f64 {
        self.path + self.sun * reflectance / (1.0 - self.albedo * reflectance)
    }

    /// exp(−optical depth), the depth interpolated on the curve of growth and carried on beyond its end.
    fn transmittance(&self, column: f64) -> f64 {
        if column <= 0.0 || self.growth.is_empty() {
            return 1.0;
        }
        let after = self.growth.partition_point(|(c, _)| *c < column);
        let to = self.growth[after.min(self.growth.len() - 1)];
        let from = if after == 0 {
            (0.0, 0.0)
        } else {
            self.growth[(after - 1).min(self.growth.len().saturating_sub(2))]
        };
        let depth = from.1 + (to.1 - from.1) * (column - from.0) / (to.0 - from.0);
        libm::exp(-depth)
    }
}
