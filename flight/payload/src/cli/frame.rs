//! `passband triage`: the detector on one frame, without the daemon.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{MapLines, Params, Sink};

use super::verdict::{param_table, summary};
use super::{Failure, bad_input, help, not_done, print, read_config};
use crate::adapters::calibration::read_calibration;
use crate::adapters::os::read_text;
use crate::adapters::spool::{DataFile, parse_header, read_header};
use crate::camera::{DATA_ENDINGS, data_beside, frame_name};
use crate::config::{MAX_CONFIG_BYTES, parse_params};
use crate::daemon::{read_target, target_for};
use crate::triage::{Products, examine};

/// Sides of a pixel that are taken, m; the header's are held to the same.
const PIXEL_SIZES_M: RangeInclusive<f64> = 0.01..=100_000.0;
/// Winds that are taken, m/s.
const WINDS_M_S: RangeInclusive<f64> = 0.0..=200.0;

#[derive(Default)]
struct Options {
    header: Option<PathBuf>,
    data: Option<PathBuf>,
    out: Option<PathBuf>,
    config: Option<PathBuf>,
    params: Option<PathBuf>,
    target: Option<PathBuf>,
    calibration: Option<PathBuf>,
    threads: Option<usize>,
    pixel_size_m: Option<f64>,
    wind_m_s: Option<f64>,
    list_params: bool,
    json: bool,
    help: bool,
}

/// What a frame is looked at with.
struct Setting {
    target: Target,
    params: Params,
    calibration: Option<PathBuf>,
    /// What is known better than the header says it.
    pixel_size_m: Option<f64>,
    wind_m_s: Option<f64>,
}

pub(super) fn triage(parser: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options::parse(parser)?;
    if options.help {
        return print(help::TRIAGE);
    }
    let setting = options.setting()?;
    if options.list_params {
        return print(&param_table(&setting.params));
    }
    let header = options.header.ok_or_else(|| bad_input("`passband triage` needs FRAME.hdr"))?;
    let out = options.out.ok_or_else(|| bad_input("`passband triage` needs --out DIR"))?;
    let (name, cube) = open(&header, options.data, &setting)?;
    let failed = |path: &Path, e: io::Error| not_done(format!("writing {}: {e}", path.display()));
    fs::create_dir_all(&out).map_err(|e| failed(&out, e))?;
    let map = out.join(ENHANCEMENT);
    let mut maps = Enhancement::create(&map).map_err(|e| failed(&map, e))?;
    let products = examine(&name, &cube, &setting.target, &setting.params, &mut maps)
        .map_err(|e| bad_input(format!("{}: {e}", header.display())))?;
    maps.finish().map_err(|e| failed(&map, e))?;
    write_products(&out, &products)?;
    if options.json {
        print(&String::from_utf8_lossy(&products.verdict_json))?;
    } else {
        print(&summary(&name, &products, &out))?;
    }
    products.quicklook.map(drop).map_err(not_done)
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Value(path) if options.header.is_none() => options.header = Some(path.into()),
                Long("data") => options.data = Some(parser.value()?.into()),
                Long("out") => options.out = Some(parser.value()?.into()),
                Long("config") => options.config = Some(parser.value()?.into()),
                Long("params") => options.params = Some(parser.value()?.into()),
                Long("target") => options.target = Some(parser.value()?.into()),
                Long("calibration") => options.calibration = Some(parser.value()?.into()),
                Long("threads") => options.threads = Some(parser.value()?.parse()?),
                Long("pixel-size") => {
                    options.pixel_size_m =
                        Some(within("--pixel-size", parser.value()?.parse()?, PIXEL_SIZES_M)?);
                }
                Long("wind") => {
                    options.wind_m_s = Some(within("--wind", parser.value()?.parse()?, WINDS_M_S)?);
                }
                Long("list-params") => options.list_params = true,
                Long("json") => options.json = true,
                Long("help") | Short('h') => options.help = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// The configuration's `[triage]`, with what other options say in its place.
    fn setting(&mut self) -> Result<Setting, Failure> {
        let mut setting = Setting {
            target: Target::ch4(),
            params: Params::default(),
            calibration: None,
            pixel_size_m: self.pixel_size_m,
            wind_m_s: self.wind_m_s,
        };
        if let Some(file) = &self.config {
            let config = read_config(file)?;
            if self.target.is_none() {
                setting.target = target_for(&config).map_err(bad_input)?;
            }
            setting.params = config.triage.params;
            setting.calibration = config.triage.calibration;
        }
        if let Some(file) = &self.target {
            setting.target = read_target(file).map_err(bad_input)?;
        }
        if let Some(file) = &self.params {
            let text = read_text(file, MAX_CONFIG_BYTES)
                .map_err(|e| bad_input(format!("{}: {e}", file.display())))?;
            setting.params = parse_params(&text, file).map_err(bad_input)?;
        }
        if let Some(threads) = self.threads {
            setting.params.threads = threads;
            setting.params.check().map_err(|e| bad_input(format!("--threads: {e}")))?;
        }
        setting.calibration = self.calibration.take().or(setting.calibration);
        Ok(setting)
    }
}

fn within(option: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64, Failure> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(bad_input(format!("{option}: {value} is not from {} to {}", range.start(), range.end())))
}

/// Opens a frame: its name and its samples.
fn open(
    header: &Path,
    data: Option<PathBuf>,
    setting: &Setting,
) -> Result<(String, Cube<DataFile>), Failure> {
    let at = |path: &Path, e: &dyn std::fmt::Display| bad_input(format!("{}: {e}", path.display()));
    let data = match data {
        Some(data) => data,
        None => data_beside(header, Path::is_file).ok_or_else(|| {
            let endings = DATA_ENDINGS.join(", .");
            bad_input(format!(
                "{}: no data file beside it (.{endings}, or without ending); --data names one",
                header.display()
            ))
        })?,
    };
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    let name = frame_name(&file_name(header), &file_name(&data)).unwrap_or_else(|| "frame".to_owned());
    let text = read_header(header).map_err(|e| at(header, &e))?;
    let mut parsed = parse_header(&text).map_err(|e| at(header, &e))?;
    parsed.pixel_size_m = setting.pixel_size_m.or(parsed.pixel_size_m);
    parsed.wind_m_s = setting.wind_m_s.or(parsed.wind_m_s);
    let file = DataFile::open(&data).map_err(|e| at(&data, &e))?;
    let mut cube = Cube::new(parsed, file).map_err(|e| at(&data, &e))?;
    if let Some(file) = &setting.calibration {
        let columns = read_calibration(file, cube.header()).map_err(bad_input)?;
        cube = cube.with_columns(columns);
    }
    Ok((name, cube))
}

fn write_products(out: &Path, products: &Products) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| not_done(format!("writing {}: {e}", path.display()));
    let made = [
        ("result.json", products.verdict_json.as_slice()),
        ("record.bin", products.record.as_slice()),
        ("quicklook.png", products.quicklook.as_deref().unwrap_or_default()),
    ];
    let chip = products.chip.iter().map(|file| (file.name.as_str(), file.bytes.as_slice()));
    for (name, bytes) in made.into_iter().chain(chip) {
        let path = out.join(name);
        fs::write(&path, bytes).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// The file of the enhancement map.
const ENHANCEMENT: &str = "enhancement.f32";

/// Writes the enhancement map as it is made: `f32`, little endian, line by line, ppm·m.
struct Enhancement {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Enhancement {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(File::create(path)?), failed: None })
    }

    fn finish(mut self) -> io::Result<()> {
        self.failed.take().map_or_else(|| io::Write::flush(&mut self.file), Err)
    }
}

impl Sink for Enhancement {
    fn lines(&mut self, lines: &MapLines<'_>) {
        for row in lines.enhancement_ppm_m.chunks(lines.samples.max(1)) {
            let bytes: Vec<u8> = row.iter().flat_map(|v| v.to_le_bytes()).collect();
            if self.failed.is_none() {
                self.failed = io::Write::write_all(&mut self.file, &bytes).err();
            }
        }
    }
}
