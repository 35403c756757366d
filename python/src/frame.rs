//! A frame as Python describes it, as the header that the satellite would read beside the same bytes.
//!
//! What the ENVI reader leaves out with a note is refused here: who writes a call can mend it. The limits are the
//! reader's own, since the header goes through its text.

use passband_spectral::envi::{ByteOrder, DataType, Header, Interleave};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::fault::Fault;

/// What `_native.examine_array` is told of an array.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Description {
    samples: usize,
    lines: usize,
    bands: usize,
    /// ENVI's number.
    data_type: u8,
    interleave: String,
    big_endian: bool,
    wavelengths_nm: Option<Vec<f64>>,
    fwhm_nm: Option<Vec<f64>>,
    bad_bands: Option<Vec<bool>>,
    gains: Option<Vec<f64>>,
    offsets: Option<Vec<f64>>,
    reflectance_scale: Option<f64>,
    data_ignore_value: Option<f64>,
    data_units: Option<String>,
    default_bands: Option<[usize; 3]>,
    site: Site,
}

/// What a caller may know better than a header.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Site {
    sun_elevation_deg: Option<f64>,
    pixel_size_m: Option<f64>,
    wind_m_s: Option<f64>,
}

/// Refuses a cube of more lines, samples, bands or bytes than the satellite takes.
pub(crate) fn check_size(lines: usize, samples: usize, bands: usize, data_type: u8) -> Result<(), Fault> {
    let header = Header::new(samples, lines, bands, self::data_type(data_type)?);
    Header::parse(&header.to_text()).map(drop).map_err(|e| Fault::at("cube", e))
}

fn data_type(code: u8) -> Result<DataType, Fault> {
    let known = DataType::ALL.into_iter().find(|t| t.code() == code);
    known.ok_or_else(|| Fault::at("cube", "a type that ENVI doesn't know"))
}

impl Site {
    /// Writes what is known into a header, in place of what stands there.
    pub(crate) fn apply(&self, header: &mut Header) -> Result<(), Fault> {
        let known = [
            ("sun_elevation", -90.0..=90.0, self.sun_elevation_deg, &mut header.sun_elevation_deg),
            ("pixel_size", 0.01..=100_000.0, self.pixel_size_m, &mut header.pixel_size_m),
            ("wind", 0.0..=200.0, self.wind_m_s, &mut header.wind_m_s),
        ];
        for (name, range, value, place) in known {
            let Some(value) = value else { continue };
            if !range.contains(&value) {
                let what = format!("{value} is not from {} to {}", range.start(), range.end());
                return Err(Fault::at(name, what));
            }
            *place = Some(value);
        }
        Ok(())
    }
}

impl Description {
    /// The header, as parsed from its own text.
    pub(crate) fn header(self) -> Result<Header, Fault> {
        let header = self.fields()?;
        let text = header.to_text();
        let parsed = Header::parse(&text).map_err(|e| Fault::at("cube", e))?;
        if parsed.to_text() == text {
            Ok(parsed)
        } else {
            Err(Fault::at("cube", "what describes it can't be written as an ENVI header"))
        }
    }

    fn fields(self) -> Result<Header, Fault> {
        let bands = self.bands;
        let mut header = Header::new(self.samples, self.lines, bands, data_type(self.data_type)?);
        let interleave = Interleave::ALL.into_iter().find(|i| i.name() == self.interleave);
        header.interleave = interleave.ok_or_else(|| Fault::at("interleave", "neither bil, bip nor bsq"))?;
        header.byte_order = if self.big_endian { ByteOrder::Big } else { ByteOrder::Little };
        let optical = |v: f64| (100.0..=100_000.0).contains(&v);
        let nm = "must be from 100 to 100000 nm";
        header.wavelengths_nm = list("wavelengths", bands, self.wavelengths_nm, optical, nm)?;
        let width = |v: f64| (0.0..=100_000.0).contains(&v);
        header.fwhm_nm = list("fwhm", bands, self.fwhm_nm, width, "must be from 0 to 100000 nm")?;
        header.bad_bands = list("bad_bands", bands, self.bad_bands, |_| true, "")?;
        header.gains = list("gains", bands, self.gains, f64::is_finite, "must be finite")?;
        header.offsets = list("offsets", bands, self.offsets, f64::is_finite, "must be finite")?;
        if let Some(scale) = self.reflectance_scale.filter(|s| !(*s > 0.0 && s.is_finite())) {
            return Err(Fault::at("reflectance_scale", format!("{scale} is not above 0")));
        }
        header.reflectance_scale = self.reflectance_scale;
        header.data_ignore_value = self.data_ignore_value;
        header.data_units = self.data_units.filter(|units| !units.trim().is_empty());
        if let Some(band) = self.default_bands.and_then(|all| all.into_iter().find(|b| *b >= bands)) {
            return Err(Fault::at("default_bands", format!("band {band} of {bands} does not exist")));
        }
        header.default_bands = self.default_bands;
        self.site.apply(&mut header)?;
        Ok(header)
    }
}

/// A value for each band.
fn list<T: Copy + core::fmt::Debug>(
    name: &str,
    bands: usize,
    values: Option<Vec<T>>,
    sound: impl Fn(T) -> bool,
    rule: &str,
) -> Result<Option<Vec<T>>, Fault> {
    let Some(values) = values else { return Ok(None) };
    if values.len() != bands {
        return Err(Fault::at(name, format!("{} values for {bands} bands", values.len())));
    }
    match values.iter().position(|v| !sound(*v)) {
        None => Ok(Some(values)),
        Some(band) => Err(Fault::at(name, format!("{:?} (band {band}) {rule}", values[band]))),
    }
}

/// A header as a dict: the fields that Python's half reads, by the names of [`Header`]'s.
pub(crate) fn dict<'py>(py: Python<'py>, header: &Header) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("samples", header.samples)?;
    out.set_item("lines", header.lines)?;
    out.set_item("bands", header.bands)?;
    out.set_item("data_type", header.data_type.code())?;
    out.set_item("interleave", header.interleave.name())?;
    out.set_item("byte_order", u8::from(header.byte_order == ByteOrder::Big))?;
    out.set_item("header_offset", header.header_offset)?;
    out.set_item("wavelengths_nm", &header.wavelengths_nm)?;
    out.set_item("fwhm_nm", &header.fwhm_nm)?;
    out.set_item("bad_bands", &header.bad_bands)?;
    out.set_item("gains", &header.gains)?;
    out.set_item("offsets", &header.offsets)?;
    out.set_item("reflectance_scale", header.reflectance_scale)?;
    out.set_item("data_ignore_value", header.data_ignore_value)?;
    out.set_item("data_units", &header.data_units)?;
    out.set_item("sun_elevation_deg", header.sun_elevation_deg)?;
    out.set_item("pixel_size_m", header.pixel_size_m)?;
    out.set_item("wind_m_s", header.wind_m_s)?;
    out.set_item("band_names", &header.band_names)?;
    out.set_item("default_bands", header.default_bands)?;
    out.set_item("description", &header.description)?;
    out.set_item("notes", &header.notes)?;
    Ok(out)
}
