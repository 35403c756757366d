//! ENVI headers: the text beside a cube that says how its bytes are laid out.
//!
//! [`Header::parse`] reads what instruments and tools really write (odd spacing, missing optional fields, wrong
//! units) and says in [`Header::notes`] what was odd and how it was taken; what would change the meaning of a sample
//! is refused with an [`EnviError`] that names the field and the line. It never touches the data file: whether the
//! sizes agree is checked by [`crate::cube::Cube::new`].

mod cut;
mod fields;
mod geometry;
mod lex;
mod lists;
mod write;

use core::fmt;

pub use cut::cut_header;

use crate::geo::Geometry;

/// Longest header text that is parsed, bytes.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// Most bands.
pub const MAX_BANDS: usize = 4096;
/// Most samples a line, and most lines.
pub const MAX_SIDE: usize = 1 << 20;
/// Largest data file, bytes (16 TiB).
pub const MAX_DATA_BYTES: u64 = 1 << 44;

/// The layout and the calibration of a cube.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Pixels across track.
    pub samples: usize,
    /// Pixels along track.
    pub lines: usize,
    /// Spectral bands.
    pub bands: usize,
    /// Type of one stored sample.
    pub data_type: DataType,
    /// Order of the three axes in the file.
    pub interleave: Interleave,
    /// Byte order of one sample.
    pub byte_order: ByteOrder,
    /// Bytes before the first sample.
    pub header_offset: u64,
    /// Centre of each band, nm, in the file's band order (not necessarily rising); `None`: not known.
    pub wavelengths_nm: Option<Vec<f64>>,
    /// Full width at half maximum of each band, nm.
    pub fwhm_nm: Option<Vec<f64>>,
    /// For each band: is it marked bad (a 0 in ENVI's `bbl`)?
    pub bad_bands: Option<Vec<bool>>,
    /// Physical value = stored × gain + offset, per band.
    pub gains: Option<Vec<f64>>,
    /// See [`Header::gains`].
    pub offsets: Option<Vec<f64>>,
    /// Reflectance = stored ÷ this.
    pub reflectance_scale: Option<f64>,
    /// Stored value that means "no data".
    pub data_ignore_value: Option<f64>,
    /// Units of the physical value, as written.
    pub data_units: Option<String>,
    /// Elevation of the sun above the horizon, degrees.
    pub sun_elevation_deg: Option<f64>,
    /// Side of a pixel on the ground, m.
    pub pixel_size_m: Option<f64>,
    /// Where its pixels are on the ground (`map info` or `geo points`).
    pub geometry: Option<Geometry>,
    /// Wind over the scene, m/s (a field of our own, `wind speed`).
    pub wind_m_s: Option<f64>,
    /// Names of the bands.
    pub band_names: Option<Vec<String>>,
    /// Red, green, blue: zero-based bands that the writer proposes for display.
    pub default_bands: Option<[usize; 3]>,
    /// Free text.
    pub description: Option<String>,
    /// What was odd in the text and how it was taken; never read back, never written.
    pub notes: Vec<String>,
}

impl Header {
    /// Reads the text of a `.hdr` file.
    pub fn parse(text: &str) -> Result<Self, EnviError> {
        fields::header(&lex::entries(text)?)
    }

    /// A header with the required fields only: little-endian BIL, no offset.
    pub fn new(samples: usize, lines: usize, bands: usize, data_type: DataType) -> Self {
        Self {
            samples,
            lines,
            bands,
            data_type,
            interleave: Interleave::Bil,
            byte_order: ByteOrder::Little,
            header_offset: 0,
            wavelengths_nm: None,
            fwhm_nm: None,
            bad_bands: None,
            gains: None,
            offsets: None,
            reflectance_scale: None,
            data_ignore_value: None,
            data_units: None,
            sun_elevation_deg: None,
            pixel_size_m: None,
            geometry: None,
            wind_m_s: None,
            band_names: None,
            default_bands: None,
            description: None,
            notes: Vec::new(),
        }
    }

    /// The text of a `.hdr` file with these fields, as GDAL and Spectral Python read it.
    pub fn to_text(&self) -> String {
        write::text(self)
    }

    /// Size that the data file must have, bytes, `header_offset` included; `u64::MAX` if it does not fit a `u64`.
    pub fn data_bytes(&self) -> u64 {
        [self.lines, self.bands, self.data_type.bytes()]
            .iter()
            .try_fold(self.samples as u64, |product, &n| product.checked_mul(n as u64))
            .and_then(|bytes| bytes.checked_add(self.header_offset))
            .unwrap_or(u64::MAX)
    }

    /// `(gain, offset)` of a band: physical value = stored × gain + offset. The reflectance scale is part of it.
    pub fn scale(&self, band: usize) -> (f64, f64) {
        let of = |list: &Option<Vec<f64>>| list.as_ref().and_then(|l| l.get(band)).copied();
        let per = 1.0 / self.reflectance_scale.unwrap_or(1.0);
        (of(&self.gains).unwrap_or(1.0) * per, of(&self.offsets).unwrap_or(0.0) * per)
    }

    /// Is the band marked bad?
    pub fn is_bad_band(&self, band: usize) -> bool {
        self.bad_bands.as_ref().and_then(|l| l.get(band)).copied().unwrap_or(false)
    }
}

/// The value of any field of a header's text, braces left out; the last one of that name. `None` if it isn't there
/// or the text is no header.
pub fn field(text: &str, name: &str) -> Option<String> {
    lex::entries(text).ok()?.get(name).map(|entry| entry.value.clone())
}

/// Type of one stored sample; the numbers are ENVI's `data type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 1: unsigned byte.
    U8,
    /// 2: 16-bit signed integer.
    I16,
    /// 3: 32-bit signed integer.
    I32,
    /// 4: 32-bit float.
    F32,
    /// 5: 64-bit float.
    F64,
    /// 12: 16-bit unsigned integer.
    U16,
    /// 13: 32-bit unsigned integer.
    U32,
    /// 14: 64-bit signed integer.
    I64,
    /// 15: 64-bit unsigned integer.
    U64,
}

impl DataType {
    /// Every type that is read, in the order of ENVI's numbers.
    pub const ALL: [Self; 9] =
        [Self::U8, Self::I16, Self::I32, Self::F32, Self::F64, Self::U16, Self::U32, Self::I64, Self::U64];

    /// ENVI's number.
    pub fn code(self) -> u8 {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 => 3,
            Self::F32 => 4,
            Self::F64 => 5,
            Self::U16 => 12,
            Self::U32 => 13,
            Self::I64 => 14,
            Self::U64 => 15,
        }
    }

    /// Bytes of one sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Is it an integer type (then it can saturate at a full scale)?
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }
}

/// Order of the axes in the file, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interleave {
    /// Line, band, sample.
    Bil,
    /// Line, sample, band.
    Bip,
    /// Band, line, sample.
    Bsq,
}

impl Interleave {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Bil, Self::Bip, Self::Bsq];

    /// ENVI's name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bil => "bil",
            Self::Bip => "bip",
            Self::Bsq => "bsq",
        }
    }
}

/// Byte order of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// ENVI's 0.
    Little,
    /// ENVI's 1.
    Big,
}

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnviError {
    /// The text is longer than [`MAX_HEADER_BYTES`].
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// Not one `name = value` line: this is no ENVI header.
    NotEnvi,
    /// A field without which the data cannot be read is not there.
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// A field's value cannot be used.
    Invalid {
        /// The field's name.
        field: String,
        /// Line of the text, from 1.
        line: usize,
        /// The value as written, shortened.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A `{` that is never closed.
    Unclosed {
        /// The field's name.
        field: String,
        /// Line of the text on which it opens, from 1.
        line: usize,
    },
    /// The dimensions multiply to more than [`MAX_DATA_BYTES`].
    TooLarge {
        /// Pixels across track.
        samples: usize,
        /// Pixels along track.
        lines: usize,
        /// Bands.
        bands: usize,
    },
}

impl fmt::Display for EnviError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "ENVI header: {bytes} bytes of text, at most {MAX_HEADER_BYTES} are read")
            }
            Self::NotEnvi => write!(f, "ENVI header: no `name = value` line in it"),
            Self::Missing { field } => write!(f, "ENVI header: the required field `{field}` is missing"),
            Self::Invalid { field, line, value, why } => {
                write!(f, "ENVI header, line {line}: `{field} = {value}`: {why}")
            }
            Self::Unclosed { field, line } => {
                write!(f, "ENVI header, line {line}: the `{{` of `{field}` is never closed")
            }
            Self::TooLarge { samples, lines, bands } => write!(
                f,
                "ENVI header: {samples} samples × {lines} lines × {bands} bands is more than {MAX_DATA_BYTES} bytes"
            ),
        }
    }
}

impl core::error::Error for EnviError {}

#[cfg(test)]
mod tests;
