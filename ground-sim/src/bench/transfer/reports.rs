//! Reports: how long one is, how little is lost without any, and how much one now and then saves.
//!
//! They are built, sealed, opened and heard by the code that flies.

use anyhow::Result;

use super::losses::Losses;
use super::sim::{Sim, geometry, segment_symbols};
use super::{Bench, Op, Row, Sink};
use crate::cores::on_all_cores;

const BYTES: u64 = 1 << 30;
/// A pass that carries the bundle once is 300 s long: reports come once a second of it.
const REPORTS_A_PASS: u64 = 300;
/// Datagrams sent at most, in the bundles' own symbols.
const PATIENCE: u64 = 40;
/// Of what now-and-then reports may save, the share they have to.
const MOST: f64 = 0.5;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    no_reports(bench, sink)?;
    now_and_then(bench, sink)
}

/// What came of 1 GiB with every report heard at once, and with none.
#[derive(Debug)]
struct Pair {
    none: Option<u64>,
    all: Option<u64>,
    /// Symbols sent of blocks before they were whole: no report can save more than the rest.
    useful: u64,
    longest: usize,
}

fn no_reports(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let losses: &[f64] = bench.pick(&[0.2], &[0.05, 0.2, 0.5], &[0.05, 0.1, 0.2, 0.3, 0.5]);
    let pairs = on_all_cores(losses, |loss| fly_pair(bench, *loss))?;
    let longest = pairs.iter().map(|p| p.longest).max().unwrap_or_default();
    let what = "bytes of one report for 1 GiB, all frames, the longest of a transfer";
    sink(Row::new("report", what, Some(longest as f64), "bytes", Op::AtMost, 300.0))?;
    let more = |p: &Pair| p.none.zip(p.all).map(|(none, all)| 100.0 * (none as f64 / all as f64 - 1.0));
    let worst = pairs.iter().map(more).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
    let bound = |p: &Pair| p.none.map_or(f64::NAN, |none| 100.0 * (none as f64 / p.useful as f64 - 1.0));
    let bound = pairs.iter().map(bound).fold(0.0, f64::max);
    let what = "more bytes without any report than with one each second, 1 GiB, known loss, worst loss";
    let row = Row::new("report", what, worst, "%", Op::AtMost, 3.0);
    sink(row.note(format!("{bound:.2} % more than with a report after each datagram, at once and free")))
}

fn fly_pair(bench: &Bench, loss: f64) -> Result<Pair> {
    let start = || {
        let losses = Losses::random(loss, 1.0, bench.seed + 1000);
        Sim::new(geometry(BYTES, 64, segment_symbols()), 1, loss, losses, bench.seed)
    };
    let mut silent = start()?;
    let own = silent.source_symbols();
    silent.begin_pass();
    let none = silent.send_until(own * PATIENCE)?.then_some(silent.ground.sent);
    let useful =
        silent.ground.blocks().filter_map(|(_, _, b)| b.whole).map(|(sent, _)| u64::from(sent)).sum();
    let (mut told, mut longest) = (start()?, 0);
    told.begin_pass();
    while !told.ground.whole() && told.ground.sent < own * PATIENCE {
        told.send_until(told.ground.sent + own / REPORTS_A_PASS)?;
        longest = longest.max(told.report()?);
    }
    Ok(Pair { none, all: told.ground.whole().then_some(told.ground.sent), useful, longest })
}

/// Bundles in a queue, twice the loss that is expected: how many passes it takes to have all of them down.
fn now_and_then(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let every: [u64; 3] = [u64::MAX, 5, 1];
    let seeds: Vec<u64> = (0..bench.pick(1, 4, 20)).map(|n| bench.seed + n).collect();
    let mut sums = [0.0; 3];
    for (sum, every) in sums.iter_mut().zip(every) {
        let sent = on_all_cores(&seeds, |seed| queue(*seed, every))?;
        *sum = sent.iter().map(|n| n.unwrap_or(u64::MAX) as f64).sum::<f64>() / seeds.len() as f64;
    }
    let [none, some, all] = sums;
    let what = "share of what reports save that one in five passes saves: 12 bundles in 12 passes, 40 % loss, 20 % expected";
    let row = Row::new("report", what, Some((none - some) / (none - all)), "1", Op::AtLeast, MOST);
    sink(row.note(format!(
        "datagrams until all is down: {none:.0} without, {some:.0} with one in five, {all:.0} with all"
    )))
}

/// Datagrams until a queue of bundles is down, with a report after every so many passes.
fn queue(seed: u64, every: u64) -> Result<Option<u64>> {
    let (bundles, loss, expected) = (12, 0.4, 0.2);
    let losses = Losses::random(loss, 1.0, seed);
    let mut sim = Sim::new(geometry(1408 * 4000, 64, 1000), bundles, expected, losses, seed)?;
    // Without any waste they would take twelve passes.
    let pass = sim.source_symbols() * 5 / 3 / 12;
    for n in 1..=200 {
        sim.begin_pass();
        if sim.send_until(pass * n)? {
            return Ok(Some(sim.ground.sent));
        }
        // What is heard back has come before the next pass begins.
        if n % every == 0 {
            sim.report()?;
        }
        sim.checkpoint()?;
    }
    Ok(None)
}
