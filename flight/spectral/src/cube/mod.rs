//! A cube's samples, read by blocks of lines out of any ENVI layout.
//!
//! Nothing is read that was not asked for (except BIP, where the bands of a pixel lie together), and no buffer grows
//! with the file: only with the lines and bands that the caller asks for. It never opens a file itself: see
//! [`ReadAt`].

mod bil;
mod cut;
mod decode;

use core::fmt;
use std::io;
use std::sync::Arc;

pub use bil::write_bil;
pub use cut::{Cut, MAX_CUT_BYTES};

use crate::envi::{Header, Interleave};

/// Largest read that is made at once, bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that are read and converted at a time: they stay in the processor's cache.
const DECODE_BYTES: usize = 1 << 16;
/// Most values that one call of [`Cube::lines_f32`] gives (1 GiB of `f32`).
pub const MAX_VALUES: usize = 1 << 28;

/// Bytes that can be read at any place: a file, a memory map, a slice.
pub trait ReadAt {
    /// Number of bytes.
    fn size(&self) -> u64;
    /// Fills `buf` from `offset`; it is an error if the bytes end before that.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// The bytes themselves, where they lie in memory.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let range = from.and_then(|from| Some(from..from.checked_add(buf.len())?));
        let bytes = range.and_then(|r| self.get(r)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buf)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buf)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }
}

/// A header and its data, whose sizes agree.
#[derive(Debug, Clone)]
pub struct Cube<R> {
    header: Header,
    data: R,
    columns: Option<Arc<ColumnScale>>,
}

/// A cube whose source is known by what it does only: what works on it is compiled once, and in this crate.
pub(crate) type View<'a> = Cube<&'a (dyn ReadAt + Sync)>;

/// Calibration of each detector: physical value = (value after the header's gain and offset) × gain + offset.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnScale {
    samples: usize,
    /// Band by band, in a band sample by sample.
    gains: Vec<f32>,
    offsets: Vec<f32>,
}

impl ColumnScale {
    /// Reads the calibration of a frame of `header` from a cube of one or two lines: gains, and offsets if there is a
    /// second line; samples and bands are those of the frame.
    pub fn read<R: ReadAt>(cube: &Cube<R>, header: &Header) -> Result<Self, CubeError> {
        let own = cube.header();
        if (own.samples, own.bands) != (header.samples, header.bands) || own.lines > 2 {
            return Err(CubeError::Calibration {
                expected: [header.samples, header.bands],
                actual: [own.samples, own.bands, own.lines],
            });
        }
        let bands: Vec<usize> = (0..own.bands).collect();
        let (mut gains, mut offsets) = (Vec::new(), Vec::new());
        cube.lines_f32(0, 1, &bands, &mut gains)?;
        match own.lines {
            2 => cube.lines_f32(1, 1, &bands, &mut offsets)?,
            _ => offsets.resize(gains.len(), 0.0),
        }
        if let Some(at) = gains.iter().chain(&offsets).position(|v| !v.is_finite()) {
            let at = at % gains.len().max(1);
            return Err(CubeError::CalibrationValue { band: at / own.samples, sample: at % own.samples });
        }
        Ok(Self { samples: own.samples, gains, offsets })
    }
}

impl<R: ReadAt> Cube<R> {
    /// Joins a header and its data; refuses data that is shorter or longer than the header says.
    pub fn new(header: Header, data: R) -> Result<Self, CubeError> {
        let (expected, actual) = (header.data_bytes(), data.size());
        if expected != actual {
            return Err(CubeError::Size { expected, actual });
        }
        Ok(Self { header, data, columns: None })
    }

    /// The same cube with a calibration of each detector, made for its header.
    #[must_use]
    pub fn with_columns(mut self, columns: ColumnScale) -> Self {
        self.columns = Some(Arc::new(columns));
        self
    }

    /// Applies the calibration of each detector, if there is one, to a line of the given bands.
    pub(crate) fn scale_columns(&self, bands: &[usize], line: &mut [f32]) {
        let Some(columns) = &self.columns else { return };
        for (row, band) in line.chunks_exact_mut(columns.samples).zip(bands) {
            let from = band * columns.samples;
            let (Some(gains), Some(offsets)) = (columns.gains.get(from..), columns.offsets.get(from..))
            else {
                continue;
            };
            for ((value, gain), offset) in row.iter_mut().zip(gains).zip(offsets) {
                *value = *value * gain + offset;
            }
        }
    }

    /// The same cube, read through a reference.
    pub(crate) fn view(&self) -> View<'_>
    where
        R: Sync,
    {
        Cube { header: self.header.clone(), data: &self.data, columns: self.columns.clone() }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The data's source.
    pub fn data(&self) -> &R {
        &self.data
    }

    /// Reads `count` lines from line `first` of the given bands (any order, repeats allowed) into `out`, replacing
    /// what it held: line by line, in a line band by band, in a band sample by sample.
    ///
    /// The values are as stored, before gain and offset (see [`Header::scale`]), rounded to `f32`.
    pub fn lines_f32(
        &self,
        first: usize,
        count: usize,
        bands: &[usize],
        out: &mut Vec<f32>,
    ) -> Result<(), CubeError> {
        let header = &self.header;
        if first.checked_add(count).is_none_or(|end| end > header.lines) {
            return Err(CubeError::Range {
                what: "line",
                index: first.saturating_add(count),
                count: header.lines,
            });
        }
        if let Some(&band) = bands.iter().find(|&&b| b >= header.bands) {
            return Err(CubeError::Range { what: "band", index: band, count: header.bands });
        }
        let values = count.checked_mul(bands.len()).and_then(|n| n.checked_mul(header.samples));
        let values = values.filter(|&n| n <= MAX_VALUES).ok_or(CubeError::TooMuch { most: MAX_VALUES })?;
        // What it held is overwritten; only what is new has to be made.
        out.resize(values, 0.0);
        if values == 0 {
            return Ok(());
        }
        match header.interleave {
            Interleave::Bil => self.read_bil(first, bands, out),
            Interleave::Bip => self.read_bip(first, bands, out),
            Interleave::Bsq => self.read_bsq(first, bands, out),
        }
    }

    /// One read for each run of neighbouring bands.
    fn read_bil(&self, first: usize, bands: &[usize], out: &mut [f32]) -> Result<(), CubeError> {
        let Header { samples, bands: all, .. } = self.header;
        let mut raw = Vec::new();
        let lines = out.chunks_exact_mut(samples.saturating_mul(bands.len()));
        for (line, mut rest) in (first..).zip(lines) {
            for run in bands.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
                let (values, after) = rest.split_at_mut(samples.saturating_mul(run.len()).min(rest.len()));
                rest = after;
                let Some(&band) = run.first() else { continue };
                let start = (line as u64 * all as u64 + band as u64) * samples as u64;
                self.decode_run(start, values, &mut raw)?;
            }
        }
        Ok(())
    }

    /// A pixel's bands lie together: whole pixels are read and the bands picked out.
    fn read_bip(&self, first: usize, bands: &[usize], out: &mut [f32]) -> Result<(), CubeError> {
        let Header { samples, bands: all, data_type, .. } = self.header;
        let pixels_at_once = (CHUNK_BYTES / all.saturating_mul(data_type.bytes()).max(1)).max(1);
        let (mut raw, mut pixels) = (Vec::new(), Vec::new());
        let lines = out.chunks_exact_mut(samples.saturating_mul(bands.len()));
        for (line, values) in (first..).zip(lines) {
            let mut sample = 0;
            while sample < samples {
                let count = pixels_at_once.min(samples - sample);
                pixels.clear();
                pixels.resize(count.saturating_mul(all), 0.0);
                let start = (line as u64 * samples as u64 + sample as u64) * all as u64;
                self.decode_run(start, &mut pixels, &mut raw)?;
                for (&band, row) in bands.iter().zip(values.chunks_exact_mut(samples)) {
                    let picked = pixels.chunks_exact(all).filter_map(|pixel| pixel.get(band));
                    for (value, &pick) in row.iter_mut().skip(sample).zip(picked) {
                        *value = pick;
                    }
                }
                sample += count;
            }
        }
        Ok(())
    }

    /// The lines of a band lie together.
    fn read_bsq(&self, first: usize, bands: &[usize], out: &mut [f32]) -> Result<(), CubeError> {
        let Header { samples, lines, .. } = self.header;
        let count = out.len() / samples.saturating_mul(bands.len()).max(1);
        let mut raw = Vec::new();
        let mut plane = vec![0.0; count.saturating_mul(samples)];
        for (nth, &band) in bands.iter().enumerate() {
            let start = (band as u64 * lines as u64 + first as u64) * samples as u64;
            self.decode_run(start, &mut plane, &mut raw)?;
            let rows = out.chunks_exact_mut(samples).skip(nth).step_by(bands.len());
            for (row, read) in rows.zip(plane.chunks_exact(samples)) {
                row.copy_from_slice(read);
            }
        }
        Ok(())
    }

    /// Reads and converts samples that lie together, `start` counted in samples from the first.
    fn decode_run(&self, start: u64, values: &mut [f32], raw: &mut Vec<u8>) -> Result<(), CubeError> {
        let width = self.header.data_type.bytes();
        let mut offset = self.header.header_offset + start * width as u64;
        if let Some(bytes) = self.data.in_memory() {
            let from = usize::try_from(offset).ok();
            let range = from.and_then(|from| Some(from..from.checked_add(values.len().checked_mul(width)?)?));
            let Some(bytes) = range.and_then(|r| bytes.get(r)) else {
                return Err(CubeError::Read { offset, source: io::ErrorKind::UnexpectedEof.into() });
            };
            decode::to_f32(self.header.data_type, self.header.byte_order, bytes, values);
            return Ok(());
        }
        for part in values.chunks_mut(DECODE_BYTES / width) {
            raw.clear();
            raw.resize(part.len() * width, 0);
            self.fill(offset, raw)?;
            decode::to_f32(self.header.data_type, self.header.byte_order, raw, part);
            offset += raw.len() as u64;
        }
        Ok(())
    }

    fn fill(&self, offset: u64, raw: &mut [u8]) -> Result<(), CubeError> {
        self.data.read_at(offset, raw).map_err(|source| CubeError::Read { offset, source })
    }
}

/// Why a cube was not made or not read.
#[derive(Debug)]
pub enum CubeError {
    /// The data is not as long as the header says.
    Size {
        /// Bytes by the header.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A line or a band beyond the cube.
    Range {
        /// `line` or `band`.
        what: &'static str,
        /// The index asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A cut-out that is empty, reaches beyond the cube or is larger than [`MAX_CUT_BYTES`].
    Cut,
    /// More values at once than a buffer may hold.
    TooMuch {
        /// The most.
        most: usize,
    },
    /// A calibration of another shape than the frame.
    Calibration {
        /// Samples and bands of the frame.
        expected: [usize; 2],
        /// Samples, bands and lines of the calibration.
        actual: [usize; 3],
    },
    /// A value of a calibration that is not finite.
    CalibrationValue {
        /// The band, from 0.
        band: usize,
        /// The sample, from 0.
        sample: usize,
    },
    /// The source could not be read.
    Read {
        /// Where, bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The sink could not be written.
    Write(io::Error),
}

impl fmt::Display for CubeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { expected, actual } => {
                write!(f, "cube: the header describes {expected} bytes of data, there are {actual}")
            }
            Self::Range { what, index, count } => write!(f, "cube: {what} {index} of {count} does not exist"),
            Self::Cut => {
                write!(
                    f,
                    "cube: a cut-out that is empty, beyond the cube, or of more than {MAX_CUT_BYTES} bytes"
                )
            }
            Self::TooMuch { most } => write!(f, "cube: more than {most} values asked for at once"),
            Self::Calibration { expected: [samples, bands], actual } => write!(
                f,
                "calibration: {} samples, {} bands and {} lines; the frame needs {samples}, {bands}, and 1 (gains) or 2 \
                 (gains, offsets)",
                actual[0], actual[1], actual[2]
            ),
            Self::CalibrationValue { band, sample } => {
                write!(f, "calibration: the value of band {band}, sample {sample} (from 0) is not finite")
            }
            Self::Read { offset, source } => write!(f, "cube: reading at byte {offset}: {source}"),
            Self::Write(source) => write!(f, "cube: writing: {source}"),
        }
    }
}

impl std::error::Error for CubeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write(source) => Some(source),
            Self::Size { .. }
            | Self::Range { .. }
            | Self::Cut
            | Self::TooMuch { .. }
            | Self::Calibration { .. }
            | Self::CalibrationValue { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
