use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use passband_proto::dict::EventCode;
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_spectral::envi::Interleave;

use super::*;
use crate::config::Config;
use crate::daemon::mend::tests::World;
use crate::daemon::notes::make_notes;
use crate::faults::{Faults, SimDisk};
use crate::products::Kind;
use crate::queue::item_of;
use crate::store::Damage;

/// A scrub over the bundles of one frame, all of them in the queue.
struct Room {
    disk: SimDisk,
    scrub: Scrub,
    memory: Memory,
    changes: Receiver<QueueChange>,
    _folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let World { disk, vault, catalogue, keys, rules, .. } = World::new(Interleave::Bil, 0, 3_000);
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::parse("spacecraft = 1", &folder.path().join("c.toml")).unwrap();
        config.products = rules;
        let mut shared = Shared::for_tests(config, folder.path());
        (shared.vault, shared.catalogue) = (vault, catalogue);
        shared.set_keys(keys);
        let (queue, changes) = channel();
        let scrub = Scrub { shared: Arc::new(shared), target: Target::ch4(), queue };
        let room = Self { disk, scrub, memory: Memory::default(), changes, _folder: folder };
        for record in room.records() {
            let inserted = room.scrub.shared.queue(|queue| queue.insert(&item_of(&record, queue.settings())));
            assert!(inserted.unwrap().changed);
        }
        room
    }

    fn records(&self) -> Vec<BundleRecord> {
        self.scrub.shared.catalogue.bundles().unwrap()
    }

    fn of(&self, kind: Kind) -> BundleRecord {
        self.records().into_iter().find(|record| record.kind == kind).unwrap()
    }

    /// Looks at all once.
    fn round(&mut self) {
        for record in self.records() {
            assert!(self.scrub.look_at(&mut self.memory, &record, u64::MAX));
        }
    }

    /// What a restart forgets.
    fn restart(&mut self) {
        self.memory = Memory::default();
    }

    fn state(&self, record: &BundleRecord) -> Option<State> {
        self.scrub.shared.queue(|queue| queue.get(&record.id)).map(|view| view.state)
    }

    fn damage(&self, record: &BundleRecord) -> Option<Damage> {
        self.scrub.shared.catalogue.damage(&record.id).unwrap()
    }

    fn events(&self, code: &str) -> Vec<String> {
        let events = self.scrub.shared.catalogue.events(None, 1_000).unwrap();
        events.into_iter().filter(|event| event.code == code).map(|event| event.text).collect()
    }

    fn flip(&self, record: &BundleRecord, byte: u64) {
        self.disk.damage(&path(record), byte, 3).unwrap();
    }

    /// Reads of a bundle's file give an error or other bytes, while `what` says so; it is told how many there were.
    fn disturb(
        &self,
        record: &BundleRecord,
        mut what: impl FnMut(u64, &mut [u8]) -> io::Result<()> + Send + 'static,
    ) {
        let (at, mut reads) = (path(record), 0);
        self.disk.watch_reads(move |path, _, out| {
            if path != at {
                return Ok(());
            }
            reads += 1;
            what(reads, out)
        });
    }
}

fn path(record: &BundleRecord) -> PathBuf {
    Path::new("/state/bundles").join(format!("{}.pbb", record.id))
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[test]
fn a_first_look_takes_the_digest_of_what_is_whole_and_finds_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse("", &dir.path().join("c.toml")).unwrap();
    let shared = Arc::new(Shared::for_tests(config, dir.path()));
    let key = EpochKey::new(1, 1, [8; 32]);
    let mut keys = KeyRing::default();
    keys.insert(key.clone());
    shared.set_keys(keys);
    let mut made = Vec::new();
    make_notes(&shared, &key, &mut |note| made.push(note)).unwrap();
    let adopted = made.iter().map(|record| BundleRecord { sha256: None, ..record.clone() });
    let adopted: Vec<_> = adopted.collect();
    shared.catalogue.add_adopted(&adopted, 9, 5, &Report::info(EventCode::Other, "x")).unwrap();
    let path = dir.path().join(format!("bundles/{}.pbb", made[1].id));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (queue, _changes) = channel();
    let scrub = Scrub { shared: Arc::clone(&shared), target: Target::ch4(), queue };
    let mut memory = Memory::default();
    for record in &adopted {
        assert!(shared.queue(|queue| queue.insert(&item_of(record, queue.settings()))).unwrap().changed);
        assert!(scrub.look_at(&mut memory, record, u64::MAX));
    }
    let mut kept = vec![made[0].clone(), adopted[1].clone()];
    kept.sort_by_key(|record| record.id);
    assert_eq!(
        shared.catalogue.bundles().unwrap(),
        kept,
        "the digest of the one is known, the other damaged"
    );
    assert_eq!(shared.catalogue.events(None, 1).unwrap()[0].code, "bundle-damaged");
}

#[test]
fn a_bit_that_flips_in_memory_costs_no_bundle() {
    let mut room = Room::new();
    let strip = room.of(Kind::Cube);
    room.disturb(&strip, |reads, out| {
        out[40] ^= u8::from(reads == 1) << 4;
        Ok(())
    });
    let before = room.records();
    room.round();
    room.round();
    assert_eq!((room.records(), room.state(&strip)), (before, Some(State::Waiting)));
    assert_eq!((room.events("bundle-misread").len(), room.damage(&strip)), (1, None));
    assert!(room.disk.files().contains_key(&path(&strip)) && room.changes.try_recv().is_err());
}

#[test]
fn a_wrong_digest_of_what_is_whole_is_corrected() {
    let mut room = Room::new();
    let strip = room.of(Kind::Cube);
    room.scrub.shared.catalogue.set_digest(&strip.id, [7; 32]).unwrap();
    room.round();
    assert_eq!((room.of(Kind::Cube), room.state(&strip)), (strip, Some(State::Waiting)));
    room.round();
    assert_eq!(room.events("bundle-digest-corrected").len(), 1);
}

#[test]
fn a_digest_that_only_one_reading_gave_is_not_kept() {
    let mut room = Room::new();
    let strip = room.of(Kind::Cube);
    let unknown = BundleRecord { sha256: None, ..strip.clone() };
    let catalogue = &room.scrub.shared.catalogue;
    catalogue
        .add_adopted(std::slice::from_ref(&unknown), 0, 5, &Report::info(EventCode::Other, "x"))
        .unwrap();
    // The file's header, its blocks, and then the second reading.
    let second = u64::from(strip.geometry.block_count) + 2;
    room.disturb(&strip, move |reads, out| {
        out[9] ^= u8::from(reads == second);
        Ok(())
    });
    room.round();
    assert_eq!((room.of(Kind::Cube).sha256, room.state(&strip)), (None, Some(State::Waiting)));
    assert_eq!(room.events("bundle-undecided").len(), 1);
    room.round();
    assert_eq!(room.of(Kind::Cube), strip);
}

#[test]
fn what_has_no_source_is_kept_as_damaged_and_told_of_once() {
    let mut room = Room::new();
    let strip = room.of(Kind::Cube);
    assert!(strip.geometry.block_count > 1);
    room.flip(&strip, strip.bytes() - 1);
    for _ in 0..2 {
        room.round();
        room.restart();
        assert!(room.records().contains(&strip) && room.disk.files().contains_key(&path(&strip)));
        assert_eq!(room.state(&strip), Some(State::Damaged));
    }
    let told = room.events("bundle-damaged");
    let blocks = strip.geometry.block_count;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains(&format!("{} of {blocks} blocks still open", blocks - 1)), "{told:?}");
    assert!(matches!(room.changes.try_recv(), Ok(QueueChange::Withdraw(id)) if id == strip.id));
    let shared = &room.scrub.shared;
    let victims = shared.queue(|queue| queue.victims(1, 1 << 20, 1 << 20, passband_proto::ids::Class::Alert));
    assert_eq!(victims.unwrap()[0], strip.id, "it is the first to go when room is needed");
    let standings = shared.catalogue.standings().unwrap();
    assert!(standings.iter().any(|(id, kept)| *id == strip.id && kept.standing.state == State::Damaged));
    assert_eq!(shared.counters().bundles_damaged, 1);
}

#[test]
fn what_the_ground_has_is_not_made_anew() {
    let mut room = Room::new();
    let quicklook = room.of(Kind::Quicklook);
    assert!(room.scrub.shared.queue(|queue| queue.known(&quicklook.id)).unwrap().changed);
    room.flip(&quicklook, 100);
    room.round();
    let told = room.events("bundle-damaged");
    assert!(told.len() == 1 && told[0].ends_with("the ground has it whole"), "{told:?}");
    assert_eq!(room.state(&quicklook), Some(State::Damaged));
}

#[test]
fn mending_that_fails_for_now_is_tried_again_also_after_a_restart() {
    for is_full in [true, false] {
        let mut room = Room::new();
        let (quicklook, strip) = (room.of(Kind::Quicklook), room.of(Kind::Cube));
        room.flip(&quicklook, 100);
        if is_full {
            // There is no room for another bundle, but for what the catalogue needs.
            room.disk.watch(|disk| {
                let seals = disk.files().keys().any(|path| path.starts_with("/state/bundles/tmp"));
                disk.set_faults(Faults { capacity_bytes: seals.then_some(0), ..Faults::default() });
            });
        } else {
            // A passing error while the frame is read.
            room.disturb(&strip, |_, _| Err(eio()));
        }
        assert!(room.scrub.look_at(&mut room.memory, &quicklook, u64::MAX));
        assert_eq!(room.state(&quicklook), Some(State::Damaged));
        assert_eq!((room.events("bundle-unmended").len(), room.events("bundle-damaged").len()), (1, 0));
        let damage = room.damage(&quicklook).unwrap();
        assert!(!damage.given_up && damage.unended == 0, "{damage:?}");
        room.disk.unwatch();
        room.disk.unwatch_reads();
        room.disk.set_faults(Faults::default());
        room.round();
        assert_eq!(room.state(&quicklook), Some(State::Damaged), "not at once");
        if is_full {
            room.restart();
        } else {
            room.memory.waits.get_mut(&quicklook.id).unwrap().until_ms = 0;
        }
        room.round();
        assert_eq!(room.events("bundle-resealed").len(), 1);
        let new = room.of(Kind::Quicklook);
        assert!(new.id != quicklook.id && room.state(&new) == Some(State::Waiting));
        assert_eq!((room.state(&quicklook), room.damage(&quicklook)), (None, None));
        assert!(!room.disk.files().contains_key(&path(&quicklook)));
    }
}

#[test]
fn waits_grow_and_mending_that_ends_the_daemon_is_given_up() {
    let wait_s = |failed| Wait::after(failed, 5_000).until_ms / 1_000 - 5;
    assert_eq!([0, 1, 2, 3, 99].map(wait_s), [0, 60, 120, 240, 256 * 60]);
    let mut room = Room::new();
    let (quicklook, strip) = (room.of(Kind::Quicklook), room.of(Kind::Cube));
    room.flip(&quicklook, 100);
    let (sender, seen) = channel();
    let (shared, id) = (Arc::clone(&room.scrub.shared), quicklook.id);
    room.disturb(&strip, move |_, _| {
        sender.send(shared.catalogue.damage(&id).unwrap().unwrap().unended).unwrap();
        Err(eio())
    });
    assert!(room.scrub.look_at(&mut room.memory, &quicklook, u64::MAX));
    assert_eq!((seen.recv().unwrap(), room.damage(&quicklook).unwrap().unended), (1, 0), "counted before it");
    room.disk.unwatch_reads();
    for (unended, given_up) in [(1, false), (4, true)] {
        let damage = Damage { open_blocks: 0, unended, given_up: false };
        room.scrub.shared.catalogue.set_damage(&quicklook.id, &damage, 5, None).unwrap();
        room.restart();
        room.round();
        assert_eq!(room.damage(&quicklook), Some(damage), "not right after a start");
        room.memory.waits.get_mut(&quicklook.id).unwrap().until_ms = 0;
        if given_up {
            room.round();
            assert!(room.damage(&quicklook).unwrap().given_up && room.records().contains(&quicklook));
        }
    }
    room.restart();
    room.round();
    assert_eq!((room.events("bundle-damaged").len(), room.events("bundle-resealed").len()), (1, 0));
}

#[test]
fn what_the_medium_refuses_in_three_rounds_is_damaged() {
    let mut room = Room::new();
    let (quicklook, strip) = (room.of(Kind::Quicklook), room.of(Kind::Cube));
    let at = [path(&quicklook), path(&strip)];
    let last = strip.bytes() - 1;
    room.disk.watch_reads(move |path, offset, out| {
        let reaches_last = (offset..offset + out.len() as u64).contains(&last);
        if path == at[0] || path == at[1] && reaches_last { Err(eio()) } else { Ok(()) }
    });
    for _ in 0..2 {
        room.round();
        assert_eq!([&quicklook, &strip].map(|record| room.state(record)), [Some(State::Waiting); 2]);
    }
    room.round();
    assert_eq!([&quicklook, &strip].map(|record| room.state(record)), [Some(State::Damaged); 2]);
    let told = room.events("bundle-damaged");
    let of_strip = told.iter().find(|text| text.contains(&strip.name)).unwrap();
    let blocks = strip.geometry.block_count;
    assert!(of_strip.contains(&format!("{} of {blocks} blocks", blocks - 1)), "{told:?}");
}

#[test]
fn a_disk_that_gives_nothing_back_damages_nothing() {
    let mut room = Room::new();
    room.disk.watch_reads(|_, _, _| Err(eio()));
    (0..5).for_each(|_| room.round());
    room.disk.unwatch_reads();
    room.round();
    assert!(room.records().iter().all(|record| room.state(record) == Some(State::Waiting)));
    assert!(!room.events("store-error").is_empty() && room.events("bundle-damaged").is_empty());
}
