//! What is called a plume where there is none.
//!
//! Ours fires where a frame's class is `alert`. The onboard peers fire as they are commonly used: Mag1c-SAS where
//! enough pixels in one piece are above 500 ppm·m after an opening with a cross (STARCOP's baseline, Růžička et al.
//! 2023, doi:10.1038/s41598-023-44918-6), LinkNet where enough pixels in one piece have a probability above one half.

use anyhow::Result;
use passband_spectral::Class;

use super::exchange::{self, Written};
use super::frames::{Series, Wanted, frame};
use super::image::{opened, part_sizes};
use super::metrics::mean;
use super::peers::{self, Answer, Job, PEERS, Peer, README, WINDOW};
use super::{Bench, Op, Row, Sink, on_all_cores, ours, work_folder};

/// A pixel of Mag1c-SAS with more is taken for gas, ppm·m.
const PEER_PPM_M: f32 = 500.0;
/// The same of LinkNet, probability.
const PEER_PROBABILITY: f32 = 0.5;
/// Fewest pixels in one piece for a peer to fire.
const PEER_PIXELS: usize = 10;
/// Frames that are held on the disk at a time.
const BATCH: usize = 50;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(6, 1000, 2000);
    let with_peers: usize = bench.pick(4, 200, 1000);
    let wanted: Vec<Wanted> = (0..frames).map(|nth| clean(bench, nth)).collect();
    let verdicts = on_all_cores(&wanted, |w| Ok(Verdict::of(&ours::look(&frame(w)?)?)))?;
    let fired = verdicts.iter().filter(|v| v.fired).count();
    let what = format!("false alerts on {frames} frames without a plume");
    let suspects = verdicts.iter().filter(|v| v.suspect).count();
    let row = Row::new("false-alerts", what, Some(fired as f64), "1", Op::AtMost, 0.0);
    sink(row.note(format!("{suspects} suspects")))?;
    let reasons = verdicts.iter().filter(|v| v.has_reason).count();
    let share = 100.0 * reasons as f64 / verdicts.len() as f64;
    sink(Row::new("false-alerts", "verdicts that carry their reason", Some(share), "%", Op::AtLeast, 100.0))?;
    let Some(command) = peers::command_or_row(bench, "false-alerts", sink)? else { return Ok(()) };
    let own = 100.0 * fired as f64 / frames as f64;
    let onboard: Vec<Peer> =
        PEERS.into_iter().filter(|p| ["mag1c-sas", "linknet"].contains(&p.name)).collect();
    let mut fires: Vec<(String, Vec<f64>)> = Vec::new();
    for batch in wanted[..with_peers.min(wanted.len())].chunks(BATCH) {
        let dir = work_folder()?;
        let written = on_all_cores(batch, |w| {
            let frame = frame(w)?;
            let pixels = frame.truth_ppm_m.len();
            exchange::write(dir.path(), &frame.name, &frame.cube()?, &ours::target(), &vec![true; pixels])
        })?;
        let settings = bench.pick(&[WINDOW] as &[&str], &[WINDOW, README], &[WINDOW, README]);
        let job = Job { peers: &onboard, settings, turns: 1 };
        for group in peers::by_peer(peers::run(command, dir.path(), &written, &job)?) {
            count(&mut fires, &group, &written)?;
        }
    }
    for (name, fired) in fires {
        let what = "share of frames without a plume that fire";
        let theirs = mean(&fired).map(|share| 100.0 * share);
        let row = Row::new("false-alerts", what, Some(own), "%", Op::AtMost, 0.0).beside(name, theirs);
        sink(row.note(format!("theirs on {} frames", fired.len())))?;
    }
    Ok(())
}

/// A frame without a plume: most have little cloud, some much.
fn clean(bench: &Bench, nth: u64) -> Wanted {
    let clouds = if nth.is_multiple_of(4) { 0.1 * (nth / 4 % 10) as f64 } else { 0.0 };
    let (samples, lines) = bench.pick((48, 96), (128, 160), (128, 160));
    Wanted {
        seed: bench.seed,
        series: Series::Clean,
        nth,
        samples,
        lines,
        plume_ppm_m: None,
        clouds,
        fault: None,
    }
}

/// What is kept of a verdict.
struct Verdict {
    fired: bool,
    suspect: bool,
    has_reason: bool,
}

impl Verdict {
    fn of(look: &ours::Look) -> Self {
        Self {
            fired: look.report.class == Class::Alert,
            suspect: look.report.class == Class::Suspect,
            has_reason: !look.report.reason.is_empty(),
        }
    }
}

/// Adds whether a peer fires on each of the frames: 1 or 0.
fn count(fires: &mut Vec<(String, Vec<f64>)>, answers: &[Answer], written: &[Written]) -> Result<()> {
    for (answer, frame) in answers.iter().zip(written) {
        let Some(map) = answer.map(frame)? else { continue };
        let fired = f64::from(u8::from(fires_on(&map, frame.samples, answer.peer == "linknet")));
        let name = answer.name();
        match fires.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.push(fired),
            None => fires.push((name, vec![fired])),
        }
    }
    Ok(())
}

fn fires_on(map: &[f32], samples: usize, probability: bool) -> bool {
    let above = |least: f32| map.iter().map(|v| *v > least).collect::<Vec<_>>();
    let set = if probability { above(PEER_PROBABILITY) } else { opened(&above(PEER_PPM_M), samples) };
    part_sizes(&set, samples).into_iter().any(|size| size >= PEER_PIXELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_fires_on_what_is_in_one_piece_and_neither_thin_nor_small() {
        let mut map = vec![f32::NAN; 20 * 20];
        assert!(!fires_on(&map, 20, false));
        (0..4).for_each(|l| map[100 + l * 20..104 + l * 20].fill(900.0));
        assert!(fires_on(&map, 20, false) && fires_on(&map, 20, true));
        let mut line = vec![0.0; 20 * 20];
        line[40..60].fill(900.0);
        assert!(!fires_on(&line, 20, false), "a line is opened away");
        assert!(fires_on(&line, 20, true), "probabilities are not opened");
        let mut small = vec![0.0; 20 * 20];
        (0..3).for_each(|l| small[100 + l * 20..103 + l * 20].fill(900.0));
        assert!(!fires_on(&small, 20, true));
    }
}
