//! What a probability is worth: of what is said to be a plume with 0.9, nine in ten have to be one.

use anyhow::Result;

use super::ap::GAS_PPM_M;
use super::frames::{Series, Wanted, frame, strength};
use super::metrics::{calibration_error, reliability};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};

const ERROR: f64 = 0.05;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(8, 400, 2000);
    let (samples, lines) = bench.pick((48, 96), (128, 160), (128, 160));
    let wanted: Vec<Wanted> = (0..frames)
        .map(|nth| Wanted {
            seed: bench.seed,
            series: Series::Calibration,
            nth,
            samples,
            lines,
            // Every second frame has a plume, from what nobody can see to what nobody can miss.
            plume_ppm_m: (nth % 2 == 1).then(|| strength(nth / 2, frames / 2, 100.0, 10_000.0)),
            clouds: if nth % 5 == 0 { 0.3 } else { 0.0 },
            fault: None,
        })
        .collect();
    let said = on_all_cores(&wanted, |w| {
        let frame = frame(w)?;
        let report = ours::look(&frame)?.report;
        let truth = |d: &passband_spectral::triage::Detection| {
            (d.probability, ours::holds_gas(&d.bbox, &frame, GAS_PPM_M))
        };
        Ok(report.detections.iter().map(truth).collect::<Vec<_>>())
    })?;
    let said: Vec<(f32, bool)> = said.into_iter().flatten().collect();
    let what = format!("expected calibration error of {} candidates in {frames} frames", said.len());
    let row = Row::new("calibration", what, calibration_error(&said), "1", Op::AtMost, ERROR);
    let bin = |b: &super::metrics::Bin| format!("{:.2} → {:.2} ({})", b.said, b.was, b.count);
    let diagram: Vec<String> = reliability(&said).iter().map(bin).collect();
    sink(row.note(format!("said → was (candidates): {}", diagram.join(", "))))
}
