//! `passband-ground recover`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use serde::Serialize;

use super::receive::{describe_alert, print_summary};
use super::{print_json, read_keys};
use crate::capture::{Candidate, CaptureReader, CaptureStats};
use crate::station::{AlertBook, AlertReport, BundleReport, Counters, LinkLoss, Station};

/// Recover bundles from captures: pcap or pcapng files in, products out.
///
/// Takes any number of captures, of any passes and stations, in any order, whole or cut or damaged, also
/// compressed with gzip or zstd. What was recovered before is kept in the symbol store and completed by
/// what comes now: run it again with the next pass's capture and the same --out. A datagram counts only if
/// its keyed tag is right; checksums of IP and UDP don't matter.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  tcpdump -i any -w pass1.pcap udp port 47000\n  passband-ground recover --keys keys.txt --out products pass1.pcap pass2.pcap.gz\n\nExit status: 0 all bundles heard of (or asked for) are whole, 1 some are not or nothing was\nfound, 2 bad usage or input."
)]
pub struct RecoverArgs {
    /// The captures.
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// The key file.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Where products and alerts go.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// The symbol store; OUT/store if not given.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// A bundle that is asked for; may be given several times. Without it: all that are heard of.
    #[arg(long = "bundle", value_name = "ID")]
    bundles: Vec<BundleId>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What came of a capture.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureReport {
    /// The file.
    pub path: PathBuf,
    /// What was found in it.
    #[serde(flatten)]
    pub stats: CaptureStats,
    /// Why it could not be read, or not to its end.
    pub error: Option<String>,
}

/// What was recovered.
#[derive(Debug, Clone, Serialize)]
pub struct Recovery {
    /// The captures, in the order given.
    pub captures: Vec<CaptureReport>,
    /// The bundles heard of, now and before.
    pub bundles: Vec<BundleReport>,
    /// What was counted.
    pub packets: Counters,
    /// The loss of the link, by its sequence numbers.
    pub link_loss: Option<LinkLoss>,
    /// Alerts that are new.
    pub alerts: Vec<AlertReport>,
}

/// Runs `passband-ground recover`.
///
/// # Errors
/// The key file or a folder can't be used, or the disk fails.
pub fn run(args: &RecoverArgs) -> Result<ExitCode> {
    let keys = read_keys(&args.keys)?;
    let store = args.store.clone().unwrap_or_else(|| args.out.join("store"));
    let recovery = recover(&keys, &args.captures, &store, &args.out, args.json)?;
    let asked = |id: &BundleId| recovery.bundles.iter().any(|b| b.complete && b.id == id.to_string());
    let complete = if args.bundles.is_empty() {
        !recovery.bundles.is_empty() && recovery.bundles.iter().all(|b| b.complete)
    } else {
        args.bundles.iter().all(asked)
    };
    let readable = recovery.captures.iter().all(|c| c.error.is_none());
    if args.json {
        let mut document = serde_json::json!({ "schema": 1, "complete": complete });
        if let (Some(to), serde_json::Value::Object(from)) =
            (document.as_object_mut(), serde_json::to_value(&recovery)?)
        {
            to.extend(from);
        }
        print_json(&document)?;
    } else {
        print_people(&recovery);
    }
    Ok(ExitCode::from(if readable { u8::from(!complete) } else { 2 }))
}

/// Recovers what the captures hold; a capture that can't be read is reported, the others go on.
///
/// # Errors
/// A folder can't be used or the disk fails.
pub fn recover(
    keys: &KeyRing,
    captures: &[PathBuf],
    store: &Path,
    out: &Path,
    quiet: bool,
) -> Result<Recovery> {
    let mut recovery = Recoverer {
        station: Station::open(keys.clone(), store, out)?,
        alerts: AlertBook::open(keys.clone(), &out.join("alerts"))?,
        new_alerts: Vec::new(),
    };
    let bar = progress_bar(captures, quiet);
    let mut reports = Vec::new();
    for path in captures {
        reports.push(recovery.capture(path, &bar)?);
    }
    bar.finish_and_clear();
    recovery.station.settle()?;
    let counters = recovery.station.counters().clone();
    Ok(Recovery {
        captures: reports,
        bundles: recovery.station.report(),
        link_loss: counters.link_loss(),
        packets: counters,
        alerts: recovery.new_alerts,
    })
}

struct Recoverer {
    station: Station,
    alerts: AlertBook,
    new_alerts: Vec<AlertReport>,
}

impl Recoverer {
    fn capture(&mut self, path: &Path, bar: &ProgressBar) -> Result<CaptureReport> {
        let mut report = CaptureReport { path: path.to_owned(), stats: CaptureStats::default(), error: None };
        let mut reader = match CaptureReader::open(path) {
            Ok(reader) => reader,
            Err(e) => {
                report.error = Some(e.to_string());
                return Ok(report);
            }
        };
        let before = bar.position();
        loop {
            match reader.next_candidate() {
                Ok(Some(candidate)) => self.take(&candidate)?,
                Ok(None) => break,
                Err(e) => {
                    report.error = Some(e.to_string());
                    break;
                }
            }
            bar.set_position(before + reader.position());
        }
        report.stats = reader.stats().clone();
        Ok(report)
    }

    /// Takes what may be a datagram or an alert; what is neither is counted, under its reason.
    fn take(&mut self, candidate: &Candidate<'_>) -> Result<()> {
        if candidate.bytes.starts_with(b"PA") {
            self.new_alerts.extend(self.alerts.push(candidate.bytes)?);
        } else if candidate.bytes.starts_with(b"PB") {
            self.station.push(candidate.bytes)?;
        } else {
            self.station.count_foreign(candidate.bytes.len());
        }
        Ok(())
    }
}

fn progress_bar(captures: &[PathBuf], quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bytes = captures.iter().filter_map(|p| fs::metadata(p).ok()).map(|m| m.len()).sum();
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("recovering {bar:30} {percent:>3} %  {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar
}

fn print_people(recovery: &Recovery) {
    for c in &recovery.captures {
        let s = &c.stats;
        let mut notes = vec![format!("{} records, {} of UDP", s.records, s.udp)];
        notes.extend((s.fragments > 0).then(|| format!("{} fragments", s.fragments)));
        notes.extend(
            (s.truncated_records > 0).then(|| format!("{} cut by the snap length", s.truncated_records)),
        );
        notes.extend((s.resyncs > 0).then(|| format!("damaged, found the way again {} times", s.resyncs)));
        notes.extend(s.truncated.then(|| "cut off at its end".to_owned()));
        notes.extend((s.salvaged > 0).then(|| format!("{} datagrams salvaged", s.salvaged)));
        notes.extend(s.damaged_compression.clone());
        println!("{}: {}", c.path.display(), c.error.clone().unwrap_or_else(|| notes.join(", ")));
    }
    recovery.alerts.iter().for_each(|a| println!("{}", describe_alert(a)));
    print_summary(&recovery.bundles, &recovery.packets);
    for b in recovery.bundles.iter().filter(|b| b.complete) {
        if let Some(output) = &b.output {
            println!("{} → {}", b.id, output.display());
        }
    }
}
