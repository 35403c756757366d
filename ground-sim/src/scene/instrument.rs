//! Instruments: which bands they have and how much noise.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fields::index_of;
use super::params::SceneParams;
use super::tables::Tables;

/// First and last centre of equally spaced bands, nm.
const EQUAL_NM: [f64; 2] = [400.0, 2500.0];
/// Full width of a band at half maximum, in spacings.
const WIDTH: f64 = 1.05;

/// An instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 125 bands, 400 to 2490 nm: every 20 nm, every 10 nm in the methane window. Noise as EMIT's.
    #[default]
    Passband,
    /// Tanager-1: 5 nm.
    Tanager,
    /// EMIT: 7.4 nm.
    Emit,
    /// AVIRIS-NG: 5 nm.
    AvirisNg,
    /// SBG VSWIR: 10 nm.
    Sbg,
}

/// Whose noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseModel {
    /// Tanager-1.
    Tanager,
    /// EMIT.
    Emit,
    /// AVIRIS-NG.
    AvirisNg,
    /// SBG VSWIR.
    Sbg,
}

impl NoiseModel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tanager, Self::Emit, Self::AvirisNg, Self::Sbg];

    /// As it stands in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tanager => "tanager",
            Self::Emit => "emit",
            Self::AvirisNg => "aviris-ng",
            Self::Sbg => "sbg",
        }
    }

    /// Width of a channel for which the table states the noise, nm.
    pub(super) fn width_nm(self) -> f64 {
        match self {
            Self::Tanager | Self::AvirisNg => 5.0,
            Self::Emit => 7.4,
            Self::Sbg => 10.0,
        }
    }

    /// The model's a, b, c at a wavelength, for a band of this spacing.
    ///
    /// The table states the noise of radiance in one channel of the instrument. A band n times as wide collects n times
    /// the photons (or is the mean of n channels): its σ is smaller by √n, a narrower one's larger.
    pub(super) fn at(self, nm: f64, spacing_nm: f64) -> [f64; 3] {
        let table = Tables::get().noise(self);
        let scale = (self.width_nm() / spacing_nm).sqrt();
        let value = |column: usize| table.at(&table.columns[column], nm);
        [value(0) * scale, value(1), value(2) * scale]
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Passband, Self::Tanager, Self::Emit, Self::AvirisNg, Self::Sbg];

    /// As `--instrument` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passband => "passband",
            Self::Tanager => "tanager",
            Self::Emit => "emit",
            Self::AvirisNg => "aviris-ng",
            Self::Sbg => "sbg",
        }
    }

    /// Whose noise it has.
    pub fn noise_model(self) -> NoiseModel {
        match self {
            Self::Tanager => NoiseModel::Tanager,
            Self::Passband | Self::Emit => NoiseModel::Emit,
            Self::AvirisNg => NoiseModel::AvirisNg,
            Self::Sbg => NoiseModel::Sbg,
        }
    }

    fn bands(self) -> Vec<BandShape> {
        match self {
            Self::Passband => {
                let mut bands = Vec::new();
                let mut centre_nm = 400.0;
                while centre_nm <= 2490.0 {
                    let spacing_nm = if centre_nm < 2100.0 { 20.0 } else { 10.0 };
                    bands.push(BandShape::new(bands.len(), centre_nm, spacing_nm, WIDTH * spacing_nm));
                    centre_nm += spacing_nm;
                }
                bands
            }
            // Full widths as published: Tanager 5.5 nm, EMIT 8.5 nm, AVIRIS-NG 5.6 nm, SBG 10.5 nm, all rounded.
            Self::Tanager => of_table(NoiseModel::Tanager, 5.5),
            Self::Emit => of_table(NoiseModel::Emit, 8.5),
            Self::AvirisNg => of_table(NoiseModel::AvirisNg, 5.6),
            Self::Sbg => of_table(NoiseModel::Sbg, 10.5),
        }
    }
}

/// The channels that the noise table names.
fn of_table(model: NoiseModel, fwhm_nm: f64) -> Vec<BandShape> {
    let centres = &Tables::get().noise(model).wavelengths_nm;
    let inside = centres.iter().filter(|nm| (380.0..=2500.0).contains(*nm));
    inside.enumerate().map(|(n, nm)| BandShape::new(n, *nm, model.width_nm(), fwhm_nm)).collect()
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|k| k.name() == text);
        found.ok_or_else(|| format!("'{text}' is none of passband, tanager, emit, aviris-ng, sbg"))
    }
}

impl FromStr for NoiseModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|k| k.name() == text);
        found.ok_or_else(|| format!("'{text}' is none of tanager, emit, aviris-ng, sbg"))
    }
}

/// Where a band lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BandShape {
    /// Its number in the whole instrument: what is random about it follows from this.
    pub(super) number: usize,
    pub(super) centre_nm: f64,
    pub(super) spacing_nm: f64,
    pub(super) fwhm_nm: f64,
}

impl BandShape {
    fn new(number: usize, centre_nm: f64, spacing_nm: f64, fwhm_nm: f64) -> Self {
        Self { number, centre_nm, spacing_nm, fwhm_nm }
    }
}

/// The bands that a scene asks for.
pub(super) fn bands(params: &SceneParams) -> Vec<BandShape> {
    let all = match params.bands {
        None => params.instrument.bands(),
        Some(count) => {
            let spacing = (EQUAL_NM[1] - EQUAL_NM[0]) / (count - 1) as f64;
            let centre = |n: usize| EQUAL_NM[0] + spacing * n as f64;
            (0..count).map(|n| BandShape::new(n, centre(n), spacing, WIDTH * spacing)).collect()
        }
    };
    let Some(ranges) = &params.bands_nm else { return all };
    all.into_iter().filter(|b| ranges.iter().any(|[from, to]| (*from..=*to).contains(&b.centre_nm))).collect()
}

/// Shift of the wavelengths at a column, nm: a parabola from minus `smile_nm` in the middle to plus at the edges.
pub(super) fn smile_at(sample: usize, samples: usize, smile_nm: f64) -> f64 {
    let half = (samples as f64 - 1.0) / 2.0;
    let off = if half > 0.0 { (sample as f64 - half) / half } else { 0.0 };
    smile_nm * (2.0 * off * off - 1.0)
}

/// The shifts at which a band is worked out; columns between take straight lines.
pub(super) fn smile_nodes(smile_nm: f64) -> Vec<f64> {
    const STEP_NM: f64 = 0.25;
    if smile_nm <= 0.0 {
        return vec![0.0];
    }
    let count = index_of((2.0 * smile_nm / STEP_NM).ceil()).max(1);
    (0..=count).map(|n| -smile_nm + 2.0 * smile_nm * n as f64 / count as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bands_are_those_of_the_instruments() {
        let count = |instrument| bands(&SceneParams { instrument, ..SceneParams::default() }).len();
        assert_eq!(count(Kind::Passband), 125);
        assert_eq!(count(Kind::Emit), 285);
        assert!((420..=426).contains(&count(Kind::Tanager)) && (420..=426).contains(&count(Kind::AvirisNg)));
        let equal = SceneParams { bands: Some(300), ..SceneParams::default() };
        let all = bands(&equal);
        assert_eq!(all.len(), 300);
        assert!((all[1].centre_nm - all[0].centre_nm - 7.0234).abs() < 1e-3);
        let part = bands(&SceneParams { bands_nm: Some(vec![[2122.0, 2488.0]]), ..equal });
        assert_eq!(part.len(), 52);
        assert_eq!(part[0], all[part[0].number]);
    }

    #[test]
    fn smile_runs_from_minus_to_plus() {
        assert!((smile_at(0, 101, 1.0) - 1.0).abs() < 1e-12 && (smile_at(50, 101, 1.0) + 1.0).abs() < 1e-12);
        assert_eq!(smile_nodes(0.0), [0.0]);
        let nodes = smile_nodes(1.0);
        assert_eq!((nodes[0], nodes[8], nodes.len()), (-1.0, 1.0, 9));
    }

    #[test]
    fn a_band_twice_as_wide_is_quieter_by_the_root_of_two() {
        let [narrow, wide] = [7.4, 14.8].map(|width| NoiseModel::Emit.at(2200.0, width));
        assert!((narrow[0] / wide[0] - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!((narrow[1] - wide[1]).abs() < 1e-12);
    }
}
