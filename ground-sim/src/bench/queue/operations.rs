//! The queue's structure with a million bundles: what an operation takes, and what all of it takes in memory.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use passband_flight::products::Kind;
use passband_flight::queue::{Item, Queue, Settings, Tasking};
use passband_proto::ids::{BundleId, Class};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "operations";
const MOST_US: f64 = 50.0;
const MOST_MIB: f64 = 200.0;
/// Each operation is timed so often.
const TURNS: u32 = 20_000;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let count = bench.pick(100_000, 1_000_000, 1_000_000);
    let mut rng = ChaCha8Rng::seed_from_u64(bench.seed);
    let items: Vec<Item> = (0..count + TURNS).map(|n| item(n, &mut rng)).collect();
    let before = resident_bytes()?;
    let tasking = |n: u32| Tasking { name: format!("tasking-{n}"), share: n };
    let mut settings = Settings::default();
    settings.taskings.extend((1..8).map(tasking));
    let mut queue = Queue::new(settings)?;
    let (stored, coming) = items.split_at(count as usize);
    for item in stored {
        let _new = queue.insert(item)?;
    }
    let mib = resident_bytes()?.saturating_sub(before) as f64 / f64::from(1 << 20);
    let insert = median_us(coming, |item| queue.insert(item).map(|_| ()))?;
    let picked: Vec<BundleId> = (0..TURNS)
        .filter_map(|_| stored.get(rng.random_range(0..stored.len())))
        .map(|item| item.id)
        .collect();
    let promote = median_us(&picked, |id| queue.promote(id).map(|_| ()))?;
    for id in &picked {
        let _undone = queue.demote(id)?;
    }
    let next = median_us(&[(); TURNS as usize], |()| {
        black_box(queue.next(1_000_000_000));
        Ok::<(), anyhow::Error>(())
    })?;
    for (what, us) in [("next", next), ("insert", insert), ("promote", promote)] {
        let what = format!("median of {what} with {count} bundles of 8 taskings");
        sink(Row::new(GROUP, what, Some(us), "µs", Op::AtMost, MOST_US))?;
    }
    let what = format!("memory of a queue of {count} bundles");
    sink(Row::new(GROUP, what, Some(mib), "MiB", Op::AtMost, MOST_MIB))
}

fn item(n: u32, rng: &mut ChaCha8Rng) -> Item {
    let mut id = BundleId([0; 12]);
    rng.fill(&mut id.0);
    id.0[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    Item {
        id,
        class: Class::ALL[rng.random_range(0..4)],
        kind: Kind::ALL[rng.random_range(0..6)],
        created_unix_ms: u64::from(n) * 50,
        deadline_unix_ms: None,
        bytes: rng.random_range(1_000..14_000_000),
        source_symbols: rng.random_range(1..10_000),
        tasking: rng.random_range(0..8),
    }
}

/// The median of the time that an operation takes on each of these, µs.
fn median_us<T, E: Into<anyhow::Error>>(
    on: &[T],
    mut operation: impl FnMut(&T) -> Result<(), E>,
) -> Result<f64> {
    let mut took = Vec::with_capacity(on.len());
    for one in on {
        let begun = Instant::now();
        operation(one).map_err(Into::into)?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    took.get(took.len() / 2).copied().context("nothing was timed")
}

/// What this process has in memory, bytes.
fn resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in it")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    Ok(kib << 10)
}
