//! The encoder: turns what is to be sent into datagrams, a little ahead of the radio, while the gate is
//! open. The queue says whose turn it is; [`Sender`] has what the next seconds of the link can carry, and decides
//! which datagram goes next.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use passband_proto::bundle::Geometry;
use passband_proto::datagram::ESI_LIMIT;
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use passband_proto::report::{self, Item};
use passband_proto::transfer::{
    BlockMark, BlockStore, Burst, Offer, Sender, SenderConfig, Worker, burst_datagrams, datagrams_in,
};

use super::bursts::Bursts;
use super::keys_for;
use super::shared::{Passes, Shared};
use crate::adapters::disk::DiskFile;
use crate::adapters::os::FileState;
use crate::config::TransmitMode;
use crate::products::Kind;
use crate::queue::{Change, Next, Queue, State};
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

/// The sender is handed what so much of the link's time can carry, ns; and [`MIN_BACKLOG_SYMBOLS`] at least.
const BACKLOG_NS: u64 = 3_000_000_000;
/// Enough for bundles to be sent interleaved.
const MIN_BACKLOG_SYMBOLS: u64 = 16_384;
/// Most bundles that the sender has.
const MAX_OFFERED: usize = 1_024;
/// With nothing waiting, so many presumed ones share what capacity is left over.
const MAX_PRESUMED: usize = 512;

/// A change of what is to be sent.
#[derive(Debug)]
pub(crate) enum QueueChange {
    /// Something new waits, or stands elsewhere.
    News,
    /// It is to be sent no more.
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
    /// Bundles handed to the sender so far, to number them; and the level of those it has.
    handed: u64,
    levels: BTreeMap<BundleId, u8>,
    /// Changes of standings that are not kept yet.
    changes_to_keep: BTreeMap<BundleId, Change>,
    /// Withdrawn for a fault; theirs is a turn again at the next pass.
    faulty: Vec<BundleId>,
    /// Added to the ids of symbols: what was sent before isn't known.
    esi_offset: u32,
    key_file: FileState,
}

impl Encoder {
    pub(crate) fn new(
        shared: Arc<Shared>,
        bursts: Arc<Bursts>,
        changes: Receiver<QueueChange>,
        worker: Worker,
        seed: u64,
        esi_offset: u32,
    ) -> Self {
        // Of a catalogue in memory the number of this start is not its own: one from the upper half is drawn.
        let number = if shared.in_memory { seed | 0x80_0000 } else { shared.boot_count };
        let session = u32::try_from(number & 0xFF_FFFF).unwrap_or_default();
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
            handed: 0,
            levels: BTreeMap::new(),
            changes_to_keep: BTreeMap::new(),
            faulty: Vec::new(),
            esi_offset,
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
        self.settle_all();
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
            QueueChange::News => {}
            QueueChange::Withdraw(id) => self.let_go(&id),
            QueueChange::Heard(report) => self.hear(&report),
        }
    }

    /// The sender has a bundle no more.
    fn let_go(&mut self, id: &BundleId) {
        self.sender.withdraw(id);
        self.blocks.known.remove(id);
        self.blocks.open.take_if(|open| open.0 == *id);
        self.moved.remove(id);
        self.levels.remove(id);
        self.shared.set_progress(*id, None);
    }

    /// Takes a report: the plan changes at once, and what was new is kept for after a restart.
    fn hear(&mut self, report: &report::Report) {
        let guests = self.invite(report);
        let effect = self.sender.hear(report);
        self.shared.set_expected_loss(self.sender.expected_loss());
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
        for id in &effect.news {
            self.follow_word(id);
        }
        for id in guests {
            self.let_go(&id);
        }
        self.keep_changes();
    }

    /// Hands the sender those bundles that a report speaks of and that it doesn't have, for the moment.
    fn invite(&mut self, report: &report::Report) -> Vec<BundleId> {
        let mut guests = Vec::new();
        for item in &report.items {
            let (Item::Whole(id) | Item::Blocks { id, .. }) = item;
            let stored = self.shared.queue(|queue| queue.get(id).is_some());
            if stored && !self.levels.contains_key(id) && self.offer(Next { id: *id, level: LAST_LEVEL }) {
                guests.push(*id);
            }
        }
        guests
    }

    /// What the ground said of a bundle changes how it stands in the queue.
    fn follow_word(&mut self, id: &BundleId) {
        let Some(progress) = self.sender.progress(id) else { return };
        let change = self.shared.queue(|queue| {
            let state = queue.get(id).map(|view| view.state);
            if progress.known {
                queue.known(id).ok()
            } else if state == Some(State::Presumed) && !progress.reached_target {
                queue.wanted(id).ok()
            } else {
                None
            }
        });
        self.shared.set_progress(*id, Some(progress));
        if let Some(change) = change {
            if change.withdraw {
                self.let_go(id);
            }
            self.changes_to_keep.insert(*id, change);
        }
    }

    /// Tells the sender what was reported of a bundle in earlier runs.
    fn recall(&mut self, id: &BundleId) {
        match self.shared.catalogue.reports(id) {
            Ok(reports) => reports.iter().for_each(|report| drop(self.sender.hear(report))),
            Err(e) => self.shared.store_failed("reading reports", &e),
        }
    }

    /// Hands the sender what the next seconds of the link can carry, and what is more urgent than what it has.
    fn refill(&mut self, rate_bps: u64) {
        let symbol_bytes = self.shared.config.downlink.symbol_bytes;
        let enough = datagrams_in(rate_bps, BACKLOG_NS, symbol_bytes).max(MIN_BACKLOG_SYMBOLS);
        let mut backlog = self.sender.backlog_symbols();
        loop {
            if self.levels.len() >= MAX_OFFERED && !self.make_place() {
                return;
            }
            let now = self.shared.clock.unix_ms();
            let first =
                self.levels.iter().filter(|(id, _)| self.sender.wants(id)).map(|(_, level)| *level).min();
            let (few, presumed) = (backlog < enough, self.levels.len() < MAX_PRESUMED);
            let next = self.shared.queue(|queue| {
                let urgent = || {
                    let level = queue.upcoming(now).next().map(|next| next.level);
                    level.is_some_and(|level| first.is_none_or(|first| level < first))
                };
                if few || urgent() {
                    queue.next(now).or_else(|| if presumed { queue.next_presumed() } else { None })
                } else {
                    None
                }
            });
            let Some(next) = next else { return };
            if self.is_presumed(&next.id) {
                self.share_in(next);
            } else if self.offer(next) {
                let symbols = self.sender.progress(&next.id).map_or(0, |progress| progress.source_symbols);
                backlog = backlog.saturating_add(symbols);
            } else {
                // It stays on the link, so that it has no turn again, until the next pass.
                self.faulty.push(next.id);
            }
        }
    }

    fn is_presumed(&self, id: &BundleId) -> bool {
        self.shared.queue(|queue| queue.get(id)).is_some_and(|view| view.standing.state == State::Presumed)
    }

    /// A presumed bundle shares in what capacity is left over, but isn't on the link: its room may be needed.
    fn share_in(&mut self, next: Next) {
        if self.levels.contains_key(&next.id) || self.offer(next) {
            let Some(progress) = self.sender.progress(&next.id) else { return };
            let presumed = self
                .shared
                .queue(|queue| queue.presume(&next.id, progress.sent_symbols, progress.presumed).ok());
            if let Some(change) = presumed {
                self.changes_to_keep.insert(next.id, change);
            }
        } else {
            self.faulty.push(next.id);
        }
    }

    /// Lets go of a bundle that wants nothing more at present; `false` if there is none.
    fn make_place(&mut self) -> bool {
        let done = self.levels.iter().filter(|(id, _)| !self.sender.wants(id));
        let Some((id, _)) = done.max_by_key(|(_, level)| **level) else { return false };
        let id = *id;
        self.settle(&id);
        true
    }

    /// Offers a bundle to the sender; `false` if it can't be.
    fn offer(&mut self, next: Next) -> bool {
        let record = match self.shared.catalogue.bundle(&next.id) {
            Ok(Some(record)) => record,
            // Dropped this moment.
            Ok(None) => return false,
            Err(e) => {
                self.shared.store_failed("reading a bundle's record", &e);
                return false;
            }
        };
        let marks = match self.shared.catalogue.marks(&record.id) {
            Ok(marks) => marks,
            Err(e) => {
                self.shared.store_failed("reading send marks", &e);
                return false;
            }
        };
        let class =
            self.shared.queue(|queue| queue.get(&record.id)).map_or(record.class, |view| view.item.class);
        self.handed += 1;
        let offer = Offer {
            id: record.id,
            spacecraft: record.spacecraft,
            epoch: record.epoch,
            class,
            rank: rank(next.level, record.kind, self.handed),
            geometry: record.geometry,
            marks: self.offset(&record.geometry, marks),
        };
        let id = record.id;
        if let Err(e) = self.sender.offer(&offer) {
            let text = format!("bundle {id} ({:?}) can't be sent: {e}", record.name);
            self.shared.throttled(&format!("offer {id}"), &Report::error("bundle-unsendable", text));
            return false;
        }
        self.blocks.known.insert(id, record);
        self.levels.insert(id, next.level);
        self.recall(&id);
        self.shared.set_progress(id, self.sender.progress(&id));
        true
    }

    /// Marks from which on ids were certainly never used, where what was used isn't known for sure.
    fn offset(&self, geometry: &Geometry, marks: Vec<BlockMark>) -> Vec<BlockMark> {
        if self.esi_offset == 0 {
            return marks;
        }
        let of = |block| {
            let mark = marks.iter().find(|mark| mark.block == block).copied();
            let mark = mark.unwrap_or(BlockMark { block, esi: 0, sent: 0 });
            BlockMark { esi: mark.esi.saturating_add(self.esi_offset).min(ESI_LIMIT), ..mark }
        };
        (0..geometry.block_count).map(of).collect()
    }

    /// Notes what became of those bundles of a burst that want nothing more for their class.
    fn follow_burst(&mut self, bundles: &BTreeSet<BundleId>) {
        for id in bundles {
            if self.levels.contains_key(id) && !self.sender.wants(id) {
                self.presume(id);
            }
        }
    }

    /// The sender has brought a bundle to where its class wants it, and keeps it for what capacity is left over.
    fn presume(&mut self, id: &BundleId) {
        let state = self.shared.queue(|queue| queue.get(id).map(|view| (view.state, view.standing.state)));
        if state != Some((State::OnLink, State::Waiting)) {
            return;
        }
        let Some(progress) = self.sender.progress(id).filter(|progress| progress.reached_target) else {
            return;
        };
        let change =
            self.shared.queue(|queue| queue.presume(id, progress.sent_symbols, progress.presumed).ok());
        if let Some(change) = change {
            self.changes_to_keep.insert(*id, change);
        }
    }

    /// Lets go of a bundle, and notes how far it has got.
    fn settle(&mut self, id: &BundleId) {
        let progress = self.sender.progress(id);
        self.let_go(id);
        let Some(progress) = progress else { return };
        let change = self.shared.queue(|queue| {
            if progress.known {
                queue.known(id)
            } else if progress.reached_target {
                queue.presume(id, progress.sent_symbols, progress.presumed)
            } else {
                queue.put_back(id, progress.sent_symbols)
            }
        });
        // An error: it was dropped this moment.
        if let Ok(change) = change {
            self.changes_to_keep.insert(*id, change);
        }
    }

    /// Lets go of every bundle: their order may be another at the next pass.
    fn settle_all(&mut self) {
        for id in self.levels.keys().copied().collect::<Vec<_>>() {
            self.settle(&id);
        }
        self.retry_faulty();
        self.keep_changes();
    }

    /// Those that failed have a turn again.
    fn retry_faulty(&mut self) {
        for id in std::mem::take(&mut self.faulty) {
            let sent = self.shared.queue(|queue| queue.get(&id)).map_or(0, |view| view.standing.sent_symbols);
            if let Ok(change) = self.shared.queue(|queue| queue.put_back(&id, u64::from(sent))) {
                self.changes_to_keep.insert(id, change);
            }
        }
    }

    /// Makes durable how bundles stand. What a failure or a crash loses is found out again by sending.
    fn keep_changes(&mut self) {
        let changes = std::mem::take(&mut self.changes_to_keep);
        if let Err(e) = self.shared.keep_standings(changes.into_values()) {
            self.shared.store_failed("noting how bundles stand", &e);
        }
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
            self.settle_all();
        }
        if passes.opened != self.passes.opened {
            self.look_at_keys();
            // A link that is always open has no gap in which the order could be made anew.
            if self.shared.config.downlink.transmit == TransmitMode::Always {
                self.retry_faulty();
            } else {
                self.settle_all();
            }
            self.shared.queue(Queue::begin_pass);
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
        self.refill(rate_bps);
        let mut burst =
            Burst::of_at_most(burst_datagrams(self.rate_bps, self.shared.config.downlink.symbol_bytes));
        let polled = self.sender.poll_transmit(&mut self.blocks, &mut burst);
        let bundles: BTreeSet<BundleId> = burst.bundles().iter().copied().collect();
        if !burst.is_empty() {
            self.bursts.push(burst);
        }
        let polled = polled.and_then(|sent| {
            self.worker.run(&mut self.sender, &mut self.blocks)?;
            Ok(sent)
        });
        self.follow_burst(&bundles);
        self.moved.extend(bundles);
        match polled {
            Ok(Some(_)) => {}
            Ok(None) => self.idle(),
            Err(e) => {
                // Withdrawn by the sender: it goes on with the others, and with this one at the next pass.
                let known = self.blocks.known.contains_key(&e.id);
                self.let_go(&e.id);
                if known {
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
        self.keep_changes();
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

/// A bundle that is only looked at.
const LAST_LEVEL: u8 = 7;

/// The place of a bundle in the sender: by the level of its turn; in that what is small before cubes; then in the
/// order of their turns.
fn rank(level: u8, kind: Kind, turn: u64) -> u64 {
    let band = u64::from(level.min(LAST_LEVEL)) * 2 + u64::from(kind.band() > 0);
    (band << 60) | (turn & ((1 << 60) - 1))
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
