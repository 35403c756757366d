//! Frames on a disk that is slow, full, or fails to sync, seen as the daemon sees it: through
//! [`WatchedDisk`] and its [`Health`].
//!
//! Each fault has its mode and its event, frames that can't be stored stay in the spool, whole, and nothing counts as
//! stored that a power cut could still take.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use passband_proto::ids::Class;

use super::cuts::{Promises, Radio, World, formatted, look_after};
use super::intake::{Follow, IntakeError, Step, Taken};
use crate::adapters::disk::WatchedDisk;
use crate::faults::{Faults, SimDisk};
use crate::store::AlertRecord;
use crate::store::health::{Health, Mode};

/// A sync may take so long, ms.
const SLOW_SYNC_MS: u64 = 1_000;

/// A daemon's store on a watched disk.
struct Watched {
    disk: SimDisk,
    health: Arc<Mutex<Health>>,
    /// Time that passes besides that of the disk, ms.
    idle_ms: Arc<AtomicU64>,
    world: World,
    promises: Mutex<Promises>,
}

/// Makes room only where the disk's health allows it, as the daemon does.
struct Careful<'a>(&'a Watched);

impl Follow for Careful<'_> {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn alert(&mut self, alert: AlertRecord) {
        Radio(&self.0.promises).alert(alert);
    }

    fn make_room(&mut self, _bytes: u64, class: Class) -> Result<(), IntakeError> {
        let health = self.0.health.lock().unwrap();
        if health.may_store(self.0.now_ms(), class == Class::Alert) {
            Ok(())
        } else {
            Err(IntakeError::NoRoom(format!("the disk is {}", health.mode())))
        }
    }
}

impl Watched {
    fn new() -> Self {
        let (disk, idle_ms) = (formatted(), Arc::new(AtomicU64::new(0)));
        let health = Arc::new(Mutex::new(Health::new(SLOW_SYNC_MS)));
        let (waited, idle) = (disk.clone(), Arc::clone(&idle_ms));
        let now_ms = Arc::new(move || waited.waited_ms() + idle.load(Ordering::Relaxed));
        let shared = WatchedDisk::new(Arc::new(disk.clone()), Arc::clone(&health), now_ms);
        let world = World::open_by(&disk, Arc::new(shared)).unwrap();
        Self { disk, health, idle_ms, world, promises: Mutex::default() }
    }

    fn now_ms(&self) -> u64 {
        self.disk.waited_ms() + self.idle_ms.load(Ordering::Relaxed)
    }

    fn take(&self, name: &str) -> Result<Taken, IntakeError> {
        let taken = self.world.take_for(name, &mut Careful(self));
        if matches!(taken, Ok(Taken::Accepted { .. })) {
            self.promises.lock().unwrap().accepted.insert(name.to_owned());
        }
        taken
    }

    /// How the disk does, and what was told of it since the last look.
    fn mode(&self) -> (Mode, Vec<&'static str>) {
        let mut health = self.health.lock().unwrap();
        let news = health.take_news().into_iter().map(|report| report.code.name()).collect();
        (health.mode(), news)
    }

    /// Nothing of a frame is in the store, and it lies in the spool, whole.
    fn check_waits(&self, name: &str) {
        let spool = self.world.names_in("/spool");
        assert!(["bil", "hdr"].iter().all(|ending| spool.contains(&format!("{name}.{ending}"))), "{spool:?}");
        assert!(self.world.names_in("/state/bundles/tmp").is_empty());
        self.world.check(&self.promises.lock().unwrap());
    }

    /// Whatever a power cut leaves now keeps all promises.
    fn check_cuts(&self, cuts: u64) {
        let promises = self.promises.lock().unwrap();
        (0..cuts).for_each(|seed| look_after(&self.disk.after_cut(seed), &promises));
    }
}

#[test]
fn on_a_slow_disk_only_urgent_frames_are_stored_until_it_is_quick_again() {
    let watched = Watched::new();
    for name in ["routine one", "alert two"] {
        watched.world.put(name, 30, &watched.promises);
    }
    watched.disk.set_faults(Faults { sync_ms: 3 * SLOW_SYNC_MS, ..Faults::default() });
    (0..5).for_each(|_| assert!(watched.world.catalogue.count_boot().is_ok()));
    assert_eq!(watched.mode(), (Mode::Slow, vec!["disk-slow"]));
    let taken = watched.take("routine one");
    assert!(matches!(&taken, Err(IntakeError::NoRoom(why)) if why == "the disk is slow"), "{taken:?}");
    watched.check_waits("routine one");
    assert!(matches!(watched.take("alert two"), Ok(Taken::Accepted { .. })));
    watched.disk.set_faults(Faults::default());
    (0..5).for_each(|_| assert!(watched.world.catalogue.count_boot().is_ok()));
    assert_eq!(watched.mode(), (Mode::Good, vec!["disk-good"]));
    assert!(matches!(watched.take("routine one"), Ok(Taken::Accepted { .. })));
    watched.check_cuts(20);
}

#[test]
fn on_a_full_disk_a_frame_stays_in_the_spool_and_is_taken_when_there_is_room() {
    let watched = Watched::new();
    watched.world.put("routine one", 30, &watched.promises);
    let used: u64 = watched.disk.files().values().map(|bytes| bytes.len() as u64).sum();
    // Room for its first bundle, but not for all.
    watched.disk.set_faults(Faults { capacity_bytes: Some(used + 2_500), ..Faults::default() });
    let taken = watched.take("routine one");
    assert!(matches!(&taken, Err(IntakeError::Later(_))), "{taken:?}");
    assert_eq!(watched.mode(), (Mode::Full, vec!["disk-full"]));
    watched.check_waits("routine one");
    watched.world.catalogue.count_boot().unwrap();
    assert_eq!(watched.mode().0, Mode::Full, "the catalogue has space of its own");
    watched.disk.set_faults(Faults::default());
    assert!(matches!(watched.take("routine one"), Ok(Taken::Accepted { .. })));
    assert_eq!(watched.mode(), (Mode::Good, vec!["disk-good"]));
    watched.check_cuts(20);
}

#[test]
fn while_syncs_fail_nothing_is_stored_and_it_is_tried_again_now_and_then() {
    let watched = Watched::new();
    watched.world.put("routine one", 30, &watched.promises);
    watched.disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let taken = watched.take("routine one");
    assert!(matches!(&taken, Err(IntakeError::Later(_))), "{taken:?}");
    assert_eq!(watched.mode(), (Mode::Failing, vec!["disk-failing"]));
    watched.check_waits("routine one");
    watched.disk.set_faults(Faults::default());
    assert!(matches!(watched.take("routine one"), Err(IntakeError::NoRoom(_))), "not at once");
    watched.idle_ms.store(20_000, Ordering::Relaxed);
    assert!(matches!(watched.take("routine one"), Ok(Taken::Accepted { .. })));
    assert_eq!(watched.mode(), (Mode::Good, vec!["disk-good"]));
    watched.check_cuts(20);
}

/// Syncs fail from the `n`th operation of taking a frame on, or one sync does: whatever the daemon says then, a power
/// cut leaves the frame in the spool or in the store, and what it called accepted in the store.
#[test]
fn a_sync_that_fails_at_any_operation_publishes_nothing_that_is_not_durable() {
    let mut accepted = 0;
    let mut at = 0;
    loop {
        let mut reached = false;
        for once in [false, true] {
            let watched = Watched::new();
            watched.world.put("alert one", 30, &watched.promises);
            let first = watched.disk.operations() + at;
            watched.disk.watch(move |disk| {
                let now = disk.operations();
                let sync_fails = now == first || (now > first && !once);
                disk.set_faults(Faults { sync_fails, ..Faults::default() });
            });
            let taken = watched.take("alert one");
            watched.disk.unwatch();
            watched.disk.set_faults(Faults::default());
            reached |= watched.disk.operations() > first;
            accepted += u32::from(taken.is_ok());
            watched.check_cuts(4);
            start_again(watched);
        }
        if !reached {
            break;
        }
        at += 1;
    }
    assert!(at > 30 && accepted > 2, "{accepted} of {at}");
}

/// The daemon starts again without a power cut, takes what waits, and then power goes.
fn start_again(watched: Watched) {
    let Watched { disk, world, promises, .. } = watched;
    drop(world);
    let world = World::open_by(&disk, Arc::new(disk.clone())).unwrap();
    let waits = world.names_in("/spool").contains("alert one.hdr");
    if waits {
        world.take_for("alert one", &mut Radio(&promises)).unwrap();
    }
    assert!(!disk.files().contains_key(Path::new("/spool/alert one.hdr")));
    promises.lock().unwrap().accepted.insert("alert one".to_owned());
    drop(world);
    let mut promises = promises.into_inner().unwrap();
    // A sync that failed may have thrown pages of the catalogue away that were read again at this start. Then it is
    // found to be damaged, and made anew of what is sealed, which tells of no alert.
    promises.alerts.clear();
    promises.may_adopt = true;
    (0..2).for_each(|seed| look_after(&disk.after_cut(seed), &promises));
}
