//! What faults of instrument and weather cost: the same frames with and without, pixel by pixel.
//!
//! Pixels that a fault takes away are left out on both sides: what is measured is what it does to the rest.

use anyhow::Result;
use passband_spectral::Class;

use super::ap::{GAS_PPM_M, RATES_KG_H, precision};
use super::frames::{Series, any_scene, between, frame, scene, seed};
use super::metrics::{interval, mean, spread};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};
use crate::scene::{PlumeParams, SceneParams};

/// Most of the average precision that may be lost, %.
const LOST: f64 = 2.0;
/// Fewest of the frames with this much cloud that are ranked last, %.
const LAST: f64 = 99.0;
const OVERCAST: f64 = 0.9;
/// Source rate of a plume that must not be ranked last, kg/h, …
const SEEN_KG_H: f64 = 1000.0;
/// … if so many pixels of it (200 ppm·m and more) are neither under cloud nor lost.
const SEEN_PIXELS: usize = 50;

/// A fault in the size that the targets name.
#[derive(Debug, Clone, Copy)]
struct Fault {
    name: &'static str,
    put_into: fn(&mut SceneParams),
}

const FAULTS: [Fault; 5] = [
    Fault { name: "1 % dead elements", put_into: |p| p.dead_share = 0.01 },
    Fault { name: "5 % dropped lines", put_into: |p| p.dropped_share = 0.05 },
    Fault { name: "±1 nm smile", put_into: |p| p.smile_nm = 1.0 },
    Fault { name: "1 % striping", put_into: |p| p.striping = 0.01 },
    Fault { name: "50 % cloud", put_into: |p| p.cloud_fraction = 0.5 },
];

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(2, 16, 40);
    let size = bench.pick((64, 96), (256, 512), (256, 512));
    let wanted: Vec<u64> = (0..frames).collect();
    let of = |nth: u64| scene(seed(bench.seed, Series::Robustness, nth), size, &RATES_KG_H);
    // Without a fault each frame is looked at once.
    let whole = on_all_cores(&wanted, |nth| {
        let frame = frame(format!("whole-{nth:04}"), &of(*nth))?;
        Ok((ours::look(&frame)?.score, frame.gas(GAS_PPM_M)))
    })?;
    for fault in FAULTS {
        let pairs = on_all_cores(&wanted, |nth| {
            let (score, gas) = &whole[usize::try_from(*nth)?];
            let mut params = of(*nth);
            (fault.put_into)(&mut params);
            let faulty = frame(format!("{}-{nth:04}", fault.name), &params)?;
            let usable = faulty.usable();
            let with = precision(&ours::look(&faulty)?.score, gas, &usable);
            Ok(precision(score, gas, &usable).zip(with).map(|(a, b)| [a, b]))
        })?;
        let pairs: Vec<[f64; 2]> = pairs.into_iter().flatten().collect();
        let [without, with] = [0, 1].map(|side| pairs.iter().map(|p| p[side]).collect::<Vec<f64>>());
        let lost = mean(&without).zip(mean(&with)).map(|(a, b)| 100.0 * (a - b) / a);
        let what = format!("pixel average precision lost with {}, {} frames", fault.name, pairs.len());
        let row = Row::new("robustness", what, lost, "%", Op::AtMost, LOST);
        sink(row.note(format!("without: {}; with: {}", spread(&without), spread(&with))))?;
    }
    overcast(bench, sink)
}

/// Frames that are nearly all cloud, without a plume and with one that shows.
fn overcast(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(6, 300, 1000);
    let wanted: Vec<(u64, bool)> = (0..frames).flat_map(|nth| [(nth, false), (nth, true)]).collect();
    let classes = on_all_cores(&wanted, |(nth, plume)| {
        let mut params = any_scene(bench.seed, Series::Overcast, *nth, 0.0);
        // With a plume: as much clear sky as there may be, so that it shows in some of them.
        let cover = |most: f64| OVERCAST + (most - OVERCAST) * *nth as f64 / frames as f64;
        params.cloud_fraction = if *plume { cover(0.92) } else { cover(1.0) };
        if *plume {
            params.plumes = vec![PlumeParams::of_rate(between(*nth, frames, SEEN_KG_H, 5.0 * SEEN_KG_H))];
        }
        let name = format!("overcast-{nth:04}{}", if *plume { "-plume" } else { "" });
        let frame = frame(name, &params)?;
        let shows = frame.truth.plumes.iter().any(|p| p.visible_pixels >= SEEN_PIXELS);
        let enough = frame.truth.cloud_fraction >= OVERCAST - 0.01;
        let wanted = enough && *plume == shows;
        Ok(if wanted { Some((*plume, ours::look(&frame)?.report.class, frame)) } else { None }).map(|told| {
            told.map(|(plume, class, frame)| (plume, class, frame.name, frame.truth.cloud_fraction))
        })
    })?;
    let told: Vec<_> = classes.into_iter().flatten().collect();
    let of = |plume: bool| told.iter().filter(move |t| t.0 == plume);
    let last = |plume: bool| of(plume).filter(|t| t.1 == Class::DiscardCandidate).count();
    let (hits, count) = (last(false), of(false).count());
    let [low, high] = interval(hits, count).map(|s| 100.0 * s);
    let what =
        format!("frames with {:.0} % cloud or more that are ranked last, of {count}", 100.0 * OVERCAST);
    let share = (count > 0).then(|| 100.0 * hits as f64 / count as f64);
    let others = of(false).filter(|t| t.1 != Class::DiscardCandidate).take(8);
    let others: Vec<String> =
        others.map(|(_, class, name, cloud)| format!("{name} ({class:?}, {cloud:.3})")).collect();
    let row = Row::new("robustness", what, share, "%", Op::AtLeast, LAST);
    let others = if others.is_empty() { String::new() } else { format!("; not: {}", others.join(", ")) };
    sink(row.note(format!("95 %: {low:.1} to {high:.1}{others}")))?;
    let what = format!(
        "of {} as cloudy frames with {SEEN_PIXELS} visible pixels of a plume of 1 t/h or more, ranked last",
        of(true).count()
    );
    let value = (of(true).count() > 0).then(|| last(true) as f64);
    let wrong = of(true).filter(|t| t.1 == Class::DiscardCandidate).take(8);
    let wrong: Vec<String> = wrong.map(|(.., name, cloud)| format!("{name} ({cloud:.3})")).collect();
    let row = Row::new("robustness", what, value, "1", Op::AtMost, 0.0);
    sink(if wrong.is_empty() { row } else { row.note(wrong.join(", ")) })
}
