//! The encoder: turns what is to be sent into datagrams, a little ahead of the radio, while the gate is
//! open. What goes next is decided by [`Sender`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use passband_proto::report;
use passband_proto::transfer::{
    BlockMark, BlockStore, Burst, Offer, Sender, SenderConfig, Worker, burst_datagrams, datagrams_in,
};

use super::bursts::Bursts;
use super::keys_for;
use super::shared::{Passes, Shared};
use crate::adapters::disk::DiskFile;
use crate::adapters::os::FileState;
use crate::config::TransmitMode;
use crate::queue::rank;
use crate::store::{BundleRecord, StoreError};
use crate::telemetry::Report;

/// How far the encoder may be ahead of the link, ns of the link's time; at least one burst. With the burst that
/// is being made it has to stay below [`WRITE_NS`]: what waits longer could be credited before it has left.
const AHEAD_NS: u64 = 120_000_000;
/// The marks are written once in so much of the link's time, ns.
const WRITE_NS: u64 = 150_000_000;
/// How often it is noted how far bundles have got, ms.
const PROGRESS_MS: u64 = 1_000;
/// A link that is always open begins a new pass in so long, ms.
const ALWAYS_PASS_MS: u64 = 60_000;
/// Reports that are taken at a time: each is a write to the disk, and the link must not wait for many.
const REPORTS_AT_A_TIME: usize = 2;
/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);

/// A change of what is to be sent.
#[derive(Debug)]
pub(crate) enum QueueChange {
    Offer(Box<BundleRecord>),
    Withdraw(BundleId),
    /// What the ground says it has.
    Heard(Box<report::Report>),
}

/// The thread that encodes.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    bursts: Arc<Bursts>,
    changes: Receiver<QueueChange>,
    sender: Sender,
    worker: Worker,
    blocks: Blocks,
    passes: Passes,
    always_pass_ms: u64,
    rate_bps: u64,
    /// Bundles of which more was sent than is noted, and when that was done last.
    moved: BTreeSet<BundleId>,
    noted_ms: u64,
    /// Withdrawn for a fault; offered again at the next pass.
    faulty: Vec<BundleId>,
    key_file: FileState,
}

impl Encoder {
    pub(crate) fn new(
        shared: Arc<Shared>,
        bursts: Arc<Bursts>,
        changes: Receiver<QueueChange>,
        worker: Worker,
        seed: u64,
    ) -> Self {
        let session = u32::try_from(shared.boot_count & 0xFF_FFFF).unwrap_or_default();
        let expected_loss = shared.config.downlink.expected_loss;
        let always_open = shared.config.downlink.transmit == TransmitMode::Always;
        let config = SenderConfig {
            session,
            expected_loss,
            seed,
            encode_elsewhere: true,
            always_open,
            ..SenderConfig::default()
        };
        let sender = Sender::new(&config, shared.keys().as_ref().clone());
        let key_file = FileState::of(&shared.config.paths.keys);
        let blocks = Blocks { shared: Arc::clone(&shared), known: BTreeMap::new(), open: None };
        Self {
            shared,
            bursts,
            changes,
            sender,
            worker,
            blocks,
            passes: Passes::default(),
            always_pass_ms: 0,
            rate_bps: 0,
            moved: BTreeSet::new(),
            noted_ms: 0,
            faulty: Vec::new(),
            key_file,
        }
    }

    /// Runs until the daemon stops; then makes exact what was sent.
    pub(crate) fn run(mut self) {
        while !self.shared.stopping() {
            if !self.take_changes() {
                break;
            }
            self.follow_passes();
            match self.shared.open_now() {
                Some(open) if self.is_ahead(open.rate_bps, open.left_ms) => {
                    self.bursts.wait(Duration::from_millis(5));
                }
                Some(open) => self.encode(open.rate_bps),
                None => self.wait_for_change(),
            }
            self.note_progress(false);
        }
        self.checkpoint();
    }

    /// Takes what changed in the queue, but only so many reports; `false` once there is nobody to change it.
    fn take_changes(&mut self) -> bool {
        let mut reports = 0;
        while reports < REPORTS_AT_A_TIME {
            match self.changes.try_recv() {
                Ok(change) => {
                    reports += usize::from(matches!(change, QueueChange::Heard(_)));
                    self.apply(change);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn wait_for_change(&mut self) {
        self.note_progress(true);
        self.shared.wait_for_gate(NAP);
        if let Ok(change) = self.changes.try_recv() {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: QueueChange) {
        match change {
            QueueChange::Offer(record) => self.offer(&record),
            QueueChange::Withdraw(id) => {
                self.sender.withdraw(&id);
                self.blocks.known.remove(&id);
                self.moved.remove(&id);
                self.shared.set_progress(id, None);
            }
            QueueChange::Heard(report) => self.hear(&report),
        }
    }

    /// Takes a report: the plan changes at once, and what was new is kept for after a restart.
    fn hear(&mut self, report: &report::Report) {
        let effect = self.sender.hear(report);
        if effect.contradictory > 0 {
            self.shared.count(|c| c.reports_odd += effect.contradictory as u64);
        }
        // What can't be true is not kept either: by itself it might seem to be after a restart.
        let items = report.items.iter().enumerate().filter(|(place, _)| !effect.odd_items.contains(place));
        let items = items.map(|(_, item)| item.clone()).collect();
        let kept = report::Report { items, ..report.clone() };
        if let Err(e) = self.shared.catalogue.note_report(&kept, &effect.news) {
            self.shared.store_failed("noting a report", &e);
        }
        for id in effect.news {
            self.shared.set_progress(id, self.sender.progress(&id));
        }
    }

    /// Tells the sender what was reported of a bundle in earlier runs.
    fn recall(&mut self, id: &BundleId) {
        match self.shared.catalogue.reports(id) {
            Ok(reports) => reports.iter().for_each(|report| drop(self.sender.hear(report))),
            Err(e) => self.shared.store_failed("reading reports", &e),
        }
    }

    /// Offers a bundle to the sender; one that can't be now is offered again at the next pass.
    fn offer(&mut self, record: &BundleRecord) {
        self.blocks.known.insert(record.id, record.clone());
        let marks = match self.shared.catalogue.marks(&record.id) {
            Ok(marks) => marks,
            Err(e) => {
                self.shared.store_failed("reading send marks", &e);
                self.faulty.push(record.id);
                return;
            }
        };
        let offer = Offer {
            id: record.id,
            spacecraft: record.spacecraft,
            epoch: record.epoch,
            class: record.class,
            rank: rank(record),
            geometry: record.geometry,
            marks,
        };
        if let Err(e) = self.sender.offer(&offer) {
            let text = format!("bundle {} ({:?}) can't be sent: {e}", record.id, record.name);
            self.shared.throttled(&format!("offer {}", record.id), &Report::error("bundle-unsendable", text));
            self.faulty.push(record.id);
            return;
        }
        self.recall(&record.id);
        self.shared.set_progress(record.id, self.sender.progress(&record.id));
    }

    /// Begins a pass at AOS, makes marks exact at LOS.
    fn follow_passes(&mut self) {
        let mut passes = self.shared.passes();
        let now_ms = self.shared.clock.now_ms();
        if self.shared.config.downlink.transmit == TransmitMode::Always
            && now_ms.saturating_sub(self.always_pass_ms) >= ALWAYS_PASS_MS
        {
            self.always_pass_ms = now_ms;
            passes.opened = self.passes.opened + 1;
        }
        if passes.closed != self.passes.closed {
            self.checkpoint();
        }
        if passes.opened != self.passes.opened {
            self.look_at_keys();
            for id in std::mem::take(&mut self.faulty) {
                if let Some(record) = self.blocks.known.get(&id).cloned() {
                    self.offer(&record);
                }
            }
            self.sender.begin_pass();
        }
        self.passes = passes;
    }

    /// Takes the key file again if it has changed: what is new is sealed under the newest key in it, what was
    /// sealed before goes on under its own. A file that can't be used changes nothing.
    fn look_at_keys(&mut self) {
        let now = self.key_file.now();
        if now == self.key_file {
            return;
        }
        let config = &self.shared.config;
        self.key_file = now;
        match keys_for(config) {
            Ok((keys, _)) => {
                let newest = keys.newest(config.spacecraft).map_or(0, EpochKey::epoch);
                let text = format!("the key file has changed: new bundles are sealed under epoch {newest}");
                self.sender.set_keys(keys.clone());
                self.shared.set_keys(keys);
                self.shared.event(&Report::info("keys-changed", text));
            }
            Err(e) => {
                let text = format!("the key file has changed and can't be used, the keys stay: {e}");
                self.shared.event(&Report::error("keys-unusable", text));
            }
        }
    }

    /// Whether enough is encoded: for a while, or for all of the pass that is left.
    fn is_ahead(&self, rate_bps: u64, left_ms: Option<u64>) -> bool {
        let most_ns = left_ms.map_or(AHEAD_NS, |ms| AHEAD_NS.min(ms.saturating_mul(1_000_000)));
        let waiting_ns = self.bursts.waiting_ns(rate_bps);
        waiting_ns >= most_ns
    }

    fn encode(&mut self, rate_bps: u64) {
        self.follow_rate(rate_bps);
        let mut burst =
            Burst::of_at_most(burst_datagrams(self.rate_bps, self.shared.config.downlink.symbol_bytes));
        let polled = self.sender.poll_transmit(&mut self.blocks, &mut burst);
        self.moved.extend(burst.bundles());
        if !burst.is_empty() {
            self.bursts.push(burst);
        }
        let polled = polled.and_then(|sent| {
            self.worker.run(&mut self.sender, &mut self.blocks)?;
            Ok(sent)
        });
        match polled {
            Ok(Some(_)) => {}
            Ok(None) => self.idle(),
            Err(e) => {
                // Withdrawn by the sender: it goes on with the others, and with this one at the next pass.
                self.shared.set_progress(e.id, None);
                self.blocks.open = None;
                if self.blocks.known.contains_key(&e.id) {
                    self.faulty.push(e.id);
                    let text = format!("sending failed until the next pass: {e}");
                    self.shared.throttled(&format!("send {}", e.id), &Report::error("send-error", text));
                }
            }
        }
    }

    /// Fits the writing of marks to the rate of the link.
    fn follow_rate(&mut self, rate_bps: u64) {
        if rate_bps != self.rate_bps {
            self.rate_bps = rate_bps;
            let symbol_bytes = self.shared.config.downlink.symbol_bytes;
            let symbols = datagrams_in(rate_bps, WRITE_NS, symbol_bytes).clamp(64, 1 << 20);
            self.sender.set_reserve_symbols(u32::try_from(symbols).unwrap_or(u32::MAX));
        }
    }

    /// Notes how far the bundles have got of which something was sent, now and then or `now`.
    fn note_progress(&mut self, now: bool) {
        let now_ms = self.shared.clock.now_ms();
        if self.moved.is_empty() || (!now && now_ms.saturating_sub(self.noted_ms) < PROGRESS_MS) {
            return;
        }
        self.noted_ms = now_ms;
        for id in std::mem::take(&mut self.moved) {
            self.shared.set_progress(id, self.sender.progress(&id));
        }
    }

    /// Nothing can be improved by sending: waits for something new.
    fn idle(&mut self) {
        self.note_progress(true);
        match self.changes.recv_timeout(Duration::from_millis(20)) {
            Ok(change) => self.apply(change),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// Makes durable what was sent. While something is encoded but not sent, the marks of the last
    /// reservation are the honest ones.
    fn checkpoint(&mut self) {
        if !self.bursts.all_sent() {
            return;
        }
        if let Err(e) = self.sender.checkpoint(&mut self.blocks) {
            self.shared
                .throttled("checkpoint", &Report::error("store-error", format!("noting what was sent: {e}")));
        }
    }
}

/// Sealed blocks from the vault, marks to the catalogue.
struct Blocks {
    shared: Arc<Shared>,
    known: BTreeMap<BundleId, BundleRecord>,
    open: Option<(BundleId, Box<dyn DiskFile>)>,
}

impl BlockStore for Blocks {
    type Error = StoreError;

    fn read_block(
        &mut self,
        id: &BundleId,
        block: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let vault = &self.shared.vault;
        let gone = || StoreError::file("reading", id.to_string(), io::Error::other("the bundle was dropped"));
        let geometry: Geometry = self.known.get(id).map(|record| record.geometry).ok_or_else(gone)?;
        let (_, file) = match self.open.take() {
            Some(open) if open.0 == *id => self.open.insert(open),
            _ => self.open.insert((*id, vault.read(id)?)),
        };
        vault.read_block(id, file.as_ref(), &geometry, (block, offset), out)
    }

    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), StoreError> {
        self.shared.catalogue.reserve(marks)
    }
}
