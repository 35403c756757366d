//! Damaged streams of packets: what the reader recovers and exports, beside one that follows the length field.

use anyhow::Result;

use crate::bench::{Bench, Sink};
use crate::telemetry::proof::{prove, rows};

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let proof = prove(bench.pick(1_000, 50_000, 1_000_000), bench.seed);
    rows(&proof).into_iter().try_for_each(sink)
}
