//! The header of a cut-out: the text of the cube's own, with what a cut changes put right and all else kept, fields
//! that nobody here knows among it.

use core::fmt::Write;

use super::lex::{self, Entry};
use super::write::write_geometry;
use super::{EnviError, Header};
use crate::cube::Cut;

/// What the cut-out has of its own, or doesn't have.
const REPLACED: [&str; 8] =
    ["samples", "lines", "header offset", "x start", "y start", "map info", "geo points", RPC];

/// Rational polynomials from the ground to the image: the offsets of line and sample, 8 more offsets and scales, 4 times
/// 20 coefficients, and in some files 3 more values (ENVI's header format; GDAL's ENVI driver reads the same).
const RPC: &str = "rpc info";
const RPC_VALUES: usize = 90;

/// The header of `cut`, made of the text of the whole cube's header. Where the pixels are on the ground moves with the
/// cut; what is said of that in a way that can't be read is left out, so that nothing wrong is said. `x start` and
/// `y start` tell where in the whole image the first pixel is, from 1.
///
/// # Errors
/// The text can't be read as a header.
pub fn cut_header(text: &str, cut: &Cut) -> Result<String, EnviError> {
    let entries = lex::entries(text)?;
    let whole = Header::parse(text)?;
    let mut out = String::from("ENVI\n");
    let start = |name: &str| {
        entries.get(name).and_then(|entry| entry.value.trim().parse::<f64>().ok()).unwrap_or(1.0)
    };
    let (x, y) = (cut.samples.start as f64, cut.lines.start as f64);
    let own = [
        ("samples", cut.samples.len().min(whole.samples) as f64),
        ("lines", cut.lines.len().min(whole.lines) as f64),
        ("header offset", 0.0),
        ("x start", start("x start") + x),
        ("y start", start("y start") + y),
    ];
    for (name, value) in own {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name} = {value}");
    }
    for (nth, entry) in entries.entries.iter().enumerate() {
        let again = entries.entries.iter().skip(nth.saturating_add(1)).any(|later| later.name == entry.name);
        if !again && !REPLACED.contains(&entry.name.as_str()) {
            write_entry(&mut out, entry);
        }
    }
    if let Some(geometry) = &whole.geometry {
        write_geometry(&mut out, &geometry.shifted(cut.lines.start, cut.samples.start));
    }
    if let Some(moved) = entries.get(RPC).and_then(|entry| moved_rpc(&entry.value, [y, x])) {
        let _ = writeln!(out, "{RPC} = {{{moved}}}");
    }
    Ok(out)
}

/// The polynomials for an image that begins at this line and sample; `None` for what isn't such.
fn moved_rpc(value: &str, begin: [f64; 2]) -> Option<String> {
    let values: Vec<&str> = value.split(',').map(str::trim).collect();
    let numbers: Vec<f64> = values.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
    if numbers.len() < RPC_VALUES || !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let offsets = numbers.iter().zip(begin).map(|(offset, begin)| (offset - begin).to_string());
    let rest = values.iter().skip(begin.len()).map(|text| (*text).to_owned());
    Some(offsets.chain(rest).collect::<Vec<_>>().join(", "))
}

fn write_entry(out: &mut String, entry: &Entry) {
    let Entry { name, value, .. } = entry;
    let _ =
        if entry.braced { writeln!(out, "{name} = {{{value}}}") } else { writeln!(out, "{name} = {value}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ENVI
description = {two
 lines}
samples = 50
lines = 40
lines = 60
bands = 2
header offset = 128
data type = 4
interleave = bsq
Acquisition  Time = 2026-01-01T00:00:00Z
wavelength = {1.5,
 2.5}
map info = {UTM, 1, 1, 500000, 3500000, 8, 8, 13, North, WGS-84}
y start = 11
";

    #[test]
    fn what_a_cut_changes_is_put_right_and_all_else_is_kept() {
        let text = cut_header(TEXT, &Cut { lines: 20..25, samples: 10..50 }).unwrap();
        let header = Header::parse(&text).unwrap();
        assert_eq!((header.samples, header.lines, header.bands, header.header_offset), (40, 5, 2, 0));
        assert_eq!(header.wavelengths_nm, Header::parse(TEXT).unwrap().wavelengths_nm);
        for line in [
            "x start = 11\n",
            "y start = 31\n",
            "acquisition time = 2026-01-01T00:00:00Z\n",
            "description = {two\nlines}\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        assert_eq!(text.matches("lines = ").count(), 1, "{text}");
        let (whole, cut) = (Header::parse(TEXT).unwrap().geometry.unwrap(), header.geometry.unwrap());
        let (there, here) = (whole.position(23.0, 14.0).unwrap(), cut.position(3.0, 4.0).unwrap());
        assert!((there.latitude_deg - here.latitude_deg).abs() < 1e-9, "{there:?} {here:?}");
        assert!((there.longitude_deg - here.longitude_deg).abs() < 1e-9, "{there:?} {here:?}");
    }

    #[test]
    fn a_cut_of_a_cut_is_the_cut_of_both() {
        let once = cut_header(TEXT, &Cut { lines: 20..50, samples: 10..50 }).unwrap();
        let twice = cut_header(&once, &Cut { lines: 5..9, samples: 3..7 }).unwrap();
        assert_eq!(twice, cut_header(TEXT, &Cut { lines: 25..29, samples: 13..17 }).unwrap());
        let odd = TEXT.replace("UTM, 1, 1,", "UTM, one, 1,");
        let left = cut_header(&odd, &Cut { lines: 1..2, samples: 0..50 }).unwrap();
        assert!(!left.contains("map info"), "{left}");
        let rpc = |first: &str| format!("{TEXT}rpc info = {{{first}, {}}}\n", vec!["0.1"; 88].join(",\n "));
        let moved = cut_header(&rpc("500.5, 6e2"), &Cut { lines: 20..25, samples: 10..50 }).unwrap();
        assert!(moved.contains("rpc info = {480.5, 590, 0.1, "), "{moved}");
        assert!(Header::parse(&moved).is_ok());
        for odd in ["500.5", "500.5, x", "500.5, nan"] {
            let text = cut_header(&rpc(odd), &Cut { lines: 20..25, samples: 10..50 }).unwrap();
            assert!(!text.contains("rpc info"), "{text}");
        }
        assert!(cut_header("nothing", &Cut { lines: 0..1, samples: 0..1 }).is_err());
    }
}
