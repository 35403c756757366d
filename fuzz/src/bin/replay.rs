//! Runs the targets without libFuzzer: what is in the corpus, then mutations of it.
//!
//! `replay [--seconds N] [--seed N] [TARGET…]`: each target for N seconds (default 3) after its corpus. A panic ends
//! it; the input that caused it is then in `artifacts/<target>`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, panic, process, thread};

use passband_fuzz::{TARGETS, Target};

fn main() {
    let (mut seconds, mut seed, mut names) = (3_u64, 1_u64, Vec::new());
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| usage());
        match arg.as_str() {
            "--seconds" => seconds = number(),
            "--seed" => seed = number(),
            name if TARGETS.iter().any(|(known, _)| *known == name) => names.push(name.to_owned()),
            _ => usage(),
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let targets: Vec<_> = TARGETS.into_iter().filter(|(name, _)| wanted(name)).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, target)) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(name, *target, Duration::from_secs(seconds), seed);
                }
            });
        }
    });
}

fn usage() -> ! {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: replay [--seconds N] [--seed N] [TARGET…]; targets: {}", names.join(" "));
    process::exit(2)
}

fn run(name: &str, target: Target, time: Duration, seed: u64) {
    let folder = root().join("corpus").join(name);
    let mut corpus = Vec::new();
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| {
        eprintln!("{}: {e}", folder.display());
        process::exit(2)
    });
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        corpus.push(fs::read(path).unwrap_or_default());
    }
    corpus.push(Vec::new());
    for data in &corpus {
        try_one(name, target, data);
    }
    let mut random = Random(seed ^ 0x9E37_79B9_7F4A_7C15);
    let (start, mut runs) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        try_one(name, target, &mutated(&corpus, &mut random));
        runs += 1;
    }
    println!("{name:<12} {} of the corpus and {runs} mutations: no fault", corpus.len());
}

/// Runs a target; on a panic the input is kept and everything ends.
fn try_one(name: &str, target: Target, data: &[u8]) {
    if panic::catch_unwind(|| target(data)).is_err() {
        let folder = root().join("artifacts").join(name);
        let path = folder.join("crash");
        let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, data));
        eprintln!("{name}: FAILED; its input is {} ({kept:?})", path.display());
        process::exit(1);
    }
}

/// An input of the corpus with a few things done to it.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(7) {
            0 if !data.is_empty() => {
                let at = random.below(data.len());
                data[at] ^= 1 << random.below(8);
            }
            1 if !data.is_empty() => {
                let at = random.below(data.len());
                data[at] = [0, 1, 0x7F, 0x80, 0xFF, b'0', b'\n'][random.below(7)];
            }
            2 => data.truncate(at),
            3 => {
                let end = data.len().min(at + random.below(40));
                data.drain(at.min(end)..end);
            }
            4 => {
                let end = data.len().min(at + random.below(200));
                let again = data[at.min(end)..end].to_vec();
                data.splice(at..at, again);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ => {
                let fresh: Vec<u8> = (0..random.below(9)).map(|_| random.byte()).collect();
                data.splice(at..at, fresh);
            }
        }
    }
    data.truncate(1 << 16);
    data
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
