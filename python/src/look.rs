//! Looking at a frame by the satellite's own code, with all that comes of it handed to Python.

use std::io::Error;
use std::path::PathBuf;

use numpy::PyArray1;
use passband_flight::adapters::calibration::{Why, read_calibration};
use passband_flight::triage::{Products, examine};
use passband_spectral::cube::{ColumnScale, Cube, ReadAt};
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target;
use passband_spectral::triage::{Maps, Params};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList};
use serde::Deserialize;

use crate::fault::Fault;

/// How deep tables of parameters lie in each other at most.
const MAX_DEPTH: usize = 4;

/// What is asked of the detector.
#[derive(Debug)]
pub(crate) struct Request {
    target: Target,
    params: Params,
    calibration: Option<Calibration>,
}

/// A gain and an offset for each detector.
#[derive(Debug, FromPyObject)]
pub(crate) enum Calibration {
    /// In arrays.
    Values(Values),
    /// In files, by their header.
    File(PathBuf),
}

/// Gains, then offsets if there are two lines: band by band, in a band sample by sample.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Values {
    samples: usize,
    bands: usize,
    lines: usize,
    /// Of `f32`, little endian.
    data: PyBackedBytes,
}

impl Calibration {
    /// As it is for frames of a header.
    fn read(&self, frame: &Header) -> Result<ColumnScale, Fault> {
        let fault = |e: &dyn core::fmt::Display| Fault::Input(e.to_string());
        match self {
            Self::File(path) => read_calibration(path, frame).map_err(|e| match e.why {
                Why::Unreadable(kind) => Fault::Disk(Error::new(kind, e.to_string())),
                Why::Unfit => fault(&e),
            }),
            Self::Values(Values { samples, bands, lines, data }) => {
                let header = Header::new(*samples, *lines, *bands, DataType::F32);
                let bytes: &[u8] = data;
                let cube = Cube::new(header, bytes).map_err(|e| fault(&e))?;
                ColumnScale::read(&cube, frame).map_err(|e| fault(&e))
            }
        }
    }
}

/// A frame's products and its maps.
#[derive(Debug)]
pub(crate) struct Looked {
    products: Products,
    maps: Maps,
}

impl Request {
    /// `target`: the text of a target file, `None` for methane; `params`: as `[triage.params]`; `threads` goes before
    /// what stands in them.
    pub(crate) fn new(
        target: Option<&str>,
        params: Option<&Bound<'_, PyAny>>,
        threads: Option<usize>,
        calibration: Option<Calibration>,
    ) -> Result<Self, Fault> {
        let target = match target {
            None => Target::ch4(),
            Some(text) => Target::parse(text).map_err(|e| Fault::Input(e.to_string()))?,
        };
        let mut params = match params {
            None => Params::default(),
            // As the satellite's configuration is read: a setting means the same to the last bit.
            Some(table) => Params::deserialize(value("params", table, 0)?)
                .map_err(|e| Fault::at("params", e.to_string().trim_end()))?,
        };
        if let Some(threads) = threads {
            params = Params { threads, ..params };
        }
        params.check().map_err(|e| Fault::at("params", e))?;
        Ok(Self { target, params, calibration })
    }
}

/// A number or a dict of them as a value of a configuration file.
fn value(at: &str, given: &Bound<'_, PyAny>, depth: usize) -> Result<toml::Value, Fault> {
    if let Ok(table) = given.cast::<PyDict>() {
        if depth >= MAX_DEPTH {
            return Err(Fault::at(at, "tables too deep in each other"));
        }
        let mut out = toml::Table::new();
        for (name, value) in table.iter() {
            let name: String = name.extract().map_err(|_| Fault::at(at, "a name that is no str"))?;
            let inner = self::value(&format!("{at}[{name:?}]"), &value, depth + 1)?;
            out.insert(name, inner);
        }
        return Ok(toml::Value::Table(out));
    }
    let whole = || given.extract::<i64>().ok().map(toml::Value::Integer);
    let real = || given.extract::<f64>().ok().filter(|v| v.is_finite()).map(toml::Value::Float);
    // Some parameters are lists of numbers.
    if let Ok(list) = given.cast::<PyList>() {
        let each = list.iter().enumerate().map(|(nth, of)| value(&format!("{at}[{nth}]"), &of, MAX_DEPTH));
        return each.collect::<Result<Vec<_>, _>>().map(toml::Value::Array);
    }
    let number = if given.is_instance_of::<PyBool>() { None } else { whole().or_else(real) };
    number.ok_or_else(|| Fault::at(at, "must be a finite number"))
}

/// Looks at a frame.
pub(crate) fn look<R: ReadAt + Sync>(name: &str, cube: Cube<R>, request: &Request) -> Result<Looked, Fault> {
    let cube = match &request.calibration {
        Some(calibration) => {
            let columns = calibration.read(cube.header())?;
            cube.with_columns(columns)
        }
        None => cube,
    };
    let pixels = cube.header().samples * cube.header().lines;
    let mut maps = Maps {
        enhancement_ppm_m: Vec::with_capacity(pixels),
        sigma_ppm_m: Vec::with_capacity(pixels),
        score: Vec::with_capacity(pixels),
        mask: Vec::with_capacity(pixels),
    };
    let products =
        examine(name, &cube, &request.target, &request.params, &mut maps).map_err(|e| Fault::at(name, e))?;
    Ok(Looked { products, maps })
}

impl Looked {
    /// All of it, by name; maps are flat, line by line.
    pub(crate) fn dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let Self { products, maps } = self;
        let out = PyDict::new(py);
        out.set_item("json", PyBytes::new(py, &products.verdict_json))?;
        out.set_item("record", PyBytes::new(py, &products.record))?;
        out.set_item("lines", products.triage.report.lines)?;
        out.set_item("samples", products.triage.report.samples)?;
        out.set_item("labels", PyArray1::from_vec(py, products.triage.labels()))?;
        out.set_item("enhancement", PyArray1::from_vec(py, maps.enhancement_ppm_m))?;
        out.set_item("sigma", PyArray1::from_vec(py, maps.sigma_ppm_m))?;
        out.set_item("score", PyArray1::from_vec(py, maps.score))?;
        out.set_item("mask", PyArray1::from_vec(py, maps.mask))?;
        match &products.quicklook {
            Ok(png) => out.set_item("quicklook", PyBytes::new(py, png))?,
            Err(why) => out.set_item("quicklook_fault", why)?,
        }
        if let Some(chip) = &products.triage.chip {
            out.set_item("chip_place", (chip.line, chip.sample))?;
            out.set_item("chip_size", (chip.header.lines, chip.header.bands, chip.header.samples))?;
            out.set_item("chip_header", chip.header.to_text())?;
            out.set_item("chip_data", PyBytes::new(py, &chip.data))?;
        }
        Ok(out)
    }
}
