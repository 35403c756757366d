//! What faults of instrument and weather cost: the same frames with and without, pixel by pixel.
//!
//! Pixels that a fault takes away are left out on both sides: what is measured is what it does to the rest.

use anyhow::Result;
use passband_spectral::Class;

use super::ap::{GAS_PPM_M, RATES_KG_H, precision};
use super::frames::{Frame, Series, any_scene, between, frame, scene, seed};
use super::image::{grown, part_sizes};
use super::metrics::{interval, mean, spread};
use super::{Bench, Op, Row, Sink, on_all_cores, ours};
use crate::scene::{PlumeParams, SceneParams, mask};

/// Most of the average precision that may be lost, %.
const LOST: f64 = 2.0;
/// Fewest of the frames with this much cloud that are ranked last, %.
const LAST: f64 = 99.0;
const OVERCAST: f64 = 0.9;
/// Source rate of a plume that must not be ranked last, kg/h, …
const SEEN_KG_H: f64 = 1000.0;
/// … if so many pixels of it are in sight, in one piece.
const SEEN_PIXELS: usize = 50;
/// Most cloud of a frame in which a plume may be in sight.
const MOST_WITH_PLUME: f64 = 0.93;
/// Frames that are told of one by one.
const TOLD: usize = 12;

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
            Ok(Pairs::new(gas, [score, &ours::look(&faulty)?.score], &faulty))
        })?;
        sink(row(fault.name, &pairs))?;
    }
    overcast(bench, sink)
}

/// Average precision without and with a fault.
type Pair = Option<[f64; 2]>;

/// What a fault did to a frame, over some pixels of it.
struct Pairs {
    /// Over all pixels that count: land, neither under cloud nor lost.
    usable: Pair,
    /// Over those of them that were measured both without the fault and with it.
    measured: Pair,
    /// Over those of them that are not in a cloud's shadow.
    lit: Pair,
    /// Share of the gas that counts to which no number was given.
    blind: f64,
}

impl Pairs {
    fn new(gas: &[bool], scores: [&[f32]; 2], faulty: &Frame) -> Self {
        let usable = faulty.usable();
        let known = |at: usize| scores.iter().all(|score| !score[at].is_nan());
        let measured: Vec<bool> = usable.iter().enumerate().map(|(at, u)| *u && known(at)).collect();
        let shadow = faulty.mask.iter().map(|m| m & mask::SHADOW != 0);
        let lit: Vec<bool> = measured.iter().zip(shadow).map(|(m, shadow)| *m && !shadow).collect();
        let pair = |which: &[bool]| {
            let [without, with] = scores.map(|score| precision(score, gas, which));
            without.zip(with).map(|(a, b)| [a, b])
        };
        let count = |which: &[bool]| which.iter().zip(gas).filter(|(w, gas)| **w && **gas).count() as f64;
        let blind = 1.0 - count(&measured) / count(&usable).max(1.0);
        Self { usable: pair(&usable), measured: pair(&measured), lit: pair(&lit), blind }
    }
}

/// The loss: from the mean without to the mean with, % of it.
fn lost(pairs: impl Iterator<Item = Pair>) -> Option<f64> {
    let pairs: Vec<[f64; 2]> = pairs.flatten().collect();
    let [without, with] = [0, 1].map(|side| mean(&pairs.iter().map(|p| p[side]).collect::<Vec<f64>>()));
    without.zip(with).map(|(a, b)| 100.0 * (a - b) / a)
}

fn row(fault: &str, pairs: &[Pairs]) -> Row {
    let what = format!("pixel average precision lost with {fault}, {} frames", pairs.len());
    let row = Row::new("robustness", what, lost(pairs.iter().map(|p| p.usable)), "%", Op::AtMost, LOST);
    let side =
        |nth: usize| spread(&pairs.iter().filter_map(|p| p.usable).map(|p| p[nth]).collect::<Vec<_>>());
    let percent = |lost: Option<f64>| lost.map_or_else(|| "none".to_owned(), |l| format!("{l:.1} %"));
    row.note(format!(
        "without: {}; with: {}; {:.1} % of the gas that counts was given no number; lost over pixels measured in both: \
         {}, over those out of shadow: {}",
        side(0),
        side(1),
        100.0 * mean(&pairs.iter().map(|p| p.blind).collect::<Vec<_>>()).unwrap_or_default(),
        percent(lost(pairs.iter().map(|p| p.measured))),
        percent(lost(pairs.iter().map(|p| p.lit))),
    ))
}

/// A frame that is nearly all cloud, as the bench tells of it.
struct Overcast {
    name: String,
    cloud: f64,
    /// Visible pixels of its plume, the largest piece; `None`: it has no plume.
    visible: Option<usize>,
    class: Class,
}

impl Overcast {
    /// The `nth` of some: between 90 % and all under cloud, or, with a plume, as much clear sky as there may be.
    fn new(bench: &Bench, (nth, plume): (u64, bool), frames: u64, side: usize) -> Result<Self> {
        let mut params = any_scene(bench.seed, Series::Overcast, nth, 0.0);
        (params.samples, params.lines) = (side, side);
        let most = if plume { MOST_WITH_PLUME } else { 1.0 };
        params.cloud_fraction = OVERCAST + (most - OVERCAST) * nth as f64 / frames as f64;
        if plume {
            params.plumes = vec![PlumeParams::of_rate(between(nth, frames, SEEN_KG_H, 5.0 * SEEN_KG_H))];
        }
        let frame = frame(format!("overcast-{nth:04}{}", if plume { "-plume" } else { "" }), &params)?;
        let class = ours::look(&frame)?.report.class;
        let visible = plume.then(|| visible(&frame));
        Ok(Self { name: frame.name, cloud: frame.truth.cloud_fraction, visible, class })
    }
}

/// Pixels of the largest piece of plume that is in sight: in the sun, over land, with no cloud within two pixels.
fn visible(frame: &Frame) -> usize {
    let samples = frame.samples();
    let is = |at: usize, bits: u8| frame.mask[at] & bits != 0;
    let cloud: Vec<bool> = (0..frame.mask.len()).map(|at| is(at, mask::CLOUD)).collect();
    let near_cloud = grown(&grown(&cloud, samples), samples);
    let hidden = |at: usize| near_cloud[at] || is(at, mask::SHADOW | mask::WATER | mask::BAD);
    let gas = frame.gas(GAS_PPM_M);
    let seen: Vec<bool> = gas.iter().enumerate().map(|(at, gas)| *gas && !hidden(at)).collect();
    part_sizes(&seen, samples).into_iter().max().unwrap_or(0)
}

/// Frames that are nearly all cloud, without a plume and with one in sight.
fn overcast(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(6, 200, 1000);
    let side = bench.pick(128, 256, 256);
    let wanted: Vec<(u64, bool)> = (0..frames).flat_map(|nth| [(nth, false), (nth, true)]).collect();
    let told = on_all_cores(&wanted, |wanted| Overcast::new(bench, *wanted, frames, side))?;
    // Clouds come within 1 % of what was asked for.
    let told = || told.iter().filter(|t| t.cloud >= OVERCAST - 0.01);
    let is_last = |t: &&Overcast| t.class == Class::DiscardCandidate;
    let without: Vec<&Overcast> = told().filter(|t| t.visible.is_none()).collect();
    let last = without.iter().copied().filter(is_last).count();
    let [low, high] = interval(last, without.len()).map(|s| 100.0 * s);
    let what = format!(
        "frames with {:.0} % cloud or more that are ranked last, of {}",
        100.0 * OVERCAST,
        without.len()
    );
    let share = (!without.is_empty()).then(|| 100.0 * last as f64 / without.len() as f64);
    let others = words(without.iter().copied().filter(|t| !is_last(t)));
    let row = Row::new("robustness", what, share, "%", Op::AtLeast, LAST);
    sink(row.note(format!("95 %: {low:.1} to {high:.1}; not: {others}")))?;
    let shows = |t: &&Overcast| t.visible.is_some_and(|pixels| pixels >= SEEN_PIXELS);
    let with: Vec<&Overcast> = told().filter(shows).collect();
    let last = with.iter().copied().filter(is_last).count();
    let what = format!(
        "frames as cloudy, ranked last although a plume of 1 t/h or more is in sight, of {} of {side} × {side}",
        with.len()
    );
    let row = Row::new("robustness", what, (!with.is_empty()).then_some(last as f64), "1", Op::AtMost, 0.0);
    if with.is_empty() {
        return sink(row.note("not measured: in none of the frames is a plume in sight"));
    }
    sink(row.note(format!(
        "in sight: {SEEN_PIXELS} pixels above {GAS_PPM_M} ppm·m in one piece, in the sun, over land, two pixels from \
         cloud; ranked last: {}; not: {}",
        words(with.iter().copied().filter(is_last)),
        words(with.iter().copied().filter(|t| !is_last(t)))
    )))
}

/// Some frames in words.
fn words<'a>(frames: impl Iterator<Item = &'a Overcast>) -> String {
    let word = |t: &Overcast| {
        let visible = t.visible.map_or_else(String::new, |v| format!(", {v} px"));
        format!("{} ({:?}, {:.1} % cloud{visible})", t.name, t.class, 100.0 * t.cloud)
    };
    let list: Vec<String> = frames.map(word).collect();
    let more = list.len().saturating_sub(TOLD);
    match more {
        0 if list.is_empty() => "none".to_owned(),
        0 => list.join(", "),
        _ => format!("{} and {more} more", list[..TOLD].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fault_hides_is_not_what_it_costs() {
        let mut frame = frame("f".into(), &scene(1, (8, 1), &[])).unwrap();
        frame.mask = vec![0, 0, mask::CLOUD, mask::SHADOW, 0, 0, 0, 0];
        let gas = [true, true, true, true, false, false, false, false];
        let whole = [9.0, 8.0, 7.0, 6.0, 1.0, 1.0, 1.0, 1.0];
        let faulty = [9.0, f32::NAN, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0];
        let pairs = Pairs::new(&gas, [&whole, &faulty], &frame);
        assert!((pairs.blind - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(pairs.lit, Some([1.0, 1.0]));
        let [without, with] = pairs.measured.unwrap();
        assert!((without - 1.0).abs() < 1e-12 && (with - f64::midpoint(1.0, 2.0 / 3.0)).abs() < 1e-12);
        let lost = lost([pairs.usable, Some([1.0, 1.0])].into_iter()).unwrap();
        assert!(lost > 5.0 && lost < 50.0, "{lost}");
    }

    #[test]
    fn a_plume_is_in_sight_where_sun_and_sky_are_clear() {
        let mut frame = frame("f".into(), &scene(1, (20, 12), &[])).unwrap();
        frame.truth_ppm_m = vec![500.0; 240];
        frame.mask = vec![0; 240];
        assert_eq!(visible(&frame), 240);
        frame.mask[6 * 20 + 10] = mask::CLOUD;
        assert_eq!(visible(&frame), 240 - 25);
        (0..12).for_each(|line| frame.mask[line * 20 + 4] = mask::SHADOW);
        assert_eq!(visible(&frame), 12 * 15 - 25, "the larger of two pieces");
    }
}
