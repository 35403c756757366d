//! A bundle out of the captures of many passes, none of which holds it, given in no order to the real
//! `passband-ground recover`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use passband_proto::bundle::SealOptions;
use passband_proto::transfer::Burst;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::child::{self, AsArg};
use super::losses::Losses;
use super::real::{Real, write_keys};
use super::{Bench, Op, Row, Sink};
use crate::capture::CaptureWriter;
use crate::station::hex;

const CAPTURES: u64 = 14;
const LOSS: f64 = 0.5;
/// What a pass carries of the bundle.
const SHARE_OF_A_PASS: f64 = 0.2;

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let options = SealOptions { segment_symbols: 1000, ..SealOptions::default() };
    let mut real = Real::new(bench.pick(4 << 20, 32 << 20, 256 << 20), &options, bench.seed)?;
    let mut losses = Losses::random(LOSS, 1.0, bench.seed);
    let (from, to) = (SocketAddr::from(([10, 0, 0, 1], 47000)), SocketAddr::from(([10, 0, 0, 2], 47000)));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let room = (real.source_symbols() as f64 * SHARE_OF_A_PASS) as u64;
    let (mut sent, mut burst, mut captures) = (0, Burst::default(), Vec::new());
    for pass in 0..CAPTURES {
        let path = real.dir().join(format!("pass-{pass}.pcap"));
        let mut capture = CaptureWriter::create(&path)?;
        real.begin_pass();
        while sent < (pass + 1) * room {
            real.next(&mut burst)?;
            for datagram in burst.datagrams() {
                if !losses.loses(sent) {
                    capture.write(time + Duration::from_micros(sent * 300), from, to, datagram)?;
                }
                sent += 1;
            }
        }
        capture.flush()?;
        captures.push(path);
    }
    captures.shuffle(&mut ChaCha8Rng::seed_from_u64(bench.seed));
    let (keys, out) = (write_keys(real.dir())?, real.dir().join("products"));
    let mut args = child::args([&"recover", &"--json", &"--keys", &keys.as_path(), &"--out", &out.as_path()]);
    args.extend(captures.iter().map(|path| path.as_path().as_arg()));
    let done = child::run(&bench.program, &args, Duration::from_mins(10))?;
    let digest = hex(&real.sealed().source.sha256);
    let same = done.json["bundles"][0]["files"][0]["sha256"] == digest.as_str();
    let what = format!(
        "unordered captures, each of a pass with {:.0} % loss that carried a fifth, stitched to the same bytes",
        LOSS * 100.0
    );
    sink(Row::new("stitch", what, same.then_some(CAPTURES as f64), "1", Op::AtLeast, 10.0))
}
