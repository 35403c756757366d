//! Which bands are looked at: those of the gas's window and a few for the cloud mask.

use crate::envi::{DataType, Header};
use crate::numeric::{f32_of, quantile};
use crate::target::Target;

/// Bands outside this range of the window's reach would be of another absorption; a gap this wide between
/// neighbours says that the instrument has no band there, nm.
const NEAR_NM: f64 = 30.0;
/// Bands looked at for quality where there is no window.
const SPREAD_BANDS: usize = 8;
/// Most bands of a window; more are thinned out evenly.
const MAX_WINDOW_BANDS: usize = 160;

/// Snow and ice are dark here, clouds of water are not.
pub(super) const SNOW_NM: f64 = 1650.0;
/// Water vapour hides here what lies below some kilometres.
pub(super) const CIRRUS_NM: f64 = 1380.0;

/// Centres of the bands for the cloud mask, nm, with the sun's irradiance there outside the atmosphere,
/// µW cm⁻² nm⁻¹ (TSIS-1 hybrid solar reference spectrum, means over 20 nm).
const CLOUD_BANDS: [(f64, f64); 6] =
    [(470.0, 206.4), (550.0, 188.1), (660.0, 152.2), (865.0, 95.05), (CIRRUS_NM, 36.0), (SNOW_NM, 22.40)];
/// The cirrus band is narrow: beside it there is light from the ground.
const CIRRUS_REACH_NM: f64 = 12.0;

/// The bands of a gas's windows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Rising with wavelength.
    pub(super) bands: Vec<usize>,
    pub(super) wavelengths_nm: Vec<f64>,
    /// Absorption per ppm·m of each band.
    pub(super) absorption: Vec<f64>,
    /// Optical depth of each band at the columns of the target's curve of growth, ppm·m.
    pub(super) depths: Vec<(f64, Vec<f64>)>,
    /// Number of bands in each of the windows, in order.
    pub(super) parts: Vec<usize>,
}

/// A band for the cloud mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CloudBand {
    pub(super) band: usize,
    pub(super) wavelength_nm: f64,
    /// Solar irradiance, µW cm⁻² nm⁻¹.
    pub(super) irradiance: f64,
}

/// The target's windows, if the header has wavelengths and enough good bands lie in them.
pub(super) fn window(header: &Header, target: &Target, fewest: usize) -> Option<Window> {
    let wavelengths = header.wavelengths_nm.as_ref()?;
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut parts = Vec::new();
    for [from, to] in target.windows_nm() {
        let mut here: Vec<(usize, f64)> = wavelengths
            .iter()
            .copied()
            .enumerate()
            .filter(|&(band, nm)| nm >= *from && nm <= *to && !header.is_bad_band(band))
            .collect();
        here.sort_by(|a, b| a.1.total_cmp(&b.1));
        // Two or three bands at the end of a window tell nothing.
        if here.len() >= fewest.max(2) {
            parts.push(here.len());
            found.extend(here);
        }
    }
    let step = found.len().div_ceil(MAX_WINDOW_BANDS).max(1);
    if step > 1 {
        let mut at = 0;
        for part in &mut parts {
            let kept = (at..at + *part).filter(|i| i.is_multiple_of(step)).count();
            at += *part;
            *part = kept;
        }
        found = found.into_iter().step_by(step).collect();
    }
    let gaps = found.windows(2).map(|two| match two {
        [a, b] => b.1 - a.1,
        _ => f64::NAN,
    });
    let mut gaps: Vec<f32> = gaps.map(f32_of).collect();
    let spacing = f64::from(quantile(&mut gaps, 0.5)?).max(0.1) / step as f64;
    let fwhm = |band: usize| {
        let stated = header.fwhm_nm.as_ref().and_then(|l| l.get(band)).copied();
        stated.filter(|&nm| nm > 0.0 && nm < 200.0).unwrap_or(spacing)
    };
    let absorption: Vec<f64> =
        found.iter().map(|&(band, nm)| target.band_absorption(nm, fwhm(band))).collect();
    if found.len() < fewest.max(2) || absorption.iter().all(|&k| k <= 0.0) {
        return None;
    }
    let curves: Vec<Vec<f64>> = found.iter().map(|&(band, nm)| target.band_depths(nm, fwhm(band))).collect();
    let depths = (target.columns_ppm_m().iter().enumerate())
        .map(|(nth, column)| (*column, curves.iter().map(|c| c.get(nth).copied().unwrap_or(0.0)).collect()))
        .collect();
    let (bands, wavelengths_nm) = found.into_iter().unzip();
    Some(Window { bands, wavelengths_nm, absorption, depths, parts })
}

impl Window {
    /// The window without the bands that are marked; `None` if too few are left.
    pub(super) fn without(mut self, marked: &[bool], fewest: usize) -> Option<Self> {
        if !marked.contains(&true) {
            return Some(self);
        }
        let mut part_of: Vec<usize> = self
            .parts
            .iter()
            .enumerate()
            .flat_map(|(part, count)| std::iter::repeat_n(part, *count))
            .collect();
        keep(&mut self.bands, marked);
        keep(&mut self.wavelengths_nm, marked);
        keep(&mut self.absorption, marked);
        keep(&mut part_of, marked);
        self.depths.iter_mut().for_each(|(_, depths)| keep(depths, marked));
        for (part, count) in self.parts.iter_mut().enumerate() {
            *count = part_of.iter().filter(|p| **p == part).count();
        }
        (self.bands.len() >= fewest.max(2) && self.absorption.iter().any(|k| *k > 0.0)).then_some(self)
    }
}

fn keep<T>(values: &mut Vec<T>, marked: &[bool]) {
    let mut marks = marked.iter();
    values.retain(|_| !marks.next().copied().unwrap_or(false));
}

/// The bands nearest to those that a cloud is told by, as far as the instrument has them.
pub(super) fn cloud_bands(header: &Header) -> Vec<CloudBand> {
    CLOUD_BANDS
        .iter()
        .filter_map(|&(wanted, irradiance)| {
            let cirrus = (wanted - CIRRUS_NM).abs() < 1.0;
            let band = nearest_band(header, wanted, if cirrus { CIRRUS_REACH_NM } else { NEAR_NM })?;
            Some(CloudBand { band, wavelength_nm: wanted, irradiance })
        })
        .collect()
}

/// The good band nearest to a wavelength, if there is one within `reach_nm`.
pub(crate) fn nearest_band(header: &Header, wanted_nm: f64, reach_nm: f64) -> Option<usize> {
    let distance = |nm: f64| (nm - wanted_nm).abs();
    let candidates = header.wavelengths_nm.as_ref()?.iter().copied().enumerate();
    candidates
        .filter(|&(band, nm)| distance(nm) <= reach_nm && !header.is_bad_band(band))
        .min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)))
        .map(|(band, _)| band)
}

/// Some good bands from all over the cube.
pub(super) fn spread(header: &Header) -> Vec<usize> {
    let good: Vec<usize> = (0..header.bands).filter(|&b| !header.is_bad_band(b)).collect();
    let step = good.len().div_ceil(SPREAD_BANDS).max(1);
    good.into_iter().skip(step / 2).step_by(step).collect()
}

/// What a stored value means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Radiometry {
    /// Reflectance, 0 to about 1.
    Reflectance,
    /// Radiance; the factor makes it µW cm⁻² nm⁻¹ sr⁻¹.
    Radiance(f64),
    /// Digital numbers.
    Unknown,
}

impl Radiometry {
    /// From the header's word, and where it is silent from how bright the frame's brighter pixels are around 0.66 µm
    /// (`bright`, after gain and offset): the sun allows at most some 60 µW cm⁻² nm⁻¹ sr⁻¹.
    pub(super) fn of(header: &Header, bright: Option<f32>) -> Self {
        let units = header.data_units.as_deref().unwrap_or("").to_lowercase().replace(' ', "");
        if header.reflectance_scale.is_some() || units.contains("reflectance") {
            return Self::Reflectance;
        }
        let microwatts = ["uw", "µw", "μw", "microw"].iter().any(|u| units.contains(u));
        if microwatts && units.contains("cm") {
            return Self::Radiance(1.0);
        }
        if units.contains("w/m^2/um") || units.contains("w/(m^2*um*sr)") || units.contains("w/m2/um") {
            return Self::Radiance(0.1);
        }
        let calibrated = header.gains.is_some() || matches!(header.data_type, DataType::F32 | DataType::F64);
        match bright {
            Some(value) if calibrated && value > 0.0 && value <= 1.5 => Self::Reflectance,
            Some(value) if calibrated && value > 1.5 && value <= 80.0 => Self::Radiance(1.0),
            Some(value) if calibrated && value > 80.0 && value <= 800.0 => Self::Radiance(0.1),
            _ => Self::Unknown,
        }
    }

    /// Apparent reflectance of a physical value.
    pub(super) fn reflectance(self, value: f64, irradiance: f64, sun_cosine: f64) -> f64 {
        match self {
            Self::Reflectance => value,
            Self::Radiance(factor) => core::f64::consts::PI * value * factor / (irradiance * sun_cosine),
            Self::Unknown => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(wavelengths: Vec<f64>) -> Header {
        let mut header = Header::new(4, 4, wavelengths.len(), DataType::U16);
        header.wavelengths_nm = Some(wavelengths);
        header
    }

    #[test]
    fn a_window_is_sorted_and_leaves_bad_bands_out() {
        let mut header = header((0..40).rev().map(|i| 2100.0 + 10.0 * f64::from(i)).collect());
        header.bad_bands = Some((0..40).map(|b| b == 5).collect());
        let window = window(&header, &Target::ch4(), 8).unwrap();
        assert!(window.wavelengths_nm.is_sorted());
        assert!(!window.bands.contains(&5));
        assert_eq!((window.bands.len(), window.parts.as_slice()), (35, [35].as_slice()));
        assert!(window.depths.iter().all(|(_, depths)| depths.len() == 35));
        assert!(window.absorption.iter().all(|&k| k >= 0.0));
    }

    #[test]
    fn marked_bands_leave_every_list() {
        let header = header((0..90).map(|i| 1600.0 + 10.0 * f64::from(i)).collect());
        let window = window(&header, &Target::ch4(), 8).unwrap();
        let marked: Vec<bool> = (0..window.bands.len()).map(|b| b == 3 || b > 50).collect();
        let (parts, bands) = (window.parts.clone(), window.bands.clone());
        let less = window.without(&marked, 8).unwrap();
        assert_eq!(less.parts, [parts[0] - 1, 51 - parts[0]]);
        assert_eq!((less.bands.len(), less.bands[3], less.depths[0].1.len()), (50, bands[4], 50));
        assert_eq!(less.without(&[true; 50], 8), None);
    }

    #[test]
    fn without_bands_in_the_window_there_is_none() {
        assert_eq!(window(&header(vec![500.0, 600.0]), &Target::ch4(), 8), None);
        assert_eq!(window(&Header::new(4, 4, 9, DataType::U16), &Target::ch4(), 8), None);
    }

    #[test]
    fn units_come_from_the_header_or_from_the_brightness() {
        let mut header = header(vec![660.0]);
        assert_eq!(Radiometry::of(&header, Some(30.0)), Radiometry::Unknown);
        header.gains = Some(vec![0.01]);
        assert_eq!(Radiometry::of(&header, Some(30.0)), Radiometry::Radiance(1.0));
        assert_eq!(Radiometry::of(&header, Some(300.0)), Radiometry::Radiance(0.1));
        assert_eq!(Radiometry::of(&header, Some(0.3)), Radiometry::Reflectance);
        assert_eq!(Radiometry::of(&header, Some(30_000.0)), Radiometry::Unknown);
        header.data_units = Some("uW/cm^2/nm/sr".to_owned());
        assert_eq!(Radiometry::of(&header, None), Radiometry::Radiance(1.0));
        header.reflectance_scale = Some(5000.0);
        assert_eq!(Radiometry::of(&header, None), Radiometry::Reflectance);
    }

    #[test]
    fn a_spread_of_bands_is_small_and_exists() {
        for bands in [1, 3, 8, 9, 328] {
            let spread = spread(&Header::new(1, 1, bands, DataType::U16));
            assert!(!spread.is_empty() && spread.len() <= 8 && spread.iter().all(|&b| b < bands));
        }
    }
}
