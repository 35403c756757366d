//! The thread that takes frames: camera → triage → store.

mod room;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use passband_proto::bundle::SealOptions;
use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use passband_proto::keys::EpochKey;
use passband_spectral::cube::Cube;
use passband_spectral::target::Target;

use super::encoder::QueueChange;
use super::intake::{AnyData, Detector, Examine, Follow, Intake, IntakeError, Sealer, Step, Taken};
use super::notes::{make_blackbox, make_notes};
use super::pulse::Pulse;
use super::shared::Shared;
use super::vitals::TRIAGE;
use crate::adapters::crash;
use crate::adapters::spool::{Listing, MAX_ENTRIES, Spool};
use crate::camera::{Action, Camera, FrameFiles, Kind, Limits, printable_name};
use crate::config::Downlink;
use crate::health::Task;
use crate::queue::item_of;
use crate::store::{AlertRecord, BundleRecord};
use crate::telemetry::Report;
use crate::triage::Products;

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
/// So long housekeeping and log may take, ms.
const NOTES_MS: u64 = 600_000;
/// What the thread is at while it reads and stores a frame.
const TAKING: &str = "taking a frame";
/// Most frames that an event names.
const MAX_NAMED: usize = 8;

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
        let beat = self.shared.beat(Task::Frames);
        while !self.shared.stopping() {
            beat.check_in();
            if self.shared.clock.now_ms() >= notes_ms {
                let again_ms = self.shared.config.products.notes_s.saturating_mul(1_000);
                notes_ms = self.shared.clock.now_ms().saturating_add(again_ms);
                beat.working("notes", NOTES_MS);
                // Of what fails events tell.
                drop(self.seal_notes(make_notes));
                beat.check_in();
            }
            let wanted = self.shared.desk.take_blackbox_wanted();
            if !wanted.is_empty() {
                beat.working("black box", NOTES_MS);
                let mut bundle = String::new();
                let made = self.seal_notes(|shared, key, made| {
                    let record = make_blackbox(shared, key)?;
                    bundle = format!("bundle {}", record.id);
                    made(record);
                    Ok(())
                });
                self.shared.desk.blackbox_made(&wanted, &made.map(|()| bundle));
                beat.check_in();
            }
            let begun_ms = self.shared.clock.now_ms();
            if self.look(&mut camera) {
                let took_ms = self.shared.clock.now_ms().saturating_sub(begun_ms);
                self.sleep(self.shared.pulse.level().pause_ms(took_ms));
            } else {
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
            self.shared.pulse.check_in(Task::Frames);
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
            self.shared.throttled("take", &Report::error(EventCode::FrameDelayed, text));
        }
        done
    }

    fn list(&self) -> Option<Listing> {
        let tell = |kind: &str, report: Report| self.shared.throttled(kind, &report);
        let listing = match self.spool.list() {
            Ok(listing) => listing,
            Err(e) => {
                tell("spool", Report::error(EventCode::SpoolError, format!("listing the spool: {e}")));
                return None;
            }
        };
        let unknown: Vec<_> = listing.entries.iter().filter(|entry| entry.kind == Kind::Unknown).collect();
        if let Some(first) = unknown.first() {
            let (count, first) = (unknown.len(), printable_name(&first.name));
            let text = format!("{count} entries of the spool can't be looked at, {first} among them");
            tell("spool entries", Report::error(EventCode::SpoolError, text));
        }
        if listing.cut_off {
            let text = format!(
                "the spool holds more than {MAX_ENTRIES} entries: the rest is looked at once these are fewer"
            );
            tell("spool crowded", Report::warning(EventCode::SpoolCrowded, text));
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
        self.shared.throttled("spool folders", &Report::warning(EventCode::SpoolFolders, text));
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
        let reason = self.may_make(class).and_then(|()| self.find_room(Need { bytes, class })).err()?;
        tight.insert(class, (bytes, reason.clone()));
        Some(reason)
    }

    /// Whether products are made of frames of a class now; else why not.
    fn may_make(&self, class: Class) -> Result<(), String> {
        let level = self.shared.pulse.level();
        if level.may_make(class) {
            return Ok(());
        }
        Err(format!("{class} frames wait while the load level is {}", level.number()))
    }

    /// How long the work on a frame may last, ms.
    fn allowance_ms(&self, header: &str) -> u64 {
        let bytes = self.spool.described_bytes(OsStr::new(header)).unwrap_or_default();
        let rate = self.shared.config.health.frame_bytes_per_s.max(1);
        self.shared.config.health.deadline_s.saturating_add(bytes / rate).saturating_mul(1000)
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
        let level = shared.pulse.level();
        let mut params = shared.config.triage.params.clone();
        params.threads = level.threads(params.threads);
        let allowance_ms = self.allowance_ms(&header);
        let detector = Detector {
            target: &self.target,
            params: &params,
            calibration: shared.config.triage.calibration.as_deref(),
        };
        let intake = Intake {
            spool: &self.spool,
            catalogue: &shared.catalogue,
            sealer: Sealer {
                vault: &shared.vault,
                key,
                options,
                threads: level.threads(shared.config.products.seal_threads),
                stop: shared.stop_flag(),
            },
            rules: &shared.config.products,
            examiner: &Timed { detector, pulse: &shared.pulse, allowance_ms },
        };
        shared.pulse.working(Task::Frames, TAKING, allowance_ms);
        crash::at_work_on(Some(&header));
        let mut taking = Taking { frames: self, header: &header };
        let taken = intake.take(files, shared.clock.unix_ms(), &mut taking);
        crash::at_work_on(None);
        shared.pulse.check_in(Task::Frames);
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
    /// Makes notes, and puts them into the queue.
    fn seal_notes(
        &self,
        make: impl FnOnce(&Shared, &EpochKey, &mut dyn FnMut(BundleRecord)) -> Result<(), String>,
    ) -> Result<(), String> {
        let shared = &self.shared;
        let keys = shared.keys();
        let key = keys.newest(shared.config.spacecraft).ok_or("there is no key to seal bundles with")?;
        let need = Need { bytes: NOTES_ROOM_BYTES, class: Class::Routine };
        let mut line_up = |note| {
            self.line_up(&note);
            drop(self.queue.send(QueueChange::News));
        };
        let made = self.make_room(need).and_then(|()| make(shared, key, &mut line_up));
        if let Err(e) = &made {
            let text = format!("housekeeping, log or black box was not made: {e}");
            shared.throttled("notes", &Report::error(EventCode::NotesFailed, text));
        }
        made
    }

    /// Puts a new bundle into the queue.
    fn line_up(&self, bundle: &BundleRecord) {
        let inserted = self.shared.queue(|queue| queue.insert(&item_of(bundle, queue.settings())));
        if let Err(e) = inserted {
            let text = format!(
                "bundle {} ({:?}) is stored, but has no place in the queue: {e}",
                bundle.id, bundle.name
            );
            self.shared.throttled("queue", &Report::error(EventCode::QueueError, text));
        }
    }

    /// Moves files to `rejected/`; the event comes first, so that nothing goes unseen. `false`: it failed, and they are
    /// left alone for a while.
    fn refuse(&self, camera: &mut Camera, name: &str, files: &[OsString], reason: &str) -> bool {
        // Told once, however often it is tried.
        if !camera.was_refused(files) {
            let text = format!("frame {name:?} rejected: {reason}");
            self.shared.event(&Report::warning(EventCode::FrameRejected, text));
        }
        let rejected = match self.spool.reject(name, files, reason) {
            Ok(rejected) => rejected,
            Err(e) => {
                camera.refusal_failed(files, self.shared.clock.now_ms());
                let text = format!("moving frame {name:?} to rejected/: {e}; it stays in the spool for now");
                self.shared.throttled("reject", &Report::error(EventCode::SpoolError, text));
                return false;
            }
        };
        self.shared.count(|c| c.frames_rejected += 1);
        if !rejected.removed.is_empty() {
            let text = format!("rejected/ is full: removed the oldest, {:?}", rejected.removed);
            self.shared.event(&Report::warning(EventCode::RejectedPruned, text));
        }
        if let Some(stuck) = rejected.stuck {
            let text = format!("rejected/ is full, and not all that is old can be removed: {stuck}");
            self.shared.throttled("prune", &Report::error(EventCode::SpoolError, text));
        }
        true
    }
}

/// How bundles are cut.
pub(super) fn seal_options(downlink: &Downlink) -> SealOptions {
    let Downlink { symbol_bytes, segment_symbols, .. } = *downlink;
    SealOptions { symbol_bytes, segment_symbols, ..SealOptions::default() }
}

/// The detector, which says when it begins and ends.
struct Timed<'a> {
    detector: Detector<'a>,
    pulse: &'a Pulse,
    allowance_ms: u64,
}

impl Examine for Timed<'_> {
    fn examine(&self, name: &str, cube: Cube<AnyData<'_>>) -> Result<Products, IntakeError> {
        self.pulse.working(Task::Frames, TRIAGE, self.allowance_ms);
        let products = self.detector.examine(name, cube);
        self.pulse.working(Task::Frames, TAKING, self.allowance_ms);
        products
    }
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
        let may_make = self.frames.may_make(class).inspect_err(|_| {
            self.frames.shared.count(|c| c.frames_shed.add(class));
        });
        may_make.and_then(|()| self.frames.make_room(need)).map_err(|reason| {
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
