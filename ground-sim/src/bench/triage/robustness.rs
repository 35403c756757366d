//! What faults of instrument and weather cost: the same frames with and without, pixel by pixel.
//!
//! Pixels that a fault takes away are left out on both sides: what is measured is what it does to the rest.

use anyhow::Result;
use passband_spectral::Class;

use super::ap::GAS_PPM_M;
use super::frames::{Fault, Frame, Series, Wanted, frame, strength};
use super::metrics::{average_precision, mean, spread};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};

/// Most of the average precision that may be lost, %.
const LOST: f64 = 2.0;
/// Fewest of the frames with this much cloud that are ranked last, %.
const LAST: f64 = 99.0;
const OVERCAST: f64 = 0.9;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(2, 12, 40);
    let (samples, lines) = bench.pick((48, 96), (128, 256), (256, 512));
    let wanted: Vec<Wanted> = (0..frames)
        .map(|nth| Wanted {
            seed: bench.seed,
            series: Series::Robustness,
            nth,
            samples,
            lines,
            plume_ppm_m: Some(strength(nth, frames, 1500.0, 10_000.0)),
            clouds: 0.0,
            fault: None,
        })
        .collect();
    for fault in Fault::ALL {
        let pairs = on_all_cores(&wanted, |w| pair(w, fault))?;
        let pairs: Vec<[f64; 2]> = pairs.into_iter().flatten().collect();
        let [whole, faulty] = [0, 1].map(|side| pairs.iter().map(|p| p[side]).collect::<Vec<f64>>());
        let lost = mean(&whole).zip(mean(&faulty)).map(|(a, b)| 100.0 * (a - b) / a);
        let what = format!("pixel average precision lost with {}", fault.name());
        let row = Row::new("robustness", what, lost, "%", Op::AtMost, LOST);
        sink(row.note(format!("without: {}; with: {}", spread(&whole), spread(&faulty))))?;
    }
    overcast(bench, sink)
}

/// Average precision without and with a fault, over the pixels that are usable in both.
fn pair(wanted: &Wanted, fault: Fault) -> Result<Option<[f64; 2]>> {
    let sides = [wanted, &Wanted { fault: Some(fault), ..*wanted }];
    let [whole, faulty] = sides.map(|w| -> Result<(Frame, ours::Look)> {
        let frame = frame(w)?;
        let look = ours::look(&frame)?;
        Ok((frame, look))
    });
    let ((frame, whole), (_, faulty)) = (whole?, faulty?);
    let usable = |at: &usize| !whole.left_out[*at] && !faulty.left_out[*at];
    let known = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let precision = |look: &ours::Look| {
        let at = (0..look.score.len()).filter(usable);
        let scored: Vec<_> =
            at.map(|at| (known(look.score[at]), frame.truth_ppm_m[at] > GAS_PPM_M)).collect();
        average_precision(&scored)
    };
    Ok(precision(&whole).zip(precision(&faulty)).map(|(a, b)| [a, b]))
}

/// Frames that are nearly all cloud.
fn overcast(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(4, 100, 400);
    let wanted: Vec<Wanted> = (0..frames)
        .map(|nth| Wanted {
            seed: bench.seed,
            series: Series::Overcast,
            nth,
            samples: 96,
            lines: 96,
            plume_ppm_m: None,
            clouds: OVERCAST + (1.0 - OVERCAST) * nth as f64 / frames as f64,
            fault: None,
        })
        .collect();
    let last = on_all_cores(&wanted, |w| {
        Ok(f64::from(u8::from(ours::look(&frame(w)?)?.report.class == Class::DiscardCandidate)))
    })?;
    let what =
        format!("frames with {:.0} % cloud or more that are ranked last, of {frames}", 100.0 * OVERCAST);
    sink(Row::new("robustness", what, mean(&last).map(|share| 100.0 * share), "%", Op::AtLeast, LAST))
}
