//! A satellite that only talks: plausible telemetry over UDP, for looking at the ground's screens and for their checks.
//!
//! `model_satellite --to 127.0.0.1:47010 [--every 0.2] [--for 60] [--keys keys.txt]` sends a beacon, housekeeping, events,
//! answers, a plan, an upload and a parameter on trial, again and again, with values that change: power goes beyond its
//! yellow limit for a while, then beyond the red one. With keys, packets are tagged under the newest one.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use passband_proto::dict::{
    Answer, Beacon, Disk, Event, EventCode, FixedText, Housekeeping, Opcode, Packet, Parameter, ParameterId,
    ParametersState, Plan, PlanState, Reason, ResetCause, Severity, Stage, Upload, UploadFate, UploadKind,
    digest,
};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::TagKey;
use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, next_count, seal_telemetry};

/// Send plausible telemetry.
#[derive(Debug, Parser)]
struct Options {
    /// Where to.
    #[arg(long)]
    to: SocketAddr,
    /// Seconds from one round to the next.
    #[arg(long, default_value_t = 1.0)]
    every: f64,
    /// Seconds in all.
    #[arg(long = "for", default_value_t = 1e6)]
    for_s: f64,
    /// The mission's keys.
    #[arg(long)]
    keys: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let key = match &options.keys {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let ring = KeyRing::parse(&text).map_err(|e| anyhow::anyhow!("{e}"))?;
            ring.iter().last().map(passband_proto::keys::EpochKey::telemetry_key)
        }
        None => None,
    };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let mut sender = Sender { socket, to: options.to, key, count: 0, start_unix_ms: unix_ms() };
    let start = Instant::now();
    let mut round = 0;
    while start.elapsed().as_secs_f64() < options.for_s {
        talk(&mut sender, round)?;
        round += 1;
        std::thread::sleep(Duration::from_secs_f64(options.every));
    }
    Ok(())
}

struct Sender {
    socket: UdpSocket,
    to: SocketAddr,
    key: Option<TagKey>,
    count: u16,
    start_unix_ms: u64,
}

impl Sender {
    fn send<P: Packet>(&mut self, packet: &P) -> Result<()> {
        let mut data = vec![0; P::DEF.data_bytes()];
        packet.write(&mut data).context("a packet that doesn't fit")?;
        let mut out = [0; MAX_PACKET_BYTES];
        let time = Cuc::saturating_from_unix_ms(unix_ms());
        self.count = next_count(self.count);
        let length = seal_telemetry(&mut out, P::DEF.apid, self.count, time, &data, self.key.as_ref())
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        self.socket.send_to(out.get(..length).unwrap_or_default(), self.to)?;
        Ok(())
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn talk(sender: &mut Sender, round: u32) -> Result<()> {
    sender.send(&housekeeping(round)?)?;
    sender.send(&beacon(round)?)?;
    sender.send(&event(round, sender.start_unix_ms))?;
    sender.send(&answer(round))?;
    if round.is_multiple_of(5) {
        sender.send(&parameter())?;
        sender.send(&plan(round))?;
        sender.send(&upload(round))?;
    }
    Ok(())
}

fn housekeeping(round: u32) -> Result<Housekeeping> {
    let zero = Housekeeping::read(&vec![0; Housekeeping::DEF.data_bytes()]).context("zeros")?;
    let swing = f32::sin(round as f32 / 9.0);
    Ok(Housekeeping {
        boot_count: 14,
        uptime: 90_000 + round,
        temperature: 41.0 + 9.0 * swing,
        power: 21.0 + 10.0 * swing,
        memory_free: 1840.0 - 60.0 * swing,
        memory_pressure: 0.4,
        cpu_pressure: 11.0 + 4.0 * swing,
        daemon_memory: 212.0,
        daemon_cpu: 38.0 + 20.0 * swing,
        disk_free: 410_000.0 - round as f32,
        store: 81_400.0,
        frame_age: round % 90,
        frames_alert: 3,
        frames_suspect: 21,
        frames_routine: 412 + round / 10,
        frames_discard: 96,
        transmitting: 1,
        rate: 200_000_000,
        datagrams: 900_000 + u64::from(round) * 1000,
        expected_loss: 0.18 + 0.03 * swing,
        waiting_alert: 1,
        waiting_suspect: 9,
        waiting_routine: 230,
        waiting_discard: 88,
        on_link: 4,
        presumed: 61,
        known: 310,
        alerts_pending: 1,
        orders_taken: 40 + round / 8,
        last_event: 500 + round / 4,
        ..zero
    })
}

fn beacon(round: u32) -> Result<Beacon> {
    let zero = Beacon::read(&vec![0; Beacon::DEF.data_bytes()]).context("zeros")?;
    let [a, b, c, d, ..] = digest();
    Ok(Beacon {
        spacecraft: 7,
        reset_cause: ResetCause::Orderly,
        boot_count: 14,
        uptime: 90_000 + round,
        git: [0xf1, 0x6a, 0x4a, 0xd0],
        binary: [0x5e, 0x0c, 0x11, 0x8f],
        configuration: [0x90, 0x11, 0x2a, 0x77],
        dictionary: [a, b, c, d],
        parameters: [0x1d, 0xb0, 0x44, 0x02],
        parameters_state: ParametersState::OnTrial,
        worst: Severity::Error,
        last_event: 500 + round / 4,
        disk: Disk::Good,
        queue_open: 332,
        alerts_pending: 1,
        upload: 62,
        ..zero
    })
}

/// A new one every four rounds.
fn event(round: u32, sender_start: u64) -> Event {
    let (code, severity, text) = match round / 4 % 4 {
        0 => (EventCode::FrameAccepted, Severity::Info, "permian-0412: alert, 98 %, 3 plumes"),
        1 => (EventCode::FrameRejected, Severity::Warning, "permian-0413: 12 % of its lines are dropouts"),
        2 => (EventCode::AlertSent, Severity::Info, "alert 12: CH4 at 31.9121 -102.0456"),
        _ => (EventCode::FrameDelayed, Severity::Error, "permian-0414: its data file is still written"),
    };
    // An event that is sent again is the same one.
    let unix = sender_start + u64::from(round / 4) * 1000;
    Event { number: 500 + round / 4, unix, severity, code, text: FixedText::cut(text) }
}

/// Orders that go through their stages, a stage every two rounds.
fn answer(round: u32) -> Answer {
    let (stage, reason) = match round / 2 % 4 {
        0 => (Stage::Accepted, Reason::None),
        1 => (Stage::Started, Reason::None),
        _ if round / 8 % 3 == 2 => (Stage::Failed, Reason::NotPossible),
        _ => (Stage::Done, Reason::None),
    };
    let opcode = if (round / 8).is_multiple_of(2) { Opcode::PassStart } else { Opcode::Ping };
    let text = FixedText::cut(if reason == Reason::None { "" } else { "the transmitter is off" });
    Answer {
        source: 2,
        number: 40 + round / 8,
        opcode: opcode.code(),
        check: 0,
        stage,
        reason,
        unix: unix_ms(),
        text,
    }
}

fn parameter() -> Parameter {
    Parameter {
        id: ParameterId::PowerLimits,
        value: FixedText::cut("-,-,24,29"),
        staged: FixedText::default(),
        state: ParametersState::OnTrial,
        source: 2,
        number: 39,
        unix: unix_ms() - 60_000,
    }
}

fn plan(round: u32) -> Plan {
    Plan {
        name: FixedText::cut("night"),
        version: 3,
        state: PlanState::Running,
        entries: 24,
        done: u16::try_from(round / 5 % 24).unwrap_or_default(),
        failed: 0,
        skipped: 0,
        next: 1,
        next_unix: unix_ms() + 600_000,
        next_order: FixedText::cut("pass start 420 --rate 0"),
    }
}

fn upload(round: u32) -> Upload {
    Upload {
        id: [0x0a, 0x0b, 0x0c, 0x0d],
        kind: UploadKind::Script,
        name: FixedText::cut("check.sh"),
        size: 18_000,
        piece: 180,
        pieces: 100,
        missing: 100 - round.min(100),
        fate: if round < 100 { UploadFate::Coming } else { UploadFate::Taken },
        reason: Reason::None,
        gaps: [0; 160],
    }
}
