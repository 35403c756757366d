//! The same bytes: with any number of threads, and as they were when the golden hashes were taken.
//!
//! Two small frames: one calibrated, as f32, with plumes, clouds and faults, the other of u16 counts, cut into segments.
//! What is hashed is the report as JSON and all four maps; the frame itself as well, so that a scene that has changed is
//! not taken for a detector that has. A test of this file compares with `flight/spectral/golden/triage.sha256`;
//! `PASSBAND_UPDATE_GOLDEN=1` makes that test write it anew, after a change that was meant.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use passband_spectral::triage::{Maps, Params, triage};
use sha2::{Digest, Sha256};

use super::frames::{Frame, frame, scene};
use super::{Bench, Op, Row, Sink, ours};
use crate::scene::{Confusers, SceneParams};

/// What the results were.
const GOLDEN: &str = include_str!("../../../../flight/spectral/golden/triage.sha256");
const THREADS: [usize; 4] = [1, 2, 4, 8];
/// Pixels of a segment of the second frame: it has some segments.
const SMALL_SEGMENT: usize = 4096;

pub(super) fn measure(_: &Bench, sink: &mut Sink) -> Result<()> {
    let (mut differ, mut changed, mut told) = (0, 0, Vec::new());
    for (frame, params) in frames()? {
        let hashes = THREADS.map(|threads| result_hash(&frame, &params, threads));
        let hashes: Vec<String> = hashes.into_iter().collect::<Result<_>>()?;
        differ += hashes.iter().filter(|h| **h != hashes[0]).count();
        let line = line(&frame, &hashes[0]);
        if !GOLDEN.lines().any(|known| known == line) {
            changed += 1;
            told.push(line);
        }
    }
    let what = "results that differ between 1, 2, 4 and 8 threads";
    sink(Row::new("determinism", what, Some(differ as f64), "1", Op::AtMost, 0.0))?;
    let what = "results that differ from the golden ones (report and four maps of two frames)";
    let row = Row::new("determinism", what, Some(f64::from(changed)), "1", Op::AtMost, 0.0);
    sink(if told.is_empty() { row } else { row.note(told.join("; ")) })
}

/// The frames and how they are looked at.
fn frames() -> Result<[(Frame, Params); 2]> {
    let one = SceneParams {
        cloud_fraction: 0.08,
        dead_share: 0.002,
        dropped_share: 0.02,
        confusers: Confusers { roofs: 3, hydrocarbon: 2, carbonate: 1, roads: 1, ..Confusers::default() },
        ..scene(20_260, (96, 144), &[2000.0, 600.0])
    };
    let two = SceneParams { f32_radiance: false, ..scene(20_261, (80, 160), &[3000.0]) };
    let cut = Params { segment_pixels: SMALL_SEGMENT, ..Params::default() };
    Ok([
        (frame("plumes-clouds-faults".into(), &one)?, Params::default()),
        (frame("counts-in-segments".into(), &two)?, cut),
    ])
}

/// SHA-256 over the report as JSON and the maps, line by line: enhancement, σ, score, mask.
fn result_hash(frame: &Frame, params: &Params, threads: usize) -> Result<String> {
    let params = Params { threads, ..params.clone() };
    let mut maps = Maps::default();
    let found = triage(&frame.cube()?, &ours::target(), &params, &mut maps).context("triage")?;
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(&found.report)?);
    for map in [&maps.enhancement_ppm_m, &maps.sigma_ppm_m, &maps.score] {
        for value in map {
            // What is not measured is not a number, whichever.
            let bits = if value.is_nan() { f32::NAN } else { *value };
            hash.update(bits.to_le_bytes());
        }
    }
    hash.update(&maps.mask);
    Ok(hex(hash))
}

/// A line of the golden file.
fn line(frame: &Frame, result: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(&frame.data);
    format!("{} frame {} result {result}", frame.name, hex(hash))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn results_are_the_golden_ones_with_any_number_of_threads() {
        let mut text = String::from(
            "# What triage makes of two fixed scenes (ground-sim/src/bench/triage/determinism.rs). After a change that was \
             meant:\n# PASSBAND_UPDATE_GOLDEN=1 cargo test -p passband-ground golden\n",
        );
        for (frame, params) in frames().unwrap() {
            let hashes = THREADS.map(|threads| result_hash(&frame, &params, threads).unwrap());
            assert!(hashes.iter().all(|h| *h == hashes[0]), "{}: {hashes:?}", frame.name);
            let report = ours::look(&frame).unwrap().report;
            assert!(!report.detections.is_empty(), "{} shows nothing: {report:?}", frame.name);
            text += &line(&frame, &hashes[0]);
            text.push('\n');
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flight/spectral/golden/triage.sha256");
        if std::env::var_os("PASSBAND_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert_eq!(golden, text, "results have changed: if that was meant, set PASSBAND_UPDATE_GOLDEN=1");
    }
}
