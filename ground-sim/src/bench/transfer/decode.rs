//! What a block needs to be decoded, measured with the real decoder; and what a datagram carries besides
//! its symbol.

use anyhow::{Context, Result, ensure};
use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, OVERHEAD_BYTES};
use passband_proto::fountain::{BlockDecoder, BlockEncoder};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Bench, Op, Row, Sink};
use crate::cores::on_all_cores;

/// K of the block that is decoded.
const SYMBOLS: u32 = 10_000;
const SYMBOL_BYTES: u16 = 64;
/// Repair symbols to choose from.
const REPAIR: u32 = 30_000;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let trials: Vec<u64> = (0..bench.pick(6, 60, 1000)).collect();
    let block: Vec<u8> = (0..SYMBOLS * u32::from(SYMBOL_BYTES)).map(|i| (i * 7 % 251) as u8).collect();
    let mut symbols = Vec::new();
    BlockEncoder::new(&block, SYMBOL_BYTES)?
        .symbols(0, SYMBOLS + REPAIR, |_, symbol| symbols.extend_from_slice(symbol))?;
    let needed = on_all_cores(&trials, |trial| needed(&block, &symbols, bench.seed ^ (trial << 20)))?;
    let worst = needed.iter().copied().max().unwrap_or(u32::MAX);
    let again = needed.iter().filter(|n| **n > SYMBOLS).count();
    let what =
        format!("symbols received / K until a block of K = {SYMBOLS} decodes, worst of {}", trials.len());
    let note = format!("{again} of {} needed more than K symbols", trials.len());
    let value = f64::from(worst) / f64::from(SYMBOLS);
    sink(Row::new("decode", what, Some(value), "1", Op::AtMost, 1.001).note(note))?;
    let datagram = OVERHEAD_BYTES + usize::from(DEFAULT_SYMBOL_BYTES);
    let share = OVERHEAD_BYTES as f64 / datagram as f64;
    let what = format!("header, tag and CRC: {OVERHEAD_BYTES} of a datagram's {datagram} bytes");
    sink(Row::new("header", what, Some(share * 100.0), "%", Op::AtMost, 4.5))
}

/// How many symbols one decoder needs of those that come through at some loss.
fn needed(block: &[u8], symbols: &[u8], seed: u64) -> Result<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let loss = rng.random_range(0.05..0.5);
    let mut esis: Vec<u32> = (0..SYMBOLS).filter(|_| !rng.random_bool(loss)).collect();
    let mut repair: Vec<u32> = (SYMBOLS..SYMBOLS + REPAIR).collect();
    repair.shuffle(&mut rng);
    esis.extend(repair);
    let symbol = |esi: &u32| {
        let size = usize::from(SYMBOL_BYTES);
        (*esi, symbols[*esi as usize * size..][..size].to_vec())
    };
    let mut decoder = BlockDecoder::new(u32::try_from(block.len())?, SYMBOL_BYTES)?;
    let (first, rest) = esis.split_at(SYMBOLS as usize);
    let mut got = decoder.decode(first.iter().map(symbol));
    let mut count = SYMBOLS;
    for esi in rest {
        if got.is_some() {
            break;
        }
        got = decoder.decode([symbol(esi)]);
        count += 1;
    }
    ensure!(got.context("a block never decoded")? == block, "a block decoded to other bytes");
    Ok(count)
}
