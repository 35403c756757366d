//! Frames that must not be accepted, by the hundred million, against the receiving end that flies.

use std::time::Instant;

use anyhow::{Result, anyhow};
use passband_proto::sdls::attack::{Outcome, try_forgeries};

use crate::bench::{Bench, Op, Row, Sink};

const GROUP: &str = "forgeries";
/// Tries of a thread at once.
const PART: u64 = 250_000;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let tries: u64 = bench.pick(500_000, 100_000_000, 1_000_000_000);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let begun = Instant::now();
    let parts: Result<Vec<Sum>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| scope.spawn(move || share(tries / PART, worker, threads, bench.seed)))
            .collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a thread panicked"))).collect()
    });
    let rate = tries as f64 / begun.elapsed().as_secs_f64();
    let sum = parts?.into_iter().fold(Sum::default(), Sum::with);
    let what =
        format!("forged, changed, spliced or replayed frames accepted in {:.0e} tries", sum.tries as f64);
    let note = format!(
        "{:.1} % of them got as far as the tag; {:.2} million tries a second on {threads} threads, 842 a second \
         fit a line of 256 kbit/s",
        100.0 * sum.reached as f64 / sum.tries.max(1) as f64,
        rate / 1e6
    );
    sink(Row::new(GROUP, what, Some(sum.accepted as f64), "1", Op::AtMost, 0.0).note(note))
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    tries: u64,
    accepted: u64,
    reached: u64,
}

impl Sum {
    fn with(mut self, other: Self) -> Self {
        self.tries += other.tries;
        self.accepted += other.accepted;
        self.reached += other.reached;
        self
    }

    fn add(self, outcome: &Outcome) -> Self {
        self.with(Self { tries: outcome.tries, accepted: outcome.accepted, reached: outcome.reached_tag })
    }
}

/// Every so manieth part of the tries, each with a seed of its own.
fn share(parts: u64, worker: u64, workers: u64, seed: u64) -> Sum {
    let step = usize::try_from(workers).unwrap_or(1);
    (worker..parts).step_by(step).fold(Sum::default(), |sum, part| {
        sum.add(&try_forgeries(PART, seed.wrapping_mul(0x9E37_79B9).wrapping_add(part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_try_all_of_it_between_them() {
        assert_eq!((0..3).map(|worker| share(2, worker, 3, 1).tries).sum::<u64>(), 2 * PART);
    }
}
