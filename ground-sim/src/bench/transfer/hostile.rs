//! Packets that are not what they seem, mixed into a good stream towards a real station.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use passband_proto::bundle::SealOptions;
use passband_proto::crc32c;
use passband_proto::datagram::{self, CRC_BYTES, Datagram};
use passband_proto::keys::{EpochKey, TagKey};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::losses::Losses;
use super::real::{Real, keys};
use super::sim::SPACECRAFT;
use super::{Bench, Op, Row, Sink};
use crate::station::{Station, Verdict, sha256_hex};

/// Kinds of hostile packets.
const KINDS: u32 = 8;
/// How often each way is timed; the best counts.
const ROUNDS: usize = 3;

/// What a station made of a stream.
#[derive(Debug, Default)]
struct Reception {
    panics: u64,
    /// Hostile packets taken for new symbols.
    taken: u64,
    /// Good packets refused.
    refused: u64,
    /// Products that are not the file that was sent.
    wrong: u64,
    whole: bool,
    time: Duration,
}

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let hostile: usize = bench.pick(100_000, 1_000_000, 1_000_000);
    let options = SealOptions { symbol_bytes: 1024, segment_symbols: 1000, ..SealOptions::default() };
    let mut real = Real::new(bench.pick(4 << 20, 32 << 20, 32 << 20), &options, bench.seed)?;
    let good = real.survivors(&mut Losses::random(0.1, 1.0, bench.seed), 0)?;
    let (mut alone, mut mixed) = (Reception::default(), Reception::default());
    for round in 0..bench.pick(1, ROUNDS, ROUNDS) {
        let a = receive(&real, &good, 0, bench.seed, &format!("alone-{round}"))?;
        let b = receive(&real, &good, hostile, bench.seed, &format!("mixed-{round}"))?;
        alone = best(&alone, a, round);
        mixed = best(&mixed, b, round);
    }
    let many = format!("{hostile} hostile packets among {} good ones", good.len());
    let wrong = (mixed.whole && alone.whole).then_some((mixed.wrong + mixed.taken) as f64);
    let what = format!("wrong products and forged symbols taken: {many}");
    sink(Row::new("hostile", what, wrong, "1", Op::AtMost, 0.0))?;
    sink(Row::new("hostile", format!("panics: {many}"), Some(mixed.panics as f64), "1", Op::AtMost, 0.0))?;
    let what = format!("good packets refused: {many}");
    sink(Row::new("hostile", what, Some(mixed.refused as f64), "1", Op::AtMost, 0.0))?;
    let share = 100.0 * hostile as f64 / (hostile + good.len()) as f64;
    let lost = 100.0 * (1.0 - alone.time.as_secs_f64() / mixed.time.as_secs_f64());
    let what =
        "goodput that hostile packets cost a station at its limit; the target is their share of all packets";
    sink(Row::new("hostile", what, Some(lost), "%", Op::AtMost, share))
}

/// The faster of two runs, with the faults of both.
fn best(a: &Reception, b: Reception, round: usize) -> Reception {
    if round == 0 {
        return b;
    }
    Reception {
        panics: a.panics + b.panics,
        taken: a.taken + b.taken,
        refused: a.refused + b.refused,
        wrong: a.wrong + b.wrong,
        whole: a.whole && b.whole,
        time: a.time.min(b.time),
    }
}

/// Pushes the good stream with as many hostile packets spread over it into a fresh station.
fn receive(real: &Real, good: &[Vec<u8>], hostile: usize, seed: u64, name: &str) -> Result<Reception> {
    let dir = real.dir().join(name);
    let mut station = Station::open(keys(), &dir.join("store"), &dir.join("out"))?;
    let mut forger = Forger::new(seed);
    let mut got = Reception::default();
    let mut batch = Vec::new();
    let mut made = 0;
    for (n, datagram) in good.iter().enumerate() {
        batch.clear();
        batch.push((datagram.clone(), true));
        let due = hostile * (n + 1) / good.len();
        while made < due {
            batch.push((forger.make(good, n)?, false));
            made += 1;
        }
        let start = Instant::now();
        for (bytes, honest) in &batch {
            match catch_unwind(AssertUnwindSafe(|| station.push(bytes))) {
                Err(_) => got.panics += 1,
                Ok(verdict) => {
                    let verdict = verdict.context("the station's disk")?;
                    got.taken += u64::from(!honest && verdict == Verdict::New);
                    got.refused += u64::from(*honest && matches!(verdict, Verdict::Rejected(_)));
                }
            }
        }
        got.time += start.elapsed();
    }
    let start = Instant::now();
    station.settle()?;
    got.time += start.elapsed();
    judge(&mut got, &station, real, &dir)?;
    Ok(got)
}

/// Compares what came out with what went in, byte for byte.
fn judge(got: &mut Reception, station: &Station, real: &Real, dir: &Path) -> Result<()> {
    let sent = std::fs::read(real.file()).context("reading the file that was sent")?;
    for bundle in station.report() {
        let ours = bundle.id == real.sealed().id.to_string();
        got.wrong += u64::from(!ours);
        for file in &bundle.files {
            let output = bundle.output.clone().unwrap_or_else(|| dir.to_owned());
            let bytes = std::fs::read(output.join(&file.name)).context("reading a product")?;
            got.wrong += u64::from(bytes != sent || file.sha256 != sha256_hex(&sent));
        }
        got.whole |= ours && bundle.complete;
    }
    Ok(())
}

/// Makes hostile packets out of good ones.
struct Forger {
    rng: ChaCha8Rng,
    /// A key that nobody gave him.
    key: TagKey,
}

impl Forger {
    fn new(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { rng, key: EpochKey::new(SPACECRAFT, 0, [0xEE; 32]).tag_key() }
    }

    /// A packet made from one of the good ones heard so far, the `n`-th the last.
    fn make(&mut self, good: &[Vec<u8>], n: usize) -> Result<Vec<u8>> {
        let heard = &good[self.rng.random_range(0..=n)];
        let mut bytes = heard.clone();
        let len = bytes.len();
        match self.rng.next_u32() % KINDS {
            // Noise of any length.
            0 => {
                bytes.resize(self.rng.random_range(0..2000), 0);
                self.rng.fill_bytes(&mut bytes);
            }
            1 => self.flip(&mut bytes, len),
            // Damage whose checksum was made good.
            2 => {
                self.flip(&mut bytes, len - CRC_BYTES);
                repair(&mut bytes);
            }
            // Another symbol, well made, with a key of his own.
            3 => bytes = self.forge(heard, len)?,
            // Heard before.
            4 => {}
            5 => bytes.truncate(self.rng.random_range(0..len)),
            // A symbol of another size.
            6 => {
                let size = self.rng.random_range(200..1400);
                bytes = self.forge(heard, size)?;
            }
            // Drawn out, its checksum made good.
            _ => {
                bytes.resize(len + self.rng.random_range(1..500), 0x55);
                repair(&mut bytes);
            }
        }
        Ok(bytes)
    }

    fn flip(&mut self, bytes: &mut [u8], within: usize) {
        let at = self.rng.random_range(0..within);
        bytes[at] ^= 1 << self.rng.random_range(0..8);
    }

    fn forge(&mut self, heard: &[u8], len: usize) -> Result<Vec<u8>> {
        let mut header = *Datagram::parse(heard).context("a good packet is no datagram")?.header();
        header.esi = self.rng.random_range(0..100_000);
        let mut symbol = vec![0; len - datagram::OVERHEAD_BYTES];
        self.rng.fill_bytes(&mut symbol);
        let mut out = vec![0; len];
        // With symbols of another size the block may have too many of them: then it goes out as noise.
        if datagram::encode(&header, &symbol, &self.key, &mut out).is_err() {
            self.rng.fill_bytes(&mut out);
        }
        Ok(out)
    }
}

/// Makes the CRC of a packet right.
fn repair(bytes: &mut [u8]) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<CRC_BYTES>() {
        *crc = crc32c::checksum(body).to_be_bytes();
    }
}
