//! How well pixels are ranked: average precision of our score and of each peer's map on the same frames.
//!
//! A pixel is gas above 200 ppm·m. Every peer's map is smoothed (σ = 1.2 px) before it is ranked, so that nobody wins
//! by smoothing. Pixels that our own mask leaves out (cloud, dark ground, bad samples) count for nobody; where a
//! detector gives no number it ranks last.

use std::path::Path;

use anyhow::Result;

use super::exchange::{self, Written};
use super::frames::{Frame, Series, Wanted, frame, strength};
use super::image::{SMOOTHING_PX, smoothed};
use super::metrics::{average_precision, mean, spread};
use super::peers::{self, Answer, BOTH, Job, PEERS, Peer, README, WINDOW};
use super::{Bench, Op, Row, Scale, Sink, on_all_cores, ours, work_folder};

/// A pixel with more is gas, ppm·m.
pub(super) const GAS_PPM_M: f32 = 200.0;
const AP: f64 = 0.80;
const AHEAD: f64 = 0.08;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(2, 20, 40);
    let (samples, lines) = bench.pick((48, 96), (128, 512), (256, 1024));
    let wanted: Vec<Wanted> = (0..frames)
        .map(|nth| Wanted {
            seed: bench.seed,
            series: Series::Ranking,
            nth,
            samples,
            lines,
            plume_ppm_m: Some(strength(nth, frames, 1000.0, 10_000.0)),
            clouds: 0.0,
            fault: None,
        })
        .collect();
    let dir = work_folder()?;
    let shown = on_all_cores(&wanted, |w| Shown::new(&frame(w)?, dir.path()))?;
    let own: Vec<f64> = shown.iter().filter_map(|s| s.own).collect();
    let on = format!("{frames} frames of {samples} × {lines}, truth > {GAS_PPM_M} ppm·m");
    let row =
        Row::new("ap", format!("pixel average precision, mean of {on}"), mean(&own), "1", Op::AtLeast, AP);
    sink(row.note(spread(&own)))?;
    let Some(command) = peers::command_or_row(bench, "ap", sink)? else { return Ok(()) };
    let written: Vec<Written> = shown.iter().map(|s| s.written.clone()).collect();
    let quick = bench.scale == Scale::Quick;
    let run: Vec<Peer> = PEERS.into_iter().filter(|p| !(quick && p.slow)).collect();
    let settings: &[&str] = if quick { &[WINDOW] } else { &[WINDOW, BOTH, README] };
    let job = Job { peers: &run, settings, turns: 1 };
    for group in peers::by_peer(peers::run(command, dir.path(), &written, &job)?) {
        sink(beside(&shown, &own, &group)?)?;
    }
    Ok(())
}

/// One peer in one setting on all frames.
fn beside(shown: &[Shown], own: &[f64], answers: &[Answer]) -> Result<Row> {
    let mut theirs = Vec::new();
    for (shown, answer) in shown.iter().zip(answers) {
        if let Some(map) = answer.map(&shown.written)? {
            theirs.extend(shown.precision(&smoothed(
                &map,
                shown.written.samples,
                &shown.usable,
                SMOOTHING_PX,
            )));
        }
    }
    let name = answers.first().map_or_else(String::new, Answer::name);
    // Pairs of the same frame; a frame that a peer could not do leaves the pairs in doubt.
    let whole = theirs.len() == own.len() && theirs.len() == shown.len();
    let ahead: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a - b).collect();
    let value = if whole { mean(&ahead) } else { None };
    let row = Row::new("ap", "pixel average precision above the peer's", value, "1", Op::AtLeast, AHEAD)
        .beside(name, mean(&theirs));
    let blind: u64 = answers.iter().filter_map(|a| a.not_finite).sum();
    let blind = (blind > 0).then(|| format!("{blind} usable pixels without a number"));
    let said = answers.iter().find_map(|a| a.note.clone());
    let said: String = [blind, said].into_iter().flatten().map(|n| format!("; {n}")).collect();
    Ok(row.note(format!("theirs: {}; ours less theirs: {}{said}", spread(&theirs), spread(&ahead))))
}

/// A frame that our detector has looked at and that is written for the peers.
struct Shown {
    written: Written,
    truth: Vec<bool>,
    usable: Vec<bool>,
    own: Option<f64>,
}

impl Shown {
    fn new(frame: &Frame, dir: &Path) -> Result<Self> {
        let look = ours::look(frame)?;
        let usable: Vec<bool> = look.left_out.iter().map(|l| !l).collect();
        let written = exchange::write(dir, &frame.name, &frame.cube()?, &ours::target(), &usable)?;
        let truth = frame.truth_ppm_m.iter().map(|c| *c > GAS_PPM_M).collect();
        let mut shown = Self { written, truth, usable, own: None };
        shown.own = shown.precision(&look.score);
        Ok(shown)
    }

    fn precision(&self, score: &[f32]) -> Option<f64> {
        let known = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        let pixels = score.iter().zip(&self.truth).zip(&self.usable);
        let scored: Vec<(f32, bool)> =
            pixels.filter(|(_, usable)| **usable).map(|((s, truth), _)| (known(*s), *truth)).collect();
        average_precision(&scored)
    }
}
