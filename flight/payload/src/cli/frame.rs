//! `passband triage`: the detector on one frame, without the daemon.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;
use passband_spectral::triage::{MapLines, Params, Sink};

use super::{Failure, bad_input, help, not_done, print, read_config};
use crate::adapters::spool::{DataFile, parse_header, read_header};
use crate::camera::{DATA_ENDINGS, data_beside, frame_name};
use crate::daemon::target_for;
use crate::triage::{ExamineError, Products, examine};

#[derive(Default)]
struct Options {
    header: Option<PathBuf>,
    data: Option<PathBuf>,
    out: Option<PathBuf>,
    config: Option<PathBuf>,
    json: bool,
}

pub(super) fn triage(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(path) if options.header.is_none() => options.header = Some(path.into()),
            Long("data") => options.data = Some(parser.value()?.into()),
            Long("out") => options.out = Some(parser.value()?.into()),
            Long("config") => options.config = Some(parser.value()?.into()),
            Long("json") => options.json = true,
            Long("help") | Short('h') => return print(help::TRIAGE),
            other => return Err(other.unexpected().into()),
        }
    }
    let header = options.header.ok_or_else(|| bad_input("`passband triage` needs FRAME.hdr"))?;
    let out = options.out.ok_or_else(|| bad_input("`passband triage` needs --out DIR"))?;
    let (target, params) = match &options.config {
        None => (Target::ch4(), Params::default()),
        Some(file) => {
            let config = read_config(file)?;
            (target_for(&config).map_err(bad_input)?, config.triage.params)
        }
    };
    let failed = |path: &Path, e: io::Error| not_done(format!("writing {}: {e}", path.display()));
    fs::create_dir_all(&out).map_err(|e| failed(&out, e))?;
    let map = out.join(ENHANCEMENT);
    let mut maps = Enhancement::create(&map).map_err(|e| failed(&map, e))?;
    let (name, products) = look(&header, options.data, &target, &params, &mut maps)?;
    maps.finish().map_err(|e| failed(&map, e))?;
    write_products(&out, &products)?;
    if options.json {
        print(&String::from_utf8_lossy(&products.verdict_json))?;
    } else {
        print(&summary(&name, &products, &out))?;
    }
    products.quicklook.map(drop).map_err(not_done)
}

fn look(
    header: &Path,
    data: Option<PathBuf>,
    target: &Target,
    params: &Params,
    maps: &mut dyn Sink,
) -> Result<(String, Products), Failure> {
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
    let (text, _) = read_header(header).map_err(|e| at(header, &e))?;
    let parsed = parse_header(&text).map_err(|e| at(header, &e))?;
    let file = DataFile::open(&data).map_err(|e| at(&data, &e))?;
    let cube = Cube::new(parsed, file).map_err(|e| at(&data, &e))?;
    let products = examine(&name, &cube, target, params, maps).map_err(|e: ExamineError| at(header, &e))?;
    Ok((name, products))
}

fn write_products(out: &Path, products: &Products) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| not_done(format!("writing {}: {e}", path.display()));
    let quicklook = products.quicklook.as_deref().unwrap_or_default();
    let made = [("result.json", products.verdict_json.as_slice()), ("quicklook.png", quicklook)];
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

fn summary(name: &str, products: &Products, out: &Path) -> String {
    let report = &products.triage.report;
    let mut text =
        format!("{name}: {}, probability {:.2}: {}\n", products.class, report.probability, report.reason);
    for d in report.detections.iter().take(15) {
        let [line, sample] = d.centroid;
        // Writing to a string doesn't fail.
        let _ok = writeln!(
            text,
            "  plume {}: {} pixels at line {line:.0}, sample {sample:.0}; peak {:.0}, mean {:.0} ppm·m; probability {:.2}",
            d.label, d.pixels, d.peak_ppm_m, d.mean_ppm_m, d.probability
        );
    }
    let _ok = writeln!(
        text,
        "written to {}: result.json, enhancement.f32, quicklook.png and the chip, if there is one",
        out.display()
    );
    text
}
