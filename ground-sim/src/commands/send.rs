//! `passband-ground send`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use passband_proto::bundle::SealOptions;
use passband_proto::datagram::{DEFAULT_SYMBOL_BYTES, OVERHEAD_BYTES};
use passband_proto::ids::Class;
use passband_proto::transfer::{Burst, Offer, Sender, SenderConfig, Worker, burst_datagrams};

use super::{parse_rate, parse_share, parse_to, print_json, read_keys};
use crate::batch::BatchSender;
use crate::sealing::{SealedFile, SealedFiles, seal_file};
use crate::station::hex;

/// The probability of being down at which a bundle has been sent enough.
const ENOUGH: f64 = 0.99;

/// The largest loss that can be expected.
const MAX_LOSS: f64 = 0.85;

/// Seal plain files and send them as the satellite does: a test of a link, its far end and its keys.
///
/// Each file becomes a bundle of its own. Sending needs no answer: it ends when every bundle is presumed
/// down with a probability of 99 % at the loss expected; with --for it goes on for so long, as in a pass, and
/// with --factor until so many times the bundles' symbols have been sent.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: to a station on this machine at 50 Mbit/s, made ready for up to 30 % loss\n  passband-ground receive --keys keys.txt --listen 127.0.0.1:47000 --for 20 &\n  passband-ground send --keys keys.txt --to 127.0.0.1:47000 --rate 50M --loss 30% big.bin\n\nExit status: 0 sent, 1 stopped by --for before all was presumed down, 2 bad usage or input."
)]
pub struct SendArgs {
    /// The files to send.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The key file.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The spacecraft to send as; the first of the key file if not given.
    #[arg(long, value_name = "N")]
    spacecraft: Option<u16>,
    /// Where to send the datagrams.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_to)]
    to: SocketAddr,
    /// Rate, bits per second of UDP payload: 9600, 256k, 40M, 1.6G.
    #[arg(long, value_name = "RATE", default_value = "40M", value_parser = parse_rate)]
    rate: u64,
    /// The loss to expect, up to 85 %: 0.2 or 20%.
    #[arg(long, value_name = "SHARE", default_value = "20%", value_parser = parse_share)]
    loss: f64,
    /// Class of the bundles: alert, suspect, routine, discard-candidate.
    #[arg(long, value_name = "CLASS", default_value = "routine")]
    class: Class,
    /// Symbol size, bytes; 64 more make the datagram.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_SYMBOL_BYTES)]
    symbol_bytes: u16,
    /// Send for this many seconds, whatever is presumed down by then.
    #[arg(long = "for", value_name = "SECONDS")]
    for_s: Option<f64>,
    /// Stop after this many times the bundles' own symbols, such as 2.5; overrides what is presumed.
    #[arg(long, value_name = "X")]
    factor: Option<f64>,
    /// Send each datagram in a system call of its own: slower, but a capture taken on this very machine then
    /// shows each by itself, not joined with others.
    #[arg(long)]
    single: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground send`.
///
/// # Errors
/// Keys or files can't be used, or the socket fails.
pub fn run(args: &SendArgs) -> Result<ExitCode> {
    let keys = read_keys(&args.keys)?;
    let spacecraft = args.spacecraft.or(keys.iter().next().map(passband_proto::keys::EpochKey::spacecraft));
    let key =
        spacecraft.and_then(|s| keys.newest(s)).context("the key file holds no key of that spacecraft")?;
    ensure!(args.for_s.is_none_or(|s| (0.0..1e7).contains(&s)), "--for takes 0 to 10,000,000 seconds");
    ensure!(args.loss <= MAX_LOSS, "--loss takes up to 85 %: with more lost no plan can be made");
    ensure!(args.factor.is_none_or(|f| (0.0..=1e4).contains(&f)), "--factor takes 0 to 10,000");
    let work = tempfile::tempdir().context("making a folder for the sealed bundles")?;
    let options = SealOptions { symbol_bytes: args.symbol_bytes, ..SealOptions::default() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut session = [0; 4];
    getrandom::fill(&mut session).map_err(|e| anyhow!("the system's random source failed: {e}"))?;
    let config = SenderConfig {
        session: u32::from_be_bytes(session) >> 8,
        expected_loss: args.loss,
        encode_elsewhere: true,
        ..SenderConfig::default()
    };
    let mut sender = Sender::new(&config, keys.clone());
    let mut store = SealedFiles::default();
    let mut sealed = Vec::new();
    for (rank, file) in (0..).zip(&args.files) {
        let created_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let bundle = seal_file(key, file, args.class, created_ms, &options, work.path())?;
        store.add(&bundle)?;
        sender.offer(&Offer {
            id: bundle.id,
            spacecraft: key.spacecraft(),
            epoch: key.epoch(),
            class: args.class,
            rank,
            geometry: bundle.geometry,
            marks: Vec::new(),
        })?;
        sealed.push(bundle);
    }
    let sent = transmit(args, &mut sender, &mut store, &sealed)?;
    report(args, &sender, &sealed, &sent)
}

/// What was sent.
struct Sent {
    datagrams: u64,
    bytes: u64,
    seconds: f64,
}

fn transmit(
    args: &SendArgs,
    sender: &mut Sender,
    store: &mut SealedFiles,
    sealed: &[SealedFile],
) -> Result<Sent> {
    let socket = BatchSender::open(args.to)?.one_by_one(args.single);
    let mut worker = Worker::start().context("starting a thread")?;
    let own: u64 = sealed.iter().filter_map(|b| sender.progress(&b.id)).map(|p| p.source_symbols).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a factor of at most 10,000")]
    let limit = args.factor.map(|f| (f * own as f64).ceil() as u64);
    let bar = progress_bar(args, own * u64::from(args.symbol_bytes));
    let start = Instant::now();
    let mut sent = Sent { datagrams: 0, bytes: 0, seconds: 0.0 };
    let mut burst = Burst::default();
    loop {
        let elapsed = start.elapsed();
        let late = args.for_s.is_some_and(|s| elapsed.as_secs_f64() >= s);
        let enough = limit
            .map_or_else(|| args.for_s.is_none() && all_presumed(sender, sealed), |n| sent.datagrams >= n);
        if late || enough {
            break;
        }
        let left = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit.saturating_sub(sent.datagrams)).unwrap_or(usize::MAX)
        });
        burst.set_most(burst_datagrams(args.rate, args.symbol_bytes).min(left));
        let Some(_) = sender.poll_transmit(store, &mut burst)? else {
            sender.begin_pass();
            continue;
        };
        socket.send(&burst)?;
        worker.run(sender, store)?;
        sent.datagrams += burst.len() as u64;
        sent.bytes += burst.bytes() as u64;
        bar.set_position(sent.bytes);
        pace(start, sent.bytes, args.rate);
    }
    sent.seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(sent)
}

fn all_presumed(sender: &Sender, sealed: &[SealedFile]) -> bool {
    sealed.iter().all(|b| sender.progress(&b.id).is_none_or(|p| p.presumed >= ENOUGH))
}

/// Sleeps until the bytes sent so far are due: an absolute schedule, so that nothing drifts.
fn pace(start: Instant, bytes: u64, rate_bps: u64) {
    let due = Duration::from_secs_f64(bytes as f64 * 8.0 / rate_bps as f64);
    if let Some(ahead) = due.checked_sub(start.elapsed()).filter(|ahead| ahead.as_micros() > 500) {
        std::thread::sleep(ahead);
    }
}

fn progress_bar(args: &SendArgs, own_bytes: u64) -> ProgressBar {
    if args.json {
        return ProgressBar::hidden();
    }
    let per_symbol = (f64::from(args.symbol_bytes) + OVERHEAD_BYTES as f64) / f64::from(args.symbol_bytes);
    let factor = args.factor.unwrap_or(1.0 / (1.0 - args.loss.min(0.9)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the length of a bar")]
    let bar = ProgressBar::new((own_bytes as f64 * per_symbol * factor) as u64);
    if let Ok(style) = ProgressStyle::with_template("sending {bar:30} {bytes} at {bytes_per_sec}, {elapsed}")
    {
        bar.set_style(style);
    }
    bar
}

fn report(args: &SendArgs, sender: &Sender, sealed: &[SealedFile], sent: &Sent) -> Result<ExitCode> {
    let done = args.factor.is_some() || all_presumed(sender, sealed);
    let bundles: Vec<_> = sealed
        .iter()
        .map(|b| {
            let progress = sender.progress(&b.id);
            serde_json::json!({
                "id": b.id.to_string(), "name": b.source.name, "bytes": b.source.bytes,
                "sha256": hex(&b.source.sha256),
                "sent_symbols": progress.map(|p| p.sent_symbols),
                "source_symbols": progress.map(|p| p.source_symbols),
                "presumed": progress.map(|p| p.presumed),
            })
        })
        .collect();
    let rate_bps = sent.bytes as f64 * 8.0 / sent.seconds.max(1e-9);
    if args.json {
        print_json(&serde_json::json!({
            "schema": 1, "datagrams": sent.datagrams, "bytes": sent.bytes, "seconds": sent.seconds,
            "rate_bps": rate_bps, "done": done, "bundles": bundles,
        }))?;
    } else {
        say!("sent {} datagrams in {:.1} s, {:.1} Mbit/s", sent.datagrams, sent.seconds, rate_bps / 1e6);
        for b in sealed {
            let p = sender.progress(&b.id);
            let (symbols, own, presumed) =
                p.map_or((0, 0, 0.0), |p| (p.sent_symbols, p.source_symbols, p.presumed));
            say!(
                "  {}  {:>12} bytes  {symbols} of {own} symbols  presumed down {:.1} %  {}",
                b.id,
                b.source.bytes,
                presumed * 100.0,
                b.source.name
            );
        }
    }
    Ok(ExitCode::from(u8::from(!done)))
}
