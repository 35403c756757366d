//! The thread that takes frames: camera → triage → store.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use passband_proto::bundle::SealOptions;
use passband_spectral::target::Target;

use super::encoder::QueueChange;
use super::intake::{Detector, Follow, Intake, IntakeError, Sealer, Step, Taken};
use super::shared::Shared;
use crate::adapters::crash;
use crate::adapters::spool::Spool;
use crate::camera::{Action, Camera, FrameFiles, Limits};
use crate::store::{AlertRecord, quota};
use crate::telemetry::Report;

/// A frame that could not be taken is tried again after so long, ms.
const RETRY_MS: u64 = 2_000;
/// The longest sleep: how soon the thread sees that the daemon stops, ms.
const NAP_MS: u64 = 100;
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
        while !self.shared.stopping() {
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
        let listing = match self.spool.list() {
            Ok(listing) => listing,
            Err(e) => {
                let report = Report::error("spool-error", format!("listing the spool: {e}"));
                self.shared.throttled("spool", &report);
                return false;
            }
        };
        let now_ms = self.shared.clock.now_ms();
        let actions = camera.look(now_ms, listing, |header| self.spool.described_bytes(header));
        let mut done = false;
        for action in actions {
            match action {
                Action::Refuse { name, files, reason } => done |= self.refuse(&name, &files, &reason),
                Action::Take(files) => {
                    let header = files.header.clone();
                    if self.take(files) {
                        // There may be something more urgent by now.
                        return true;
                    }
                    camera.defer(&header, self.shared.clock.now_ms().saturating_add(RETRY_MS));
                }
            }
            if self.shared.stopping() {
                break;
            }
        }
        done
    }

    /// Takes a frame; `false`: it stays in the spool for now.
    fn take(&self, files: FrameFiles) -> bool {
        let shared = &self.shared;
        let name = files.name.clone();
        let whole = [files.data.clone().into(), files.header.clone().into()];
        let keys = shared.keys();
        let Some(key) = keys.newest(shared.config.spacecraft) else { return false };
        let downlink = &shared.config.downlink;
        let options =
            SealOptions { symbol_bytes: downlink.symbol_bytes, segment_symbols: downlink.segment_symbols };
        let intake = Intake {
            spool: &self.spool,
            catalogue: &shared.catalogue,
            sealer: Sealer { vault: &shared.vault, key, options, stop: shared.stop_flag() },
            rules: &shared.config.products,
            examiner: &Detector {
                target: &self.target,
                params: &shared.config.triage.params,
                calibration: shared.config.triage.calibration.as_deref(),
            },
        };
        crash::at_work_on(Some(&files.header));
        let taken = intake.take(files, shared.clock.unix_ms(), &mut Taking { frames: self, name: &name });
        crash::at_work_on(None);
        match taken {
            Ok(Taken::Accepted { class, bundles, alert }) => {
                // The alert first. Either end is gone only when the daemon stops.
                if let Some(alert) = alert {
                    drop(self.alerts.send(alert));
                }
                for bundle in bundles {
                    drop(self.queue.send(QueueChange::Offer(Box::new(bundle))));
                }
                shared.count(|c| c.frames_accepted.add(class));
                tracing::info!("frame {name:?} accepted as {class}");
                true
            }
            Ok(Taken::Duplicate { id }) => {
                shared.count(|c| c.frames_duplicate += 1);
                tracing::warn!("frame {name:?} is frame {id} again");
                true
            }
            Err(IntakeError::Malformed(reason)) => self.refuse(&name, &whole, &reason),
            Err(IntakeError::Later(reason)) => {
                let text = format!("frame {name:?} stays in the spool: {reason}");
                shared.throttled(&format!("take {name}"), &Report::error("frame-delayed", text));
                false
            }
            Err(IntakeError::Stopping) => false,
        }
    }

    /// Moves files to `rejected/`; the event comes first, so that nothing goes unseen.
    fn refuse(&self, name: &str, files: &[std::ffi::OsString], reason: &str) -> bool {
        let report = Report::warning("frame-rejected", format!("frame {name:?} rejected: {reason}"));
        self.shared.throttled(&format!("refuse {name} {reason}"), &report);
        match self.spool.reject(name, files, reason) {
            Ok(rejected) => {
                self.shared.count(|c| c.frames_rejected += 1);
                if !rejected.removed.is_empty() {
                    let text = format!("rejected/ is full: removed the oldest, {:?}", rejected.removed);
                    self.shared.event(&Report::warning("rejected-pruned", text));
                }
                true
            }
            Err(e) => {
                let text = format!("moving frame {name:?} to rejected/: {e}");
                self.shared.throttled(&format!("reject {name}"), &Report::error("spool-error", text));
                false
            }
        }
    }

    /// Drops bundles until `need` bytes fit into the quota; else why they can't be made to.
    fn make_room(&self, need: u64) -> Result<(), String> {
        let shared = &self.shared;
        let bundles = match shared.catalogue.bundles() {
            Ok(bundles) => bundles,
            Err(e) => return Err(format!("reading the queue: {e}")),
        };
        let progress = shared.progress();
        let held: Vec<_> = bundles
            .iter()
            .map(|b| quota::Held {
                id: b.id,
                class: b.class,
                created_unix_ms: b.created_unix_ms,
                bytes: b.bytes(),
                known: progress.get(&b.id).is_some_and(|p| p.known),
                presumed: progress.get(&b.id).is_some_and(|p| p.reached_target),
            })
            .collect();
        let room_bytes = self.room_bytes(held.iter().map(|h| h.bytes).sum());
        let Some(drops) = quota::make_room(&held, need, room_bytes) else {
            let text = format!(
                "it needs {need} bytes, the store may take {room_bytes}, and dropping what may be dropped is not enough"
            );
            shared.throttled("store-full", &Report::error("store-full", text.clone()));
            return Err(text);
        };
        let found = drops.iter().filter_map(|id| bundles.iter().find(|b| b.id == *id));
        if found.map(|bundle| self.drop_bundle(bundle)).all(|dropped| dropped) {
            Ok(())
        } else {
            Err("a bundle could not be dropped".to_owned())
        }
    }

    /// What the store may take in all: its quota, or what the disk has room for if that is less.
    fn room_bytes(&self, stored_bytes: u64) -> u64 {
        let quota_bytes = self.shared.config.store.quota_bytes;
        let Some(free) = self.shared.disk.free_bytes(&self.shared.config.paths.state) else {
            return quota_bytes;
        };
        quota_bytes.min(stored_bytes.saturating_add(free).saturating_sub(SPARE_DISK_BYTES))
    }

    fn drop_bundle(&self, bundle: &crate::store::BundleRecord) -> bool {
        let shared = &self.shared;
        let state = match shared.progress().get(&bundle.id) {
            Some(p) if p.known => "known to be down",
            Some(p) if p.reached_target => "presumed down",
            _ => "not presumed down",
        };
        let text = format!(
            "bundle {} ({:?}, {}, {} bytes, {state}) dropped to make room",
            bundle.id,
            bundle.name,
            bundle.class,
            bundle.bytes()
        );
        drop(self.queue.send(QueueChange::Withdraw(bundle.id)));
        let report = Report::warning("bundle-dropped", text);
        let dropped = shared.catalogue.drop_bundle(&bundle.id, shared.clock.unix_ms(), &report);
        if dropped.is_err() {
            // It stays, so it goes on being sent.
            drop(self.queue.send(QueueChange::Offer(Box::new(bundle.clone()))));
        }
        match dropped.and_then(|_| shared.vault.remove(&bundle.id)) {
            Ok(()) => {
                shared.count(|c| c.bundles_dropped += 1);
                true
            }
            Err(e) => {
                shared.store_failed("dropping a bundle", &e);
                false
            }
        }
    }
}

/// Follows the taking of a frame.
struct Taking<'a> {
    frames: &'a Frames,
    name: &'a str,
}

impl Follow for Taking<'_> {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn make_room(&mut self, bytes: u64, class: passband_proto::ids::Class) -> Result<(), IntakeError> {
        tracing::debug!("frame {:?} of class {class} needs {bytes} bytes", self.name);
        self.frames.make_room(bytes).map_err(IntakeError::Later)
    }
}
