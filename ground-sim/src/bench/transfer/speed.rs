//! Bytes a second through real sockets, of the real commands.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use passband_proto::bundle::SealOptions;

use super::child::{self, Running, args};
use super::losses::Losses;
use super::real::{Real, random_file, write_keys};
use super::{Bench, Op, Row, Scale, Sink, work_folder};
use crate::batch::BatchSender;

/// Rates at which the receiver is offered the survivors, bytes/s: the best that it keeps up with counts.
const OFFERED: [f64; 3] = [180e6, 250e6, 400e6];
const LOSS: f64 = 0.2;
/// Datagrams between two looks at the clock.
const LOOK_EVERY: usize = 32;
/// The paced rate of the link, bit/s.
const LINK_BPS: f64 = 200e6;
const PATIENCE: Duration = Duration::from_mins(15);

pub(super) fn measure(bench: &Bench, sink: &mut Sink) -> Result<()> {
    let size = bench.pick(32 << 20, 256 << 20, 1 << 30);
    let repeats = bench.pick(1, 3, 5);
    sink(sender(bench, size, repeats)?)?;
    // Of a bundle as large as this the repair symbols are made in turns, with bounded memory.
    if bench.scale > Scale::Quick {
        sink(sender(bench, 1 << 30, repeats)?)?;
    }
    sink(receiver(bench, size, repeats)?)?;
    sink(link(bench, size)?)
}

/// `send` as fast as it goes, source and repair symbols, to a port where nobody reads.
fn sender(bench: &Bench, size: u64, repeats: usize) -> Result<Row> {
    let work = work_folder()?;
    let (keys, file) = (write_keys(work.path())?, random_file(work.path(), size, bench.seed)?);
    let sink = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
    let to = sink.local_addr().context("reading a socket's address")?.to_string();
    let args = args([
        &"send",
        &"--json",
        &"--keys",
        &keys.as_path(),
        &"--to",
        &to,
        &"--rate",
        &"100G",
        &"--factor",
        &"1.25",
        &file.as_path(),
    ]);
    let mut best = None;
    for _ in 0..repeats {
        let done = child::run(&bench.program, &args, PATIENCE)?;
        let figure = |name| done.json[name].as_f64();
        best = figure("bytes").zip(figure("seconds")).map(|(bytes, s)| bytes / s / 1e6).max_by_value(best);
    }
    let what = format!(
        "sender: disk, encode, tag, socket; {} MiB and a quarter of repair symbols, best of {repeats}",
        size >> 20
    );
    Ok(Row::new("sender", what, best, "MB/s", Op::AtLeast, 200.0))
}

/// Survivors of 20 % loss, made beforehand, sent at a steady rate to `receive` until it has written the file.
fn receiver(bench: &Bench, size: u64, repeats: usize) -> Result<Row> {
    let mut real = Real::new(size, &SealOptions::default(), bench.seed)?;
    let spare = real.source_symbols() * 3 / 10;
    let survivors = real.survivors(&mut Losses::random(LOSS, 1.0, bench.seed), spare)?;
    let keys = write_keys(real.dir())?;
    let mut best = None;
    for n in 0..repeats {
        for rate in OFFERED {
            let out = real.dir().join(format!("out-{n}"));
            let seconds = receive_once(bench, &keys, &out, &survivors, rate)?;
            best = seconds.map(|s| size as f64 / s / 1e6).max_by_value(best);
            fs::remove_dir_all(&out).with_context(|| format!("removing {}", out.display()))?;
        }
    }
    let what = format!(
        "receiver: socket, tag, store, decode, open, disk at 20 % loss; {} MiB of content, best of {repeats}",
        size >> 20
    );
    Ok(Row::new("receiver", what, best, "MB/s", Op::AtLeast, 150.0))
}

/// From the first datagram to the end of `receive`, s; `None` if it never had the bundle whole.
fn receive_once(
    bench: &Bench,
    keys: &Path,
    out: &Path,
    survivors: &[Vec<u8>],
    rate: f64,
) -> Result<Option<f64>> {
    let (running, to) = start_receive(bench, keys, out)?;
    let start = Instant::now();
    send_paced(survivors.iter().map(Vec::as_slice), to, rate)?;
    let Some(done) = running.wait(PATIENCE)? else { return Ok(None) };
    let whole = done.json["bundles"][0]["complete"] == true;
    Ok(whole.then(|| done.end.duration_since(start).as_secs_f64()))
}

/// Starts `receive`, which ends with the first bundle that is whole or when nothing comes any more.
pub(super) fn start_receive(bench: &Bench, keys: &Path, out: &Path) -> Result<(Running, SocketAddr)> {
    let port = free_port()?;
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let args = args([
        &"receive",
        &"--json",
        &"--keys",
        &keys,
        &"--listen",
        &to.to_string(),
        &"--out",
        &out,
        &"--bundles",
        &"1",
        &"--idle",
        &"3",
    ]);
    let running = child::start(&bench.program, &args)?;
    wait_for_port(port)?;
    Ok((running, to))
}

/// Sends datagrams at so many bytes a second.
pub(super) fn send_paced<'a>(
    datagrams: impl Iterator<Item = &'a [u8]>,
    to: SocketAddr,
    rate: f64,
) -> Result<()> {
    let socket = BatchSender::open(to)?;
    let (start, mut bytes) = (Instant::now(), 0);
    let mut datagrams = datagrams.peekable();
    while datagrams.peek().is_some() {
        let some = datagrams.by_ref().take(LOOK_EVERY).inspect(|datagram| bytes += datagram.len());
        socket.send_all(some)?;
        let due = Duration::from_secs_f64(bytes as f64 / rate);
        if let Some(ahead) = due.checked_sub(start.elapsed()).filter(|ahead| ahead.as_micros() > 200) {
            std::thread::sleep(ahead);
        }
    }
    Ok(())
}

/// A pass with more to send than it carries.
fn link(bench: &Bench, size: u64) -> Result<Row> {
    let work = work_folder()?;
    let (keys, file) = (write_keys(work.path())?, random_file(work.path(), size.min(64 << 20), bench.seed)?);
    let sink = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
    let to = sink.local_addr().context("reading a socket's address")?.to_string();
    let (rate, pass_s) = (format!("{LINK_BPS}"), bench.pick("2", "10", "60"));
    let args = args([
        &"send",
        &"--json",
        &"--keys",
        &keys.as_path(),
        &"--to",
        &to,
        &"--rate",
        &rate,
        &"--for",
        &pass_s,
        &file.as_path(),
    ]);
    let done = child::run(&bench.program, &args, PATIENCE)?;
    let used = done.json["rate_bps"].as_f64().map(|bps| 100.0 * bps / LINK_BPS);
    let what =
        format!("link use in a pass of {pass_s} s with backlog, {:.0} Mbit/s, zero ACKs", LINK_BPS / 1e6);
    Ok(Row::new("link", what, used, "%", Op::AtLeast, 99.5))
}

/// A port of the loopback interface that nobody uses at present.
pub(super) fn free_port() -> Result<u16> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).context("opening a socket")?;
    Ok(socket.local_addr().context("reading a socket's address")?.port())
}

/// Waits until somebody listens on a UDP port.
pub(super) fn wait_for_port(port: u16) -> Result<()> {
    let mark = format!(":{port:04X} ");
    for _ in 0..1000 {
        let table = fs::read_to_string("/proc/net/udp").context("reading /proc/net/udp")?;
        if table.contains(&mark) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("nobody listens on port {port} after ten seconds")
}

/// The larger of two figures, any of which may be missing.
trait MaxByValue {
    fn max_by_value(self, other: Self) -> Self;
}

impl MaxByValue for Option<f64> {
    fn max_by_value(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}
