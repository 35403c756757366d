//! The native half of the Python module `passband`: the satellite's triage, its ENVI reader, and sealed bundles.
//!
//! It hands values over and computes nothing of its own: what Python gets is what the code that flies makes of the
//! same bytes. What arrays and their axes mean is up to Python's half, `lib/passband`; here come flat bytes and their
//! description. Never writes a file; never holds the GIL while it computes or reads.

mod bundle;
mod fault;
mod files;
mod frame;
mod look;

use pyo3::prelude::*;

/// What `lib/passband` is built on; not for others.
#[pymodule]
mod _native {
    use std::path::PathBuf;

    use numpy::PyReadonlyArray1;
    use passband_flight::adapters::os::read_keys;
    use passband_flight::triage::read_record;
    use passband_proto::keyring::KeyRing;
    use passband_spectral::cube::Cube;
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};

    #[pymodule_export]
    use crate::fault::Error;
    use crate::fault::{Fault, detached};
    use crate::files::Frame;
    use crate::frame::{Description, Site};
    use crate::look::{Calibration, Request, look};
    use crate::{bundle, frame};

    /// Refuses a cube of more lines, samples, bands or bytes than the satellite takes.
    #[pyfunction]
    fn check_size(lines: usize, samples: usize, bands: usize, data_type: u8) -> PyResult<()> {
        Ok(frame::check_size(lines, samples, bands, data_type)?)
    }

    /// A header's fields, and the name and data file of its frame, whose sizes agree.
    #[pyfunction]
    fn read_header(
        py: Python<'_>,
        path: PathBuf,
        data: Option<PathBuf>,
    ) -> PyResult<(Bound<'_, PyDict>, String, PathBuf)> {
        let opened = detached(py, || Frame::open(&path, data))?;
        Ok((frame::dict(py, opened.cube.header())?, opened.name, opened.data))
    }

    /// What a record says, as the JSON that `passband record --json` prints.
    #[pyfunction]
    fn decode_record(bytes: &[u8]) -> PyResult<String> {
        let document = read_record(bytes).map_err(|e| Fault::Input(e.to_string()))?;
        Ok(serde_json::to_string(&document).map_err(|e| Fault::Own(e.to_string()))?)
    }

    /// Triage of samples in memory; `data` is their bytes.
    #[pyfunction]
    #[expect(clippy::too_many_arguments, reason = "Python's half calls it, once, by place")]
    fn examine_array<'py>(
        py: Python<'py>,
        name: &str,
        description: Description,
        data: PyReadonlyArray1<'py, u8>,
        target: Option<&str>,
        params: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
        calibration: Option<Calibration>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = Request::new(target, params, threads, calibration)?;
        let header = description.header()?;
        let bytes = data.as_slice()?;
        let looked = detached(py, || {
            let cube = Cube::new(header, bytes).map_err(|e| Fault::at(name, e))?;
            look(name, cube, &request)
        })?;
        looked.dict(py)
    }

    /// Triage of a file, read as it is needed.
    #[pyfunction]
    #[expect(clippy::too_many_arguments, reason = "as above")]
    fn examine_file<'py>(
        py: Python<'py>,
        path: PathBuf,
        data: Option<PathBuf>,
        site: Site,
        target: Option<&str>,
        params: Option<&Bound<'py, PyAny>>,
        threads: Option<usize>,
        calibration: Option<Calibration>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let request = Request::new(target, params, threads, calibration)?;
        let looked = detached(py, || {
            let Frame { name, data, cube } = Frame::open(&path, data)?;
            let mut header = cube.header().clone();
            site.apply(&mut header)?;
            let cube = Cube::new(header, cube.data()).map_err(|e| Fault::at(data.display(), e))?;
            look(&name, cube, &request)
        })?;
        looked.dict(py)
    }

    /// Opens a sealed bundle with a key file, or with its text.
    #[pyfunction]
    fn open_bundle<'py>(
        py: Python<'py>,
        path: PathBuf,
        keys: Option<PathBuf>,
        key_text: Option<&str>,
    ) -> PyResult<(String, Option<Bound<'py, PyBytes>>, Bound<'py, PyDict>)> {
        let opened = detached(py, || {
            let ring = match (keys, key_text) {
                (Some(file), _) => read_keys(&file).map_err(Fault::Input)?.0,
                (None, text) => KeyRing::parse(text.unwrap_or_default()).map_err(|e| Fault::at("keys", e))?,
            };
            if ring.is_empty() {
                return Err(Fault::at("keys", "no key in them"));
            }
            bundle::open(&path, &ring)
        })?;
        let files = PyDict::new(py);
        for (name, place) in opened.files {
            files.set_item(name, PyBytes::new(py, &opened.content[place]))?;
        }
        Ok((opened.manifest_json, opened.preview.map(|p| PyBytes::new(py, &p)), files))
    }
}
