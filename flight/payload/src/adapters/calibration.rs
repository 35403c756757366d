//! Calibration files: a gain and an offset for each detector, as an ENVI cube of one line or two.
//!
//! The files are read anew for each frame, which takes milliseconds, so that a calibration that was uplinked counts
//! from the next frame on. Nothing of them is kept.

use core::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use passband_spectral::cube::{ColumnScale, Cube, CubeError};
use passband_spectral::envi::Header;

use super::spool::{DataFile, parse_header, read_header};
use crate::camera::{DATA_ENDINGS, data_beside};

/// Reads the calibration for frames of `frame`'s shape.
///
/// # Errors
/// The files can't be read, or hold no calibration for such frames.
pub fn read_calibration(header: &Path, frame: &Header) -> Result<ColumnScale, CalibrationError> {
    let cube = open(header)?;
    scale(header, &cube, frame)
}

/// Checks as much of a calibration as can be told without a frame.
///
/// # Errors
/// The files can't be read, or hold no calibration for any frame.
pub fn check_calibration(header: &Path) -> Result<(), CalibrationError> {
    let cube = open(header)?;
    scale(header, &cube, cube.header()).map(drop)
}

fn scale(header: &Path, cube: &Cube<DataFile>, frame: &Header) -> Result<ColumnScale, CalibrationError> {
    ColumnScale::read(cube, frame).map_err(|e| match &e {
        CubeError::Read { source, .. } => unreadable(header, source),
        _ => unfit(header, e),
    })
}

fn open(header: &Path) -> Result<Cube<DataFile>, CalibrationError> {
    let text = read_header(header).map_err(|e| unreadable(header, &e))?;
    let parsed = parse_header(&text).map_err(|e| unfit(header, e))?;
    let data = data_beside(header, Path::is_file).ok_or_else(|| CalibrationError {
        file: header.to_owned(),
        what: format!("no data file beside it (.{}, or without ending)", DATA_ENDINGS.join(", .")),
        why: Why::Unreadable(ErrorKind::NotFound),
    })?;
    let file = DataFile::open(&data).map_err(|e| unreadable(&data, &e))?;
    Cube::new(parsed, file).map_err(|e| unfit(&data, e))
}

fn unreadable(file: &Path, e: &io::Error) -> CalibrationError {
    CalibrationError { file: file.to_owned(), what: e.to_string(), why: Why::Unreadable(e.kind()) }
}

fn unfit(file: &Path, why: impl fmt::Display) -> CalibrationError {
    CalibrationError { file: file.to_owned(), what: why.to_string(), why: Why::Unfit }
}

/// Why there is no calibration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalibrationError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Whether that may pass.
    pub why: Why,
}

/// Whether another attempt may go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It could not be read.
    Unreadable(ErrorKind),
    /// It was read, and is no calibration for such frames.
    Unfit,
}

impl fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "calibration {}: {}", self.file.display(), self.what)
    }
}

impl core::error::Error for CalibrationError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use passband_spectral::envi::DataType;

    use super::*;

    fn put(folder: &Path, lines: usize, values: &[f32]) -> PathBuf {
        let path = folder.join("cal.hdr");
        fs::write(&path, Header::new(3, lines, 2, DataType::F32).to_text()).unwrap();
        fs::write(folder.join("cal.bil"), values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
            .unwrap();
        path
    }

    #[test]
    fn gains_and_offsets_are_read_and_what_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let frame = Header::new(3, 50, 2, DataType::U16);
        let missing = read_calibration(&dir.path().join("cal.hdr"), &frame).unwrap_err();
        assert!(
            missing.why == Why::Unreadable(ErrorKind::NotFound) && missing.to_string().contains("cal.hdr"),
            "{missing}"
        );
        let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let path = put(dir.path(), 2, &values);
        assert!(read_calibration(&path, &frame).is_ok());
        assert_eq!(check_calibration(&path), Ok(()));
        let wide = Header::new(4, 50, 2, DataType::U16);
        let wrong = read_calibration(&path, &wide).unwrap_err();
        assert!(wrong.why == Why::Unfit && wrong.what.contains("the frame needs 4, 2"), "{wrong}");
        let path = put(dir.path(), 1, &[1.0, 1.0, f32::NAN, 1.0, 1.0, 1.0]);
        let wrong = check_calibration(&path).unwrap_err();
        assert!(wrong.why == Why::Unfit && wrong.what.contains("band 0, sample 2"), "{wrong}");
        let path = put(dir.path(), 2, &values[1..]);
        assert!(check_calibration(&path).unwrap_err().file.ends_with("cal.bil"));
        fs::remove_file(dir.path().join("cal.bil")).unwrap();
        assert!(check_calibration(&path).unwrap_err().what.starts_with("no data file"));
    }
}
