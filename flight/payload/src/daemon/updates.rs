//! The thread that updates this board: looks at a file that is whole and wanted, makes its image, and gives the update its
//! seconds.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use passband_proto::dict::EventCode;
use passband_proto::release::ImageId;
use passband_proto::release::manifest::{DeltaInfo, Manifest};
use passband_proto::slot::decide::Why;
use passband_proto::slot::{Phase as Got, Slot};

use super::commander::{Commander, believable};
use super::shared::{Shared, lock};
use crate::adapters::disk::{Disk, DiskFile, read_file};
use crate::adapters::members::{OWN, member};
use crate::adapters::slots::Slots;
use crate::config::Config;
use crate::queue::State;
use crate::telemetry::Level;
use crate::telemetry::Report;
use crate::update::contract::Vitals;
use crate::update::file::{Rest, UpdateFile};
use crate::update::stage::{Progress, StageError, Work, digest, stage};
use crate::update::updater::{Running, Updater};
use passband_proto::release::root::MAX_ROOT_BYTES;

/// The name of the first root among the files of an image.
const ROOT_MEMBER: &str = "root";
const SECOND: Duration = Duration::from_secs(1);
/// After an error of the disk it is tried again so late, s.
const AGAIN_S: u32 = 60;

/// Takes up the update of this board, as the launcher and the slots tell of it; and what is to be told.
pub(super) fn open(disk: &Arc<dyn Disk>, config: &Config) -> (Option<Updater>, Vec<Report>) {
    let mut told = Vec::new();
    let root = match &config.update.root {
        Some(path) => read_file(disk.as_ref(), path, MAX_ROOT_BYTES).map(Some),
        None => member(Path::new(OWN), ROOT_MEMBER, u32::try_from(MAX_ROOT_BYTES).unwrap_or(0)),
    };
    let root = root.unwrap_or_else(|e| {
        told.push(Report::error(EventCode::UpdateChanged, format!("the first root can't be read: {e}")));
        None
    });
    let (slots, running) = if let Some((root, running)) = launched() {
        (Slots::of_board(Arc::clone(disk), Path::new(&root)), running)
    } else {
        let folder = config.paths.state.join("slots");
        if let Err(e) = disk.make_folder(&folder) {
            let text = format!("nothing can be updated: {}: {e}", folder.display());
            told.push(Report::error(EventCode::UpdateChanged, text));
            return (None, told);
        }
        (Slots::new(Arc::clone(disk), &folder), Running::BY_HAND)
    };
    let (updater, more) = Updater::open(slots, running, config.update.policy(), root.as_deref());
    told.extend(more);
    (Some(updater), told)
}

/// Where the slots are and which one runs, if the launcher started this.
fn launched() -> Option<(String, Running)> {
    let told = |name| std::env::var(name).ok();
    let slot = Slot::from_name(&told("PASSBAND_SLOT")?)?;
    let launcher = told("PASSBAND_LAUNCHER")?.parse().ok()?;
    let interlude = told("PASSBAND_LAUNCH").as_deref() == Some(Why::Interlude.name());
    Some((told("PASSBAND_ROOT")?, Running { slot, interlude, launcher }))
}

/// The thread.
pub(super) struct Updates {
    pub(super) shared: Arc<Shared>,
    pub(super) commander: Arc<Mutex<Commander>>,
}

impl Updates {
    /// Runs until the daemon stops.
    pub(super) fn run(self) {
        let (mut wait_s, mut well) = (0_u32, false);
        while !self.shared.stopping() {
            sleep(SECOND);
            let vitals = self.vitals();
            let reports = lock(&self.commander).parts().update_second(&vitals, self.unix_s());
            self.tell(&reports);
            if !well && u64::from(vitals.up_s) >= self.shared.config.health.well_s {
                well = true;
                self.got_well();
            }
            wait_s = wait_s.saturating_sub(1);
            if wait_s == 0 && !self.make() {
                wait_s = AGAIN_S;
            }
        }
    }

    fn tell(&self, reports: &[Report]) {
        reports.iter().for_each(|report| self.shared.event(report));
    }

    fn unix_s(&self) -> Option<u64> {
        believable(self.shared.clock.unix_ms())
    }

    fn vitals(&self) -> Vitals {
        let shared = &self.shared;
        let counters = shared.counters();
        let red = shared
            .desk
            .latest()
            .map_or(0, |latest| latest.levels.values().filter(|level| **level == Level::Red).count());
        let red = u16::try_from(red).unwrap_or(u16::MAX);
        Vitals {
            up_s: u32::try_from(shared.clock.now_ms() / 1_000).unwrap_or(u32::MAX),
            passes: u16::try_from(shared.passes().closed).unwrap_or(u16::MAX),
            waits: shared.queue(|queue| queue.tally().in_state(State::Waiting).bundles > 0),
            sent: counters.datagrams_sent,
            red,
            safe: shared.in_safe_mode(),
        }
    }

    fn got_well(&self) {
        let noted = lock(&self.commander).parts().updater.as_ref().map(|updater| updater.got(Got::Well));
        if let Some(Err(e)) = noted {
            let text = format!("that this start ran well can't be kept: {e}");
            self.shared.event(&Report::error(EventCode::UpdateChanged, text));
        }
    }

    /// Makes the image of the update that is wanted, if its file is whole. False: the disk was in the way.
    fn make(&self) -> bool {
        let Some((id, path)) = lock(&self.commander).parts().update_file() else { return true };
        let file = match self.shared.disk.open(&path) {
            Ok(file) => file,
            Err(e) => {
                let text = format!("opening the update file: {e}");
                self.shared.throttled("update", &Report::error(EventCode::UpdateChanged, text));
                return false;
            }
        };
        let work = match self.look(file.as_ref()) {
            Ok(Some(work)) => work,
            Ok(None) => return true,
            Err(why) => {
                let reports =
                    lock(&self.commander).parts().updater.as_mut().map(|updater| updater.refuse(&why));
                self.tell(&reports.unwrap_or_default());
                return true;
            }
        };
        let (slots, work) = work;
        let result = stage(&slots, &work, &mut |progress| self.goes_on(id, progress));
        let passes = result.as_ref().err().is_none_or(|error| !error.may_pass());
        let reports =
            lock(&self.commander).parts().updater.as_mut().map(|updater| updater.staged(id, &result));
        self.tell(&reports.unwrap_or_default());
        passes || matches!(result, Err(StageError::Stopped))
    }

    fn goes_on(&self, id: [u8; 4], progress: Progress) -> bool {
        let mut commander = lock(&self.commander);
        let Some(updater) = commander.parts().updater.as_mut() else { return false };
        updater.goes_on(progress);
        !self.shared.stopping() && updater.wanted() == Some(id)
    }

    /// What is to be made of the file; nothing, if it holds roots alone. In words why it can't be.
    fn look<'f>(&self, file: &'f dyn DiskFile) -> Result<Option<(Slots, Work<'f>)>, String> {
        let taken = UpdateFile::read(file).map_err(|e| e.to_string())?;
        let (slots, slot, manifest, from) = {
            let mut commander = lock(&self.commander);
            let Some(updater) = commander.parts().updater.as_mut() else { return Ok(None) };
            updater.rotate(&taken.roots).map_err(|refused| refused.text)?;
            let Some((manifest, from)) = taken.manifest else {
                let version = updater.trust().map_or(0, |trust| trust.root().version);
                return Err(format!("root {version} is believed; there is no image in it"));
            };
            let (slot, manifest) = updater.check(&manifest, self.unix_s()).map_err(|refused| refused.text)?;
            (updater.slots().clone(), slot, manifest, from)
        };
        let (delta, base) = choose(&slots, &manifest, file.bytes().saturating_sub(from))?;
        let work =
            Work { file, from, delta, base, slot, image: manifest.image, image_bytes: manifest.image_bytes };
        Ok(Some((slots, work)))
    }
}

/// The delta that the file carries, told by its length, and where its base is.
fn choose(slots: &Slots, manifest: &Manifest, bytes: u64) -> Result<(DeltaInfo, Option<Slot>), String> {
    let record = slots.record();
    let mut golden = None;
    let mut named = false;
    for delta in manifest.deltas.iter().filter(|delta| u64::from(delta.bytes) == bytes) {
        named = true;
        if delta.base == ImageId::NONE {
            return Ok((*delta, None));
        }
        let held = [Slot::A, Slot::B].into_iter().find(|slot| record.held(*slot).image == delta.base);
        if held.is_some() {
            return Ok((*delta, held));
        }
        if *golden.get_or_insert_with(|| id_of(slots, Slot::Golden)) == Some(delta.base) {
            return Ok((*delta, Some(Slot::Golden)));
        }
    }
    Err(if named {
        "no delta begins with an image that is here".to_owned()
    } else {
        "its delta isn't one that the manifest names".to_owned()
    })
}

/// The id of the image in a slot; none if it can't be read.
fn id_of(slots: &Slots, slot: Slot) -> Option<ImageId> {
    let file = slots.disk().open(&slots.image(slot)).ok()?;
    digest(&Rest { file: file.as_ref(), from: 0 }, "reading an image", &mut |_| Ok(())).ok()
}
