//! `passband-ground receive`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{print_json, read_keys};
use crate::capture::CaptureWriter;
use crate::station::live::{Incoming, Listener, Radio};
use crate::station::{AlertBook, AlertReport, BundleReport, Station};

/// How often what is in memory goes to the store, and the screen is brought up to date.
const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// Receive bundles and alerts live: the station.
///
/// Symbols are spooled to a store on disk, so a station that is stopped or killed goes on where it was
/// when it is started again with the same store. Each bundle is opened and written out as soon as it is
/// whole. Runs until it is interrupted (Ctrl-C), or as --for, --idle or --bundles say.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground receive --keys keys.txt --listen 0.0.0.0:47000 --alerts 0.0.0.0:47001 \\\n      --out products --capture pass-0412.pcap\n\nExit status: 0 every bundle heard of is whole, 1 some are not, 2 bad usage or input."
)]
pub struct ReceiveArgs {
    /// The key file.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Where to listen for the fast link.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:47000")]
    listen: SocketAddr,
    /// Where to listen for the alert radio.
    #[arg(long, value_name = "ADDR:PORT")]
    alerts: Option<SocketAddr>,
    /// Where products and alerts go.
    #[arg(long, value_name = "DIR", default_value = "products")]
    out: PathBuf,
    /// The symbol store; OUT/store if not given.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Also write what comes in to this capture file (pcap); it must not exist.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    for_s: Option<f64>,
    /// Stop when nothing has come for this many seconds, once something has.
    #[arg(long, value_name = "SECONDS")]
    idle: Option<f64>,
    /// Stop when this many bundles are whole.
    #[arg(long, value_name = "N")]
    bundles: Option<usize>,
    /// Print JSON at the end.
    #[arg(long)]
    json: bool,
}

/// Runs `passband-ground receive`.
///
/// # Errors
/// Keys, folders or sockets can't be used, or the disk fails.
pub fn run(args: &ReceiveArgs) -> Result<ExitCode> {
    let seconds_ok = |s: Option<f64>| s.is_none_or(|s| (0.0..1e9).contains(&s));
    ensure!(
        seconds_ok(args.for_s) && seconds_ok(args.idle),
        "--for and --idle take 0 to 1,000,000,000 seconds"
    );
    let keys = read_keys(&args.keys)?;
    let store = args.store.clone().unwrap_or_else(|| args.out.join("store"));
    let mut reception = Reception {
        station: Station::open(keys.clone(), &store, &args.out)?,
        alerts: AlertBook::open(keys, &args.out.join("alerts"))?,
        capture: args.capture.as_deref().map(CaptureWriter::create).transpose()?,
        screen: Screen::new(args.json),
        new_alerts: Vec::new(),
    };
    let listener = Listener::start(args.listen, args.alerts)?;
    reception.screen.say(&format!("listening on {} (fast link)", listener.fast_address()));
    if let Some(address) = listener.alert_address() {
        reception.screen.say(&format!("listening on {address} (alert radio)"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("catching signals")?;
    }
    let start = Instant::now();
    let (mut last_heard, mut last_flush) = (None, start);
    while !stop.load(Ordering::Relaxed) {
        let incoming = listener.next(Duration::from_millis(50));
        let now = Instant::now();
        if let Some(incoming) = incoming {
            last_heard = Some(now);
            reception.take(&incoming)?;
        }
        if now.duration_since(last_flush) >= FLUSH_EVERY {
            last_flush = now;
            reception.tick()?;
        }
        let over = |limit: Option<f64>, since: Option<Instant>| {
            limit.zip(since).is_some_and(|(s, since)| now.duration_since(since).as_secs_f64() >= s)
        };
        let enough = args.bundles.is_some_and(|n| reception.whole() >= n);
        if over(args.for_s, Some(start)) || over(args.idle, last_heard) || enough {
            break;
        }
    }
    reception.finish(args, &listener)
}

struct Reception {
    station: Station,
    alerts: AlertBook,
    capture: Option<CaptureWriter>,
    screen: Screen,
    new_alerts: Vec<AlertReport>,
}

impl Reception {
    fn take(&mut self, incoming: &Incoming) -> Result<()> {
        if let Some(capture) = &mut self.capture {
            capture.write(incoming.time, incoming.from, incoming.to, &incoming.bytes)?;
        }
        match incoming.radio {
            Radio::Fast => {
                self.station.push(&incoming.bytes)?;
                self.say_finished();
            }
            Radio::Alert => {
                if let Some(alert) = self.alerts.push(&incoming.bytes)? {
                    self.screen.say(&describe_alert(&alert));
                    self.new_alerts.push(alert);
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        self.station.flush()?;
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        self.screen.show(&self.station.report());
        Ok(())
    }

    fn whole(&self) -> usize {
        self.station.report().iter().filter(|b| b.complete).count()
    }

    fn say_finished(&mut self) {
        for bundle in self.station.take_finished() {
            self.screen.say(&describe_bundle(&bundle));
        }
    }

    fn finish(mut self, args: &ReceiveArgs, listener: &Listener) -> Result<ExitCode> {
        self.station.settle()?;
        self.say_finished();
        self.tick()?;
        self.screen.clear();
        let bundles = self.station.report();
        let complete = bundles.iter().all(|b| b.complete);
        let counters = self.station.counters();
        if args.json {
            print_json(&serde_json::json!({
                "schema": 1, "complete": complete, "bundles": bundles, "packets": counters,
                "link_loss": counters.link_loss(), "overruns": listener.overruns(),
                "alerts": self.new_alerts, "alert_repeats": self.alerts.repeats,
                "alerts_rejected": self.alerts.rejected,
            }))?;
        } else {
            print_summary(&bundles, counters);
        }
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

/// One line about a bundle that is whole.
#[must_use]
pub fn describe_bundle(bundle: &BundleReport) -> String {
    let output = bundle.output.as_ref().map(|o| o.display().to_string()).unwrap_or_default();
    format!(
        "whole: {} {} ({}, {} bytes) → {output}",
        bundle.id,
        bundle.name.as_deref().unwrap_or("?"),
        bundle.class,
        bundle.bytes.unwrap_or_default()
    )
}

/// One line about an alert.
#[must_use]
pub fn describe_alert(report: &AlertReport) -> String {
    let a = &report.alert;
    format!(
        "ALERT {} from spacecraft {}: {} in frame {} at line {} sample {}, peak {:.0} ppm·m, {} pixels, probability {:.0} %",
        a.number,
        report.spacecraft,
        a.gas,
        a.frame,
        a.line,
        a.sample,
        a.peak_ppm_m,
        a.pixels,
        f64::from(a.probability_permille) / 10.0
    )
}

/// A table of bundles and what was counted, for people.
pub fn print_summary(bundles: &[BundleReport], counters: &crate::station::Counters) {
    println!("{:<24}  {:<17}  {:>12}  {:>7}  name", "bundle", "class", "bytes", "here");
    for b in bundles {
        let bytes = b.bytes.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let name = b.name.as_deref().unwrap_or("(head not whole yet)");
        println!("{:<24}  {:<17}  {bytes:>12}  {:>5.1} %  {name}", b.id, b.class, b.percent);
        b.faults.iter().for_each(|f| println!("    fault: {f}"));
    }
    let rejected: Vec<_> = counters.rejected.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let rejected = if rejected.is_empty() { "none".to_owned() } else { rejected.join(", ") };
    println!(
        "{} datagrams: {} new, {} known before, rejected: {rejected}",
        counters.datagrams, counters.new, counters.known
    );
    if let Some(loss) = counters.link_loss() {
        println!("link: {} of {} datagrams heard, {:.1} % lost", loss.heard, loss.sent, loss.loss * 100.0);
    }
}

/// Progress bars, one a bundle that is not whole.
struct Screen {
    bars: MultiProgress,
    shown: BTreeMap<String, ProgressBar>,
    quiet: bool,
}

impl Screen {
    fn new(quiet: bool) -> Self {
        let bars = MultiProgress::new();
        if quiet {
            bars.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        Self { bars, shown: BTreeMap::new(), quiet }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| println!("{line}"));
        }
    }

    fn show(&mut self, bundles: &[BundleReport]) {
        const MOST_BARS: usize = 12;
        for bundle in bundles {
            if bundle.complete {
                if let Some(bar) = self.shown.remove(&bundle.id) {
                    bar.finish_and_clear();
                }
                continue;
            }
            if !self.shown.contains_key(&bundle.id) {
                if self.shown.len() >= MOST_BARS {
                    continue;
                }
                let bar = self.bars.add(ProgressBar::new(bundle.symbols_needed));
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                    bar.set_style(style);
                }
                self.shown.insert(bundle.id.clone(), bar);
            }
            if let Some(bar) = self.shown.get(&bundle.id) {
                bar.set_length(bundle.symbols_needed);
                bar.set_position(bundle.symbols_received.min(bundle.symbols_needed));
                bar.set_message(bundle.name.clone().unwrap_or_else(|| bundle.id.clone()));
            }
        }
    }

    fn clear(&self) {
        let _ = self.bars.clear();
    }
}
