//! How fast the gas comes out: source rates of plumes that were detected, beside the true ones.
//!
//! The detector knows the wind of the scene's header exactly, as the truth has it; what its figure is worth in a wind
//! that is known less well is not measured here.

use anyhow::Result;

use super::ap::GAS_PPM_M;
use super::frames::{Series, between, frame, scene, seed};
use super::metrics::{mean, quantile};
use super::quantity::RATES_KG_H;
use super::{Bench, Op, Row, Sink, on_all_cores, ours};

/// A rate may be off by this, % of it: in the median …
const OFF: f64 = 50.0;
/// … and at most so for this many of them, %.
const WITHIN: f64 = 68.0;
/// Fewest rates, %, within so many stated standard deviations: one and two.
const COVERED: [(f64, f64); 2] = [(1.0, 68.0), (2.0, 95.0)];

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(4, 200, 800);
    let side = bench.pick(96, 256, 256);
    let wanted: Vec<u64> = (0..frames).collect();
    let said = on_all_cores(&wanted, |nth| {
        let rate = between(*nth, frames, RATES_KG_H[0], RATES_KG_H[1]);
        let params = scene(seed(bench.seed, Series::Rate, *nth), (side, side), &[rate]);
        let frame = frame(format!("rate-{nth:04}"), &params)?;
        let look = ours::look(&frame)?;
        let gas = frame.gas(GAS_PPM_M);
        // Of a plume that was taken to pieces, the largest.
        let overlap = |d: &&passband_spectral::triage::Detection| look.overlap(d, &gas);
        let largest = look.report.detections.iter().filter(|d| overlap(d) > 0).max_by_key(overlap);
        let told = largest.and_then(|d| d.rate_kg_h);
        Ok(told.map(|t| Said { rate, value: f64::from(t.value), sigma: f64::from(t.sigma) }))
    })?;
    rows(&said.into_iter().flatten().collect::<Vec<_>>(), frames, sink)
}

/// A true rate and what was said, kg/h.
#[derive(Debug, Clone, Copy)]
struct Said {
    rate: f64,
    value: f64,
    sigma: f64,
}

fn rows(said: &[Said], frames: u64, sink: &mut Sink) -> Result<()> {
    let on = format!("{} detected plumes of {:.0} to {:.0} kg/h", said.len(), RATES_KG_H[0], RATES_KG_H[1]);
    let off: Vec<f64> = said.iter().map(|s| 100.0 * (s.value - s.rate).abs() / s.rate).collect();
    let value = quantile(&off, 0.5);
    let row =
        Row::new("quantity", format!("median error of the source rate, {on}"), value, "%", Op::AtMost, OFF);
    let [least, most] = RATES_KG_H;
    let ratio = |from: f64, to: f64| {
        let inside: Vec<f64> =
            said.iter().filter(|s| s.rate >= from && s.rate <= to).map(|s| s.value / s.rate).collect();
        let of = |share| quantile(&inside, share).unwrap_or(f64::NAN);
        format!(
            "{from:.0} to {to:.0} kg/h: {:.2} ({:.2} to {:.2}, {})",
            of(0.5),
            of(0.16),
            of(0.84),
            inside.len()
        )
    };
    let parts = [ratio(least, 700.0), ratio(700.0, 2000.0), ratio(2000.0, most)];
    sink(row.note(format!(
        "said ÷ true, median (16 to 84 %, number): {}; of {frames} plumes",
        parts.join(", ")
    )))?;
    let within = share(&off.iter().map(|o| *o <= OFF).collect::<Vec<_>>());
    let what = format!("source rates within ±{OFF:.0} % of the true one, {on}");
    sink(Row::new("quantity", what, within, "%", Op::AtLeast, WITHIN))?;
    for (sigmas, least) in COVERED {
        let inside: Vec<bool> = said.iter().map(|s| (s.value - s.rate).abs() <= sigmas * s.sigma).collect();
        let what = format!("true source rates within ±{sigmas:.0} stated σ, {on}");
        let row = Row::new("quantity", what, share(&inside), "%", Op::AtLeast, least);
        let stated = mean(&said.iter().map(|s| 100.0 * s.sigma / s.value).collect::<Vec<_>>());
        sink(row.note(format!("mean stated σ {:.0} % of the rate", stated.unwrap_or(f64::NAN))))?;
    }
    Ok(())
}

fn share(which: &[bool]) -> Option<f64> {
    mean(&which.iter().map(|w| 100.0 * f64::from(u8::from(*w))).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_cover_are_those_of_the_list() {
        let of = |value, sigma| Said { rate: 1000.0, value, sigma };
        let said = [of(900.0, 50.0), of(1300.0, 200.0), of(1600.0, 700.0), of(1000.0, 1.0)];
        let mut values = Vec::new();
        rows(&said, 5, &mut |row| {
            values.push(row.value.unwrap());
            Ok(())
        })
        .unwrap();
        assert!(
            values.iter().zip([20.0, 75.0, 50.0, 100.0]).all(|(a, b)| (a - b).abs() < 1e-9),
            "{values:?}"
        );
    }
}
