//! Verdicts, records and the detector's parameters for people: a screen of 80 columns and 24 lines for each verdict.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use passband_spectral::triage::{Detection, Estimate, MAX_RECORD_BYTES, Params, RecordPlume};
use serde::Serialize;

use super::{Failure, bad_input, help, print};
use crate::json;
use crate::triage::{Products, RecordDocument, read_record};

/// Columns of a screen.
const COLUMNS: usize = 80;
/// Plumes that are shown, of two lines each.
const PLUMES: usize = 6;
/// Rejected candidates that are shown.
const REJECTIONS: usize = 3;

/// `passband record`.
pub(super) fn record(mut parser: lexopt::Parser) -> Result<(), Failure> {
    let (mut file, mut json) = (None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            Long("json") => json = true,
            Long("help") | Short('h') => return print(help::RECORD),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| bad_input("`passband record` needs FILE"))?;
    let bytes = read_bytes(&file).map_err(|e| bad_input(format!("{}: {e}", file.display())))?;
    let document = read_record(&bytes).map_err(|e| bad_input(format!("{}: {e}", file.display())))?;
    if !json {
        return print(&record_text(&document, bytes.len()));
    }
    let mut text = json::text(&document).map_err(super::not_done)?;
    text.push('\n');
    print(&text)
}

/// One byte more than a record has at most tells that it is none.
fn read_bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_RECORD_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What `passband triage` says of a frame.
pub(super) fn summary(name: &str, products: &Products, out: &Path) -> String {
    let report = &products.triage.report;
    let mut text = wrapped(
        &format!("{name}: {}, probability {:.2}: {}", products.class, report.probability, report.reason),
        2,
    );
    for d in report.detections.iter().take(PLUMES) {
        text.push_str(&plume(d));
    }
    more(&mut text, report.detections.len(), PLUMES, "plumes; result.json has them all");
    for r in report.rejections.iter().take(REJECTIONS) {
        let (line, sample) = (middle(r.bbox.line0, r.bbox.line1), middle(r.bbox.sample0, r.bbox.sample1));
        let say = format!(
            "  rejected ({}): {} pixels at line {line}, sample {sample}; probability {:.2}",
            name_of(&r.reason),
            r.pixels,
            r.probability
        );
        text.push_str(&wrapped(&say, 4));
    }
    more(&mut text, report.rejections.len(), REJECTIONS, "rejected");
    let chip = if products.chip.is_empty() { "" } else { ", the chip" };
    let names = format!("result.json, record.bin, enhancement.f32, quicklook.png{chip}");
    text.push_str(&wrapped(&format!("written to {}: {names}", out.display()), 2));
    text
}

fn plume(d: &Detection) -> String {
    let [line, sample] = d.centroid;
    let ground = d
        .position
        .map_or_else(String::new, |at| format!(" (lat {:.5}, lon {:.5})", at.latitude_deg, at.longitude_deg));
    let place = format!(
        "  plume {}: {} pixels at line {line:.0}, sample {sample:.0}{ground}; probability {:.2}",
        d.label, d.pixels, d.probability
    );
    let estimate = |e: Option<Estimate>| e.map(|e| [e.value, e.sigma].map(f64::from));
    let columns = [d.peak_ppm_m, d.mean_ppm_m].map(f64::from);
    format!("{}{}", wrapped(&place, 4), amounts(columns, estimate(d.mass_kg), estimate(d.rate_kg_h)))
}

/// Greatest and mean column, ppm·m, mass and source rate with their standard deviations.
fn amounts([peak, mean]: [f64; 2], mass_kg: Option<[f64; 2]>, rate_kg_h: Option<[f64; 2]>) -> String {
    let estimate = |e: Option<[f64; 2]>, unit: &str| {
        e.map_or_else(String::new, |[value, sigma]| format!("; {value:.0} ± {sigma:.0} {unit}"))
    };
    let (mass, rate) = (estimate(mass_kg, "kg"), estimate(rate_kg_h, "kg/h"));
    wrapped(&format!("    peak {peak:.0}, mean {mean:.0} ppm·m{mass}{rate}"), 4)
}

fn record_text(document: &RecordDocument, bytes: usize) -> String {
    let r = &document.record;
    let noise = match r.noise_ppm_m {
        0 => "gas was not looked for".to_owned(),
        noise => format!("noise {noise} ppm·m a pixel"),
    };
    let probability = f64::from(r.probability_permille) / 1000.0;
    let mut text = wrapped(
        &format!(
            "{}, probability {probability:.3}; {noise} (record {}, {bytes} bytes)",
            name_of(&r.class),
            r.version
        ),
        2,
    );
    let [cloud, dark, bad, saturated] = r.hidden_percent;
    let quality = [
        format!("cloud {cloud} %"),
        format!("dark {dark} %"),
        format!("bad {bad} %"),
        format!("saturated {saturated} %"),
        format!("dropped lines {} %", r.dropped_lines_percent),
        format!("dead detectors {} ‰", r.dead_detectors_permille),
        format!("striping {} ‰", r.striping_permille),
    ];
    text.push_str(&wrapped(&format!("  {}", quality.join(", ")), 4));
    if !r.flags.is_empty() {
        text.push_str(&wrapped(&format!("  flags: {}", names_of(&r.flags)), 4));
    }
    let rejected = if r.rejections.is_empty() {
        String::new()
    } else {
        format!("; rejected: {}", names_of(&r.rejections))
    };
    text.push_str(&wrapped(&format!("  {} candidates, {} plumes{rejected}", r.candidates, r.plumes), 4));
    for plume in r.top.iter().take(PLUMES) {
        text.push_str(&record_plume(plume));
    }
    more(&mut text, usize::from(r.plumes), PLUMES.min(r.top.len()), "plumes");
    text
}

fn record_plume(p: &RecordPlume) -> String {
    let place = format!(
        "  plume: {} pixels at line {}, sample {} ({} × {}); probability {:.3}",
        p.pixels,
        p.line,
        p.sample,
        p.lines,
        p.samples,
        f64::from(p.probability_permille) / 1000.0
    );
    let estimate = |e: [u32; 2]| (e != [0, 0]).then(|| e.map(f64::from));
    let columns = [p.peak_ppm_m, p.mean_ppm_m].map(f64::from);
    format!("{}{}", wrapped(&place, 4), amounts(columns, estimate(p.mass_kg), estimate(p.rate_kg_h)))
}

/// The table of parameters as a file that `--params` takes, with what each means and its range.
pub(super) fn param_table(params: &Params) -> String {
    let mut text = String::from("# Parameters of the detector: as `[triage.params]`, and for --params.\n");
    let mut table = "";
    for row in &params.table() {
        let (of, name) = row.name.split_once('.').unwrap_or(("", &row.name));
        if of != table {
            // Writing to a string doesn't fail.
            let _ok = writeln!(text, "\n[{of}]");
            table = of;
        }
        let about = wrapped(&format!("# {} {} to {}.", row.doc, row.least, row.most), 2);
        let _ok = writeln!(text, "\n{}{name} = {}", about.replace("\n  ", "\n# "), row.value);
    }
    text
}

fn more(text: &mut String, all: usize, shown: usize, of_what: &str) {
    if all > shown {
        let _ok = writeln!(text, "  … and {} more {of_what}", all - shown);
    }
}

fn middle(from: u32, to: u32) -> u32 {
    from + to.saturating_sub(from) / 2
}

/// The name that a value has in every document.
fn name_of<T: Serialize>(value: &T) -> String {
    json::value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn names_of<T: Serialize>(values: &[T]) -> String {
    values.iter().map(name_of).collect::<Vec<_>>().join(", ")
}

/// A line cut between words so that none is wider than the screen, with a line end; further lines are indented.
fn wrapped(line: &str, indent: usize) -> String {
    let words = line.trim_start();
    let mut width = line.len() - words.len();
    let mut out = " ".repeat(width);
    for (nth, word) in words.split(' ').enumerate() {
        let long = word.chars().count();
        if nth > 0 && width + 1 + long > COLUMNS {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            width = indent;
        } else if nth > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += long;
    }
    out.push('\n');
    out
}
