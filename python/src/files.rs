//! The files of a frame, found and read by the satellite's own rules. Only links are followed, which it does not do.

use std::fs;
use std::path::{Path, PathBuf};

use passband_flight::adapters::spool::{DataFile, parse_header, read_header};
use passband_flight::camera::{DATA_ENDINGS, data_beside, frame_name};
use passband_spectral::cube::Cube;

use crate::fault::Fault;

/// A frame on disk.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its name, as results give it.
    pub(crate) name: String,
    /// Its data file.
    pub(crate) data: PathBuf,
    /// Its samples.
    pub(crate) cube: Cube<DataFile>,
}

impl Frame {
    /// Opens the frame of this header; its data file stands beside it unless it is named.
    pub(crate) fn open(header: &Path, data: Option<PathBuf>) -> Result<Self, Fault> {
        let real = |path: &Path| fs::canonicalize(path).map_err(|e| Fault::file(path, &e));
        let text = read_header(&real(header)?).map_err(|e| Fault::file(header, &e))?;
        let parsed = parse_header(&text).map_err(|e| Fault::at(header.display(), e))?;
        let data = match data {
            Some(data) => data,
            None => data_beside(header, Path::is_file).ok_or_else(|| {
                let endings = DATA_ENDINGS.join(", .");
                Fault::at(header.display(), format!("no data file beside it (.{endings}, or without ending)"))
            })?,
        };
        let name = frame_name(header.file_name().unwrap_or_default(), data.file_name().unwrap_or_default());
        let file = DataFile::open(&real(&data)?).map_err(|e| Fault::file(&data, &e))?;
        let cube = Cube::new(parsed, file).map_err(|e| Fault::at(data.display(), e))?;
        Ok(Self { name: name.unwrap_or_else(|| "frame".to_owned()), data, cube })
    }
}
