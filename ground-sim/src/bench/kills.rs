//! Kill -9 of both ends at random moments: what is repeated, and what is lost.

use anyhow::Result;
use passband_proto::bundle::SealOptions;
use passband_proto::transfer::Burst;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::losses::Losses;
use super::real::{Real, keys};
use super::sim::{Sim, geometry, segment_symbols};
use super::{Bench, Op, Row, Sink};
use crate::station::Station;

const BYTES: u64 = 1 << 30;
const LOSS: f64 = 0.2;
/// How often the sender is killed while it sends the bundle.
const KILLS: u64 = 20;
/// A pass, and how often the station writes to its disk in it, s.
const PASS_S: f64 = 300.0;
const FLUSH_S: f64 = 0.25;
/// How often the sender writes its marks, s: as the payload's daemon does.
const RESERVE_S: f64 = 0.125;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    sender(bench, sink)?;
    station(bench, sink)
}

/// Drops the sender between two bursts, with nothing but its reservations on record.
fn sender(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(bench.seed);
    let losses = Losses::random(LOSS, 1.0, bench.seed);
    let mut sim = Sim::new(geometry(BYTES, 64, segment_symbols()), 1, LOSS, losses, bench.seed)?;
    let own = sim.source_symbols();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a pass")]
    sim.set_reserve_symbols((own as f64 * RESERVE_S / PASS_S) as u32);
    let mut kills: Vec<u64> = (0..KILLS).map(|_| rng.random_range(0..own * 5 / 4)).collect();
    kills.sort_unstable();
    sim.begin_pass();
    let mut astray = 0;
    for at in kills {
        sim.send_until(at)?;
        // What an earlier kill made it miscount stays miscounted.
        astray = sim.astray();
        sim.restart()?;
        sim.begin_pass();
    }
    let whole = sim.send_until(own * 40)?;
    let what =
        format!("encoding symbol ids repeated over {KILLS} kills of the sender at random moments, 1 GiB");
    sink(Row::new("kills", what, whole.then_some(sim.ground.repeated as f64), "1", Op::AtMost, 0.0))?;
    let value = whole.then(|| 100.0 * astray as f64 / KILLS as f64 / own as f64);
    let what = "symbols a kill of the sender makes it miscount, share of a pass of 300 s that carries 1 GiB";
    let note = format!(
        "{:.4} x (1 - p) / bundle bytes in all, with the kills",
        sim.ground.received as f64 / own as f64
    );
    sink(Row::new("kills", what, value, "%", Op::AtMost, 0.1).note(note))
}

/// Forgets the station between two datagrams, with nothing but what it wrote to its store.
fn station(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let options = SealOptions { symbol_bytes: 64, segment_symbols: 2000 };
    let mut real = Real::new(bench.pick(1 << 20, 4 << 20, 16 << 20), &options, bench.seed)?;
    let mut losses = Losses::random(LOSS, 1.0, bench.seed);
    let mut rng = ChaCha8Rng::seed_from_u64(bench.seed);
    let (store, out) = (real.dir().join("store"), real.dir().join("out"));
    // A pass carries the bundle half, so that it takes three, with a kill in each.
    let pass = real.source_symbols() / 2;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a pass")]
    let flush_every = ((pass as f64 * FLUSH_S / PASS_S) as u64).max(1);
    let (mut sent, mut heard, mut lost, mut kills) = (0, 0, 0, 0);
    let mut station = Station::open(keys(), &store, &out)?;
    let mut kill_at = rng.random_range(0..pass);
    let mut burst = Burst::default();
    let mut whole = false;
    while !whole && sent < pass * 40 {
        real.next(&mut burst)?;
        for datagram in burst.datagrams() {
            if !losses.loses(sent) {
                station.push(datagram)?;
                heard += 1;
            }
            sent += 1;
            if sent % flush_every == 0 {
                station.flush()?;
            }
            if sent == kill_at {
                let before = symbols(&station);
                // A killed process writes nothing more, a dropped one might.
                std::mem::forget(station);
                station = Station::open(keys(), &store, &out)?;
                lost += before.saturating_sub(symbols(&station));
                (kills, kill_at) = (kills + 1, kill_at + pass);
            }
        }
        whole |= station.take_finished().iter().any(|b| b.complete);
    }
    let right = station
        .report()
        .iter()
        .flat_map(|b| &b.files)
        .any(|f| f.sha256 == crate::station::hex(&real.sealed().source.sha256));
    let value = (whole && right).then(|| 100.0 * lost as f64 / f64::from(heard.max(1)));
    let what = "symbols a station loses to kills, share of those it heard, one kill in each pass of 300 s";
    sink(
        Row::new("kills", what, value, "%", Op::AtMost, 0.1)
            .note(format!("{kills} kills, {lost} of {heard} symbols")),
    )
}

fn symbols(station: &Station) -> u64 {
    station.report().iter().map(|b| b.symbols_received).sum()
}
