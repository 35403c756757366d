//! The per-band lists of a header: wavelengths, widths, bad bands, gains and offsets.
//!
//! A list that only describes (wavelengths, widths, bad bands) is left out with a note when it cannot be used; one
//! that changes a sample's value (gains, offsets) is refused.

use super::EnviError;
use super::lex::{Entries, Entry, short};

/// The lists of a header, each as long as there are bands.
pub(super) struct Lists {
    pub(super) wavelengths_nm: Option<Vec<f64>>,
    pub(super) fwhm_nm: Option<Vec<f64>>,
    pub(super) bad_bands: Option<Vec<bool>>,
    pub(super) gains: Option<Vec<f64>>,
    pub(super) offsets: Option<Vec<f64>>,
    pub(super) default_bands: Option<[usize; 3]>,
}

/// Interprets all the lists.
pub(super) fn lists(entries: &Entries, bands: usize, notes: &mut Vec<String>) -> Result<Lists, EnviError> {
    let wavelengths = described(entries, "wavelength", bands, |v| v > 0.0, notes);
    let unit = wavelengths.as_ref().and_then(|list| unit_nm(entries, list, notes));
    let scaled = |list: Vec<f64>| unit.map(|nm| list.into_iter().map(|v| v * nm).collect::<Vec<_>>());
    let wavelengths_nm = wavelengths.and_then(scaled);
    if let Some(list) = &wavelengths_nm
        && !list.is_sorted_by(|a, b| a < b)
    {
        notes.push("the wavelengths do not rise from band to band; each band keeps its own".to_owned());
    }
    let fwhm_nm = described(entries, "fwhm", bands, |v| v >= 0.0, notes).and_then(scaled);
    let bad_bands = described(entries, "bbl", bands, |_| true, notes)
        .map(|list| list.into_iter().map(|v| v == 0.0).collect());
    Ok(Lists {
        wavelengths_nm,
        fwhm_nm,
        bad_bands,
        gains: applied(entries, "data gain values", bands)?,
        offsets: applied(entries, "data offset values", bands)?,
        default_bands: default_bands(entries, bands),
    })
}

/// The numbers of a list, separated by commas or white space; `None` if one of them is not a number.
pub(super) fn numbers(value: &str) -> Option<Vec<f64>> {
    let separator = |c: char| c == ',' || c.is_whitespace();
    value.split(separator).filter(|item| !item.is_empty()).map(|item| item.parse::<f64>().ok()).collect()
}

/// A list that describes the bands: left out with a note when it cannot be used.
fn described(
    entries: &Entries,
    name: &str,
    bands: usize,
    sound: impl Fn(f64) -> bool,
    notes: &mut Vec<String>,
) -> Option<Vec<f64>> {
    let entry = entries.get(name)?;
    let line = entry.line;
    let Some(list) = numbers(&entry.value) else {
        notes.push(format!("`{name}` (line {line}) holds something that is no number; left out"));
        return None;
    };
    if list.len() != bands {
        notes.push(format!("`{name}` (line {line}) has {} values for {bands} bands; left out", list.len()));
        return None;
    }
    if let Some(bad) = list.iter().find(|v| !v.is_finite() || !sound(**v)) {
        notes.push(format!("`{name}` (line {line}) holds {bad}, which cannot be; left out"));
        return None;
    }
    Some(list)
}

/// A list that is applied to the samples: refused when it cannot be used.
fn applied(entries: &Entries, name: &str, bands: usize) -> Result<Option<Vec<f64>>, EnviError> {
    let Some(entry) = entries.get(name) else { return Ok(None) };
    let list = numbers(&entry.value).ok_or_else(|| entry.invalid("holds something that is no number"))?;
    if list.len() != bands {
        return Err(entry.invalid(format!("{} values for {bands} bands", list.len())));
    }
    if let Some(bad) = list.iter().find(|v| !v.is_finite()) {
        return Err(entry.invalid(format!("holds {bad}")));
    }
    Ok(Some(list))
}

/// ENVI counts bands from 1 here; a list that does not fit is of no consequence.
fn default_bands(entries: &Entries, bands: usize) -> Option<[usize; 3]> {
    let list = numbers(&entries.get("default bands")?.value)?;
    let zero_based: Vec<usize> = list
        .iter()
        .filter_map(|&v| (0..bands).find(|&b| (v - (b + 1) as f64).abs() < f64::EPSILON))
        .collect();
    <[usize; 3]>::try_from(zero_based).ok().filter(|_| list.len() == 3)
}

/// How many nanometres the header's unit of wavelength is; `None` when the values are no wavelengths.
fn unit_nm(entries: &Entries, list: &[f64], notes: &mut Vec<String>) -> Option<f64> {
    let (low, high) = list.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
    let entry = entries.get("wavelength units");
    let word = entry.map(|e| e.value.to_lowercase()).unwrap_or_default();
    let stated = match word.trim() {
        "nm" | "nanometers" | "nanometer" | "nanometres" | "nanometre" => 1.0,
        "um" | "µm" | "μm" | "microns" | "micron" | "micrometers" | "micrometer" | "micrometres"
        | "micrometre" => 1e3,
        "mm" | "millimeters" | "millimetres" => 1e6,
        "cm" | "centimeters" | "centimetres" => 1e7,
        "m" | "meters" | "metres" => 1e9,
        "angstroms" | "angstrom" | "å" => 0.1,
        "" | "unknown" | "none" | "n/a" => return guessed(low, high, notes),
        _ => {
            let what = entry.map(described_unit).unwrap_or_default();
            notes.push(format!("{what} is no unit of length; read as a cube without wavelengths"));
            return None;
        }
    };
    if plausible(low * stated, high * stated) {
        return Some(stated);
    }
    let other = [1.0, 1e3].into_iter().find(|&nm| plausible(low * nm, high * nm));
    let what = entry.map(described_unit).unwrap_or_default();
    match other {
        Some(nm) => {
            notes.push(format!("{what} cannot be with values {low} to {high}; taken as {}", unit_name(nm)));
        }
        None => {
            notes.push(format!("{what} with values {low} to {high} is outside the optical range; left out"));
        }
    }
    other
}

fn guessed(low: f64, high: f64, notes: &mut Vec<String>) -> Option<f64> {
    let found = [1.0, 1e3].into_iter().find(|&nm| plausible(low * nm, high * nm));
    match found {
        Some(nm) => notes.push(format!("no `wavelength units`; from the values taken as {}", unit_name(nm))),
        None => {
            notes.push(format!("no `wavelength units`, and {low} to {high} is neither nm nor µm; left out"));
        }
    }
    found
}

/// From the ultraviolet to the far infrared, nm.
fn plausible(low_nm: f64, high_nm: f64) -> bool {
    low_nm >= 100.0 && high_nm <= 100_000.0
}

fn unit_name(nm: f64) -> &'static str {
    if nm > 1.0 { "micrometres" } else { "nanometres" }
}

fn described_unit(entry: &Entry) -> String {
    format!("`wavelength units = {}` (line {})", short(&entry.value), entry.line)
}
