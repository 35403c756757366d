//! How well pixels are ranked: average precision of our score and of each peer's map on the same frames.
//!
//! A pixel is gas above 200 ppm·m. Every peer's map is smoothed (σ = 1.2 px) before it is ranked, so that nobody wins
//! by smoothing. Pixels under cloud, water and lost samples count for nobody, by the truth; where a detector gives no number
//! the pixel ranks last.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::exchange::{self, Written};
use super::frames::{Frame, Series, frame, real, scene, seed};
use super::image::{SMOOTHING_PX, smoothed};
use super::metrics::{average_precision, mean, spread};
use super::peers::{self, Answer, Job, Part};
use super::{Bench, Op, Row, Sink, on_all_cores, ours, work_folder};

/// A pixel with more is gas, ppm·m.
pub(super) const GAS_PPM_M: f32 = 200.0;
const AP: f64 = 0.80;
const AHEAD: f64 = 0.08;
/// Source rates of a frame's plumes, kg/h.
pub(super) const RATES_KG_H: [f64; 4] = [300.0, 700.0, 1500.0, 3000.0];
/// Real cubes, below a folder of shared data beside the project.
const REAL: &str = "shared/data/jasper_ridge/jasper_ridge.hdr";
/// Source rates of the plume that is put into it, kg/h.
const REAL_RATES_KG_H: [f64; 3] = [500.0, 1000.0, 2000.0];

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    synthetic(bench, sink)?;
    on_real_ground(bench, sink)
}

fn synthetic(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(2, 20, 40);
    let size = bench.pick((64, 96), (256, 512), (256, 512));
    let wanted: Vec<u64> = (0..frames).collect();
    let dir = work_folder()?;
    let shown = on_all_cores(&wanted, |nth| {
        let params = scene(seed(bench.seed, Series::Ranking, *nth), size, &RATES_KG_H);
        Shown::new(&frame(format!("ranking-{nth:04}"), &params)?, dir.path())
    })?;
    let on = format!("{frames} frames of {} × {}, truth > {GAS_PPM_M} ppm·m", size.0, size.1);
    own_row(&on, &shown, sink)?;
    let Some(command) = peers::command_or_row(bench, "ap", sink)? else { return Ok(()) };
    for part in peers::parts(bench.scale, shown.len()) {
        beside_all(command, &part, (&on, &shown), dir.path(), sink)?;
    }
    Ok(())
}

/// Plumes put into a real cube.
fn on_real_ground(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let seeds: u64 = bench.pick(1, 3, 10);
    let Some(cube) = real_cube(&bench.program) else {
        let row = Row::new("ap", "plumes put into real cubes", None, "1", Op::AtLeast, AHEAD);
        return sink(row.note(format!("not measured: no ../{REAL} beside the project")));
    };
    let wanted: Vec<(u64, f64)> =
        (0..seeds).flat_map(|nth| REAL_RATES_KG_H.map(|rate| (nth, rate))).collect();
    let dir = work_folder()?;
    let shown = on_all_cores(&wanted, |(nth, rate)| {
        let name = format!("real-{nth:02}-{rate:.0}");
        match real(name, &cube, seed(bench.seed, Series::Real, *nth), *rate)? {
            Some(frame) => Shown::new(&frame, dir.path()).map(Some),
            None => Ok(None),
        }
    })?;
    let shown: Vec<Shown> = shown.into_iter().flatten().collect();
    let on = format!("{} plumes put into AVIRIS's Jasper Ridge, truth > {GAS_PPM_M} ppm·m", shown.len());
    own_row(&on, &shown, sink)?;
    let Some(command) = &bench.peers else { return Ok(()) };
    for part in peers::parts(bench.scale, shown.len()) {
        // LinkNet is made for radiance; this is reflectance.
        let peers = part.peers.into_iter().filter(|p| p.ppm_m).collect();
        beside_all(command, &Part { peers, ..part }, (&on, &shown), dir.path(), sink)?;
    }
    Ok(())
}

/// The real cube, if it is there: beside the project that this program was built in.
fn real_cube(program: &Path) -> Option<PathBuf> {
    program.ancestors().map(|dir| dir.join(REAL)).find(|path| path.is_file())
}

/// Our own row.
fn own_row(on: &str, shown: &[Shown], sink: &mut Sink) -> Result<()> {
    let own: Vec<f64> = shown.iter().filter_map(|s| s.own).collect();
    let plain: Vec<f64> = shown.iter().filter_map(|s| s.own_enhancement).collect();
    let value = (own.len() == shown.len()).then(|| mean(&own)).flatten();
    let row = Row::new("ap", format!("pixel average precision, mean of {on}"), value, "1", Op::AtLeast, AP);
    let mut lowest: Vec<(f64, &str)> = shown.iter().filter_map(|s| Some((s.own?, s.name.as_str()))).collect();
    lowest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest: Vec<String> = lowest.iter().take(4).map(|(ap, name)| format!("{name} {ap:.3}")).collect();
    sink(row.note(format!(
        "{}; lowest: {}; of the enhancement, smoothed as the peers' is: mean {:.3}, {}",
        spread(&own),
        lowest.join(", "),
        mean(&plain).unwrap_or(f64::NAN),
        spread(&plain)
    )))
}

/// Some peers in some settings on some of the frames.
fn beside_all(
    command: &[OsString],
    part: &Part,
    (on, shown): (&str, &[Shown]),
    dir: &Path,
    sink: &mut Sink,
) -> Result<()> {
    let shown = &shown[..part.frames.min(shown.len())];
    let written: Vec<Written> = shown.iter().map(|s| s.written.clone()).collect();
    let job = Job { peers: &part.peers, settings: part.settings, turns: 1 };
    for group in peers::by_peer(peers::run(command, dir, &written, &job)?) {
        sink(beside(shown, on, &group)?)?;
        for answer in &group {
            answer.forget_map();
        }
    }
    Ok(())
}

/// One peer in one setting on all of the frames given.
fn beside(shown: &[Shown], on: &str, answers: &[Answer]) -> Result<Row> {
    let mut theirs = Vec::new();
    for (shown, answer) in shown.iter().zip(answers) {
        if let Some(map) = answer.map(&shown.written)? {
            theirs.extend(shown.precision(&shown.smooth(&map)));
        }
    }
    let own: Vec<f64> = shown.iter().filter_map(|s| s.own).collect();
    let name = answers.first().map_or_else(String::new, Answer::name);
    // Pairs of the same frame; a frame that a peer could not do leaves the pairs in doubt.
    let whole = theirs.len() == own.len() && theirs.len() == shown.len();
    let ahead: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a - b).collect();
    let value = if whole { mean(&ahead) } else { None };
    let what = format!("pixel average precision above the peer's, {on}");
    let row = Row::new("ap", what, value, "1", Op::AtLeast, AHEAD).beside(name, mean(&theirs));
    let blind: u64 = answers.iter().filter_map(|a| a.not_finite).sum();
    let blind = (blind > 0).then(|| format!("{blind} usable pixels without a number"));
    let said = answers.iter().find_map(|a| a.note.clone());
    let said: String = [blind, said].into_iter().flatten().map(|n| format!("; {n}")).collect();
    Ok(row.note(format!(
        "on {} of the frames; theirs: {}; ours less theirs: {}{said}",
        shown.len(),
        spread(&theirs),
        spread(&ahead)
    )))
}

/// A frame that our detector has looked at and that is written for the peers.
struct Shown {
    name: String,
    written: Written,
    gas: Vec<bool>,
    usable: Vec<bool>,
    own: Option<f64>,
    /// The same of our enhancement, smoothed as a peer's.
    own_enhancement: Option<f64>,
}

impl Shown {
    fn new(frame: &Frame, dir: &Path) -> Result<Self> {
        let look = ours::look(frame)?;
        let (usable, gas) = (frame.usable(), frame.gas(GAS_PPM_M));
        let written = exchange::write(dir, &frame.name, &frame.cube()?, &ours::target(), &usable)?;
        let name = frame.name.clone();
        let mut shown = Self { name, written, gas, usable, own: None, own_enhancement: None };
        shown.own = shown.precision(&look.score);
        shown.own_enhancement = shown.precision(&shown.smooth(&look.enhancement_ppm_m));
        Ok(shown)
    }

    fn smooth(&self, map: &[f32]) -> Vec<f32> {
        smoothed(map, self.written.samples, &self.usable, SMOOTHING_PX)
    }

    fn precision(&self, score: &[f32]) -> Option<f64> {
        precision(score, &self.gas, &self.usable)
    }
}

/// Average precision over the pixels that count; a pixel without a number ranks last.
pub(super) fn precision(score: &[f32], gas: &[bool], usable: &[bool]) -> Option<f64> {
    let known = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let pixels = score.iter().zip(gas).zip(usable);
    let scored: Vec<(f32, bool)> =
        pixels.filter(|(_, usable)| **usable).map(|((s, gas), _)| (known(*s), *gas)).collect();
    average_precision(&scored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_number_ranks_last_and_what_may_not_be_used_does_not_count() {
        let gas = [true, false, true, false];
        let all = precision(&[3.0, 2.0, f32::NAN, -1e30], &gas, &[true; 4]).unwrap();
        assert!((all - f64::midpoint(1.0, 0.5)).abs() < 1e-12, "{all}");
        let some = precision(&[3.0, 9.0, f32::NAN, 1.0], &gas, &[true, false, false, true]).unwrap();
        assert!((some - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_real_cube_is_looked_for_above_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let hdr = dir.path().join(REAL);
        std::fs::create_dir_all(hdr.parent().unwrap()).unwrap();
        std::fs::write(&hdr, "").unwrap();
        assert_eq!(real_cube(&dir.path().join("project/target/release/x")), Some(hdr));
    }
}
