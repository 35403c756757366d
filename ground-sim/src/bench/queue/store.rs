//! The store: how soon a start is through with a hundred thousand bundles, and what is written for what is stored.

use anyhow::{Error, Result};
use passband_flight::faults::measure::{fill, kill, start, wear};

use crate::bench::{Bench, Op, Row, Sink, work_folder};

const MOST_S: f64 = 2.0;
const MOST_WEAR: f64 = 1.2;

/// A start after an orderly end, and one after a kill, the better of two each.
pub(super) fn measure_recovery(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let frames = bench.pick(1_000, 50_000, 50_000);
    let folder = work_folder()?;
    let state = folder.path().join("state");
    fill(&state, frames).map_err(Error::msg)?;
    for (killed, what) in [(false, "after an orderly end"), (true, "after kill -9")] {
        let mut best_ms = f64::INFINITY;
        for _ in 0..2 {
            if killed {
                kill(&state).map_err(Error::msg)?;
            }
            best_ms = best_ms.min(start(&state).map_err(Error::msg)?.total_ms());
        }
        let what = format!("a start with {} bundles stored, {what}", frames * 2);
        sink(Row::new("recovery", what, Some(best_ms / 1e3), "s", Op::AtMost, MOST_S))?;
    }
    Ok(())
}

/// Bytes written by us for each byte stored, the catalogue counted.
pub(super) fn measure_wear(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let sizes: &[(u64, u32)] = bench.pick(
        &[(16 << 20, 1)][..],
        &[(1 << 20, 8), (16 << 20, 4), (256 << 20, 1)][..],
        &[(1 << 20, 64), (16 << 20, 16), (256 << 20, 4)][..],
    );
    for (bytes, frames) in sizes {
        let wear = wear(*bytes, *frames).map_err(Error::msg)?;
        let what = format!("bytes written for each byte stored, frames of {} MiB", bytes >> 20);
        let row = Row::new("wear", what, Some(wear.per_stored_byte()), "1", Op::AtMost, MOST_WEAR);
        sink(row.note(format!("and {} bytes of marks while they were sent once", wear.mark_bytes)))?;
    }
    Ok(())
}
