//! Reflectance spectra of surfaces: the built-in library, or any ENVI spectral library.
//!
//! The built-in one is `data/surfaces.bin` (made by `data/derive.py`): `PBSURF1` and a line feed; four u16, little
//! endian: spectra, channels, first wavelength and step, nm; then per spectrum u16 number in its source, u8 class, u8
//! half (0 train, 1 held-out, 2 both), and for each channel a u16, reflectance × 10,000. Sources: the ECOSTRESS
//! spectral library (JPL) and snow mixtures, as in isofit-data; Apache-2.0.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, bail, ensure};
use passband_spectral::cube::Cube;
use passband_spectral::envi::Header;
use serde::{Deserialize, Serialize};

/// The built-in library.
static BUILT_IN: LazyLock<Arc<Library>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../data/surfaces.bin");
    Arc::new(Library::from_bytes(bytes).expect("the compiled-in library is sound"))
});

/// Most spectra of a library.
const MAX_SPECTRA: usize = 100_000;
/// Resolution of the built-in library's channels, nm.
const STEP_NM: f64 = 10.0;

/// What a spectrum is like. The source gives no names: told from its shape (see `data/derive.py`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SurfaceClass {
    /// Green leaves.
    Vegetation,
    /// Dead leaves, straw, wood.
    Dry,
    /// Soils.
    Soil,
    /// Rocks, and man-made things without a mark of their own.
    Rock,
    /// An absorption at 2.2 µm.
    Clay,
    /// An absorption at 2.34 µm.
    Carbonate,
    /// Absorptions at 1.73 and 2.31 µm: plastics, paints, tarred cloth, waxy leaves.
    Hydrocarbon,
    /// Dark and flat: asphalt, slate, basalt.
    Dark,
    /// Bright and flat: concrete, roofing, metal, salt.
    Bright,
    /// Open water.
    Water,
    /// Snow, more or less dirty.
    Snow,
}

impl SurfaceClass {
    /// In the order of the file's numbers.
    pub const ALL: [Self; 11] = [
        Self::Vegetation,
        Self::Dry,
        Self::Soil,
        Self::Rock,
        Self::Clay,
        Self::Carbonate,
        Self::Hydrocarbon,
        Self::Dark,
        Self::Bright,
        Self::Water,
        Self::Snow,
    ];

    /// As it stands in names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vegetation => "vegetation",
            Self::Dry => "dry",
            Self::Soil => "soil",
            Self::Rock => "rock",
            Self::Clay => "clay",
            Self::Carbonate => "carbonate",
            Self::Hydrocarbon => "hydrocarbon",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Water => "water",
            Self::Snow => "snow",
        }
    }
}

/// Which half of the built-in library: spectra of one stock stand in one half, so that what was tuned on `train` meets
/// new ground in `held-out`. The one spectrum of open water stands in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Both halves.
    #[default]
    All,
    /// For tuning and calibration.
    Train,
    /// For evaluation.
    HeldOut,
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "train" => Ok(Self::Train),
            "held-out" => Ok(Self::HeldOut),
            _ => Err(format!("'{text}' is none of all, train, held-out")),
        }
    }
}

/// One spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Surface {
    /// Number in its source, from 0.
    pub number: usize,
    /// What it is like.
    pub class: SurfaceClass,
    /// Is it in the half for tuning?
    pub train: bool,
    /// Is it in the half for evaluation?
    pub held_out: bool,
    /// Reflectance at the library's wavelengths.
    reflectance: Vec<f32>,
}

/// Spectra on one grid of wavelengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    name: String,
    /// Rising, evenly spaced.
    first_nm: f64,
    channels: usize,
    surfaces: Vec<Surface>,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Library {
    /// The built-in one: 281 spectra, 380 to 2500 nm.
    pub fn built_in() -> Arc<Self> {
        Arc::clone(&BUILT_IN)
    }

    /// Its spectra.
    pub fn surfaces(&self) -> &[Surface] {
        &self.surfaces
    }

    /// The numbers (positions here) of the spectra of a class in a half.
    pub fn of(&self, class: SurfaceClass, split: Split) -> Vec<usize> {
        let fits = |s: &&Surface| match split {
            Split::All => true,
            Split::Train => s.train,
            Split::HeldOut => s.held_out,
        };
        let all = self.surfaces.iter().enumerate();
        all.filter(|(_, s)| s.class == class && fits(s)).map(|(at, _)| at).collect()
    }

    /// A name that says class and source: `soil-867`.
    pub fn label(&self, at: usize) -> String {
        let surface = &self.surfaces[at];
        format!("{}-{}", surface.class.name(), surface.number)
    }

    /// Reflectance of a band: the mean over its Gaussian response as far as it is wider than the library's channels.
    pub(super) fn reflectance(&self, at: usize, centre_nm: f64, fwhm_nm: f64) -> f64 {
        let row = &self.surfaces[at].reflectance;
        let kernel = (fwhm_nm * fwhm_nm - STEP_NM * STEP_NM).max(0.0).sqrt();
        let value = |nm: f64| {
            let place = ((nm - self.first_nm) / STEP_NM).clamp(0.0, (self.channels - 1) as f64);
            let low = super::fields::index_of(place).min(self.channels - 2);
            let share = place - low as f64;
            f64::from(row[low]) * (1.0 - share) + f64::from(row[low + 1]) * share
        };
        if kernel < STEP_NM / 2.0 {
            return value(centre_nm);
        }
        let (mut sum, mut total) = (0.0, 0.0);
        for step in -6..=6 {
            // A quarter of the width a step: out to one and a half times the width.
            let off = f64::from(step) / 4.0;
            let weight = libm::exp(-4.0 * core::f64::consts::LN_2 * off * off);
            sum += weight * value(centre_nm + off * kernel);
            total += weight;
        }
        sum / total
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let u16_at = |at: usize| -> Result<usize> {
            let pair = bytes.get(at..at + 2).context("it ends early")?;
            Ok(usize::from(u16::from_le_bytes([pair[0], pair[1]])))
        };
        ensure!(bytes.starts_with(b"PBSURF1\n"), "not a library of surfaces");
        let (count, channels, first, step) = (u16_at(8)?, u16_at(10)?, u16_at(12)?, u16_at(14)?);
        ensure!(channels > 1 && step == 10, "{channels} channels of {step} nm");
        let size = 4 + 2 * channels;
        ensure!(bytes.len() == 16 + count * size, "{} bytes for {count} spectra", bytes.len());
        let surface = |record: &[u8]| {
            let half = record[3];
            let class = SurfaceClass::ALL.get(usize::from(record[2])).context("an unknown class")?;
            let (values, _) = record[4..].as_chunks::<2>();
            Ok(Surface {
                number: usize::from(u16::from_le_bytes([record[0], record[1]])),
                class: *class,
                train: half != 1,
                held_out: half != 0,
                reflectance: values.iter().map(|v| f32::from(u16::from_le_bytes(*v)) / 1e4).collect(),
            })
        };
        let surfaces = bytes[16..].chunks_exact(size).map(surface).collect::<Result<_>>()?;
        Ok(Self { name: "built-in".to_owned(), first_nm: first as f64, channels, surfaces })
    }

    /// Reads an ENVI spectral library: reflectance, wavelengths in its header; one spectrum a line, its channels either
    /// bands (one sample) or samples (one band, as in `.sli` files). Channels may overlap and need not rise.
    ///
    /// # Errors
    /// It can't be read, covers less than 400 to 2450 nm, or holds no usable spectrum.
    pub fn open(path: &Path) -> Result<Self> {
        let at = || format!("spectral library {}", path.display());
        let text = fs::read_to_string(path).with_context(at)?;
        let header = channels_as_bands(&text).with_context(at)?;
        let data = data_beside(path).with_context(at)?;
        let data = fs::read(&data).with_context(|| format!("reading {}", data.display()))?;
        Self::of_envi(header, data, path.display().to_string()).with_context(at)
    }

    fn of_envi(header: Header, data: Vec<u8>, name: String) -> Result<Self> {
        let spectra = header.lines.saturating_mul(header.samples);
        ensure!(spectra <= MAX_SPECTRA, "{spectra} spectra are more than {MAX_SPECTRA}");
        let wavelengths = header.wavelengths_nm.clone().context("its header has no wavelengths")?;
        let least = wavelengths.iter().copied().fold(f64::INFINITY, f64::min);
        let most = wavelengths.iter().copied().fold(0.0, f64::max);
        ensure!(least <= 400.0 && most >= 2450.0, "it covers {least} to {most} nm, not 400 to 2450");
        let bands: Vec<usize> = (0..header.bands).collect();
        let (samples, lines) = (header.samples, header.lines);
        let scales: Vec<(f64, f64)> = bands.iter().map(|b| header.scale(*b)).collect();
        let cube = Cube::new(header, data)?;
        let (first_nm, channels) = (380.0, 213);
        let grid = Grid::new(&wavelengths, first_nm, channels);
        let (mut surfaces, mut values) = (Vec::new(), Vec::new());
        for line in 0..lines {
            cube.lines_f32(line, 1, &bands, &mut values)?;
            for sample in 0..samples {
                let value = |b: usize| f64::from(values[b * samples + sample]) * scales[b].0 + scales[b].1;
                let source: Vec<f64> = bands.iter().map(|&b| value(b)).collect();
                let reflectance = grid.resample(&source);
                let sound = reflectance.iter().all(|v| v.is_finite() && (-0.05..=1.5).contains(v));
                let mean = reflectance.iter().sum::<f32>() / reflectance.len() as f32;
                if sound && mean > 0.008 {
                    let reflectance: Vec<f32> = reflectance.iter().map(|v| v.max(0.0005)).collect();
                    let class = class_of(&reflectance);
                    let number = line * samples + sample;
                    surfaces.push(Surface { number, class, train: true, held_out: true, reflectance });
                }
            }
        }
        ensure!(!surfaces.is_empty(), "not one of its {spectra} spectra is a reflectance");
        Ok(Self { name, first_nm, channels, surfaces })
    }
}

/// From a source's channels to an even grid.
struct Grid {
    /// For each channel of the grid: source channels and weights.
    rows: Vec<Vec<(usize, f64)>>,
}

impl Grid {
    fn new(wavelengths: &[f64], first_nm: f64, channels: usize) -> Self {
        let mut order: Vec<usize> = (0..wavelengths.len()).collect();
        order.sort_by(|a, b| wavelengths[*a].total_cmp(&wavelengths[*b]));
        let row = |n: usize| {
            let nm = first_nm + STEP_NM * n as f64;
            let near: Vec<(usize, f64)> = order
                .iter()
                .map(|&at| (at, (wavelengths[at] - nm) / STEP_NM))
                .filter(|(_, off)| off.abs() <= 1.5)
                .map(|(at, off)| (at, libm::exp(-4.0 * core::f64::consts::LN_2 * off * off)))
                .collect();
            if !near.is_empty() {
                return near;
            }
            let after = order.partition_point(|&at| wavelengths[at] < nm);
            let (to, from) = (order[after.min(order.len() - 1)], order[after.saturating_sub(1)]);
            let width = wavelengths[to] - wavelengths[from];
            let share = if width > 0.0 { ((nm - wavelengths[from]) / width).clamp(0.0, 1.0) } else { 0.0 };
            vec![(from, 1.0 - share), (to, share)]
        };
        Self { rows: (0..channels).map(row).collect() }
    }

    fn resample(&self, source: &[f64]) -> Vec<f32> {
        let mean = |row: &Vec<(usize, f64)>| {
            let total: f64 = row.iter().map(|(_, weight)| weight).sum();
            row.iter().map(|(at, weight)| source[*at] * weight).sum::<f64>() / total
        };
        self.rows.iter().map(|row| super::fields::f32_of(mean(row))).collect()
    }
}

/// The shape tests of `data/derive.py` on the 10 nm grid from 380 nm, without what it knows of its source's order.
fn class_of(row: &[f32]) -> SurfaceClass {
    let at = |nm: usize| f64::from(row[(nm - 380) / 10]);
    let depth = |left: usize, centre: usize, right: usize| {
        let share = (centre - left) as f64 / (right - left) as f64;
        1.0 - at(centre) / (at(left) * (1.0 - share) + at(right) * share).max(1e-3)
    };
    let count = row.len() as f64;
    let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let scatter =
        (row.iter().map(|v| (f64::from(*v) - mean) * (f64::from(*v) - mean)).sum::<f64>() / count).sqrt();
    let greenness = (at(860) - at(670)) / (at(860) + at(670)).max(1e-3);
    if mean < 0.06 && at(2200) < at(550) && at(860) < 0.05 {
        SurfaceClass::Water
    } else if at(550) > 0.5 && at(1550) < 0.35 * at(550) {
        SurfaceClass::Snow
    } else if greenness > 0.5 && at(1450) < 0.75 * at(860) {
        SurfaceClass::Vegetation
    } else if depth(1680, 1730, 1790) > 0.03 && depth(2260, 2310, 2360) > 0.03 && mean > 0.1 {
        if depth(2040, 2100, 2210) > 0.012 { SurfaceClass::Dry } else { SurfaceClass::Hydrocarbon }
    } else if depth(2250, 2340, 2390) > 0.07 {
        SurfaceClass::Carbonate
    } else if depth(2130, 2200, 2250) > 0.05 {
        SurfaceClass::Clay
    } else if mean > 0.45 && scatter / mean < 0.16 {
        SurfaceClass::Bright
    } else if at(2200) < 0.13 && at(860) < 0.16 && at(1650) < 0.15 {
        SurfaceClass::Dark
    } else if at(2200) > 1.6 * at(550) && at(1650) > at(860) {
        SurfaceClass::Soil
    } else {
        SurfaceClass::Rock
    }
}

/// The header with the channels as bands.
fn channels_as_bands(text: &str) -> Result<Header> {
    let header = Header::parse(text)?;
    if header.bands > 1 {
        return Ok(header);
    }
    // A `.sli` file: channels along the samples. As bands of one sample, interleaved by pixel, the bytes are the same.
    let swap = |line: &str| match line.split_once('=').map(|(key, _)| key.trim().to_lowercase()) {
        Some(key) if key == "samples" => "samples = 1".to_owned(),
        Some(key) if key == "bands" => format!("bands = {}", header.samples),
        Some(key) if key == "interleave" => "interleave = bip".to_owned(),
        _ => line.to_owned(),
    };
    Ok(Header::parse(&text.lines().map(swap).collect::<Vec<_>>().join("\n"))?)
}

/// The data file of a header.
pub(super) fn data_beside(header: &Path) -> Result<std::path::PathBuf> {
    let stem = header.with_extension("");
    let endings = ["bil", "bip", "bsq", "img", "dat", "raw", "bin", "sli"];
    let with = endings.iter().map(|e| std::path::PathBuf::from(format!("{}.{e}", stem.display())));
    match std::iter::once(stem.clone()).chain(with).find(|p| p.is_file()) {
        Some(path) => Ok(path),
        None => {
            bail!("there is no data file {} (as it is, or with .bil, .bip, .bsq, .img …)", stem.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_are_disjoint_and_each_has_every_class() {
        let library = Library::built_in();
        assert!(library.surfaces().len() > 250);
        for class in SurfaceClass::ALL {
            let (train, held) = (library.of(class, Split::Train), library.of(class, Split::HeldOut));
            assert!(!train.is_empty() && !held.is_empty(), "{class:?}");
            let both = train.iter().filter(|at| held.contains(at)).count();
            assert_eq!(both, usize::from(class == SurfaceClass::Water), "{class:?}");
            let all = library.of(class, Split::All).len();
            assert_eq!(all + both, train.len() + held.len());
        }
    }

    #[test]
    fn no_spectrum_of_one_half_is_a_near_copy_of_one_of_the_other() {
        let library = Library::built_in();
        let dot = |a: &Surface, b: &Surface| -> f64 {
            a.reflectance.iter().zip(&b.reflectance).map(|(a, b)| f64::from(a * b)).sum()
        };
        for (n, one) in library.surfaces().iter().enumerate().filter(|(_, s)| !s.held_out) {
            for (m, other) in library.surfaces().iter().enumerate().filter(|(_, s)| !s.train) {
                let cosine = dot(one, other) / (dot(one, one) * dot(other, other)).sqrt();
                let angle = libm::acos(cosine.min(1.0)).to_degrees();
                assert!(angle > 2.0, "{} and {}: {angle}", library.label(n), library.label(m));
            }
        }
    }

    #[test]
    fn a_wide_band_is_the_mean_and_a_narrow_one_the_value() {
        let library = Library::built_in();
        let green = library.of(SurfaceClass::Vegetation, Split::All)[0];
        let at = |nm, fwhm| library.reflectance(green, nm, fwhm);
        assert!((at(860.0, 5.0) - f64::from(library.surfaces()[green].reflectance[48])).abs() < 1e-6);
        // Over the red edge a wide band mixes red and infrared.
        assert!(at(690.0, 60.0) > at(690.0, 5.0));
    }

    #[test]
    fn both_shapes_of_an_envi_library_are_read() {
        let channels: Vec<String> = (0..22).map(|n| (350 + 105 * n).to_string()).collect();
        let values: Vec<f32> = (0..22).map(|n| 0.2 + 0.01 * n as f32).chain([7.0; 22]).collect();
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let list = channels.join(", ");
        let read = |samples: usize, bands: usize| {
            let text = format!(
                "ENVI\nsamples = {samples}\nlines = 2\nbands = {bands}\ndata type = 4\ninterleave = bil\n\
                 byte order = 0\nwavelength units = Nanometers\nwavelength = {{{list}}}\n"
            );
            Library::of_envi(channels_as_bands(&text).unwrap(), data.clone(), String::new()).unwrap()
        };
        assert_eq!(read(1, 22), read(22, 1));
        assert_eq!(read(1, 22).surfaces().len(), 1, "7.0 is no reflectance");
        assert!((read(1, 22).reflectance(0, 875.0, 5.0) - 0.25).abs() < 2e-3);
    }
}
