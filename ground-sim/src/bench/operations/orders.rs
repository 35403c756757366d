//! Orders sent ten times each while the power is cut at every operation of the disk: how many are done exactly once.
//!
//! The desk and the records are those that fly, on a disk that loses, tears and reorders what was not synced. What an order
//! does here is to count itself in the records, as orders do that change something kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use passband_flight::adapters::catalogue::open_orders;
use passband_flight::adapters::disk::Disk;
use passband_flight::faults::SimDisk;
use passband_flight::orders::desk::{Desk, Hands, Outcome};
use passband_flight::orders::{Giver, Moment, OrderId, Run, Step};
use passband_flight::store::orders::{Change, Kind};
use passband_flight::telemetry::Report;
use passband_proto::dict::{Mode, Order, Source};

use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "orders";
const STATE: &str = "/state";
/// How often each order is sent.
const TIMES: u64 = 10;
const OPERATOR: Giver = Giver { source: 2, role: Source::Operator };

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let (orders, fates) = (bench.pick(4, 8, 24), bench.pick(1, 4, 16));
    let (mut cuts, mut once) = (0_u64, 0_u64);
    for fate in 0..fates {
        for cut in cuts_of(orders, bench.seed.wrapping_add(fate << 32))? {
            let (mut desk, mut hands) = open(&cut)?;
            send_all(&mut desk, &mut hands, orders)?;
            drop(desk);
            // What the disk says after one more start, not what was remembered.
            let effects = open(&cut)?.1.effects;
            once += effects.values().filter(|times| **times == 1).count() as u64;
            cuts += 1;
        }
    }
    let share = 100.0 * once as f64 / (cuts * u64::from(orders)).max(1) as f64;
    let what = format!(
        "orders sent {TIMES} times over power cuts at every operation of the disk, done exactly once"
    );
    let note = format!(
        "{orders} orders, {cuts} cuts, in each of which what was not synced was lost or torn; F Prime and cFS \
         check no number of a command: one sent ten times runs ten times"
    );
    sink(Row::new(GROUP, what, Some(share), "%", Op::AtLeast, 100.0).note(note))
}

/// What the disk may look like after a cut at each operation of a run without any.
fn cuts_of(orders: u32, mut seed: u64) -> Result<Vec<SimDisk>> {
    let disk = SimDisk::default();
    disk.make_folder(Path::new(STATE)).and_then(|()| disk.sync_folder(Path::new("/"))).context("a disk")?;
    let cuts: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
    let (mut desk, mut hands) = open(&disk)?;
    let seen = Arc::clone(&cuts);
    disk.watch(move |disk| {
        seed = seed.wrapping_add(1);
        if let Ok(mut seen) = seen.lock() {
            seen.push(disk.after_cut(seed));
        }
    });
    let sent = send_all(&mut desk, &mut hands, orders);
    disk.unwatch();
    sent?;
    let mut cuts = cuts.lock().map_err(|_| anyhow!("a thread panicked"))?;
    Ok(std::mem::take(&mut *cuts))
}

fn send_all(desk: &mut Desk, hands: &mut Counting, orders: u32) -> Result<()> {
    for (time, number) in (0..TIMES).flat_map(|time| (1..=orders).map(move |number| (time, number))) {
        let order =
            if number % 2 == 0 { Order::Ping {} } else { Order::PassStart { seconds: number, rate: 0 } };
        desk.take(moment(time), OPERATOR, number, Step::Run, &order.encode(), hands)?;
    }
    Ok(())
}

fn moment(ms: u64) -> Moment {
    Moment { steady_ms: ms, unix_ms: 1_000_000 + ms, mode: Mode::Nominal, arm_ms: 60_000 }
}

fn open(disk: &SimDisk) -> Result<(Desk, Counting)> {
    let mut desk = Desk::new(open_orders(disk, Path::new(STATE))?.store)?;
    let mut hands = Counting::default();
    for (key, value) in desk.store().records(Kind::Note)? {
        if let (Some(id), Some(times)) = (id_of(&key), value.first()) {
            hands.effects.insert(id, *times);
        }
    }
    desk.resume(moment(0), &mut hands)?;
    Ok((desk, hands))
}

/// Counts in the records how often each order took effect.
#[derive(Debug, Default)]
struct Counting {
    effects: BTreeMap<OrderId, u8>,
}

impl Hands for Counting {
    fn run(&mut self, _now: Moment, run: &Run) -> Outcome {
        let times = self.effects.get(&run.id).copied().unwrap_or_default().saturating_add(1);
        Outcome::done("").with([Change { kind: Kind::Note, key: key_of(run.id), value: Some(vec![times]) }])
    }

    fn kept(&mut self, _now: Moment, run: &Run) {
        *self.effects.entry(run.id).or_default() += 1;
    }

    fn tell(&mut self, _report: Report) {}
}

fn key_of(id: OrderId) -> Vec<u8> {
    [id.source.to_be_bytes().as_slice(), &id.number.to_be_bytes()].concat()
}

fn id_of(key: &[u8]) -> Option<OrderId> {
    let (source, number) = key.split_first_chunk::<2>()?;
    Some(OrderId {
        source: u16::from_be_bytes(*source),
        number: u32::from_be_bytes(*number.first_chunk::<4>()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cut_leaves_orders_that_are_done_once() {
        let cuts = cuts_of(2, 1).unwrap();
        assert!(cuts.len() > 10, "{}", cuts.len());
        let (mut desk, mut hands) = open(&cuts[cuts.len() / 2]).unwrap();
        send_all(&mut desk, &mut hands, 2).unwrap();
        assert!(hands.effects.len() == 2 && hands.effects.values().all(|times| *times == 1));
    }
}
