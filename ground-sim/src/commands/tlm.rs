//! `passband-ground tlm`: telemetry as text, JSON or CSV, live or out of files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use passband_proto::dict::{PACKETS, Packet, PacketDef, Time};
use passband_proto::packet::correlation::{Correlation, TimePair};
use passband_proto::plan::show_utc;
use serde_json::json;

use super::{optional_keys, stop_on_signals};
use crate::telemetry::feed::{Packets, Source, packet_bytes};
use crate::telemetry::values::{LimitTable, csv, csv_head, document, line};
use crate::telemetry::{Archive, Feed, Heard, Proof, Quota, ReaderStats, TagKeys, read_file};

/// How long a live reader waits before it looks whether it is told to stop, and syncs the archive.
const PATIENCE: Duration = Duration::from_millis(500);

/// Read telemetry: every intact packet, whatever was cut or flipped between, once each.
///
/// FILEs are streams as a recorder leaves them, or captures (pcap, pcapng). A packet whose tag none of the keys makes is shown as
/// forged, and kept in no archive.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  passband-ground tlm --listen 0.0.0.0:47020 --telemetry-keys keys.txt --archive telemetry\n  passband-ground tlm pass1.pcap --packet event\n  passband-ground tlm stream.bin --packet housekeeping --csv > housekeeping.csv\n\nExit status: 0 packets came, 1 none did or the archive failed, 2 bad usage or input."
)]
pub struct TlmArgs {
    /// Streams and captures.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take datagrams at this address, until it is told to stop.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// Take a stream from a TCP server.
    #[arg(long, value_name = "ADDR:PORT")]
    connect: Vec<SocketAddr>,
    /// The key file of bundles and telemetry: says of each packet whether its tag holds.
    #[arg(long = "telemetry-keys", alias = "keys", value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Keep what comes in this archive.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Show packets of this name only.
    #[arg(long, value_name = "NAME", value_parser = parse_packet)]
    packet: Option<&'static PacketDef>,
    /// Stop after so many seconds.
    #[arg(long = "for", value_name = "S")]
    for_s: Option<f64>,
    /// Print JSON, a document a line; the last one sums up.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV; takes --packet.
    #[arg(long, requires = "packet")]
    csv: bool,
}

/// Runs `passband-ground tlm`.
///
/// # Errors
/// Files, sockets, keys or the archive can't be used.
pub fn run(args: &TlmArgs) -> Result<ExitCode> {
    let live = !args.listen.is_empty() || !args.connect.is_empty();
    ensure!(live == args.files.is_empty(), "name FILEs, or --listen or --connect, not both");
    ensure!(args.for_s.is_none_or(|s| (0.0..1e9).contains(&s)), "--for takes 0 to 1,000,000,000 seconds");
    let keys = TagKeys::new(&optional_keys(args.keys.as_deref())?, args.keys.as_deref());
    let archive = args.archive.as_deref().map(|dir| Archive::open(dir, Quota::default())).transpose()?;
    let mut screen = Screen::new(args, archive);
    if let Some(def) = args.packet.filter(|_| args.csv) {
        say!("{}", csv_head(def));
    }
    if live {
        listen(args, keys, &mut screen)?;
    } else {
        read(args, keys, &mut screen)?;
    }
    Ok(screen.end())
}

fn listen(args: &TlmArgs, keys: TagKeys, screen: &mut Screen<'_>) -> Result<()> {
    let udp = args.listen.iter().copied().map(Source::Udp);
    let sources: Vec<_> = udp.chain(args.connect.iter().copied().map(Source::Tcp)).collect();
    let mut feed = Feed::open(&sources, keys)?;
    let stop = stop_on_signals()?;
    let until = args.for_s.map(|s| Instant::now() + Duration::from_secs_f64(s));
    while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        match feed.next(PATIENCE) {
            Some(heard) => screen.take(&heard, true),
            None => screen.sync(),
        }
    }
    screen.sync();
    screen.sum(feed.packets(), feed.packets().stats());
    Ok(())
}

fn read(args: &TlmArgs, keys: TagKeys, screen: &mut Screen<'_>) -> Result<()> {
    let mut packets = Packets::new(keys);
    let mut stats = ReaderStats::default();
    for path in &args.files {
        let met = read_file(path, packet_bytes, |packet, at| {
            // A stream says no time of reception: that of the packet stands in for it.
            let at = at.and_then(|at| u64::try_from(at.as_millis()).ok());
            packets.take(packet, at.unwrap_or(packet.time().to_unix_ms()));
            while let Some(heard) = packets.pop() {
                screen.take(&heard, at.is_some());
            }
        })?;
        if met.reader.packets == 0 {
            screen
                .lines
                .push(format!("{}: no packet of telemetry stands in it, nor a capture", path.display()));
        }
        stats.add(&met.reader);
    }
    screen.sync();
    screen.sum(&packets, stats);
    Ok(())
}

/// Shows packets, keeps them, and counts.
struct Screen<'a> {
    args: &'a TlmArgs,
    archive: Option<Archive>,
    limits: LimitTable,
    correlation: Correlation,
    proofs: [u64; 3],
    summary: serde_json::Value,
    lines: Vec<String>,
    /// Writes of the archive that failed.
    not_kept: u64,
}

impl<'a> Screen<'a> {
    fn new(args: &'a TlmArgs, archive: Option<Archive>) -> Self {
        Self {
            args,
            archive,
            limits: LimitTable::default(),
            correlation: Correlation::default(),
            proofs: [0; 3],
            summary: json!(null),
            lines: Vec::new(),
            not_kept: 0,
        }
    }

    fn take(&mut self, heard: &Heard, timed: bool) {
        let Some(packet) = heard.packet() else { return };
        let Some(def) = PacketDef::of(packet.apid()) else { return };
        self.proofs[heard.proof as usize] += 1;
        if heard.proof != Proof::Forged {
            self.limits.learn(&packet);
            if timed {
                self.correlate(heard);
            }
            if let Some(archive) = &mut self.archive {
                let kept = archive.append(&packet, heard.received_unix_ms);
                self.note(kept);
            }
        }
        if self.args.packet.is_some_and(|wanted| wanted.apid != def.apid) {
            return;
        }
        let fields = self.limits.show(def, packet.data());
        if self.args.json {
            say!("{}", document(def, heard, &packet, &fields));
        } else if self.args.csv {
            say!("{}", csv(&packet, heard.proof, &fields));
        } else {
            say!("{}", line(def, &packet, heard.proof, &fields));
        }
    }

    fn correlate(&mut self, heard: &Heard) {
        let packet = heard.packet().filter(|packet| packet.apid() == Time::DEF.apid);
        if let Some(time) = packet.and_then(|packet| Time::read(packet.data())) {
            self.correlation.push(&TimePair {
                boot: time.boot_count,
                steady_ms: time.steady,
                board_unix_ms: time.unix,
                received_unix_ms: heard.received_unix_ms,
            });
        }
    }

    fn sync(&mut self) {
        let synced = self.archive.as_ref().map_or(Ok(()), Archive::sync);
        self.note(synced);
    }

    /// An archive that fails doesn't end reception: it is said once, and by the exit status.
    fn note(&mut self, kept: Result<()>) {
        if let Err(e) = kept {
            if self.not_kept == 0 {
                tracing::warn!("the archive: {e:#}; packets are shown all the same");
            }
            self.not_kept += 1;
        }
    }

    /// Sums up what came.
    fn sum(&mut self, packets: &Packets, stats: ReaderStats) {
        let [verified, unverified, forged] = self.proofs;
        self.lines.push(format!(
            "{} packets in {} bytes; {} bytes belong to none, {} damaged; {verified} verified, {unverified} unverified, {forged} forged",
            stats.packets, stats.bytes, stats.skipped_bytes, stats.crc_failures
        ));
        let mut rows = Vec::new();
        for (apid, sequence) in packets.intake().sequences() {
            let name = PacketDef::of(*apid).map_or("?", |def| def.name);
            self.lines.push(format!(
                "{name}: {} packets, {} missing in {} gaps, {} came again, {} late, {} starts",
                sequence.packets,
                sequence.missing,
                sequence.gaps,
                sequence.duplicates,
                sequence.late,
                sequence.starts
            ));
            rows.push(json!({ "packet": name, "sequence": sequence }));
        }
        let boots = self.boots();
        self.summary = json!({
            "schema": 1, "summary": {
                "reader": stats, "packets": rows, "verified": verified, "unverified": unverified, "forged": forged,
                "boots": boots, "archive_errors": self.not_kept,
            },
        });
    }

    fn boots(&mut self) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        for boot in self.correlation.boots() {
            let Some(fit) = self.correlation.fit(boot) else { continue };
            let settings = self.correlation.settings(boot);
            let steps: Vec<_> = settings.iter().filter(|setting| setting.step_ms != 0).collect();
            let drift = fit.drift_ppm.map_or_else(|| "?".to_owned(), |ppm| format!("{ppm:+.2}"));
            self.lines.push(format!(
                "boot {boot}: {} times; the board's clock is {:+.0} ms ahead, drifts {drift} ppm, spread {:.0} ms, was set {} times; \
                 booted {}",
                fit.pairs,
                fit.offset_ms,
                fit.spread_ms,
                steps.len(),
                show_utc(fit.ground_unix_ms(0)),
            ));
            let steps: Vec<_> =
                steps.iter().map(|s| json!({ "steady_ms": s.steady_ms, "step_ms": s.step_ms })).collect();
            out.push(json!({
                "boot": boot, "pairs": fit.pairs, "offset_ms": fit.offset_ms, "drift_ppm": fit.drift_ppm,
                "spread_ms": fit.spread_ms, "boot_unix_ms": fit.ground_unix_ms(0), "steps": steps,
            }));
        }
        out
    }

    fn end(self) -> ExitCode {
        if self.args.json {
            say!("{}", self.summary);
        } else {
            // Beside the packets, so that those can be piped on.
            use std::io::Write as _;
            let mut err = std::io::stderr();
            for line in &self.lines {
                let _ = writeln!(err, "{line}");
            }
        }
        ExitCode::from(u8::from(self.proofs.iter().all(|count| *count == 0) || self.not_kept > 0))
    }
}

fn parse_packet(name: &str) -> Result<&'static PacketDef> {
    let names = || PACKETS.iter().map(|def| def.name).collect::<Vec<_>>().join(", ");
    let found = PACKETS.iter().find(|def| def.name == name);
    found.copied().ok_or_else(|| anyhow!("one of {} is wanted", names()))
}
