//! What a probability is worth: of what is said to be a plume with 0.9, nine in ten have to be one.
//!
//! A detection is true where one of its own pixels is gas (truth above 200 ppm·m), a rejected candidate where its box
//! holds some.

use anyhow::Result;
use passband_spectral::triage::Params;

use super::ap::GAS_PPM_M;
use super::frames::{Series, any_scene, frame};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};
use crate::eval::Calibration;

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
    let all: Vec<(f64, bool)> = said.into_iter().flatten().map(|(p, truth)| (f64::from(p), truth)).collect();
    let reported = f64::from(Params::default().report_probability);
    for (which, least) in [("candidates", 0.0), ("reported detections", reported)] {
        let found = Calibration::of(&all, least);
        let trues = all.iter().filter(|(p, truth)| *p >= least && *truth).count();
        let what = format!("expected calibration error of {} {which} in {frames} frames", found.candidates);
        let row = Row::new("calibration", what, found.ece, "1", Op::AtMost, ERROR);
        let diagram: Vec<String> = found
            .bins
            .iter()
            .map(|b| {
                format!(
                    "{:.3} → {:.3} ({})",
                    b.predicted,
                    b.observed.share.unwrap_or(f64::NAN),
                    b.observed.of
                )
            })
            .collect();
        sink(row.note(format!("{trues} are plumes; said → was (number): {}", diagram.join(", "))))?;
    }
    Ok(())
}
