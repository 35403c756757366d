//! Kill -9 of both ends at random moments: what is repeated, and what is lost.

use std::time::Duration;

use anyhow::Result;
use passband_proto::bundle::SealOptions;
use passband_proto::datagram::Datagram;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::losses::Losses;
use super::real::{Real, keys, write_keys};
use super::sim::{Sim, geometry, segment_symbols};
use super::speed::{send_paced, start_receive};
use super::{Bench, Op, Row, Sink};
use crate::station::{Station, hex};

const BYTES: u64 = 1 << 30;
const LOSS: f64 = 0.2;
/// How often the sender is killed while it sends the bundle.
const KILLS: u64 = 20;
/// A pass, s.
const PASS_S: f64 = 300.0;
/// How long a station lives at most until it is killed, s.
const STAY_S: f64 = 1.5;
const PATIENCE: Duration = Duration::from_mins(5);
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

/// Kills `receive`, the process, while datagrams come, and looks at what its store holds.
fn station(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let kills = bench.pick(2, 5, 20);
    let mut real = Real::new(bench.pick(8 << 20, 32 << 20, 128 << 20), &SealOptions::default(), bench.seed)?;
    let heard = real.survivors(&mut Losses::random(LOSS, 1.0, bench.seed), 0)?;
    // Of whole blocks a store keeps no count: the head is whole at once, and no other is to be before the end.
    let counted: Vec<_> =
        heard.iter().filter(|bytes| Datagram::parse(bytes).is_ok_and(|d| d.header().block > 0)).collect();
    let each = counted.len() * 7 / 10 / kills;
    let rate = each as f64 / STAY_S;
    let datagram_bytes = heard.first().map_or(0, Vec::len) as f64;
    let keys_file = write_keys(real.dir())?;
    let (mut rng, mut at) = (ChaCha8Rng::seed_from_u64(bench.seed), 0);
    for _ in 0..kills {
        let count = rng.random_range(each / 2..each);
        let part = counted.get(at..at + count).unwrap_or_default();
        let (running, to) = start_receive(bench, &keys_file, &real.dir().join("out"))?;
        send_paced(part.iter().map(|bytes| bytes.as_slice()), to, rate * datagram_bytes)?;
        running.kill()?;
        at += count;
    }
    let stored: u64 = {
        let station = Station::open(keys(), &real.dir().join("out/store"), &real.dir().join("out"))?;
        station.report().iter().map(|b| b.symbols_received).sum()
    };
    let lost = (at as u64).saturating_sub(stored);
    // The rest, and again what was lost: it has to come to the same bytes.
    let (running, to) = start_receive(bench, &keys_file, &real.dir().join("out"))?;
    send_paced(heard.iter().map(Vec::as_slice), to, rate * 4.0 * datagram_bytes)?;
    let done = running.wait(PATIENCE)?;
    let digest = hex(&real.sealed().source.sha256);
    let right = done.is_some_and(|done| done.json["bundles"][0]["files"][0]["sha256"] == digest.as_str());
    let value = right.then(|| 100.0 * lost as f64 / (rate * PASS_S) / kills as f64);
    let what = "symbols a kill -9 of the station loses, share of those of a pass of 300 s";
    let note = format!("{lost} symbols by {kills} kills at {rate:.0} symbols/s");
    sink(Row::new("kills", what, value, "%", Op::AtMost, 0.1).note(note))
}
