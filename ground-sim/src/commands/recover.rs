//! `passband-ground recover`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;
use serde::Serialize;

use super::receive::{all_there, describe_alert, print_raw, print_summary};
use super::{optional_keys, print_json, report, stop_on_signals};
use crate::capture::{CaptureReader, CaptureStats};
use crate::catalogue::Keeper;
use crate::station::{
    AlertBook, AlertReport, BundleReport, Counters, LinkLoss, RawReport, Station, is_store,
};
use crate::watch::Watch;

/// Recover bundles from captures: pcap or pcapng files in, products out.
///
/// Takes any number of captures, of any passes and stations, in any order, whole or cut or damaged, also
/// compressed with gzip or zstd; and the stores of other stations, with keys or without. What was recovered
/// before is kept in the symbol store and completed by what comes now: run it again with the next pass's
/// capture and the same --out. A datagram counts only if its keyed tag is right; checksums of IP and UDP don't matter.
/// Of bundles that aren't whole, OUT/partial holds what is there and says what isn't.
///
/// Without --keys datagrams are only spooled, for somebody who has keys, and put together as sealed bundles
/// that nobody has verified yet.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tcpdump -i any -w pass1.pcap udp port 47000\n  passband-ground recover --keys keys.txt --out products pass1.pcap pass2.pcap.gz\n  passband-ground recover --keys keys.txt --out products --watch /captures --for 600\n  passband-ground recover --keys keys.txt --out products antenna/store\n\nExit status: 0 all bundles heard of (or asked for) are whole (those without a key: put\ntogether), 1 some are not or nothing was found, 2 bad usage or input."
)]
pub struct RecoverArgs {
    /// The captures, and stores of other stations (folders).
    #[arg(required_unless_present = "watch", value_name = "CAPTURE|STORE")]
    captures: Vec<PathBuf>,
    /// The key file; without it nothing is verified or opened.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Where products and alerts go.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// The symbol store; OUT/store if not given.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Also follow the captures in this folder, those that are there and those that come, as they grow: until
    /// all bundles asked for are whole, --for is over, or Ctrl-C.
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// Stop watching after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", requires = "watch")]
    for_s: Option<f64>,
    /// A bundle that is asked for; may be given several times. Without it: all that are heard of.
    #[arg(long = "bundle", value_name = "ID")]
    bundles: Vec<BundleId>,
    /// Tell the satellite there what is here in the end: sealed reports and acknowledgements of alerts.
    #[arg(long, value_name = "ADDR:PORT", requires = "keys")]
    reports: Option<SocketAddr>,
    /// Number of this station in its reports, 0 to 65535: each station has its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    station: u16,
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
    /// What is spooled for which there is no key.
    pub spooled: Vec<RawReport>,
    /// What was counted.
    pub packets: Counters,
    /// The loss of the link, by its sequence numbers.
    pub link_loss: Option<LinkLoss>,
    /// Alerts that are new.
    pub alerts: Vec<AlertReport>,
    /// Alerts that are kept for want of a key.
    pub alerts_spooled: usize,
    /// Alerts that had come before.
    pub alert_repeats: u64,
    /// Messages that were no alert under any key held.
    pub alerts_rejected: u64,
}

/// Runs `passband-ground recover`.
///
/// # Errors
/// The key file or a folder can't be used, or the disk fails.
pub fn run(args: &RecoverArgs) -> Result<ExitCode> {
    ensure!(args.for_s.is_none_or(|s| (0.0..1e9).contains(&s)), "--for takes 0 to 1,000,000,000 seconds");
    let keys = optional_keys(args.keys.as_deref())?;
    let store = args.store.clone().unwrap_or_else(|| args.out.join("store"));
    let mut recoverer = Recoverer::open(&keys, &store, &args.out)?;
    recoverer.captures(&args.captures, args.json)?;
    if let Some(folder) = &args.watch {
        recoverer.watch(folder, args)?;
    }
    let recovery = recoverer.finish()?;
    tell(args, &keys, &store);
    let put_together = |id: &str| recovery.spooled.iter().any(|raw| raw.id == id && raw.unverified.is_some());
    let asked = |id: &BundleId| {
        let id = id.to_string();
        recovery.bundles.iter().any(|b| b.complete && b.id == id) || put_together(&id)
    };
    let alerts = !recovery.alerts.is_empty() || recovery.alerts_spooled > 0 || recovery.alert_repeats > 0;
    let complete = if args.bundles.is_empty() {
        let any = !recovery.bundles.is_empty() || !recovery.spooled.is_empty() || alerts;
        any && all_there(&recovery.bundles, &recovery.spooled)
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

/// Reports to the satellite, if that is asked for. What was recovered is there whatever comes of it.
fn tell(args: &RecoverArgs, keys: &KeyRing, store: &Path) {
    let Some(to) = args.reports else { return };
    let sent =
        report::frames(keys, store, &args.out, args.station).and_then(|frames| report::send(&frames, to));
    if let Err(e) = sent {
        tracing::warn!("no report: {e:#}");
    }
}

/// Recovers what captures and stores hold; a capture that can't be read is reported, the others go on.
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
    let mut recoverer = Recoverer::open(keys, store, out)?;
    recoverer.captures(captures, quiet)?;
    recoverer.finish()
}

struct Recoverer {
    station: Station,
    alerts: AlertBook,
    new_alerts: Vec<AlertReport>,
    reports: Vec<CaptureReport>,
    keeper: Option<Keeper>,
}

impl Recoverer {
    fn open(keys: &KeyRing, store: &Path, out: &Path) -> Result<Self> {
        let mut station = Station::open(keys.clone(), store, out)?;
        station.remake_products();
        let (alerts, new_alerts) = AlertBook::open(keys.clone(), &out.join("alerts"), store)?;
        let keeper = Keeper::start_or_say(out, || {});
        Ok(Self { station, alerts, new_alerts, reports: Vec::new(), keeper })
    }

    fn captures(&mut self, captures: &[PathBuf], quiet: bool) -> Result<()> {
        let bar = progress_bar(captures, quiet);
        for path in captures {
            if path.is_dir() {
                // One that can't be taken is told of, the others go on.
                if let Err(e) = self.store(path) {
                    let (path, error) = (path.clone(), Some(format!("{e:#}")));
                    self.reports.push(CaptureReport { path, stats: CaptureStats::default(), error });
                }
            } else {
                let report = self.capture(path, &bar)?;
                self.reports.push(report);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Takes what another station has.
    fn store(&mut self, path: &Path) -> Result<()> {
        let place = [path.to_owned(), path.join("store")].into_iter().find(|place| is_store(place));
        let Some(place) = place else { bail!("{} is no symbol store: no bundle is in it", path.display()) };
        let alerts = self.alerts.take_store(&place);
        self.new_alerts.extend(alerts.with_context(|| format!("taking the alerts of {}", path.display()))?);
        self.station.take_store(&place).with_context(|| format!("taking the store {}", path.display()))
    }

    fn capture(&mut self, path: &Path, bar: &ProgressBar) -> Result<CaptureReport> {
        let mut report = CaptureReport { path: path.to_owned(), stats: CaptureStats::default(), error: None };
        let mut reader = match CaptureReader::open(path) {
            Ok(reader) => reader,
            Err(e) => {
                report.error = Some(format!("{:#}", anyhow::Error::new(e)));
                return Ok(report);
            }
        };
        let before = bar.position();
        loop {
            match reader.next_candidate() {
                Ok(Some(candidate)) => self.take(candidate.bytes)?,
                Ok(None) => break,
                Err(e) => {
                    report.error = Some(format!("{:#}", anyhow::Error::new(e)));
                    break;
                }
            }
            bar.set_position(before + reader.position());
        }
        report.stats = reader.stats().clone();
        Ok(report)
    }

    /// Follows the captures of a folder as they grow.
    fn watch(&mut self, folder: &Path, args: &RecoverArgs) -> Result<()> {
        let stop = stop_on_signals()?;
        let mut watch = Watch::start(folder)?;
        let start = Instant::now();
        let mut last_flush = start;
        let bar = watching_bar(args.json);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            for candidate in watch.next(Duration::from_millis(50)) {
                self.take(&candidate)?;
            }
            if last_flush.elapsed() >= Duration::from_millis(250) {
                last_flush = Instant::now();
                self.station.flush()?;
                for bundle in self.take_finished() {
                    if !args.json {
                        bar.suspend(|| say!("{}", super::receive::describe_bundle(&bundle)));
                    }
                }
                let counters = self.station.counters();
                bar.set_message(format!(
                    "watching {}: {} captures, {} datagrams, {} new, {} bundles whole",
                    folder.display(),
                    watch.files(),
                    counters.datagrams,
                    counters.new,
                    self.station.complete()
                ));
            }
            let over = args.for_s.is_some_and(|s| start.elapsed().as_secs_f64() >= s);
            if over || (!args.bundles.is_empty() && self.all_whole(&args.bundles)) {
                break;
            }
        }
        bar.finish_and_clear();
        for (path, stats, error) in watch.finish(|bytes| self.take(bytes))? {
            self.reports.push(CaptureReport { path, stats, error });
        }
        Ok(())
    }

    fn all_whole(&self, asked: &[BundleId]) -> bool {
        let reports = self.station.report();
        asked.iter().all(|id| reports.iter().any(|b| b.complete && b.id == id.to_string()))
    }

    /// Takes what may be a datagram or an alert; what is neither is counted, under its reason.
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.starts_with(b"PA") {
            self.new_alerts.extend(self.alerts.push(bytes)?);
        } else if bytes.starts_with(b"PB") {
            self.station.push(bytes)?;
        } else {
            self.station.count_foreign(bytes.len());
        }
        Ok(())
    }

    /// The bundles that became whole since the last call; the catalogue is told of them.
    fn take_finished(&mut self) -> Vec<BundleReport> {
        let finished = self.station.take_finished();
        if let Some(keeper) = &self.keeper {
            finished.iter().filter_map(|bundle| bundle.output.as_ref()).for_each(|output| keeper.add(output));
        }
        finished
    }

    fn finish(mut self) -> Result<Recovery> {
        self.station.settle()?;
        self.take_finished();
        let faults = self.keeper.take().map(Keeper::finish).unwrap_or_default();
        faults.iter().for_each(|fault| eprintln!("passband-ground recover: {fault}"));
        let counters = self.station.counters().clone();
        Ok(Recovery {
            captures: self.reports,
            bundles: self.station.report(),
            spooled: self.station.assemble()?,
            link_loss: counters.link_loss(),
            packets: counters,
            alerts: self.new_alerts,
            alerts_spooled: self.alerts.spooled(),
            alert_repeats: self.alerts.repeats,
            alerts_rejected: self.alerts.rejected,
        })
    }
}

fn progress_bar(captures: &[PathBuf], quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let sizes = captures.iter().filter_map(|p| std::fs::metadata(p).ok()).filter(std::fs::Metadata::is_file);
    let bar = ProgressBar::new(sizes.map(|m| m.len()).sum());
    if let Ok(style) = ProgressStyle::with_template("recovering {bar:30} {percent:>3} %  {bytes_per_sec}") {
        bar.set_style(style);
    }
    bar
}

fn watching_bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
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
        // An error names the capture itself.
        let line = format!("{}: {}", c.path.display(), notes.join(", "));
        say!("{}", c.error.as_ref().unwrap_or(&line));
    }
    recovery.alerts.iter().for_each(|a| say!("{}", describe_alert(a)));
    print_summary(&recovery.bundles, &recovery.packets);
    if recovery.alerts_rejected > 0 {
        say!("{} messages refused as alerts", recovery.alerts_rejected);
    }
    print_raw(&recovery.spooled, recovery.alerts_spooled);
    for b in &recovery.bundles {
        if let Some(output) = b.output.as_ref().or(b.partial.as_ref()) {
            say!("{} → {}", b.id, output.display());
        }
    }
}
