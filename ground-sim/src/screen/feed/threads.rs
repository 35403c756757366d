//! What the threads of a feed do: each takes from one place, and shows and keeps what is to be believed.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use passband_proto::packet::TelemetryPacket;

use super::super::ground::Surveyor;
use super::super::packet_bytes;
use super::{PATIENCE, Shared, held};
use crate::commands::unix_ms;
use crate::telemetry::intake::Verdict;
use crate::telemetry::routes::MAX_ROUTES;
use crate::telemetry::{Follower, Intake, Proof, Routes, Stored};

/// How often the disk is looked at.
const SURVEY_EVERY: Duration = Duration::from_secs(1);
/// How often what was kept is made safe.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// Packets that are held for those who follow them: a few minutes.
const RECENT_PACKETS: usize = 2_000;

impl Shared {
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        thread.context("starting a thread")
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Without keys every packet counts as authentic.
    pub(super) fn is_authentic(&self, packet: &TelemetryPacket<'_>) -> bool {
        self.keys.is_empty() || self.keys.judge(packet) == Proof::Verified
    }

    /// Whether a packet is to be believed; one that isn't is counted.
    fn admit(&self, packet: &TelemetryPacket<'_>) -> bool {
        let counter = match self.keys.judge(packet) {
            Proof::Verified => return true,
            Proof::Unverified if self.keys.is_empty() => return true,
            Proof::Unverified => &self.untagged,
            Proof::Forged => &self.refused,
        };
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            self.version.fetch_add(1, Ordering::Release);
        }
        false
    }

    /// Shows a packet that is to be believed.
    fn show(&self, packet: &TelemetryPacket<'_>, received_unix_ms: u64) {
        held(&self.model).take(packet, received_unix_ms);
        let number = self.packets.fetch_add(1, Ordering::Relaxed) + 1;
        let (unix_ms, bytes) = (packet.time().to_unix_ms(), packet.bytes().to_vec());
        let mut recent = held(&self.recent);
        recent.push_back((number, Stored { received_unix_ms, unix_ms, packet: bytes }));
        if recent.len() > RECENT_PACKETS {
            recent.pop_front();
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    pub(super) fn survey(&self, surveyor: &mut Surveyor) {
        let mut last = Instant::now();
        while self.goes_on() {
            thread::sleep(PATIENCE);
            if last.elapsed() < SURVEY_EVERY {
                continue;
            }
            last = Instant::now();
            let look = surveyor.look();
            let mut ground = held(&self.ground);
            if *ground != look {
                *ground = look;
                self.version.fetch_add(1, Ordering::Release);
            }
        }
    }

    pub(super) fn receive(&self, socket: &UdpSocket) {
        let mut routes = Routes::new(packet_bytes, MAX_ROUTES);
        let mut intake = Intake::default();
        let mut datagram = vec![0; usize::from(u16::MAX)];
        let mut last_sync = Instant::now();
        while self.goes_on() {
            let sink = |packet: &TelemetryPacket<'_>, received_unix_ms: u64| {
                // A forged one must not keep the true one of the same count out.
                if self.admit(packet) && intake.take(packet) == Verdict::New {
                    self.show(packet, received_unix_ms);
                    self.keep(packet, received_unix_ms);
                }
            };
            match socket.recv_from(&mut datagram) {
                Ok((bytes, from)) => {
                    routes.push(&from, datagram.get(..bytes).unwrap_or_default(), unix_ms(), sink);
                }
                Err(_) => routes.idle(sink),
            }
            if last_sync.elapsed() >= SYNC_EVERY {
                last_sync = Instant::now();
                self.sync();
            }
        }
        self.sync();
    }

    fn keep(&self, packet: &TelemetryPacket<'_>, received_unix_ms: u64) {
        let kept = self.archive.as_ref().map(|archive| held(archive).append(packet, received_unix_ms));
        if let Some(Err(e)) = kept {
            tracing::warn!("a packet is not kept: {e:#}");
        }
    }

    fn sync(&self) {
        if let Some(Err(e)) = self.archive.as_ref().map(|archive| held(archive).sync()) {
            tracing::warn!("the archive: {e:#}");
        }
    }

    pub(super) fn read_along(&self, follower: &mut Follower) {
        while self.goes_on() {
            thread::sleep(PATIENCE);
            if let Err(e) = self.follow(follower) {
                tracing::warn!("the archive: {e:#}");
                thread::sleep(SURVEY_EVERY);
            }
        }
    }

    pub(super) fn follow(&self, follower: &mut Follower) -> Result<()> {
        while follower.catch_up(|stored| {
            if let Ok(packet) = TelemetryPacket::parse(&stored.packet)
                && self.admit(&packet)
            {
                self.show(&packet, stored.received_unix_ms);
            }
        })? {}
        Ok(())
    }
}
