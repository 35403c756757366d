//! Room for frames: what the store may take, and what is dropped for it.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::dict::EventCode;
use passband_proto::ids::{BundleId, Class};

use super::super::encoder::QueueChange;
use super::super::shared::lock;
use super::{Frames, MAX_NAMED, Need};
use crate::adapters::disk::SPARE_BYTES;
use crate::queue::{Queue, State, View};
use crate::store::{FrameId, StoreError};
use crate::telemetry::Report;

impl Frames {
    /// Drops bundles until a frame fits into the quota; else why it can't be stored now.
    pub(super) fn make_room(&self, need: Need) -> Result<(), String> {
        let victims = self.find_room(need)?;
        self.drop_bundles(&victims).map_err(|e| format!("dropping bundles for room: {e}"))
    }

    /// What would have to be dropped so that a frame fits into the quota; else why it can't be stored now.
    pub(super) fn find_room(&self, need: Need) -> Result<Vec<BundleId>, String> {
        let shared = &self.shared;
        let Need { bytes, class } = need;
        if shared.in_memory {
            // What is stored now would be unknown at the next start, and swept.
            return Err("the catalogue is kept in memory".to_owned());
        }
        let urgent = matches!(class, Class::Alert | Class::Suspect);
        if !lock(&shared.health).may_store(shared.clock.now_ms(), urgent) {
            return Err(format!("the disk is {}", shared.disk_mode()));
        }
        let used = shared.queue(|queue| queue.tally().total().bytes);
        let room_bytes = self.room_bytes(used);
        let victims = shared.queue(|queue| queue.victims(bytes, used, room_bytes, class));
        victims.ok_or_else(|| {
            let text = format!(
                "it needs {bytes} bytes as {class}, the store may take {room_bytes} and has {used}, and dropping what \
                 may be dropped is not enough"
            );
            shared.throttled("store-full", &Report::error(EventCode::StoreFull, text.clone()));
            text
        })
    }

    /// What the store may take in all: its quota, or what the disk has room for if that is less.
    fn room_bytes(&self, stored_bytes: u64) -> u64 {
        let quota_bytes = self.shared.config.store.quota_bytes;
        let Some(free) = self.shared.disk.free_bytes(&self.shared.config.paths.state) else {
            return quota_bytes;
        };
        quota_bytes.min(stored_bytes.saturating_add(free).saturating_sub(SPARE_BYTES))
    }

    /// Drops bundles for room: one event says what went.
    fn drop_bundles(&self, ids: &[BundleId]) -> Result<(), StoreError> {
        let shared = &self.shared;
        let views = |queue: &mut Queue| ids.iter().filter_map(|id| queue.get(id)).collect();
        let dropped: Vec<View> = shared.queue(views);
        if dropped.is_empty() {
            return Ok(());
        }
        let gone: Vec<BundleId> = dropped.iter().map(|view| view.item.id).collect();
        let frames = self.frames_not_down(&dropped)?;
        let report = Report::warning(EventCode::BundlesDropped, eviction_text(&dropped, &frames));
        // One that has its turn at this moment can't be offered, as the catalogue doesn't know it any more.
        shared.catalogue.drop_bundles(&gone, &frames, shared.clock.unix_ms(), &report)?;
        for id in &gone {
            drop(shared.queue(|queue| queue.remove(id)));
            drop(self.queue.send(QueueChange::Withdraw(*id)));
        }
        shared.count(|c| c.bundles_dropped += gone.len() as u64);
        gone.iter().try_for_each(|id| shared.vault.remove(id))
    }

    /// The frames of which something is dropped that may not be down: should one come again, it is new.
    fn frames_not_down(&self, dropped: &[View]) -> Result<Vec<FrameId>, StoreError> {
        let mut frames = BTreeSet::new();
        for view in dropped.iter().filter(|view| !matches!(view.state, State::Presumed | State::Known)) {
            let record = self.shared.catalogue.bundle(&view.item.id)?;
            frames.extend(record.and_then(|record| record.frame));
        }
        Ok(frames.into_iter().collect())
    }
}

/// What goes for room, in words: how many of each state and class, and how many frames are lost with it.
fn eviction_text(dropped: &[View], frames: &[FrameId]) -> String {
    let mut counts: BTreeMap<(State, Class), (u64, u64)> = BTreeMap::new();
    for view in dropped {
        let count = counts.entry((view.state, view.item.class)).or_default();
        *count = (count.0 + 1, count.1 + view.item.bytes);
    }
    let all = counts.iter().map(|((state, class), (bundles, bytes))| {
        let state = if *state == State::Waiting { "not down yet" } else { state.name() };
        format!("{bundles} {class} ({state}), {bytes} bytes")
    });
    let mut text = format!("dropped to make room: {}", all.collect::<Vec<_>>().join("; "));
    if !frames.is_empty() {
        text.push_str("; of frames that are not wholly down: ");
        let names = frames.iter().take(MAX_NAMED).map(ToString::to_string);
        text.push_str(&names.collect::<Vec<_>>().join(" "));
        if frames.len() > MAX_NAMED {
            text.push_str(" and more");
        }
    }
    text
}
