//! From entries to a [`Header`]: what each field means and which values are refused.

use super::geometry::geometry;
use super::lex::{Entries, Entry, short};
use super::lists::{self, Lists};
use super::{ByteOrder, DataType, EnviError, Header, Interleave, MAX_BANDS, MAX_DATA_BYTES, MAX_SIDE};
use crate::geo::Geometry;

/// Sides of a pixel that are taken, m.
const PIXEL_M: core::ops::RangeInclusive<f64> = 0.01..=100_000.0;
/// Largest header offset, bytes.
const MAX_OFFSET_BYTES: usize = 1 << 40;

/// Interprets a header's fields.
pub(super) fn header(entries: &Entries) -> Result<Header, EnviError> {
    let mut notes = entries.notes.clone();
    refuse_what_is_not_flat(entries)?;
    let samples = required(entries, "samples", MAX_SIDE)?;
    let lines = required(entries, "lines", MAX_SIDE)?;
    let bands = required(entries, "bands", MAX_BANDS)?;
    let data_type = data_type(entries)?;
    let header_offset = match entries.get("header offset") {
        Some(entry) => whole(entry, 0, MAX_OFFSET_BYTES)? as u64,
        None => 0,
    };
    let Lists { wavelengths_nm, fwhm_nm, bad_bands, gains, offsets, default_bands } =
        lists::lists(entries, bands, &mut notes)?;
    let mut notes_of_place = Vec::new();
    let geometry = geometry(entries, &mut notes_of_place);
    let pixel_size_m = pixel_size(entries, geometry.as_ref(), &mut notes);
    notes.extend(notes_of_place);
    let header = Header {
        samples,
        lines,
        bands,
        data_type,
        interleave: interleave(entries, bands, &mut notes)?,
        byte_order: byte_order(entries, data_type, &mut notes)?,
        header_offset,
        wavelengths_nm,
        fwhm_nm,
        bad_bands,
        gains,
        offsets,
        reflectance_scale: number(entries, "reflectance scale factor", |v| v > 0.0, &mut notes),
        data_ignore_value: number(entries, "data ignore value", |_| true, &mut notes),
        data_units: text(entries, "data units"),
        sun_elevation_deg: number(entries, "sun elevation", |v| (-90.0..=90.0).contains(&v), &mut notes),
        pixel_size_m,
        geometry,
        wind_m_s: number(entries, "wind speed", |v| (0.0..=200.0).contains(&v), &mut notes),
        band_names: names(entries, bands),
        default_bands,
        description: text(entries, "description"),
        notes,
    };
    if header.data_bytes() > MAX_DATA_BYTES {
        return Err(EnviError::TooLarge { samples, lines, bands });
    }
    Ok(header)
}

/// Layouts that only look like a flat array of samples.
fn refuse_what_is_not_flat(entries: &Entries) -> Result<(), EnviError> {
    if let Some(entry) = entries.get("file compression").filter(|e| plain(e) != "0") {
        return Err(entry.invalid("compressed data files are not read; decompress it first"));
    }
    for name in ["major frame offsets", "minor frame offsets"] {
        if let Some(entry) = entries.get(name) {
            let numbers = lists::numbers(&entry.value).unwrap_or_default();
            if numbers.is_empty() || numbers.iter().any(|&n| n != 0.0) {
                return Err(entry.invalid("frames with embedded offsets are not read"));
            }
        }
    }
    if let Some(entry) = entries.get("file type") {
        let kind = plain(entry).to_lowercase();
        if ["tiff", "jpeg", "jp2", "hdf", "nitf", "netcdf", "png"].iter().any(|k| kind.contains(k)) {
            return Err(entry.invalid("the data file is in another format, not a flat array of samples"));
        }
    }
    Ok(())
}

fn required(entries: &Entries, name: &'static str, most: usize) -> Result<usize, EnviError> {
    whole(entries.get(name).ok_or(EnviError::Missing { field: name })?, 1, most)
}

/// A whole number between `least` and `most`.
fn whole(entry: &Entry, least: usize, most: usize) -> Result<usize, EnviError> {
    let range = || entry.invalid(format!("must be a whole number from {least} to {most}"));
    let text = plain(entry);
    let value = match text.parse::<usize>() {
        Ok(value) => value,
        // "100.0" is written by some tools; anything that is not whole is refused.
        Err(_) => match text.strip_suffix(".0").map(str::parse::<usize>) {
            Some(Ok(value)) => value,
            _ => return Err(range()),
        },
    };
    if (least..=most).contains(&value) { Ok(value) } else { Err(range()) }
}

fn data_type(entries: &Entries) -> Result<DataType, EnviError> {
    let entry = entries.get("data type").ok_or(EnviError::Missing { field: "data type" })?;
    let code = whole(entry, 0, 255)?;
    if code == 6 || code == 9 {
        return Err(entry.invalid("complex samples are not read"));
    }
    DataType::ALL.into_iter().find(|t| usize::from(t.code()) == code).ok_or_else(|| {
        entry.invalid(
            "not a type that is read (1 u8, 2 i16, 3 i32, 4 f32, 5 f64, 12 u16, 13 u32, 14 i64, 15 u64)",
        )
    })
}

fn interleave(entries: &Entries, bands: usize, notes: &mut Vec<String>) -> Result<Interleave, EnviError> {
    let Some(entry) = entries.get("interleave") else {
        if bands == 1 {
            notes.push("no `interleave`; with one band all are the same".to_owned());
            return Ok(Interleave::Bsq);
        }
        return Err(EnviError::Missing { field: "interleave" });
    };
    let name = plain(entry).to_lowercase();
    Interleave::ALL
        .into_iter()
        .find(|i| i.name() == name)
        .ok_or_else(|| entry.invalid("must be bil, bip or bsq"))
}

fn byte_order(
    entries: &Entries,
    data_type: DataType,
    notes: &mut Vec<String>,
) -> Result<ByteOrder, EnviError> {
    let Some(entry) = entries.get("byte order") else {
        if data_type.bytes() > 1 {
            notes.push("no `byte order`; taken as 0, little endian".to_owned());
        }
        return Ok(ByteOrder::Little);
    };
    match plain(entry).to_lowercase().as_str() {
        "0" => Ok(ByteOrder::Little),
        "1" => Ok(ByteOrder::Big),
        word if word.starts_with("little") || word.starts_with("host (intel") => Ok(ByteOrder::Little),
        word if word.starts_with("big") || word.starts_with("network") => Ok(ByteOrder::Big),
        _ if data_type.bytes() == 1 => Ok(ByteOrder::Little),
        _ => Err(entry.invalid("must be 0 (little endian) or 1 (big endian)")),
    }
}

/// An optional number; one that cannot be used is left out with a note.
fn number(
    entries: &Entries,
    name: &str,
    sound: impl Fn(f64) -> bool,
    notes: &mut Vec<String>,
) -> Option<f64> {
    let entry = entries.get(name)?;
    let value = plain(entry).parse::<f64>().ok().filter(|&v| sound(v));
    if value.is_none() {
        notes.push(format!(
            "`{name} = {}` (line {}) cannot be used; left out",
            short(&entry.value),
            entry.line
        ));
    }
    value
}

/// The side of a pixel: the mean of both sides in `pixel size`, else in `map info`, where the units are metres.
fn pixel_size(entries: &Entries, geometry: Option<&Geometry>, notes: &mut Vec<String>) -> Option<f64> {
    let own = entries.get("pixel size");
    let map = entries.get("map info");
    let line = own.or(map)?.line;
    // Projection, reference pixel (x, y), its easting and northing, then the pixel's width and height.
    let of_map = || match geometry {
        Some(Geometry::Map(map)) => map.pixel_m().filter(|m| PIXEL_M.contains(m)),
        _ => pixel_size_of(map?, 5),
    };
    let found = own.and_then(|own| pixel_size_of(own, 0)).or_else(of_map);
    if found.is_none() {
        notes.push(format!("line {line}: no size of a pixel in metres; left out"));
    }
    found
}

/// The mean side of a pixel, m, that a list gives after some words.
fn pixel_size_of(entry: &Entry, skipped: usize) -> Option<f64> {
    let words: Vec<&str> = entry.value.split(',').map(str::trim).collect();
    let units = words
        .iter()
        .find_map(|w| w.to_lowercase().strip_prefix("units")?.trim().strip_prefix('=').map(str::to_owned));
    let in_metres = units.is_none_or(|u| u.trim().starts_with("met"));
    let sides = words.get(skipped..).unwrap_or_default().iter().map_while(|w| w.parse::<f64>().ok());
    let sides: Vec<f64> = sides.take(2).filter(|s| PIXEL_M.contains(s)).collect();
    (in_metres && !sides.is_empty()).then(|| sides.iter().sum::<f64>() / sides.len() as f64)
}

/// `band names`, if there is one for each band.
fn names(entries: &Entries, bands: usize) -> Option<Vec<String>> {
    let names: Vec<String> =
        entries.get("band names")?.value.split(',').map(|n| n.trim().to_owned()).collect();
    (names.len() == bands).then_some(names)
}

fn text(entries: &Entries, name: &str) -> Option<String> {
    entries.get(name).map(|e| e.value.clone()).filter(|v| !v.is_empty())
}

/// A scalar's text without a comment after it.
fn plain(entry: &Entry) -> &str {
    entry.value.split(';').next().unwrap_or("").trim()
}
