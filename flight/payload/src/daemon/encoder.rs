//! The encoder: turns what is to be sent into datagrams, a little ahead of the radio, while the gate is
//! open. What goes next is decided by [`Sender`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;
use passband_proto::transfer::{BlockMark, BlockStore, Burst, Offer, Sender, SenderConfig};

use super::bursts::Bursts;
use super::shared::{Passes, Shared};
use crate::config::TransmitMode;
use crate::queue::rank;
use crate::store::{BundleRecord, StoreError};
use crate::telemetry::Report;

/// How far the encoder may be ahead of the link, ns of the link's time; at least one burst.
const AHEAD_NS: u64 = 50_000_000;
/// A link that is always open begins a new pass in so long, ms.
const ALWAYS_PASS_MS: u64 = 60_000;
/// The longest sleep: how soon the thread sees that the daemon stops.
const NAP: Duration = Duration::from_millis(100);

/// A change of what is to be sent.
#[derive(Debug)]
pub(crate) enum QueueChange {
    Offer(Box<BundleRecord>),
    Withdraw(BundleId),
}

/// The thread that encodes.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    bursts: Arc<Bursts>,
    changes: Receiver<QueueChange>,
    sender: Sender,
    blocks: Blocks,
    passes: Passes,
    always_pass_ms: u64,
    /// Withdrawn for a fault; offered again at the next pass.
    faulty: Vec<BundleId>,
}

impl Encoder {
    pub(crate) fn new(shared: Arc<Shared>, bursts: Arc<Bursts>, changes: Receiver<QueueChange>) -> Self {
        let session = u32::try_from(shared.boot_count & 0xFF_FFFF).unwrap_or_default();
        let expected_loss = shared.config.downlink.expected_loss;
        let config = SenderConfig { session, expected_loss, ..SenderConfig::default() };
        let sender = Sender::new(&config, shared.keys.clone());
        let blocks = Blocks { shared: Arc::clone(&shared), known: BTreeMap::new(), open: None };
        let (passes, faulty) = (Passes::default(), Vec::new());
        Self { shared, bursts, changes, sender, blocks, passes, always_pass_ms: 0, faulty }
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
                Some(_) => self.encode(),
                None => self.wait_for_change(),
            }
        }
        self.checkpoint();
    }

    /// Takes what changed in the queue; `false` once there is nobody to change it.
    fn take_changes(&mut self) -> bool {
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.apply(change),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn wait_for_change(&mut self) {
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
                self.shared.set_progress(id, None);
            }
        }
    }

    fn offer(&mut self, record: &BundleRecord) {
        let marks = match self.shared.catalogue.marks(&record.id) {
            Ok(marks) => marks,
            Err(e) => {
                self.shared.store_failed("reading send marks", &e);
                return;
            }
        };
        self.blocks.known.insert(record.id, record.clone());
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
        }
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
            for id in std::mem::take(&mut self.faulty) {
                if let Some(record) = self.blocks.known.get(&id).cloned() {
                    self.offer(&record);
                }
            }
            self.sender.begin_pass();
        }
        self.passes = passes;
    }

    /// Whether enough is encoded: for a while, or for all of the pass that is left.
    fn is_ahead(&self, rate_bps: u64, left_ms: Option<u64>) -> bool {
        let most_ns = left_ms.map_or(AHEAD_NS, |ms| AHEAD_NS.min(ms.saturating_mul(1_000_000)));
        let waiting_ns = self.bursts.waiting_ns(rate_bps);
        waiting_ns >= most_ns
    }

    fn encode(&mut self) {
        let mut burst = Burst::default();
        match self.sender.poll_transmit(&mut self.blocks, &mut burst) {
            Ok(Some(run)) => {
                self.bursts.push(burst);
                self.shared.set_progress(run.id, self.sender.progress(&run.id));
            }
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

    /// Nothing can be improved by sending: waits for something new.
    fn idle(&mut self) {
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
    open: Option<(BundleId, File)>,
}

impl BlockStore for Blocks {
    type Error = StoreError;

    fn read_block(&mut self, id: &BundleId, block: u32, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let vault = &self.shared.vault;
        let gone = || StoreError::file("reading", id.to_string(), io::Error::other("the bundle was dropped"));
        let geometry: Geometry = self.known.get(id).map(|record| record.geometry).ok_or_else(gone)?;
        let (_, file) = match self.open.take() {
            Some(open) if open.0 == *id => self.open.insert(open),
            _ => self.open.insert((*id, vault.read(id)?)),
        };
        vault.read_block(id, file, &geometry, block, out)
    }

    fn reserve(&mut self, id: &BundleId, marks: &[BlockMark]) -> Result<(), StoreError> {
        self.shared.catalogue.reserve(id, marks)
    }
}
