//! From a [`Header`] to its text. Writes every field that [`Header::parse`] reads and nothing else.

use core::fmt::{Display, Write};

use super::{ByteOrder, Header};
use crate::geo::{Geometry, TiePoint};

/// The text of the header.
pub(super) fn text(header: &Header) -> String {
    let mut out = String::from("ENVI\n");
    if let Some(description) = &header.description {
        field(&mut out, "description", &format_args!("{{{}}}", unbraced(description)));
    }
    field(&mut out, "samples", &header.samples);
    field(&mut out, "lines", &header.lines);
    field(&mut out, "bands", &header.bands);
    field(&mut out, "header offset", &header.header_offset);
    field(&mut out, "file type", &"ENVI Standard");
    field(&mut out, "data type", &header.data_type.code());
    field(&mut out, "interleave", &header.interleave.name());
    field(&mut out, "byte order", &u8::from(header.byte_order == ByteOrder::Big));
    if let Some(value) = header.reflectance_scale {
        field(&mut out, "reflectance scale factor", &value);
    }
    if let Some(value) = header.data_ignore_value {
        field(&mut out, "data ignore value", &value);
    }
    if let Some(value) = &header.data_units {
        field(&mut out, "data units", &unbraced(value).replace(['\r', '\n'], " "));
    }
    if let Some(value) = header.sun_elevation_deg {
        field(&mut out, "sun elevation", &value);
    }
    if let Some(value) = header.pixel_size_m {
        field(&mut out, "pixel size", &format_args!("{{{value}, {value}, units=Meters}}"));
    }
    if let Some(geometry) = &header.geometry {
        write_geometry(&mut out, geometry);
    }
    if let Some(value) = header.wind_m_s {
        field(&mut out, "wind speed", &value);
    }
    if let Some(names) = &header.band_names {
        // A line of the list that begins with a semicolon would be a comment.
        list(&mut out, "band names", names.iter().map(|n| unbraced(n).replace([',', ';', '\r', '\n'], " ")));
    }
    if let Some(bands) = header.default_bands {
        list(&mut out, "default bands", bands.iter().map(|b| b.saturating_add(1)));
    }
    if let Some(values) = &header.wavelengths_nm {
        field(&mut out, "wavelength units", &"Nanometers");
        list(&mut out, "wavelength", values.iter());
    }
    if let Some(values) = &header.fwhm_nm {
        list(&mut out, "fwhm", values.iter());
    }
    if let Some(values) = &header.bad_bands {
        list(&mut out, "bbl", values.iter().map(|&bad| u8::from(!bad)));
    }
    if let Some(values) = &header.gains {
        list(&mut out, "data gain values", values.iter());
    }
    if let Some(values) = &header.offsets {
        list(&mut out, "data offset values", values.iter());
    }
    out
}

/// The field that tells where on the ground the pixels are.
pub(super) fn write_geometry(out: &mut String, geometry: &Geometry) {
    match geometry {
        Geometry::Map(map) => field(out, "map info", &format_args!("{{{map}}}")),
        Geometry::Ties(ties) => {
            let place = |p: &TiePoint| (p.position.latitude_deg, p.position.longitude_deg);
            let values = ties.points().iter().flat_map(|p| [p.x, p.y, place(p).0, place(p).1]);
            list(out, "geo points", values);
        }
    }
}

fn field(out: &mut String, name: &str, value: &dyn Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name} = {value}");
}

/// A list in braces, eight values a line: GDAL and Spectral Python both read lists over several lines.
fn list<T: Display>(out: &mut String, name: &str, values: impl Iterator<Item = T>) {
    let _ = write!(out, "{name} = {{");
    for (i, value) in values.enumerate() {
        let separator = match i {
            0 => "\n ",
            _ if i.is_multiple_of(8) => ",\n ",
            _ => ", ",
        };
        let _ = write!(out, "{separator}{value}");
    }
    out.push_str("}\n");
}

/// A closing brace would end the field.
fn unbraced(text: &str) -> String {
    text.trim().replace('{', "(").replace('}', ")")
}
