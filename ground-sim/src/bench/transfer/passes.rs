//! Over passes: how many it takes with a bundle's bytes in each, and whether losses that keep time with
//! the sender starve a block.

use anyhow::Result;

use super::losses::Losses;
use super::models::{self, Model};
use super::sim::{Sim, geometry, segment_symbols};
use super::{Bench, Op, Row, Sink};
use crate::cores::on_all_cores;

const BYTES: u64 = 1 << 30;
const LOSS: f64 = 0.5;
const MOST_PASSES: u64 = 100;
/// K and number of the segments that periodic losses try to starve.
const SMALL_SEGMENT: u32 = 2000;
const SMALL_SEGMENTS: u64 = 16;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let mut sim = Sim::new(
        geometry(
            BYTES,
            bench.pick(64, 64, passband_proto::datagram::DEFAULT_SYMBOL_BYTES),
            segment_symbols(),
        ),
        1,
        0.2,
        Losses::random(LOSS, 1.0, bench.seed),
        bench.seed,
    )?;
    let room = sim.source_symbols();
    let mut passes = None;
    for pass in 1..=MOST_PASSES {
        sim.begin_pass();
        if sim.send_until(room * pass)? {
            passes = Some(pass as f64);
            break;
        }
        // Between passes there is power only now and then: each pass has a sender of its own.
        sim.checkpoint()?;
        sim.restart()?;
    }
    for (model, name) in [(Model::Blind, "blind re-sending"), (Model::Nak, "NAK known at once and free")] {
        let packets = usize::try_from(room)?;
        let peer = models::passes(model, packets, packets, &mut Losses::random(LOSS, 1.0, bench.seed));
        let what =
            "passes for 1 GiB at 50 % loss, its own bytes a pass, 85 minutes and a restart between them";
        let row = Row::new("passes", what, passes, "1", Op::AtMost, 3.0);
        sink(row.beside(name, peer.map(|(n, _)| f64::from(n))))?;
    }
    sink(starvation(bench)?)
}

/// Losses that keep time with the sender: for every period its first quarter, half, or three quarters.
fn starvation(bench: &Bench) -> Result<Row> {
    let periods: Vec<u64> =
        bench.pick(vec![2, 3, 16, 17, 64, 128, 200], (2..=200).collect(), (2..=200).collect());
    let mut patterns: Vec<_> = periods
        .iter()
        .flat_map(|period| [1, 2, 3].map(|quarters| (*period, (period * quarters / 4).max(1))))
        .collect();
    patterns.dedup();
    let shares = on_all_cores(&patterns, |(period, lost)| least_share(bench, *period, *lost))?;
    let worst = shares.iter().zip(&patterns).min_by(|a, b| a.0.total_cmp(b.0));
    let what = "what the least served block has of the mean block's symbols when the mean is K, losing a quarter, half or three quarters of every period of 2 to 200 datagrams, worst of them";
    let row = Row::new("starvation", what, worst.map(|(share, _)| *share), "1", Op::AtLeast, 0.9);
    let (period, lost) = worst.map_or((0, 0), |(_, pattern)| *pattern);
    Ok(row.note(format!("worst: {lost} of {period}; {} patterns", patterns.len())))
}

/// The least share that a segment got of what the mean segment got.
fn least_share(bench: &Bench, period: u64, lost: u64) -> Result<f64> {
    let bytes = SMALL_SEGMENTS * u64::from(SMALL_SEGMENT) * 1408;
    let losses = Losses::Periodic { period, lost };
    let mut sim = Sim::new(geometry(bytes, 64, SMALL_SEGMENT), 1, 0.2, losses, bench.seed)?;
    sim.begin_pass();
    let enough = sim.source_symbols() * period / (period - lost);
    sim.send_until(enough)?;
    let segments: Vec<_> = sim.ground.blocks().skip(1).map(|(_, _, block)| block).collect();
    let mean = segments.iter().map(|b| f64::from(b.received)).sum::<f64>() / segments.len() as f64;
    let least = segments.iter().map(|b| b.received).min().unwrap_or_default();
    Ok(f64::from(least) / mean)
}
