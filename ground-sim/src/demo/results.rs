//! What the demo leaves behind: pictures, cubes, summary, report; and the checks that all of it is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use passband_spectral::cube::{Cube, write_bil};
use passband_spectral::envi::{Header, Interleave};
use serde_json::Value;

use super::satellite::QueueRow;
use super::summary::{BundleSummary, FileSummary, FrameSummary, Summary};
use super::{Demo, report};
use crate::commands::recover::recover;
use crate::station::{BundleReport, open_sealed_file};

/// Ends the demo: checks, files, the last lines on the screen. Whether everything came down bit for bit.
pub(super) fn finish(mut demo: Demo, seed: u64) -> Result<bool> {
    let reports: BTreeMap<String, BundleReport> =
        demo.ground.station.report().into_iter().map(|b| (b.id.clone(), b)).collect();
    let work = tempfile::tempdir().context("making a folder for the checks")?;
    let bundles = demo
        .queue
        .iter()
        .map(|row| bundle(&demo, row, reports.get(&row.id), work.path()))
        .collect::<Result<Vec<_>>>()?;
    let complete = bundles.iter().all(|b| b.complete && b.identical);
    let captures_agree = check_captures(&mut demo, &bundles, work.path())?;
    let frames = frames(&demo, &reports)?;
    let verdict =
        if complete { "every product equals what went in, bit for bit" } else { "NOT everything came down" };
    demo.story.say("check", &format!("{verdict}; {} passes, 0 ACKs", demo.passes.len()));
    let alerts = demo.ground.heard.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let summary = Summary {
        schema: 1,
        complete,
        captures_agree,
        seed,
        seconds: demo.story.now_s(),
        frames,
        bundles,
        passes: demo.passes,
        alerts,
        timeline: demo.story.timeline,
    };
    write(&demo.out.join("summary.json"), &serde_json::to_vec_pretty(&summary)?)?;
    write(&demo.out.join("report.html"), report::render(&summary, &demo.out).as_bytes())?;
    say!();
    say!("report     {}", demo.out.join("report.html").display());
    say!("summary    {}", demo.out.join("summary.json").display());
    say!("pictures   {}", demo.out.join("quicklooks").display());
    say!("cubes      {}", demo.out.join("cubes").display());
    say!("captures   {}", demo.out.join("captures").display());
    Ok(complete && captures_agree)
}

/// A bundle and its files, compared with what is sealed on board and what went into the spool.
fn bundle(demo: &Demo, row: &QueueRow, report: Option<&BundleReport>, work: &Path) -> Result<BundleSummary> {
    let on_board = open_sealed_file(&demo.satellite.sealed(&row.id), &demo.keys, &work.join("on-board"))?;
    let source = demo.sources.iter().find(|s| s.name == row.frame);
    let down =
        |name: &str| report.and_then(|r| r.files.iter().find(|f| f.name == name)).map(|f| f.sha256.clone());
    let files: Vec<FileSummary> = on_board
        .files
        .iter()
        .map(|file| {
            let went_in = source
                .and_then(|s| {
                    s.files.iter().find(|(path, _)| path.file_name().is_some_and(|n| *n == *file.name))
                })
                .filter(|_| row.product == "cube");
            FileSummary {
                name: file.name.clone(),
                bytes: file.bytes,
                source_sha256: Some(
                    went_in.map_or_else(|| file.sha256.clone(), |(_, sha256)| sha256.clone()),
                ),
                product_sha256: down(&file.name),
            }
        })
        .collect();
    let curve = demo.curves.get(&row.id);
    let percent_by_pass = curve.map(|c| c.percent.clone()).unwrap_or_default();
    let complete = report.is_some_and(|r| r.complete);
    let whole_at = percent_by_pass.iter().position(|p| *p >= 100.0).and_then(|i| u32::try_from(i + 1).ok());
    let symbol_bytes = u64::from(on_board.geometry.symbol_bytes);
    Ok(BundleSummary {
        id: row.id.clone(),
        name: row.name.clone(),
        product: row.product.clone(),
        frame: Some(row.frame.clone()),
        class: row.class.clone(),
        bytes: on_board.manifest.content_bytes(),
        bytes_received: report.map_or(0, |r| r.symbols_received * symbol_bytes),
        passes: whole_at.filter(|_| complete),
        complete,
        identical: complete
            && files.iter().all(|f| f.product_sha256.is_some() && f.source_sha256 == f.product_sha256),
        files,
        percent_by_pass,
        blind_percent_by_pass: curve.map(|c| c.blind_percent.clone()).unwrap_or_default(),
    })
}

/// Recovers the captures alone, with a store of their own, and compares.
fn check_captures(demo: &mut Demo, bundles: &[BundleSummary], work: &Path) -> Result<bool> {
    let captures: Vec<PathBuf> = demo.passes.iter().map(|p| demo.out.join(&p.capture)).collect();
    let recovery = recover(&demo.keys, &captures, &work.join("store"), &work.join("products"), true)?;
    let same = bundles.iter().all(|b| {
        let again = recovery.bundles.iter().find(|r| r.id == b.id);
        let again: Vec<&str> = again.iter().flat_map(|r| &r.files).map(|f| f.sha256.as_str()).collect();
        let live: Vec<&str> = b.files.iter().filter_map(|f| f.product_sha256.as_deref()).collect();
        again == live
    });
    let whole = recovery.bundles.iter().filter(|b| b.complete).count();
    let verdict = if same { "the same products" } else { "OTHER products than live reception" };
    demo.story.say(
        "check",
        &format!("the {} captures alone give {whole} whole bundles: {verdict}", captures.len()),
    );
    Ok(same)
}

fn frames(demo: &Demo, reports: &BTreeMap<String, BundleReport>) -> Result<Vec<FrameSummary>> {
    let mut out = Vec::new();
    for source in &demo.sources {
        let of = |product: &str| {
            let row = demo.queue.iter().find(|r| r.frame == source.name && r.product == product);
            row.map(|row| (row, reports.get(&row.id).filter(|r| r.complete).and_then(|r| r.output.clone())))
        };
        let evidence = of("evidence");
        let detections =
            evidence.as_ref().and_then(|(_, dir)| dir.clone()).map(|dir| read_detections(&dir, &source.name));
        let result = detections.transpose()?.unwrap_or(Value::Null);
        let number = |key: &str| result[key].as_u64().unwrap_or_default();
        let mut bands = 0;
        let cube = match of("cube").and_then(|(_, dir)| dir) {
            Some(dir) => {
                let (path, header) = place_cube(demo, &dir, &source.name)?;
                bands = header.bands as u64;
                Some(path)
            }
            None => None,
        };
        let quicklook = match of("quicklook").and_then(|(_, dir)| dir) {
            Some(dir) => place_quicklook(demo, &dir, &source.name)?,
            None => None,
        };
        out.push(FrameSummary {
            name: source.name.clone(),
            class: evidence.as_ref().map_or_else(|| "rejected".to_owned(), |(row, _)| row.class.clone()),
            reason: result["reason"]
                .as_str()
                .unwrap_or("not accepted, or its evidence is not down")
                .to_owned(),
            size: [number("samples"), number("lines"), bands],
            detections: result["detections"].as_array().cloned().unwrap_or_default(),
            quicklook,
            cube,
        });
    }
    Ok(out)
}

fn read_detections(dir: &Path, frame: &str) -> Result<Value> {
    let path = dir.join(format!("{frame}.detections.json"));
    let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
}

fn place_quicklook(demo: &Demo, dir: &Path, frame: &str) -> Result<Option<PathBuf>> {
    let from = dir.join(format!("{frame}.quicklook.png"));
    if !from.is_file() {
        return Ok(None);
    }
    let relative = Path::new("quicklooks").join(format!("{frame}.png"));
    let to = demo.out.join(&relative);
    fs::create_dir_all(demo.out.join("quicklooks")).context("making the folder for the pictures")?;
    fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    Ok(Some(relative))
}

/// Puts the recovered cube into `cubes/` as `.hdr` and BIL: as it came down where it is BIL, else turned.
fn place_cube(demo: &Demo, dir: &Path, frame: &str) -> Result<(PathBuf, Header)> {
    let cubes = demo.out.join("cubes");
    fs::create_dir_all(&cubes).context("making the folder for the cubes")?;
    let mut header_path = None;
    let mut data_path = None;
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry.with_context(|| format!("reading {}", dir.display()))?.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some(e) if e.eq_ignore_ascii_case("hdr") => header_path = Some(path),
            Some("json") => {}
            _ => data_path = Some(path),
        }
    }
    let header_path = header_path.with_context(|| format!("{} holds no header", dir.display()))?;
    let data_path = data_path.with_context(|| format!("{} holds no data", dir.display()))?;
    let text = String::from_utf8_lossy(&fs::read(&header_path)?).into_owned();
    let header = Header::parse(&text).with_context(|| format!("reading {}", header_path.display()))?;
    let (to_header, to_data) = (cubes.join(format!("{frame}.hdr")), cubes.join(format!("{frame}.bil")));
    if header.interleave == Interleave::Bil {
        fs::copy(&header_path, &to_header).with_context(|| format!("copying {}", header_path.display()))?;
        fs::copy(&data_path, &to_data).with_context(|| format!("copying {}", data_path.display()))?;
    } else {
        let data = fs::read(&data_path).with_context(|| format!("reading {}", data_path.display()))?;
        let cube =
            Cube::new(header.clone(), data).with_context(|| format!("reading {}", data_path.display()))?;
        let mut turned = Vec::new();
        let turned_header = write_bil(&cube, &mut turned).context("turning the cube into BIL")?;
        write(&to_data, &turned)?;
        write(&to_header, turned_header.to_text().as_bytes())?;
    }
    Ok((Path::new("cubes").join(format!("{frame}.hdr")), header))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
