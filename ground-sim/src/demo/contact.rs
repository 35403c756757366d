//! One pass: the bus computer opens the transmitter, the link does its worst, the station listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use passband_proto::ids::BundleId;

use super::satellite::Satellite;
use super::story::Story;
use super::summary::PassSummary;
use crate::capture::CaptureWriter;
use crate::commands::receive::describe_alert;
use crate::emulator::{Channel, ChannelParams, ChannelStats, Relay, Verdict};
use crate::station::live::{Incoming, Listener, Radio};
use crate::station::{AlertBook, AlertReport, Station};

/// How often what is in memory goes to the store.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// How often the bus computer repeats that the transmitter is open.
const BUS_PERIOD: Duration = Duration::from_millis(100);
/// How long after LOS what is on its way still arrives.
const DRAIN: Duration = Duration::from_millis(400);

/// For each bundle, whether each of its datagrams arrived, in the order in which they were sent.
pub(super) type Slots = BTreeMap<BundleId, Vec<bool>>;

/// The ground of the demo.
pub(super) struct Ground {
    pub(super) station: Station,
    pub(super) alerts: AlertBook,
    pub(super) listener: Listener,
    pub(super) capture: Option<CaptureWriter>,
    pub(super) heard: Vec<AlertReport>,
}

impl Ground {
    /// Takes what comes until `until`.
    pub(super) fn listen(&mut self, until: Instant, story: &mut Story) -> Result<()> {
        let mut flushed = Instant::now();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Some(batch) = self.listener.next(left.min(FLUSH_EVERY)) {
                batch.iter().try_for_each(|incoming| self.take(&incoming, story))?;
                self.listener.recycle(batch);
            }
            let over = Instant::now() >= until;
            if over || flushed.elapsed() >= FLUSH_EVERY {
                flushed = Instant::now();
                self.station.flush()?;
                self.say_finished(story);
            }
            if over {
                return Ok(());
            }
        }
    }

    fn take(&mut self, incoming: &Incoming<'_>, story: &mut Story) -> Result<()> {
        match incoming.radio {
            Radio::Alert => {
                if let Some(alert) = self.alerts.push(incoming.bytes)? {
                    story.say("alert", &describe_alert(&alert));
                    self.heard.push(alert);
                }
            }
            Radio::Fast => {
                if let Some(capture) = &mut self.capture {
                    capture.write(incoming.time, incoming.from, incoming.to, incoming.bytes)?;
                }
                self.station.push(incoming.bytes)?;
            }
        }
        Ok(())
    }

    pub(super) fn say_finished(&mut self, story: &mut Story) {
        for b in self.station.take_finished() {
            let name = b.name.as_deref().unwrap_or("?");
            story.say(
                "bundle",
                &format!("whole: {name} ({}, {} bytes)", b.class, b.bytes.unwrap_or_default()),
            );
        }
    }
}

/// What a pass is to be like.
pub(super) struct PassPlan {
    pub(super) number: u32,
    pub(super) duration: Duration,
    /// It ends already after this time.
    pub(super) cut_after: Option<Duration>,
    pub(super) rate_bps: u64,
    pub(super) channel: ChannelParams,
    pub(super) capture: PathBuf,
    /// How the capture is named in the summary.
    pub(super) capture_name: PathBuf,
}

/// The link of the demo: always there, its quality set anew for each pass.
pub(super) struct Link {
    relay: Arc<Relay>,
}

struct Running {
    stop: Arc<AtomicBool>,
    slots: Arc<Mutex<Slots>>,
    thread: JoinHandle<Result<ChannelStats>>,
}

impl Link {
    pub(super) fn bind(forward: SocketAddr) -> Result<Self> {
        Ok(Self { relay: Arc::new(Relay::bind(SocketAddr::from(([127, 0, 0, 1], 0)), forward)?) })
    }

    pub(super) fn address(&self) -> Result<SocketAddr> {
        self.relay.address()
    }

    fn open(&self, params: ChannelParams) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let slots = Arc::new(Mutex::new(Slots::new()));
        let (relay, stopped, log) = (Arc::clone(&self.relay), Arc::clone(&stop), Arc::clone(&slots));
        let thread = std::thread::spawn(move || {
            let mut channel = Channel::new(params);
            let stats = relay.run(&mut channel, &[], &stopped, |datagram, verdict| {
                if let Some(id) = bundle_of(datagram) {
                    let mut slots = log.lock().unwrap_or_else(PoisonError::into_inner);
                    slots.entry(id).or_default().push(verdict == Verdict::Delivered);
                }
            })?;
            Ok(stats.first().copied().unwrap_or_default())
        });
        Running { stop, slots, thread }
    }
}

impl Running {
    fn close(self) -> Result<(ChannelStats, Slots)> {
        self.stop.store(true, Ordering::Relaxed);
        let stats = self.thread.join().map_err(|_| anyhow!("the link emulator panicked"))??;
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((stats, slots))
    }
}

/// The bundle a datagram says it belongs to.
fn bundle_of(datagram: &[u8]) -> Option<BundleId> {
    Some(BundleId(datagram.get(8..20)?.try_into().ok()?))
}

/// Plays one pass.
pub(super) fn play(
    plan: &PassPlan,
    link: &Link,
    satellite: &Satellite,
    ground: &mut Ground,
    story: &mut Story,
) -> Result<(PassSummary, Slots)> {
    ground.capture = Some(CaptureWriter::create(&plan.capture)?);
    let aos_s = story.now_s();
    let mbps = plan.rate_bps as f64 / 1e6;
    story.say(
        "aos",
        &format!(
            "pass {}: {mbps:.1} Mbit/s, {:.0} % loss in bursts, no ACK",
            plan.number,
            plan.channel.loss * 100.0
        ),
    );
    let running = link.open(plan.channel.clone());
    let start = Instant::now();
    let length = plan.cut_after.unwrap_or(plan.duration);
    while start.elapsed() < length {
        satellite.transmit(300, plan.rate_bps);
        ground.listen((Instant::now() + BUS_PERIOD).min(start + length), story)?;
        story.show(&ground.station.report(), &format!("pass {}", plan.number));
    }
    for _ in 0..3 {
        satellite.transmit(0, plan.rate_bps);
    }
    let los_s = story.now_s();
    ground.listen(Instant::now() + DRAIN, story)?;
    let (stats, slots) = running.close()?;
    ground.listen(Instant::now() + DRAIN / 2, story)?;
    ground.station.settle()?;
    ground.say_finished(story);
    story.clear();
    if let Some(mut capture) = ground.capture.take() {
        capture.flush()?;
    }
    let capacity_bits = plan.rate_bps as f64 * length.as_secs_f64();
    let summary = PassSummary {
        number: plan.number,
        aos_s,
        los_s,
        rate_bps: plan.rate_bps,
        loss_set: plan.channel.loss,
        sent: stats.offered,
        lost: stats.lost + stats.overrun,
        corrupted: stats.corrupted,
        duplicated: stats.duplicated,
        reordered: stats.reordered,
        acks: 0,
        link_use: (stats.offered_bytes as f64 * 8.0 / capacity_bits).min(1.0),
        capture: plan.capture_name.clone(),
        cut_short: plan.cut_after.is_some(),
    };
    let early = if summary.cut_short { ", ended early" } else { "" };
    story.say(
        "los",
        &format!(
            "pass {}{early}: {} sent, {} lost, {} damaged, link used {:.0} %, 0 ACKs",
            plan.number,
            summary.sent,
            summary.lost,
            summary.corrupted,
            summary.link_use * 100.0
        ),
    );
    Ok((summary, slots))
}
