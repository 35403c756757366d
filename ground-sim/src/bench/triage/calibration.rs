//! What a probability is worth: of what is said to be a plume with 0.9, nine in ten have to be one.
//!
//! A detection is true where one of its own pixels is gas (truth above 200 ppm·m), a rejected candidate where its box
//! holds some.

use anyhow::Result;
use passband_spectral::triage::Params;

use super::ap::GAS_PPM_M;
use super::frames::{Series, any_scene, frame};
use super::metrics::{Bin, calibration_error, reliability};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};

const ERROR: f64 = 0.05;
/// Share of the frames that hold a plume.
const PLUME_SHARE: f64 = 0.5;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(8, 1000, 4000);
    let wanted: Vec<u64> = (0..frames).collect();
    let said = on_all_cores(&wanted, |nth| {
        let scene = any_scene(bench.seed, Series::Calibration, *nth, PLUME_SHARE);
        let frame = frame(format!("calibration-{nth:04}"), &scene)?;
        let look = ours::look_at_all(&frame)?;
        let gas = frame.gas(GAS_PPM_M);
        let detected = look.report.detections.iter().map(|d| (d.probability, look.overlap(d, &gas) > 0));
        let rejected = look.report.rejections.iter();
        let rejected = rejected.map(|r| (r.probability, ours::holds_gas(&r.bbox, frame.samples(), &gas)));
        Ok(detected.chain(rejected).collect::<Vec<_>>())
    })?;
    let all: Vec<(f32, bool)> = said.into_iter().flatten().collect();
    let least = Params::default().report_probability;
    let reported: Vec<(f32, bool)> = all.iter().filter(|(p, _)| *p >= least).copied().collect();
    let bin = |b: &Bin| format!("{:.3} → {:.3} ({})", b.said, b.was, b.count);
    for (which, said) in [("candidates", &all), ("reported detections", &reported)] {
        let trues = said.iter().filter(|(_, truth)| *truth).count();
        let what = format!("expected calibration error of {} {which} in {frames} frames", said.len());
        let row = Row::new("calibration", what, calibration_error(said), "1", Op::AtMost, ERROR);
        let diagram: Vec<String> = reliability(said).iter().map(bin).collect();
        sink(row.note(format!("{trues} are plumes; said → was (number): {}", diagram.join(", "))))?;
    }
    Ok(())
}
