//! 1 GiB, nothing ever heard from the ground: how many bytes until all of it is down, how long the last
//! of it takes, and how soon there is something to look at.

use anyhow::{Result, ensure};

use super::losses::Losses;
use super::sim::{Sim, geometry, segment_symbols};
use super::{Bench, Op, Row, Sink};
use crate::cores::on_all_cores;

/// The bundle's content, bytes.
const BYTES: u64 = 1 << 30;
/// Mean lengths of bursts, datagrams; 1: independent losses.
const BURSTS: [f64; 4] = [1.0, 3.0, 200.0, 500.0];
/// What the sender is told to expect, whatever comes.
const EXPECTED_LOSS: f64 = 0.2;
/// Datagrams sent at most, in the bundle's own symbols: no row waits for ever.
const PATIENCE: u64 = 40;

/// A channel.
#[derive(Debug, Clone, Copy)]
struct Cell {
    loss: f64,
    burst_len: f64,
    seed: u64,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    cell: Cell,
    whole: bool,
    sent: u64,
    received: u64,
    repeated: u64,
    source_symbols: u64,
    /// Datagrams sent until the head was whole, and until 99 % of the blocks were.
    head: u64,
    most: u64,
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let cells = cells(bench);
    let outcomes = on_all_cores(&cells, |cell| fly(bench, *cell))?;
    for outcome in &outcomes {
        sink(efficiency(outcome))?;
    }
    let repeated: u64 = outcomes.iter().map(|o| o.repeated).sum();
    ensure!(repeated == 0, "{repeated} encoding symbol ids were sent twice");
    let share = |o: &Outcome, at: u64| o.whole.then(|| 100.0 * at as f64 / o.sent as f64);
    let worst = worst(&outcomes, |o| share(o, o.sent - o.most));
    let what = "air time from 99 % of the blocks to all of them, 1 GiB, worst channel";
    sink(Row::new("tail", what, worst, "%", Op::AtMost, 2.0))?;
    let at_20 = outcomes.iter().filter(|o| (o.cell.loss - 0.2).abs() < 1e-9);
    let first = worst_of(at_20, |o| share(o, o.head));
    let what = "air time until manifest and preview are whole and authentic, 1 GiB, 20 % loss, worst channel";
    sink(Row::new("first", what, first, "%", Op::AtMost, 5.0))
}

fn cells(bench: &Bench) -> Vec<Cell> {
    let losses: &[f64] = bench.pick(&[0.2, 0.5], &[0.05, 0.1, 0.2, 0.3, 0.5], &[0.05, 0.1, 0.2, 0.3, 0.5]);
    let bursts = bench.pick(&BURSTS[..1], &BURSTS, &BURSTS);
    let mut cells = Vec::new();
    for (i, loss) in (0..).zip(losses) {
        for (j, burst_len) in (0..).zip(bursts) {
            let seed = bench.seed + 100 * i + j;
            cells.push(Cell { loss: *loss, burst_len: *burst_len, seed });
        }
    }
    cells
}

fn fly(bench: &Bench, cell: Cell) -> Result<Outcome> {
    let symbol_bytes = bench.pick(64, 64, passband_proto::datagram::DEFAULT_SYMBOL_BYTES);
    let losses = Losses::random(cell.loss, cell.burst_len, cell.seed);
    let mut sim =
        Sim::new(geometry(BYTES, symbol_bytes, segment_symbols()), 1, EXPECTED_LOSS, losses, cell.seed)?;
    let source_symbols = sim.source_symbols();
    sim.begin_pass();
    let whole = sim.send_until(source_symbols * PATIENCE)?;
    let mut times: Vec<u64> = sim.ground.blocks().filter_map(|(_, _, b)| b.whole).map(|(_, at)| at).collect();
    times.sort_unstable();
    Ok(Outcome {
        cell,
        whole,
        sent: sim.ground.sent,
        received: sim.ground.received,
        repeated: sim.ground.repeated,
        source_symbols,
        head: sim.ground.blocks().next().and_then(|(_, _, b)| b.whole).map_or(sim.ground.sent, |(_, at)| at),
        most: times.get((times.len() * 99 / 100).saturating_sub(1)).copied().unwrap_or_default(),
    })
}

fn efficiency(o: &Outcome) -> Row {
    let bursts = match o.cell.burst_len {
        b if b <= 1.0 => "at random".to_owned(),
        b => format!("in bursts of {b:.0}"),
    };
    let what = format!(
        "symbol bytes sent x (1 - p) / bundle bytes, 1 GiB, {:.0} % lost {bursts}",
        o.cell.loss * 100.0
    );
    let delivered = o.received as f64 / o.sent.max(1) as f64;
    let value = o.whole.then(|| o.sent as f64 * delivered / o.source_symbols as f64);
    let row = Row::new("zero-ack", what, value, "1", Op::AtMost, 1.03);
    row.note(format!(
        "p = {:.2} %, the share this run lost; the sender was told to expect 20 %",
        100.0 - delivered * 100.0
    ))
}

/// The largest figure; none if one is missing.
fn worst(outcomes: &[Outcome], figure: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
    worst_of(outcomes.iter(), figure)
}

fn worst_of<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    figure: impl Fn(&Outcome) -> Option<f64>,
) -> Option<f64> {
    outcomes.map(figure).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten()
}
