//! `passband-ground report`.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use passband_proto::keyring::KeyRing;

use super::{parse_to, print_json, read_keys};
use crate::reporter::Reporter;
use crate::station::{AlertBook, Station, hex};

/// Most acknowledgements of alerts under a key: a kilobyte on the slow link.
const ACKNOWLEDGEMENTS: usize = 4;

/// Tell the satellite what is here: sealed reports of what a symbol store has and lacks, and acknowledgements of the
/// alerts in the folder `alerts` beside it.
///
/// Each frame has at most 256 bytes and stands by itself. Reports are never needed: any of them, in any
/// order, any number of times, only saves what need not be sent again. A store that `receive` is writing is
/// reported by that: see its --reports.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground report --keys keys.txt --store products/store --to 10.1.0.2:47011\n  passband-ground report --keys keys.txt --store products/store --out frames/\n\nExit status: 0 there was something to report, 1 there was not, 2 bad usage or input."
)]
pub struct ReportArgs {
    /// The key file.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The symbol store.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Number of this station, 0 to 65535: each station that reports has its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    station: u16,
    /// Send the frames there, one datagram each.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_to)]
    to: Option<SocketAddr>,
    /// Write the frames into this folder, one file each.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground report`.
///
/// # Errors
/// Keys or store can't be used, or the frames can't be sent or written.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    ensure!(args.store.is_dir(), "{} is no symbol store: there is no such folder", args.store.display());
    let keys = read_keys(&args.keys)?;
    let products = args.store.parent().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let frames = frames(&keys, &args.store, &products, args.station)?;
    if let Some(to) = args.to {
        send(&frames, to)?;
    }
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        for (number, frame) in (1..).zip(&frames) {
            let path = folder.join(format!("report-{number:04}.bin"));
            fs::write(&path, frame).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    let bytes: usize = frames.iter().map(Vec::len).sum();
    if args.json {
        let hex: Vec<_> = frames.iter().map(|frame| hex(frame)).collect();
        print_json(&serde_json::json!({ "schema": 1, "frames": hex, "bytes": bytes }))?;
    } else {
        say!("{} frames of {bytes} bytes in all", frames.len());
    }
    Ok(ExitCode::from(u8::from(frames.is_empty())))
}

/// The frames that tell of what the symbol store and the folder of products have.
///
/// # Errors
/// The store can't be used, or the numbers used can't be kept.
pub(super) fn frames(keys: &KeyRing, store: &Path, products: &Path, number: u16) -> Result<Vec<Vec<u8>>> {
    let mut station = Station::open(keys.clone(), store, products)?;
    station.settle()?;
    let mut reporter = Reporter::open(number, store)?;
    let mut frames = reporter.frames(&station, keys)?;
    let alerts = products.join("alerts");
    if alerts.is_dir() {
        let (book, _) = AlertBook::open(keys.clone(), &alerts, store)?;
        frames.extend(reporter.acknowledgements(&book, keys, ACKNOWLEDGEMENTS)?);
    }
    Ok(frames)
}

/// Sends frames, one datagram each.
///
/// # Errors
/// Those of the socket.
pub(super) fn send(frames: &[Vec<u8>], to: SocketAddr) -> Result<()> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("opening a socket for reports")?;
    for frame in frames {
        socket.send_to(frame, to).with_context(|| format!("sending a report to {to}"))?;
    }
    Ok(())
}
