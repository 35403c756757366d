//! What the sender has: as much of the queue as the next seconds of the link can carry, and what is more urgent. The
//! queue follows what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use passband_proto::datagram::ESI_LIMIT;
use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::report::{self, Item};
use passband_proto::transfer::{BlockMark, Offer, Progress, Sender, datagrams_in};

use super::blocks::Blocks;
use crate::daemon::shared::Shared;
use crate::products::Kind;
use crate::queue::{Change, Next, Queue, QueueError, State};
use crate::store::BundleRecord;
use crate::telemetry::Report;

/// The sender is handed what so much of the link's time can carry, ns; and [`MIN_BACKLOG_SYMBOLS`] at least.
const BACKLOG_NS: u64 = 3_000_000_000;
/// Enough for bundles to be sent interleaved.
const MIN_BACKLOG_SYMBOLS: u64 = 16_384;
/// Most bundles that the sender has.
const MAX_OFFERED: usize = 1_024;
/// With nothing waiting, so many presumed ones share what capacity is left over.
const MAX_PRESUMED: usize = 512;
/// Most bundles that can't be offered before the next burst is sent.
const MAX_FAILED: usize = 16;
/// How often it is noted how far bundles have got, ms.
const PROGRESS_MS: u64 = 1_000;
/// The level of a bundle that is only looked at.
const LAST_LEVEL: u8 = 7;

/// The sender, and the bundles that it has.
pub(super) struct Offered {
    shared: Arc<Shared>,
    pub(super) sender: Sender,
    pub(super) blocks: Blocks,
    /// Bundles handed over so far, to number them; and the level of those that the sender has.
    handed: u64,
    levels: BTreeMap<BundleId, u8>,
    /// Bundles of which more was sent than is noted, and when that was done last.
    moved: BTreeSet<BundleId>,
    noted_ms: u64,
    /// Bundles whose standing has changed and is not kept yet.
    changed: BTreeSet<BundleId>,
    /// Withdrawn for a fault; theirs is a turn again at the next pass.
    faulty: Vec<BundleId>,
    /// Added to the ids of symbols, once for each bundle: what was sent before this run isn't known.
    esi_offset: u32,
    moved_on: BTreeSet<BundleId>,
}

impl Offered {
    pub(super) fn new(shared: Arc<Shared>, sender: Sender, esi_offset: u32) -> Self {
        Self {
            blocks: Blocks::new(Arc::clone(&shared)),
            shared,
            sender,
            handed: 0,
            levels: BTreeMap::new(),
            moved: BTreeSet::new(),
            noted_ms: 0,
            changed: BTreeSet::new(),
            faulty: Vec::new(),
            esi_offset,
            moved_on: BTreeSet::new(),
        }
    }

    /// Hands over what the next seconds of the link can carry, and what is more urgent than what the sender has.
    pub(super) fn refill(&mut self, rate_bps: u64) {
        let symbol_bytes = self.shared.config.downlink.symbol_bytes;
        let enough = datagrams_in(rate_bps, BACKLOG_NS, symbol_bytes).max(MIN_BACKLOG_SYMBOLS);
        let (mut backlog, mut failed) = (self.sender.backlog_symbols(), 0);
        while failed < MAX_FAILED
            && let Some(next) = self.next(backlog < enough)
        {
            if self.is_presumed(&next.id) {
                self.share_in(next);
            } else if self.offer(next) {
                let symbols = self.sender.progress(&next.id).map_or(0, |progress| progress.source_symbols);
                backlog = backlog.saturating_add(symbols);
            } else {
                // It stays on the link, so that it has no turn again, until the next pass.
                self.faulty.push(next.id);
                failed += 1;
            }
        }
    }

    /// Takes the bundle from the queue that the sender is to have now: the one whose turn it is, if there are `few`, or
    /// if it is more urgent than all that the sender has.
    fn next(&mut self, few: bool) -> Option<Next> {
        let now = self.shared.clock.unix_ms();
        let waits = self.shared.queue(|queue| queue.upcoming(now).next().map(|next| next.level));
        if !few && !waits.is_some_and(|level| self.is_urgent(level)) {
            return None;
        }
        if self.levels.len() >= MAX_OFFERED && !self.make_place(waits) {
            return None;
        }
        let presumed = self.levels.len() < MAX_PRESUMED;
        self.shared
            .queue(|queue| queue.next(now).or_else(|| presumed.then(|| queue.next_presumed()).flatten()))
    }

    /// Whether all that the sender has still to bring down comes after this level.
    fn is_urgent(&self, level: u8) -> bool {
        self.levels.iter().all(|(id, other)| *other > level || !self.sender.wants(id))
    }

    /// Lets go of a bundle that wants nothing more at present; else of one that comes after the level of what waits,
    /// which has its turn again. `false` if there is none.
    fn make_place(&mut self, waits: Option<u8>) -> bool {
        let done = self.levels.iter().filter(|(id, _)| !self.sender.wants(id));
        let last = || self.levels.iter().filter(|(_, level)| waits.is_some_and(|waits| waits < **level));
        let found = done.max_by_key(|(_, level)| **level);
        let found = found.or_else(|| last().max_by_key(|(_, level)| **level));
        let Some(id) = found.map(|(id, _)| *id) else { return false };
        self.settle(&id);
        true
    }

    fn is_presumed(&self, id: &BundleId) -> bool {
        self.shared.queue(|queue| queue.get(id)).is_some_and(|view| view.standing.state == State::Presumed)
    }

    /// A presumed bundle shares in what capacity is left over, but isn't on the link: its room may be needed.
    fn share_in(&mut self, next: Next) {
        if !self.levels.contains_key(&next.id) && !self.offer(next) {
            self.faulty.push(next.id);
        } else if let Some(progress) = self.sender.progress(&next.id) {
            self.presume(&next.id, &progress);
        }
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
        let marks = self.offset(&record, marks);
        let offer = Offer {
            id: record.id,
            spacecraft: record.spacecraft,
            epoch: record.epoch,
            class,
            rank: rank(next.level, record.kind, self.handed),
            geometry: record.geometry,
            marks,
        };
        let id = record.id;
        if let Err(e) = self.sender.offer(&offer) {
            let text = format!("bundle {id} ({:?}) can't be sent: {e}", record.name);
            self.shared.throttled("offer", &Report::error(EventCode::BundleUnsendable, text));
            return false;
        }
        self.blocks.insert(record);
        self.levels.insert(id, next.level);
        self.recall(&id);
        self.shared.set_progress(id, self.sender.progress(&id));
        true
    }

    /// Marks from which on ids were certainly never used, where what was used isn't known for sure. What this run has
    /// used is known from the second time on.
    fn offset(&mut self, record: &BundleRecord, marks: Vec<BlockMark>) -> Vec<BlockMark> {
        if self.esi_offset == 0 || !self.moved_on.insert(record.id) {
            return marks;
        }
        let of = |block| {
            let mark = marks.iter().find(|mark| mark.block == block).copied();
            let mark = mark.unwrap_or(BlockMark { block, esi: 0, sent: 0 });
            BlockMark { esi: mark.esi.saturating_add(self.esi_offset).min(ESI_LIMIT), ..mark }
        };
        (0..record.geometry.block_count).map(of).collect()
    }

    /// Tells the sender what was reported of a bundle in earlier runs.
    fn recall(&mut self, id: &BundleId) {
        match self.shared.catalogue.reports(id) {
            Ok(reports) => reports.iter().for_each(|report| drop(self.sender.hear(report))),
            Err(e) => self.shared.store_failed("reading reports", &e),
        }
    }

    /// The sender is to have a bundle no more. One that the queue believes on the link waits again: it may have been
    /// handed over anew since that was said.
    pub(super) fn withdraw(&mut self, id: &BundleId) {
        let sent = self.sender.progress(id).map_or(0, |progress| progress.sent_symbols);
        self.let_go(id);
        if self.shared.queue(|queue| queue.get(id)).is_some_and(|view| view.state == State::OnLink) {
            self.tell(id, |queue| queue.put_back(id, sent));
        }
    }

    /// The sender has a bundle no more.
    fn let_go(&mut self, id: &BundleId) {
        self.sender.withdraw(id);
        self.blocks.remove(id);
        self.moved.remove(id);
        self.levels.remove(id);
        self.shared.set_progress(*id, None);
    }

    /// The sender has withdrawn a bundle for a fault: its turn comes again at the next pass. `false`: it had been let
    /// go before.
    pub(super) fn failed(&mut self, id: &BundleId) -> bool {
        let had = self.levels.contains_key(id);
        self.let_go(id);
        if had {
            self.faulty.push(*id);
        }
        had
    }

    /// Takes a report: the plan changes at once, and what was new is kept for after a restart.
    pub(super) fn hear(&mut self, report: &report::Report) {
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
        let state = self.shared.queue(|queue| queue.get(id).map(|view| view.state));
        self.shared.set_progress(*id, Some(progress));
        let change = if progress.known {
            self.tell(id, |queue| queue.known(id))
        } else if state == Some(State::Presumed) && !progress.reached_target {
            self.tell(id, |queue| queue.wanted(id))
        } else {
            None
        };
        if change.is_some_and(|change| change.withdraw) {
            self.let_go(id);
        }
    }

    /// Notes what became of the bundles of a burst: of those that want nothing more for their class, that they are
    /// presumed down, and that the sender keeps them for what capacity is left over.
    pub(super) fn follow_burst(&mut self, bundles: BTreeSet<BundleId>) {
        for id in &bundles {
            if !self.levels.contains_key(id) || self.sender.wants(id) {
                continue;
            }
            let state =
                self.shared.queue(|queue| queue.get(id)).map(|view| (view.state, view.standing.state));
            let progress = self.sender.progress(id).filter(|progress| progress.reached_target);
            if let (Some((State::OnLink, State::Waiting)), Some(progress)) = (state, progress) {
                self.presume(id, &progress);
            }
        }
        self.moved.extend(bundles);
    }

    /// What was presumed before stays so, whatever a crash has cost of the knowledge of what was sent.
    fn presume(&mut self, id: &BundleId, progress: &Progress) {
        self.tell(id, |queue| {
            let before = queue.get(id).filter(|view| view.standing.state == State::Presumed);
            let before = before.map_or(0.0, |view| view.standing.presumed);
            queue.presume(id, progress.sent_symbols, progress.presumed.max(before))
        });
    }

    /// Tells the queue of a bundle; how it stands then is kept with the next writing. `None`: it was dropped this
    /// moment, or can't be told that any more.
    fn tell(
        &mut self,
        id: &BundleId,
        news: impl FnOnce(&mut Queue) -> Result<Change, QueueError>,
    ) -> Option<Change> {
        let change = self.shared.queue(news).ok()?;
        if change.changed {
            self.changed.insert(*id);
        }
        Some(change)
    }

    /// Lets go of a bundle, and notes how far it has got.
    fn settle(&mut self, id: &BundleId) {
        let progress = self.sender.progress(id);
        self.let_go(id);
        let Some(progress) = progress else { return };
        self.tell(id, |queue| {
            if progress.known {
                queue.known(id)
            } else if progress.reached_target {
                queue.presume(id, progress.sent_symbols, progress.presumed)
            } else {
                queue.put_back(id, progress.sent_symbols)
            }
        });
    }

    /// Lets go of every bundle: their order may be another at the next pass.
    pub(super) fn settle_all(&mut self) {
        for id in self.levels.keys().copied().collect::<Vec<_>>() {
            self.settle(&id);
        }
        self.retry_faulty();
        self.keep_changes();
    }

    /// Those that failed have a turn again.
    pub(super) fn retry_faulty(&mut self) {
        for id in std::mem::take(&mut self.faulty) {
            let sent = self.shared.queue(|queue| queue.get(&id)).map_or(0, |view| view.standing.sent_symbols);
            self.tell(&id, |queue| queue.put_back(&id, u64::from(sent)));
        }
    }

    /// Notes how far the bundles have got of which something was sent, now and then or `now`.
    pub(super) fn note_progress(&mut self, now: bool) {
        let now_ms = self.shared.clock.now_ms();
        if (self.moved.is_empty() && self.changed.is_empty())
            || (!now && now_ms.saturating_sub(self.noted_ms) < PROGRESS_MS)
        {
            return;
        }
        self.noted_ms = now_ms;
        for id in std::mem::take(&mut self.moved) {
            self.shared.set_progress(id, self.sender.progress(&id));
        }
        self.keep_changes();
    }

    /// Makes durable how bundles stand. What a failure or a crash loses is found out again by sending.
    fn keep_changes(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if let Err(e) = self.shared.keep_standings_of(changed) {
            self.shared.store_failed("noting how bundles stand", &e);
        }
    }

    /// Makes the marks of what was sent durable, exactly.
    pub(super) fn checkpoint(&mut self) {
        if let Err(e) = self.sender.checkpoint(&mut self.blocks) {
            self.shared.throttled(
                "checkpoint",
                &Report::error(EventCode::StoreError, format!("noting what was sent: {e}")),
            );
        }
    }
}

/// The place of a bundle in the sender: by the level of its turn; in that what is small before cubes; then in the
/// order of their turns.
fn rank(level: u8, kind: Kind, turn: u64) -> u64 {
    let band = u64::from(level.min(LAST_LEVEL)) * 2 + u64::from(kind.band() > 0);
    (band << 60) | (turn & ((1 << 60) - 1))
}

#[cfg(test)]
mod tests;
