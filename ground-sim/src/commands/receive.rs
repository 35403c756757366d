//! `passband-ground receive`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use passband_proto::keyring::KeyRing;

use super::hook::WebhookArgs;
use super::report::send as send_reports;
use super::screen::Screen;
use super::{optional_keys, print_json, stop_on_signals, unix_ms};
use crate::capture::CaptureWriter;
use crate::catalogue::Keeper;
use crate::reporter::Reporter;
use crate::station::live::{Incoming, Listener, Radio};
use crate::station::{AlertBook, AlertReport, BundleReport, RawReport, Station};
use crate::webhook::{Waker, Webhook};

/// How often what is in memory goes to the store: what a kill -9 may cost.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// How long nothing is waited for while blocks are being decoded.
const BUSY: Duration = Duration::from_millis(3);
/// How often the screen is brought up to date.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How often others are told how the link does, while something comes.
const TELL_STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long the webhook is waited for at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// After such a silence another pass begins.
const PASS_GAP: Duration = Duration::from_mins(10);

/// Receive bundles and alerts live: the station.
///
/// Symbols are spooled to a store on disk, so a station that is stopped or killed goes on where it was
/// when it is started again with the same store. Each bundle is opened and written out as it comes in: what
/// isn't whole yet is in OUT/partial. What is whole goes into the catalogue, see `products`. Runs until it is interrupted (Ctrl-C), or as --for, --idle or --bundles say.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  passband-ground receive --keys keys.txt --listen 0.0.0.0:47000 --alerts 0.0.0.0:47001 \\\n      --out products --capture pass-0412.pcap\n\nExit status: 0 every bundle heard of is whole (without keys: put together), 1 some are not,\n2 bad usage or input."
)]
pub struct ReceiveArgs {
    /// The key file; without it datagrams are only spooled, for somebody who has keys.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
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
    /// Tell the satellite there what has come: sealed reports and acknowledgements of alerts over the slow link. None
    /// is ever needed.
    #[arg(long, value_name = "ADDR:PORT", requires = "keys")]
    reports: Option<SocketAddr>,
    /// Report this often while something comes, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    report_every: f64,
    /// Number of this station in its reports, 0 to 65535: each station has its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    station: u16,
    /// Also write what comes in to this capture file (pcap); it must not exist.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    #[command(flatten)]
    webhook: WebhookArgs,
    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    for_s: Option<f64>,
    /// Stop when nothing has come for this many seconds, once something has.
    #[arg(long, value_name = "SECONDS")]
    idle: Option<f64>,
    /// Stop when this many bundles are whole; takes keys.
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
    ensure!((0.1..1e6).contains(&args.report_every), "--report-every takes 0.1 to 1,000,000 seconds");
    let keys = optional_keys(args.keys.as_deref())?;
    let store = args.store.clone().unwrap_or_else(|| args.out.join("store"));
    let station = Station::open(keys.clone(), &store, &args.out)?;
    // Before the alerts: what is in OUT by now is not told.
    let webhook = args.webhook.start(&args.out)?;
    let waker = webhook.as_ref().map(Webhook::waker);
    let (alerts, new_alerts) = AlertBook::open(keys.clone(), &args.out.join("alerts"), &store)?;
    let mut reception = Reception {
        station,
        alerts,
        reporter: args.reports.map(|_| Reporter::open(args.station, &store)).transpose()?,
        keys,
        capture: args.capture.as_deref().map(CaptureWriter::create).transpose()?,
        keeper: Keeper::start_or_say(&args.out, move || waker.iter().for_each(Waker::wake)),
        webhook,
        screen: Screen::new(args.json),
        new_alerts,
        reports_sent: 0,
        last_status: None,
    };
    let listener = Listener::start(args.listen, args.alerts)?;
    reception.say_where(&listener);
    let stop = stop_on_signals()?;
    let start = Instant::now();
    let (mut last_heard, mut last_flush, mut last_show, mut last_report) = (None, start, start, start);
    while !stop.load(Ordering::Relaxed) {
        let patience = if reception.station.poll()? { BUSY } else { FLUSH_EVERY };
        let incoming = listener.next(patience);
        let now = Instant::now();
        if let Some(batch) = incoming {
            if last_heard.is_some_and(|heard| now.duration_since(heard) >= PASS_GAP) {
                reception.station.begin_pass();
            }
            last_heard = Some(now);
            batch.iter().try_for_each(|incoming| reception.take(&incoming))?;
            listener.recycle(batch);
        }
        if now.duration_since(last_flush) >= FLUSH_EVERY {
            last_flush = now;
            reception.flush()?;
        }
        if now.duration_since(last_show) >= SHOW_EVERY {
            last_show = now;
            reception.screen.show(&reception.station.report());
        }
        reception.tell_status(now, last_heard);
        let heard_since = last_heard.is_some_and(|heard| heard >= last_report);
        if heard_since && now.duration_since(last_report).as_secs_f64() >= args.report_every {
            last_report = now;
            reception.tell(args);
        }
        let over = |limit: Option<f64>, since: Option<Instant>| {
            limit.zip(since).is_some_and(|(s, since)| now.duration_since(since).as_secs_f64() >= s)
        };
        let enough = args.bundles.is_some_and(|n| reception.station.complete() >= n);
        if over(args.for_s, Some(start)) || over(args.idle, last_heard) || enough {
            break;
        }
    }
    reception.finish(args, &listener)
}

struct Reception {
    station: Station,
    alerts: AlertBook,
    keys: KeyRing,
    reporter: Option<Reporter>,
    capture: Option<CaptureWriter>,
    keeper: Option<Keeper>,
    webhook: Option<Webhook>,
    screen: Screen,
    new_alerts: Vec<AlertReport>,
    reports_sent: usize,
    last_status: Option<Instant>,
}

impl Reception {
    fn say_where(&self, listener: &Listener) {
        self.screen.say(&format!("listening on {} (fast link)", listener.fast_address()));
        if let Some(address) = listener.alert_address() {
            self.screen.say(&format!("listening on {address} (alert radio)"));
        }
        if let Some(advice) = listener.advice() {
            self.screen.say(&advice);
        }
    }

    fn take(&mut self, incoming: &Incoming<'_>) -> Result<()> {
        if let Some(capture) = &mut self.capture {
            capture.write(incoming.time, incoming.from, incoming.to, incoming.bytes)?;
        }
        match incoming.radio {
            Radio::Fast => {
                self.station.push(incoming.bytes)?;
            }
            Radio::Alert => {
                if let Some(alert) = self.alerts.push(incoming.bytes)? {
                    self.screen.say(&describe_alert(&alert));
                    self.new_alerts.push(alert);
                    self.webhook.iter().for_each(|webhook| webhook.waker().wake());
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.station.flush()?;
        self.say_finished();
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        Ok(())
    }

    /// Tells the ground's screens how the link does, once a second while something comes.
    fn tell_status(&mut self, now: Instant, last_heard: Option<Instant>) {
        let told = self.last_status;
        let is_due = told.is_none_or(|told| now.duration_since(told) >= TELL_STATUS_EVERY);
        if is_due && last_heard.is_some_and(|heard| told.is_none_or(|told| heard >= told)) {
            self.last_status = Some(now);
            self.write_status();
        }
    }

    /// Tells them now. Reception goes on whatever comes of it.
    fn write_status(&self) {
        if let Err(e) = self.station.write_link_status(unix_ms()) {
            tracing::warn!("{e:#}");
        }
    }

    /// Reports to the satellite. Reception goes on whatever comes of it.
    fn tell(&mut self, args: &ReceiveArgs) {
        let (Some(reporter), Some(to)) = (&mut self.reporter, args.reports) else { return };
        let frames = reporter.frames(&self.station, &self.keys).and_then(|mut frames| {
            frames.extend(reporter.acknowledgements(&self.alerts, &self.keys, 1)?);
            Ok(frames)
        });
        let sent = frames.and_then(|frames| {
            send_reports(&frames, to)?;
            Ok(frames.len())
        });
        match sent {
            Ok(frames) => self.reports_sent += frames,
            Err(e) => self.screen.say(&format!("no report: {e:#}")),
        }
    }

    fn say_finished(&mut self) {
        for bundle in self.station.take_finished() {
            self.screen.say(&describe_bundle(&bundle));
            if let (Some(keeper), Some(output)) = (&self.keeper, &bundle.output) {
                keeper.add(output);
            }
        }
        let faults = self.keeper.iter().flat_map(Keeper::take_faults);
        for fault in faults.chain(self.webhook.iter().flat_map(Webhook::take_news)) {
            self.screen.fault(&fault);
        }
    }

    fn finish(mut self, args: &ReceiveArgs, listener: &Listener) -> Result<ExitCode> {
        self.station.settle()?;
        self.flush()?;
        self.write_status();
        self.tell(args);
        self.screen.clear();
        let spooled = self.station.assemble()?;
        let mut faults = self.keeper.take().map(Keeper::finish).unwrap_or_default();
        faults.extend(self.webhook.take().map(|webhook| webhook.finish(LAST_WORDS)).unwrap_or_default());
        faults.iter().for_each(|fault| self.screen.fault(fault));
        let bundles = self.station.report();
        let enough = args.bundles.is_none_or(|n| self.station.complete() >= n);
        let refused = self.station.counters().rejected.values().sum::<u64>() > 0;
        let nothing_but_refused = bundles.is_empty() && spooled.is_empty() && refused;
        let complete = all_there(&bundles, &spooled) && enough && !nothing_but_refused;
        let counters = self.station.counters();
        if args.json {
            print_json(&serde_json::json!({
                "schema": 1, "complete": complete, "bundles": bundles, "packets": counters,
                "link_loss": counters.link_loss(), "overruns": listener.overruns(), "kernel_drops": listener.kernel_drops(),
                "alerts": self.new_alerts, "alert_repeats": self.alerts.repeats,
                "alerts_rejected": self.alerts.rejected, "alerts_spooled": self.alerts.spooled(), "spooled": spooled, "reports_sent": self.reports_sent,
            }))?;
        } else {
            print_summary(&bundles, counters);
            print_alerts(self.new_alerts.len(), &self.alerts);
            print_raw(&spooled, self.alerts.spooled());
        }
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

/// Whether all bundles are whole, and those without a key put together.
#[must_use]
pub fn all_there(bundles: &[BundleReport], spooled: &[RawReport]) -> bool {
    bundles.iter().all(|b| b.complete) && spooled.iter().all(|raw| raw.unverified.is_some())
}

/// A line about the alerts that came, if any did.
pub fn print_alerts(new: usize, alerts: &AlertBook) {
    if new > 0 || alerts.repeats > 0 || alerts.rejected > 0 {
        say!("alerts: {new} new, {} repeated, {} refused", alerts.repeats, alerts.rejected);
    }
}

/// Bundles without a key that are listed.
const MOST_LINES: usize = 50;

/// A line for each bundle that is spooled for want of a key, and one for such alerts.
pub fn print_raw(spooled: &[RawReport], alerts: usize) {
    if alerts > 0 {
        say!("{alerts} alerts kept for want of a key");
    }
    for raw in spooled.iter().take(MOST_LINES) {
        let RawReport { spacecraft, epoch, id, datagrams, spool, unverified } = raw;
        say!(
            "{id}: no key for spacecraft {spacecraft}, epoch {epoch}; {datagrams} datagrams in {}",
            spool.display()
        );
        if let Some(sealed) = unverified {
            say!("    put together, not verified: {}", sealed.display());
        }
    }
    if spooled.len() > MOST_LINES {
        say!("and {} bundles more", spooled.len() - MOST_LINES);
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
    say!("{:<24}  {:<17}  {:>12}  {:>7}  name", "bundle", "class", "bytes", "here");
    for b in bundles {
        let bytes = b.bytes.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let name = b.name.as_deref().unwrap_or("(head not whole yet)");
        say!("{:<24}  {:<17}  {bytes:>12}  {:>5.1} %  {name}", b.id, b.class, b.percent);
        b.faults.iter().for_each(|f| say!("    fault: {f}"));
    }
    let rejected: Vec<_> = counters.rejected.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let rejected = if rejected.is_empty() { "none".to_owned() } else { rejected.join(", ") };
    say!(
        "{} datagrams: {} new, {} known before, rejected: {rejected}",
        counters.datagrams,
        counters.new,
        counters.known
    );
    if let Some(loss) = counters.link_loss() {
        say!("link: {} of {} datagrams heard, {:.1} % lost", loss.heard, loss.sent, loss.loss * 100.0);
    }
}
