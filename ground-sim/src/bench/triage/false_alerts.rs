//! What is called a plume where there is none.
//!
//! Frames of all kinds: every land, light, noise and fault, clouds, and what confuses detectors. Ours fires where a
//! frame's class is `alert`. The onboard peers fire as they are commonly used: Mag1c-SAS where enough pixels in one piece
//! are above 500 ppm·m after an opening with a cross (STARCOP's baseline, Růžička et al. 2023,
//! doi:10.1038/s41598-023-44918-6), LinkNet where enough pixels in one piece have a probability above one half.

use std::collections::BTreeMap;

use anyhow::Result;
use passband_spectral::Class;
use passband_spectral::triage::Params;

use super::exchange::{self, Written};
use super::frames::{Frame, Series, any_scene, frame};
use super::image::{opened, part_sizes};
use super::metrics::{interval, mean};
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
/// False alerts that are told of one by one.
const TOLD: usize = 12;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames: u64 = bench.pick(6, 1000, 4000);
    let with_peers: usize = bench.pick(4, 200, 1000);
    let wanted: Vec<u64> = (0..frames).collect();
    let verdicts = on_all_cores(&wanted, |nth| {
        let frame = clean(bench, *nth)?;
        Ok(Verdict::of(&ours::look(&frame)?, &frame))
    })?;
    own_rows(&verdicts, sink)?;
    let Some(command) = peers::command_or_row(bench, "false-alerts", sink)? else { return Ok(()) };
    let onboard: Vec<Peer> =
        PEERS.into_iter().filter(|p| ["mag1c-sas", "linknet"].contains(&p.name)).collect();
    let mut fires: Vec<(String, Vec<f64>)> = Vec::new();
    for batch in wanted[..with_peers.min(wanted.len())].chunks(BATCH) {
        let dir = work_folder()?;
        let written = on_all_cores(batch, |nth| {
            let frame = clean(bench, *nth)?;
            // Clouds are theirs to cope with, as they are ours; what was lost is nobody's.
            let usable = frame.usable_samples();
            exchange::write(dir.path(), &frame.name, &frame.cube()?, &ours::target(), &usable)
        })?;
        let settings = bench.pick(&[WINDOW] as &[&str], &[WINDOW, README], &[WINDOW, README]);
        let job = Job { peers: &onboard, settings, turns: 1 };
        for group in peers::by_peer(peers::run(command, dir.path(), &written, &job)?) {
            count(&mut fires, &group, &written)?;
        }
    }
    for (name, fired) in fires {
        let subset = &verdicts[..with_peers.min(verdicts.len())];
        let own = subset.iter().filter(|v| v.fired()).count();
        let what = format!("share of frames without a plume that fire, {} frames", subset.len());
        let value = Some(100.0 * own as f64 / subset.len() as f64);
        let row = Row::new("false-alerts", what, value, "%", Op::AtMost, 0.0);
        let row = row.beside(name, mean(&fired).map(|share| 100.0 * share));
        sink(row.note(format!("theirs on {} frames", fired.len())))?;
    }
    Ok(())
}

/// Alerts, and what the rest was told.
fn own_rows(verdicts: &[Verdict], sink: &mut Sink) -> Result<()> {
    let fired: Vec<&Verdict> = verdicts.iter().filter(|v| v.fired()).collect();
    let of_class = |class: Class| verdicts.iter().filter(|v| v.class == class).count();
    let what = format!("false alerts on {} frames without a plume", verdicts.len());
    let [low, high] = interval(fired.len(), verdicts.len()).map(|share| 1000.0 * share);
    let told: Vec<&str> = fired.iter().take(TOLD).flat_map(|v| v.alerts.iter().map(String::as_str)).collect();
    let row = Row::new("false-alerts", what, Some(fired.len() as f64), "1", Op::AtMost, 0.0);
    sink(row.note(format!(
        "95 %: {low:.1} to {high:.1} of 1,000; {} suspects, {} routine, {} discard-candidates{}",
        of_class(Class::Suspect),
        of_class(Class::Routine),
        of_class(Class::DiscardCandidate),
        told.iter().map(|t| format!("\n       {t}")).collect::<String>()
    )))?;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for reason in verdicts.iter().flat_map(|v| &v.rejected) {
        *reasons.entry(reason.clone()).or_default() += 1;
    }
    let list: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
    let silent = verdicts.iter().filter(|v| !v.has_reasons).count();
    let what = "frames without a reason, or with a rejected candidate that has none";
    let row = Row::new("false-alerts", what, Some(silent as f64), "1", Op::AtMost, 0.0);
    sink(row.note(format!("rejected candidates: {}", list.join(", "))))
}

/// A frame of any kind without a plume.
fn clean(bench: &Bench, nth: u64) -> Result<Frame> {
    frame(format!("clean-{nth:04}"), &any_scene(bench.seed, Series::Clean, nth, 0.0))
}

/// What is kept of a verdict.
struct Verdict {
    class: Class,
    /// The frame says why, and so does each rejected candidate as far as they are listed.
    has_reasons: bool,
    rejected: Vec<String>,
    /// Detections that are alerts, in words.
    alerts: Vec<String>,
}

impl Verdict {
    fn of(look: &ours::Look, frame: &Frame) -> Self {
        let (report, params) = (&look.report, Params::default());
        let others = (report.candidates as usize).saturating_sub(report.detections.len());
        let listed = report.rejections.len() == others.min(params.max_rejections);
        let alerts = report.detections.iter().filter(|d| d.probability >= params.alert_probability);
        Self {
            class: report.class,
            has_reasons: listed && !report.reason.is_empty(),
            rejected: report.rejections.iter().map(|r| format!("{:?}", r.reason).to_lowercase()).collect(),
            alerts: alerts.map(|d| look.describe(d, frame)).collect(),
        }
    }

    fn fired(&self) -> bool {
        self.class == Class::Alert
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
