//! How much gas: the scatter where there is none, and what is retrieved of what is there.

use std::path::Path;

use anyhow::Result;

use super::exchange::{self, Written};
use super::frames::{Frame, Series, Wanted, frame, strength};
use super::image::{SMOOTHING_PX, smoothed};
use super::metrics::{mean, slope, spread};
use super::peers::{self, Answer, Job, PEERS, Peer, WINDOW};
use super::{Bench, Op, Row, Sink, on_all_cores, ours, work_folder};

/// Ground with less is background, ppm·m.
const NOTHING_PPM_M: f32 = 1.0;
/// Ground with this much is what the slope is taken over, ppm·m.
const RANGE_PPM_M: [f32; 2] = [300.0, 6000.0];
const SIGMA_PPM_M: f64 = 220.0;
const SLOPE_OFF: f64 = 0.05;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(2, 12, 40);
    let (samples, lines) = bench.pick((48, 96), (128, 512), (256, 1024));
    let wanted: Vec<Wanted> = (0..frames)
        .map(|nth| Wanted {
            seed: bench.seed,
            series: Series::Quantity,
            nth,
            samples,
            lines,
            plume_ppm_m: Some(strength(nth, frames, 1500.0, 8000.0)),
            clouds: 0.0,
            fault: None,
        })
        .collect();
    let dir = work_folder()?;
    let shown = on_all_cores(&wanted, |w| Weighed::new(&frame(w)?, dir.path()))?;
    let own: Vec<Figures> = shown.iter().map(|s| s.own).collect();
    let on = format!("{frames} frames of {samples} × {lines}");
    report(sink, &on, &own)?;
    let Some(command) = peers::command_or_row(bench, "quantity", sink)? else { return Ok(()) };
    let run: Vec<Peer> = PEERS.into_iter().filter(|p| p.ppm_m && !p.slow).collect();
    let written: Vec<Written> = shown.iter().map(|s| s.written.clone()).collect();
    let job = Job { peers: &run, settings: &[WINDOW], turns: 1 };
    for group in peers::by_peer(peers::run(command, dir.path(), &written, &job)?) {
        beside(sink, &own, &shown, &group)?;
    }
    Ok(())
}

/// Our own rows: the slope has a target above and one below.
fn report(sink: &mut Sink, on: &str, own: &[Figures]) -> Result<()> {
    let sigmas: Vec<f64> = own.iter().filter_map(|f| f.sigma_ppm_m).collect();
    let what = format!("background σ after smoothing, mean of {on}");
    let row = Row::new("quantity", what, mean(&sigmas), "ppm·m", Op::AtMost, SIGMA_PPM_M);
    sink(row.note(spread(&sigmas)))?;
    let slopes: Vec<f64> = own.iter().filter_map(|f| f.slope).collect();
    let [from, to] = RANGE_PPM_M;
    let what = format!("slope of retrieved against true, {from} to {to} ppm·m, {on}");
    let row = |op, target| Row::new("quantity", what.clone(), mean(&slopes), "1", op, target);
    sink(row(Op::AtLeast, 1.0 - SLOPE_OFF).note(spread(&slopes)))?;
    sink(row(Op::AtMost, 1.0 + SLOPE_OFF))
}

/// Ours beside a peer's. A small scatter is no merit by itself (a filter that knows no gas has none): the slope says
/// whether what is there is seen.
fn beside(sink: &mut Sink, own: &[Figures], shown: &[Weighed], answers: &[Answer]) -> Result<()> {
    let mut theirs = Vec::new();
    for (shown, answer) in shown.iter().zip(answers) {
        theirs.extend(answer.map(&shown.written)?.map(|map| shown.weigh(&map)));
    }
    let name = answers.first().map_or_else(String::new, Answer::name);
    let of = |list: &[Figures], pick: fn(&Figures) -> Option<f64>| {
        mean(&list.iter().filter_map(pick).collect::<Vec<_>>())
    };
    let [ours, peer] = [own, &theirs].map(|list| of(list, |f| f.sigma_ppm_m));
    let row = Row::new("quantity", "background σ after smoothing", ours, "ppm·m", Op::AtMost, SIGMA_PPM_M);
    sink(row.beside(name.clone(), peer))?;
    let off = |slope: Option<f64>| slope.map(|s| (s - 1.0).abs());
    let [ours, peer] = [own, &theirs].map(|list| of(list, |f| f.slope));
    let row = Row::new("quantity", "slope's distance from 1", off(ours), "1", Op::AtMost, SLOPE_OFF);
    let figure = |s: Option<f64>| s.map_or_else(|| "none".to_owned(), |s| format!("{s:.3}"));
    sink(row.beside(name, off(peer)).note(format!("slopes {} and {}", figure(ours), figure(peer))))
}

/// What a map says about quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    /// Standard deviation of the smoothed map over ground without gas.
    sigma_ppm_m: Option<f64>,
    /// Retrieved against true.
    slope: Option<f64>,
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
        let usable: Vec<bool> = look.left_out.iter().map(|l| !l).collect();
        let written = exchange::write(dir, &frame.name, &frame.cube()?, &ours::target(), &usable)?;
        let nothing = Figures { sigma_ppm_m: None, slope: None };
        let mut weighed = Self { written, truth_ppm_m: frame.truth_ppm_m.clone(), usable, own: nothing };
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
        let gas = (0..map.len())
            .filter(|at| known(at) && (RANGE_PPM_M[0]..=RANGE_PPM_M[1]).contains(&self.truth_ppm_m[*at]))
            .map(|at| (f64::from(self.truth_ppm_m[at]), f64::from(map[at])));
        Figures { sigma_ppm_m: scatter(&ground), slope: slope(gas) }
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
        let nothing = Figures { sigma_ppm_m: None, slope: None };
        let weighed = Weighed { written, truth_ppm_m: truth.clone(), usable: vec![true; 400], own: nothing };
        let figures = weighed.weigh(&truth);
        assert!((figures.slope.unwrap() - 1.0).abs() < 1e-6, "{figures:?}");
        assert!(figures.sigma_ppm_m.unwrap() < 1e-6, "{figures:?}");
        let half: Vec<f32> = truth.iter().map(|c| c / 2.0).collect();
        assert!((weighed.weigh(&half).slope.unwrap() - 0.5).abs() < 1e-6);
        assert_eq!(weighed.weigh(&[f32::NAN; 400]), nothing);
    }
}
