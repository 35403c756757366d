//! The thread that takes frames: camera → triage → store.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use passband_proto::bundle::SealOptions;
use passband_proto::ids::{BundleId, Class};
use passband_spectral::target::Target;

use super::encoder::QueueChange;
use super::intake::{Detector, Follow, Intake, IntakeError, Sealer, Step, Taken};
use super::notes::make_notes;
use super::shared::{Shared, lock};
use crate::adapters::crash;
use crate::adapters::spool::{Listing, MAX_ENTRIES, Spool};
use crate::camera::{Action, Camera, FrameFiles, Kind, Limits, printable_name};
use crate::config::Downlink;
use crate::queue::{State, View, item_of};
use crate::store::{AlertRecord, BundleRecord, FrameId, StoreError};
use crate::telemetry::Report;

/// A frame that could not be taken is tried again after so long, ms.
const RETRY_MS: u64 = 2_000;
/// Most frames of which it is remembered what room they need.
const MAX_REMEMBERED: usize = 10_000;
/// The longest sleep: how soon the thread sees that the daemon stops, ms.
const NAP_MS: u64 = 100;
/// The first notes are made so long after a start, ms: frames that waited come first.
const FIRST_NOTES_MS: u64 = 30_000;
/// Most refusals at a look: each takes a few syncs, and a frame that is new may be urgent.
const MAX_REFUSALS: u32 = 8;
/// Room asked for notes, bytes.
const NOTES_ROOM_BYTES: u64 = 4 << 20;
/// Most frames that an event names.
const MAX_NAMED: usize = 8;
/// Disk space that is left to others, and to the catalogue, bytes.
const SPARE_DISK_BYTES: u64 = 32 << 20;

/// The thread that takes frames.
pub(crate) struct Frames {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spool: Spool,
    pub(crate) target: Target,
    /// To the sender of the fast link.
    pub(crate) queue: Sender<QueueChange>,
    /// To the alert radio.
    pub(crate) alerts: tokio::sync::mpsc::UnboundedSender<AlertRecord>,
    /// Frames that were looked at and have to wait, by their headers: the room they need. They are not looked at
    /// again before there is as much.
    pub(crate) waiting: RefCell<BTreeMap<String, Need>>,
}

/// The room that a frame needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    bytes: u64,
    class: Class,
}

/// What became of a frame.
enum Outcome {
    Taken,
    /// It will never be taken.
    Malformed(String),
    /// It stays in the spool for now.
    Delayed(String),
    Stopping,
}

impl Frames {
    /// Runs until the daemon stops.
    pub(crate) fn run(self) {
        let config = &self.shared.config.camera;
        let limits = Limits {
            settle_ms: config.settle_ms,
            orphan_ms: config.orphan_ms,
            max_frame_bytes: config.max_frame_bytes,
        };
        let mut camera = Camera::new(limits);
        let mut notes_ms = self.shared.clock.now_ms().saturating_add(FIRST_NOTES_MS);
        while !self.shared.stopping() {
            if self.shared.clock.now_ms() >= notes_ms {
                let again_ms = self.shared.config.products.notes_s.saturating_mul(1_000);
                notes_ms = self.shared.clock.now_ms().saturating_add(again_ms);
                self.make_notes();
            }
            if !self.look(&mut camera) {
                self.sleep(config.poll_ms);
            }
        }
    }

    /// Sleeps, but not on while the daemon stops.
    fn sleep(&self, ms: u64) {
        let until_ms = self.shared.clock.now_ms().saturating_add(ms);
        while let Some(left) = until_ms.checked_sub(self.shared.clock.now_ms()).filter(|left| *left > 0)
            && !self.shared.stopping()
        {
            thread::sleep(Duration::from_millis(left.min(NAP_MS)));
        }
    }

    /// Looks once, refuses what is to be refused, and takes one frame. `false`: nothing was done.
    fn look(&self, camera: &mut Camera) -> bool {
        let Some(listing) = self.list() else { return false };
        let now_ms = self.shared.clock.now_ms();
        let whole = !listing.cut_off;
        let actions = camera.look(now_ms, listing.entries, |header| self.spool.described_bytes(header));
        if whole {
            self.waiting.borrow_mut().retain(|header, _| camera.knows(header));
        }
        self.tell_of_folders(&camera.take_new_folders());
        let mut delayed = None;
        let done = self.act(camera, actions, &mut delayed);
        if let Some((name, reason)) = delayed {
            let waiting = camera.waiting();
            let text =
                format!("{waiting} frames stay in the spool; of {name:?}, the last looked at: {reason}");
            // One kind for all: with one of each frame, many that wait would hold up those to come.
            self.shared.throttled("take", &Report::error("frame-delayed", text));
        }
        done
    }

    fn list(&self) -> Option<Listing> {
        let tell = |kind: &str, report: Report| self.shared.throttled(kind, &report);
        let listing = match self.spool.list() {
            Ok(listing) => listing,
            Err(e) => {
                tell("spool", Report::error("spool-error", format!("listing the spool: {e}")));
                return None;
            }
        };
        let unknown: Vec<_> = listing.entries.iter().filter(|entry| entry.kind == Kind::Unknown).collect();
        if let Some(first) = unknown.first() {
            let (count, first) = (unknown.len(), printable_name(&first.name));
            let text = format!("{count} entries of the spool can't be looked at, {first} among them");
            tell("spool entries", Report::error("spool-error", text));
        }
        if listing.cut_off {
            let text = format!(
                "the spool holds more than {MAX_ENTRIES} entries: the rest is looked at once these are fewer"
            );
            tell("spool crowded", Report::warning("spool-crowded", text));
        }
        Some(listing)
    }

    fn tell_of_folders(&self, folders: &[OsString]) {
        if folders.is_empty() {
            return;
        }
        let names: Vec<_> = folders.iter().take(MAX_NAMED).map(|name| printable_name(name)).collect();
        let more = if folders.len() > MAX_NAMED { " and more" } else { "" };
        let text =
            format!("folders in the spool are no frames, and are left alone: {}{more}", names.join(" "));
        self.shared.throttled("spool folders", &Report::warning("spool-folders", text));
    }

    /// Does what is to be done until a frame is taken; the last frame that has to wait, and why, stands in `delayed`.
    /// `false`: nothing was done.
    fn act(&self, camera: &mut Camera, actions: Vec<Action>, delayed: &mut Option<(String, String)>) -> bool {
        let (mut done, mut refusals) = (false, 0);
        let mut tight = BTreeMap::new();
        for action in actions {
            if self.shared.stopping() {
                break;
            }
            let files = match action {
                Action::Refuse { .. } if refusals >= MAX_REFUSALS => {
                    // There may be a new frame by now: the next look goes on.
                    done = true;
                    continue;
                }
                Action::Refuse { name, files, reason } => {
                    refusals += 1;
                    done |= self.refuse(camera, &name, &files, &reason);
                    continue;
                }
                Action::Take(files) => files,
            };
            let FrameFiles { name, header, data } = files.clone();
            let outcome = match self.still_waits(&header, &mut tight) {
                Some(reason) => Outcome::Delayed(reason),
                None => self.take(files),
            };
            match outcome {
                // There may be something more urgent by now.
                Outcome::Taken => return true,
                Outcome::Malformed(reason) => {
                    if self.refuse(camera, &name, &[data.into(), header.into()], &reason) {
                        return true;
                    }
                }
                Outcome::Delayed(reason) => {
                    camera.defer(&header, self.shared.clock.now_ms().saturating_add(RETRY_MS));
                    *delayed = Some((name, reason));
                }
                Outcome::Stopping => return done,
            }
        }
        done
    }

    /// Why a frame that was looked at has to wait still, if it has. `tight` holds the least that had no room just now, bytes
    /// of each class, and why.
    fn still_waits(&self, header: &str, tight: &mut BTreeMap<Class, (u64, String)>) -> Option<String> {
        let Need { bytes, class } = self.waiting.borrow().get(header).copied()?;
        if let Some((_, reason)) = tight.get(&class).filter(|(least, _)| bytes >= *least) {
            return Some(reason.clone());
        }
        let reason = self.find_room(Need { bytes, class }).err()?;
        tight.insert(class, (bytes, reason.clone()));
        Some(reason)
    }

    /// Takes a frame.
    fn take(&self, files: FrameFiles) -> Outcome {
        let shared = &self.shared;
        let (name, header) = (files.name.clone(), files.header.clone());
        let keys = shared.keys();
        let Some(key) = keys.newest(shared.config.spacecraft) else {
            return Outcome::Delayed(format!("there is no key of spacecraft {}", shared.config.spacecraft));
        };
        let downlink = &shared.config.downlink;
        let options = seal_options(downlink);
        let intake = Intake {
            spool: &self.spool,
            catalogue: &shared.catalogue,
            sealer: Sealer {
                vault: &shared.vault,
                key,
                options,
                threads: shared.config.products.seal_threads,
                stop: shared.stop_flag(),
            },
            rules: &shared.config.products,
            examiner: &Detector {
                target: &self.target,
                params: &shared.config.triage.params,
                calibration: shared.config.triage.calibration.as_deref(),
            },
        };
        crash::at_work_on(Some(&header));
        let mut taking = Taking { frames: self, header: &header };
        let taken = intake.take(files, shared.clock.unix_ms(), &mut taking);
        crash::at_work_on(None);
        if !matches!(taken, Err(IntakeError::NoRoom(_))) {
            self.waiting.borrow_mut().remove(&header);
        }
        match taken {
            Ok(Taken::Accepted { class, bundles }) => {
                for bundle in &bundles {
                    self.line_up(bundle);
                }
                drop(self.queue.send(QueueChange::News));
                shared.count(|c| c.frames_accepted.add(class));
                tracing::info!("frame {name:?} accepted as {class}");
                Outcome::Taken
            }
            Ok(Taken::Duplicate { id }) => {
                shared.count(|c| c.frames_duplicate += 1);
                tracing::warn!("frame {name:?} is frame {id} again");
                Outcome::Taken
            }
            Err(IntakeError::Malformed(reason)) => Outcome::Malformed(reason),
            Err(IntakeError::NoRoom(reason) | IntakeError::Later(reason)) => Outcome::Delayed(reason),
            Err(IntakeError::Stopping) => Outcome::Stopping,
        }
    }

    /// Makes the bundles about the payload itself.
    fn make_notes(&self) {
        let shared = &self.shared;
        let keys = shared.keys();
        let Some(key) = keys.newest(shared.config.spacecraft) else { return };
        let need = Need { bytes: NOTES_ROOM_BYTES, class: Class::Routine };
        let made = self.make_room(need).and_then(|()| make_notes(shared, key));
        match made {
            Ok(made) => {
                made.iter().for_each(|bundle| self.line_up(bundle));
                drop(self.queue.send(QueueChange::News));
            }
            Err(e) => {
                let text = format!("housekeeping or log was not made: {e}");
                shared.throttled("notes", &Report::error("notes-failed", text));
            }
        }
    }

    /// Puts a new bundle into the queue.
    fn line_up(&self, bundle: &BundleRecord) {
        let inserted = self.shared.queue(|queue| queue.insert(&item_of(bundle, queue.settings())));
        if let Err(e) = inserted {
            let text = format!(
                "bundle {} ({:?}) is stored, but has no place in the queue: {e}",
                bundle.id, bundle.name
            );
            self.shared.throttled("queue", &Report::error("queue-error", text));
        }
    }

    /// Moves files to `rejected/`; the event comes first, so that nothing goes unseen. `false`: it failed, and they are
    /// left alone for a while.
    fn refuse(&self, camera: &mut Camera, name: &str, files: &[OsString], reason: &str) -> bool {
        // Told once, however often it is tried.
        if !camera.was_refused(files) {
            let text = format!("frame {name:?} rejected: {reason}");
            self.shared.event(&Report::warning("frame-rejected", text));
        }
        let rejected = match self.spool.reject(name, files, reason) {
            Ok(rejected) => rejected,
            Err(e) => {
                camera.refusal_failed(files, self.shared.clock.now_ms());
                let text = format!("moving frame {name:?} to rejected/: {e}; it stays in the spool for now");
                self.shared.throttled("reject", &Report::error("spool-error", text));
                return false;
            }
        };
        self.shared.count(|c| c.frames_rejected += 1);
        if !rejected.removed.is_empty() {
            let text = format!("rejected/ is full: removed the oldest, {:?}", rejected.removed);
            self.shared.event(&Report::warning("rejected-pruned", text));
        }
        if let Some(stuck) = rejected.stuck {
            let text = format!("rejected/ is full, and not all that is old can be removed: {stuck}");
            self.shared.throttled("prune", &Report::error("spool-error", text));
        }
        true
    }

    /// Drops bundles until a frame fits into the quota; else why it can't be stored now.
    fn make_room(&self, need: Need) -> Result<(), String> {
        let victims = self.find_room(need)?;
        self.drop_bundles(&victims).map_err(|e| format!("dropping bundles for room: {e}"))
    }

    /// What would have to be dropped so that a frame fits into the quota; else why it can't be stored now.
    fn find_room(&self, need: Need) -> Result<Vec<BundleId>, String> {
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
            shared.throttled("store-full", &Report::error("store-full", text.clone()));
            text
        })
    }

    /// What the store may take in all: its quota, or what the disk has room for if that is less.
    fn room_bytes(&self, stored_bytes: u64) -> u64 {
        let quota_bytes = self.shared.config.store.quota_bytes;
        let Some(free) = self.shared.disk.free_bytes(&self.shared.config.paths.state) else {
            return quota_bytes;
        };
        quota_bytes.min(stored_bytes.saturating_add(free).saturating_sub(SPARE_DISK_BYTES))
    }

    /// Drops bundles for room: one event says what went.
    fn drop_bundles(&self, ids: &[BundleId]) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut dropped = Vec::new();
        for id in ids {
            // Whatever is no longer in the queue can't have a turn meanwhile.
            let Some(view) = shared.queue(|queue| queue.remove(id).ok()) else { continue };
            drop(self.queue.send(QueueChange::Withdraw(*id)));
            dropped.push(view);
        }
        if dropped.is_empty() {
            return Ok(());
        }
        let gone: Vec<BundleId> = dropped.iter().map(|view| view.item.id).collect();
        let frames = self.frames_not_down(&dropped)?;
        let report = Report::warning("bundles-dropped", eviction_text(&dropped, &frames));
        let kept = shared.catalogue.drop_bundles(&gone, &frames, shared.clock.unix_ms(), &report);
        if let Err(e) = kept {
            for view in dropped {
                drop(shared.queue(|queue| queue.insert(&view.item)));
            }
            return Err(e);
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

/// How bundles are cut.
pub(super) fn seal_options(downlink: &Downlink) -> SealOptions {
    let Downlink { symbol_bytes, segment_symbols, .. } = *downlink;
    SealOptions { symbol_bytes, segment_symbols, ..SealOptions::default() }
}

/// Follows the taking of a frame.
struct Taking<'a> {
    frames: &'a Frames,
    header: &'a str,
}

impl Follow for Taking<'_> {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn alert(&mut self, alert: AlertRecord) {
        // The other end is gone only when the daemon stops.
        drop(self.frames.alerts.send(alert));
    }

    fn make_room(&mut self, bytes: u64, class: Class) -> Result<(), IntakeError> {
        let need = Need { bytes, class };
        self.frames.make_room(need).map_err(|reason| {
            let mut waiting = self.frames.waiting.borrow_mut();
            if waiting.len() < MAX_REMEMBERED {
                waiting.insert(self.header.to_owned(), need);
            }
            IntakeError::NoRoom(reason)
        })
    }
}

#[cfg(test)]
mod tests;
