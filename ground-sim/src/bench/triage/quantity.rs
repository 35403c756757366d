//! How much gas: the scatter where there is none, what is retrieved of what is there, and the source rate.

use std::path::Path;

use anyhow::Result;

use super::exchange::{self, Written};
use super::frames::{Frame, Series, between, frame, scene, seed};
use super::image::{SMOOTHING_PX, smoothed};
use super::metrics::{mean, spread};
use super::peers::{self, Answer, Cost, Job, PEERS, Peer, WINDOW};
use super::{Bench, Op, Row, Scale, Sink, on_all_cores, ours, work_folder};

/// Ground with less is background, ppm·m.
const NOTHING_PPM_M: f32 = 1.0;
/// The columns over which slopes are taken, ppm·m; the last is all of them.
const RANGES_PPM_M: [[f32; 2]; 4] = [[300.0, 800.0], [800.0, 2000.0], [2000.0, 6000.0], [300.0, 6000.0]];
const SIGMA_PPM_M: f64 = 220.0;
const SLOPE_OFF: f64 = 0.05;
/// Source rates of the plumes, kg/h.
pub(super) const RATES_KG_H: [f64; 2] = [300.0, 5000.0];

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(2, 24, 60);
    let size = bench.pick((64, 96), (256, 512), (256, 512));
    let wanted: Vec<u64> = (0..frames).collect();
    let dir = work_folder()?;
    let shown = on_all_cores(&wanted, |nth| {
        let rate = between(*nth, frames, RATES_KG_H[0], RATES_KG_H[1]);
        let params = scene(seed(bench.seed, Series::Quantity, *nth), size, &[rate]);
        Weighed::new(&frame(format!("quantity-{nth:04}"), &params)?, dir.path())
    })?;
    let own: Vec<Figures> = shown.iter().map(|s| s.own.clone()).collect();
    report(sink, &format!("{frames} frames of {} × {}", size.0, size.1), &own)?;
    super::rate::measure(bench, sink)?;
    let Some(command) = peers::command_or_row(bench, "quantity", sink)? else { return Ok(()) };
    let most = if bench.scale == Scale::Full { Cost::Great } else { Cost::Small };
    let wanted = |p: &Peer| p.ppm_m && (p.cost == Cost::Small || p.cost == most || p.name == "mag1c-f32");
    let run: Vec<Peer> = PEERS.into_iter().filter(wanted).collect();
    let written: Vec<Written> = shown.iter().map(|s| s.written.clone()).collect();
    let job = Job { peers: &run, settings: &[WINDOW], turns: 1 };
    for group in peers::by_peer(peers::run(command, dir.path(), &written, &job)?) {
        beside(sink, &own, &shown, &group)?;
    }
    Ok(())
}

/// Our own rows: a slope has a target above and one below, so what counts is its distance from 1.
fn report(sink: &mut Sink, on: &str, own: &[Figures]) -> Result<()> {
    let sigmas: Vec<f64> = own.iter().filter_map(|f| f.sigma_ppm_m).collect();
    let what = format!("background σ after smoothing, mean of {on}");
    let row = Row::new("quantity", what, mean(&sigmas), "ppm·m", Op::AtMost, SIGMA_PPM_M);
    sink(row.note(spread(&sigmas)))?;
    for (nth, [from, to]) in RANGES_PPM_M.into_iter().enumerate() {
        let slope = slope(own, nth);
        let what = format!("slope of retrieved against true, distance from 1, {from} to {to} ppm·m");
        let row = Row::new("quantity", what, slope.map(|s| (s - 1.0).abs()), "1", Op::AtMost, SLOPE_OFF);
        let pixels: usize = own.iter().map(|f| f.sums[nth].pixels).sum();
        let each: Vec<f64> = own.iter().filter_map(|f| f.sums[nth].slope()).collect();
        let slope = slope.map_or_else(|| "none".to_owned(), |s| format!("{s:.3}"));
        sink(
            row.note(format!("slope {slope} over {pixels} pixels of {on}; frame by frame {}", spread(&each))),
        )?;
    }
    Ok(())
}

/// Ours beside a peer's. A small scatter is no merit by itself (a filter that knows no gas has none): the slope says
/// whether what is there is seen.
fn beside(sink: &mut Sink, own: &[Figures], shown: &[Weighed], answers: &[Answer]) -> Result<()> {
    let mut theirs = Vec::new();
    for (shown, answer) in shown.iter().zip(answers) {
        theirs.extend(answer.map(&shown.written)?.map(|map| shown.weigh(&map)));
        answer.forget_map();
    }
    let name = answers.first().map_or_else(String::new, Answer::name);
    let sigma = |list: &[Figures]| mean(&list.iter().filter_map(|f| f.sigma_ppm_m).collect::<Vec<_>>());
    let row =
        Row::new("quantity", "background σ after smoothing", sigma(own), "ppm·m", Op::AtMost, SIGMA_PPM_M);
    sink(row.beside(name.clone(), sigma(&theirs)))?;
    let figure = |s: Option<f64>| s.map_or_else(|| "none".to_owned(), |s| format!("{s:.3}"));
    // MAG1C's range by range, the others' over all.
    let first = if name.starts_with("mag1c-f") { 0 } else { RANGES_PPM_M.len() - 1 };
    for (nth, [from, to]) in RANGES_PPM_M.into_iter().enumerate().skip(first) {
        let [ours, peer] = [own, &theirs].map(|list| slope(list, nth));
        let off = |slope: Option<f64>| slope.map(|s| (s - 1.0).abs());
        let what = format!("slope's distance from 1, {from} to {to} ppm·m");
        let row = Row::new("quantity", what, off(ours), "1", Op::AtMost, SLOPE_OFF);
        let note = format!("slopes {} and {}", figure(ours), figure(peer));
        sink(row.beside(name.clone(), off(peer)).note(note))?;
    }
    Ok(())
}

/// The slope over one of the ranges, all frames together.
fn slope(list: &[Figures], range: usize) -> Option<f64> {
    let sums = list.iter().map(|f| f.sums[range]);
    sums.fold(Sums::default(), |a, b| Sums { xy: a.xy + b.xy, xx: a.xx + b.xx, pixels: a.pixels + b.pixels })
        .slope()
}

/// What a map says about quantity.
#[derive(Debug, Clone, Default, PartialEq)]
struct Figures {
    /// Standard deviation of the smoothed map over ground without gas.
    sigma_ppm_m: Option<f64>,
    /// For each of the ranges.
    sums: [Sums; RANGES_PPM_M.len()],
}

/// Sums for a slope through the origin by least squares: of true × retrieved and true².
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    xy: f64,
    xx: f64,
    pixels: usize,
}

impl Sums {
    fn slope(self) -> Option<f64> {
        (self.xx > 0.0).then(|| self.xy / self.xx)
    }
}

/// A frame with its truth, our figures on it, and its files for the peers.
struct Weighed {
    written: Written,
    truth_ppm_m: Vec<f32>,
    usable: Vec<bool>,
    own: Figures,
}

impl Weighed {
    fn new(frame: &Frame, dir: &Path) -> Result<Self> {
        let look = ours::look(frame)?;
        let usable = frame.usable();
        let written = exchange::write(dir, &frame.name, &frame.cube()?, &ours::target(), &usable)?;
        let truth_ppm_m = frame.truth_ppm_m.clone();
        let mut weighed = Self { written, truth_ppm_m, usable, own: Figures::default() };
        weighed.own = weighed.weigh(&look.enhancement_ppm_m);
        Ok(weighed)
    }

    fn weigh(&self, map: &[f32]) -> Figures {
        let known = |at: &usize| self.usable[*at] && map[*at].is_finite();
        // Only ground is smoothed into ground: the plume must not stand for scatter.
        let is_ground: Vec<bool> =
            (0..map.len()).map(|at| known(&at) && self.truth_ppm_m[at] < NOTHING_PPM_M).collect();
        let smooth = smoothed(map, self.written.samples, &is_ground, SMOOTHING_PX);
        let ground: Vec<f64> =
            smooth.iter().zip(&is_ground).filter(|(_, is)| **is).map(|(v, _)| f64::from(*v)).collect();
        let sums = RANGES_PPM_M.map(|[from, to]| {
            let gas = (0..map.len()).filter(|at| known(at) && (from..=to).contains(&self.truth_ppm_m[*at]));
            gas.fold(Sums::default(), |sums, at| {
                let (x, y) = (f64::from(self.truth_ppm_m[at]), f64::from(map[at]));
                Sums { xy: sums.xy + x * y, xx: sums.xx + x * x, pixels: sums.pixels + 1 }
            })
        });
        Figures { sigma_ppm_m: scatter(&ground), sums }
    }
}

/// Standard deviation. Not a robust one: half of MAG1C's map is cut to 0, and a median would see no scatter at all.
fn scatter(values: &[f64]) -> Option<f64> {
    let middle = mean(values)?;
    mean(&values.iter().map(|v| (v - middle) * (v - middle)).collect::<Vec<_>>()).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_map_that_is_the_truth_has_slope_one_and_no_scatter() {
        let truth: Vec<f32> = (0..400_u16).map(|n| if n < 200 { 0.0 } else { f32::from(n) * 5.0 }).collect();
        let written = Written { path: PathBuf::new(), samples: 20, lines: 20 };
        let own = Figures::default();
        let weighed = Weighed { written, truth_ppm_m: truth.clone(), usable: vec![true; 400], own };
        let figures = weighed.weigh(&truth);
        let near = |slope: Option<f64>, wanted: f64| slope.is_some_and(|s| (s - wanted).abs() < 1e-6);
        assert!(near(figures.sums[1].slope(), 1.0) && near(figures.sums[3].slope(), 1.0), "{figures:?}");
        assert!(figures.sums[0].pixels == 0 && figures.sums[2].slope().is_none(), "{figures:?}");
        assert!(figures.sigma_ppm_m.unwrap() < 1e-6, "{figures:?}");
        let half: Vec<f32> = truth.iter().map(|c| c / 2.0).collect();
        assert!(near(slope(&[weighed.weigh(&half), weighed.weigh(&truth)], 3), 0.75));
        assert_eq!(weighed.weigh(&[f32::NAN; 400]), Figures::default());
    }
}
