//! Power cuts at every operation of store and spool.
//!
//! A day on board is played on a simulated disk ([`crate::faults`]): frames come in, are sent, put aside, dropped.
//! Before every operation that changes anything the disk is looked at as a cut would leave it, several times with
//! other dice; a daemon is started on what is left and has to find everything that was promised:
//!
//! - no frame is lost: it lies in the spool, whole, or all its bundles are in the store, whole;
//! - nothing accepted is taken back, and nothing half-made is visible;
//! - an alert that was sent is known, and its frame has no second one;
//! - no symbol id that was sent is free to be sent again as new;
//! - what is left in the spool is taken, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use passband_proto::bundle::{Geometry, Head, Opener, SealOptions};
use passband_proto::datagram::Datagram;
use passband_proto::dict::EventCode;
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::keys::EpochKey;
use passband_proto::transfer::{Burst, Offer, Sender, SenderConfig};
use passband_spectral::cube::Cube;
use passband_spectral::envi::{DataType, Header};
use passband_spectral::target::Target;
use passband_spectral::triage::{NoMaps, Params};

use super::adopt::{Begin, adopt};
use super::intake::{AnyData, Examine, Follow, Intake, IntakeError, Sealer, Step, Taken};
use super::recover::recover;
use crate::adapters::catalogue::open_catalogue;
use crate::adapters::disk::{Disk, write_file};
use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::camera::FrameFiles;
use crate::faults::SimDisk;
use crate::faults::blocks::StoredBlocks;
use crate::products::{Kind, Rules};
use crate::store::{AlertRecord, BundleRecord, Catalogue, FrameId, StoreError};
use crate::telemetry::Report;
use crate::triage::tests::with_plume;
use crate::triage::{self, Products};

/// Cuts of a run, about; `PASSBAND_CUTS` sets another number.
const CUTS: u64 = 3_000;
const STATE: &str = "/state";
const SPOOL: &str = "/spool";
const SEAL: SealOptions = SealOptions { symbol_bytes: 64, segment_symbols: 40, digests_are_fresh: false };

/// Says what a frame is worth by its name; all else is the detector's.
struct ByName(Target);

impl Examine for ByName {
    fn examine(&self, name: &str, cube: Cube<AnyData<'_>>) -> Result<Products, IntakeError> {
        let mut products = triage::examine(name, &cube, &self.0, &Params::default(), &mut NoMaps).unwrap();
        if name.starts_with("alert") {
            products.class = Class::Alert;
            products.triage.report.detections = with_plume().detections;
        }
        Ok(products)
    }
}

/// What was promised so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Promises {
    /// Frames whose files are safe in the spool, or were: header and data.
    pub(super) frames: BTreeMap<String, (Vec<u8>, Vec<u8>)>,
    pub(super) accepted: BTreeSet<String>,
    /// Whether the catalogue may have been made anew: frames aren't known by it, but their bundles are, or they lie in
    /// the spool still.
    pub(super) may_adopt: bool,
    refused: BTreeSet<String>,
    /// Bundles that were dropped, and of which frame.
    dropped: BTreeMap<BundleId, String>,
    /// Alerts that were sent.
    pub(super) alerts: BTreeMap<u32, Vec<u8>>,
    /// For each block, ids below this were sent.
    sent: BTreeMap<(BundleId, u32), u32>,
}

/// A daemon's store and spool on a disk.
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) spool: Spool,
    pub(super) vault: Vault,
    pub(super) catalogue: Catalogue,
    pub(super) key: EpochKey,
}

/// Sends alerts: what was sent is promised.
pub(super) struct Radio<'a>(pub(super) &'a Mutex<Promises>);

impl Follow for Radio<'_> {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn alert(&mut self, alert: AlertRecord) {
        let mut promises = self.0.lock().unwrap();
        let before = promises.alerts.insert(alert.number, alert.sealed.clone());
        assert!(before.is_none_or(|sealed| sealed == alert.sealed), "number {} twice", alert.number);
    }

    fn make_room(&mut self, _bytes: u64, _class: Class) -> Result<(), IntakeError> {
        Ok(())
    }
}

impl World {
    /// A start of the daemon.
    pub(super) fn open(disk: &SimDisk) -> Result<Self, StoreError> {
        Self::open_by(disk, Arc::new(disk.clone()))
    }

    /// A start of the daemon, which has the disk by way of another.
    pub(super) fn open_by(disk: &SimDisk, shared: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let state = Path::new(STATE);
        let opened = open_catalogue(shared.as_ref(), state)?;
        let (catalogue, key) = (opened.catalogue, EpochKey::new(1, 1, [8; 32]));
        let vault = Vault::open(Arc::clone(&shared), state)?;
        let spool = Spool::open(shared, Path::new(SPOOL), &state.join("rejected"), 1 << 20).unwrap();
        catalogue.count_boot()?;
        let mut keys = KeyRing::default();
        keys.insert(key.clone());
        let kept = adopt(&catalogue, &vault, &keys, 77, Begin { esi: 1 << 20, session: 0 })?;
        recover(&catalogue, &vault, &spool, 77, kept)?;
        Ok(Self { disk: disk.clone(), spool, vault, catalogue, key })
    }

    pub(super) fn put(&self, name: &str, lines: usize, promises: &Mutex<Promises>) {
        let mut header = Header::new(10, lines, 4, DataType::U16);
        header.wavelengths_nm = Some(vec![450.0, 550.0, 650.0, 850.0]);
        header.description = Some(name.to_owned());
        let header = header.to_text().into_bytes();
        let data: Vec<u8> =
            (0..lines * 80).map(|i| u8::try_from((i * 31 + name.len()) % 256).unwrap()).collect();
        let at = |ending: &str| Path::new(SPOOL).join(format!("{name}.{ending}"));
        write_file(&self.disk, &at("bil"), &data).unwrap();
        write_file(&self.disk, &at("hdr"), &header).unwrap();
        promises.lock().unwrap().frames.insert(name.to_owned(), (header, data));
    }

    fn take(&self, name: &str, promises: &Mutex<Promises>) -> Result<Taken, IntakeError> {
        self.take_for(name, &mut Radio(promises))
    }

    pub(super) fn take_for(&self, name: &str, follow: &mut dyn Follow) -> Result<Taken, IntakeError> {
        let files =
            FrameFiles { name: name.into(), header: format!("{name}.hdr"), data: format!("{name}.bil") };
        let intake = Intake {
            spool: &self.spool,
            catalogue: &self.catalogue,
            sealer: Sealer {
                vault: &self.vault,
                key: &self.key,
                options: SEAL,
                threads: 1,
                stop: &AtomicBool::new(false),
            },
            rules: &Rules { strip_bytes: 2_000, ..Rules::default() },
            examiner: &ByName(Target::ch4()),
        };
        intake.take(files, 1_000, follow)
    }

    fn accept(&self, name: &str, promises: &Mutex<Promises>) -> Vec<BundleRecord> {
        let Ok(Taken::Accepted { bundles, .. }) = self.take(name, promises) else { panic!("{name}") };
        promises.lock().unwrap().accepted.insert(name.to_owned());
        bundles
    }

    /// Sends for a while, in small bursts.
    fn send(&self, bursts: usize, promises: &Mutex<Promises>) {
        let mut keys = KeyRing::default();
        keys.insert(self.key.clone());
        let config = SenderConfig { reserve_symbols: 12, ..SenderConfig::default() };
        let mut sender = Sender::new(&config, keys);
        let mut blocks =
            StoredBlocks { vault: &self.vault, catalogue: &self.catalogue, geometries: BTreeMap::new() };
        for record in self.catalogue.bundles().unwrap() {
            let marks = self.catalogue.marks(&record.id).unwrap();
            blocks.geometries.insert(record.id, record.geometry);
            let rank = record.created_unix_ms;
            let BundleRecord { id, spacecraft, epoch, class, geometry, .. } = record;
            sender.offer(&Offer { id, spacecraft, epoch, class, rank, geometry, marks }).unwrap();
        }
        let mut burst = Burst::of_at_most(8);
        for _ in 0..bursts {
            sender.poll_transmit(&mut blocks, &mut burst).unwrap();
            let mut promises = promises.lock().unwrap();
            for bytes in burst.datagrams() {
                let header = *Datagram::parse(bytes).unwrap().header();
                let next = promises.sent.entry((header.bundle, header.block)).or_default();
                assert!(header.esi >= *next, "an id twice");
                *next = header.esi + 1;
            }
        }
    }

    /// Opens a bundle: its head and its content.
    fn unseal(&self, record: &BundleRecord) -> (Head, Vec<u8>) {
        let Geometry { block_count, .. } = record.geometry;
        let file = self.vault.read(&record.id).unwrap();
        let opener = Opener::new(&self.key, &record.id, block_count);
        let read = |i| {
            let mut block = vec![0; record.geometry.block_bytes(i).unwrap() as usize];
            self.vault.read_block(&record.id, file.as_ref(), &record.geometry, (i, 0), &mut block).unwrap();
            block
        };
        let mut head = opener.open_head(read(0)).expect("its head is whole");
        let mut content = head.content.take().unwrap_or_default();
        for i in 1..block_count {
            let mut part = read(i);
            opener.open(i, &mut part).expect("each block is whole");
            content.extend_from_slice(&part);
        }
        (head, content)
    }

    pub(super) fn names_in(&self, folder: &str) -> BTreeSet<String> {
        let folder = Path::new(folder);
        let files = self.disk.files();
        let inside = files.keys().filter(|path| path.parent() == Some(folder));
        inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// Looks whether all that was promised is there.
    pub(super) fn check(&self, promises: &Promises) {
        let bundles = self.catalogue.bundles().unwrap();
        let files: BTreeSet<String> = bundles.iter().map(|b| format!("{}.pbb", b.id)).collect();
        assert_eq!(self.names_in("/state/bundles"), files, "what is there is known, and the other way round");
        assert!(self.names_in("/state/bundles/tmp").is_empty());
        for (name, (header, data)) in &promises.frames {
            let kept = self.disk.files();
            let at = |ending: &str| kept.get(&Path::new(SPOOL).join(format!("{name}.{ending}")));
            let spooled = at("hdr") == Some(header) && at("bil") == Some(data);
            if promises.refused.contains(name) {
                continue;
            }
            let id = FrameId::of(&digest(header), &digest(data));
            let known = self.catalogue.frame(&id).unwrap().is_some();
            let adopted = promises.may_adopt && bundles.iter().any(|b| b.frame == Some(id));
            assert!(known || adopted || spooled, "frame {name} is lost");
            let taken_back = !known && promises.accepted.contains(name);
            assert!(promises.may_adopt || !taken_back, "frame {name} was accepted");
            if known || !spooled {
                self.check_frame(name, id, data, &bundles, &promises.dropped);
            }
        }
        for ((id, block), next) in &promises.sent {
            let Some(_) = bundles.iter().find(|b| b.id == *id) else { continue };
            let marks = self.catalogue.marks(id).unwrap();
            let mark = marks.iter().find(|mark| mark.block == *block);
            assert!(mark.is_some_and(|mark| mark.esi >= *next), "ids below {next} were sent: {mark:?}");
        }
        let alerts = self.catalogue.alerts().unwrap();
        for (number, sealed) in &promises.alerts {
            let kept = alerts.iter().find(|alert| alert.number == *number);
            assert!(kept.is_some_and(|alert| alert.sealed == *sealed), "alert {number} was sent");
        }
        for (nth, alert) in alerts.iter().enumerate() {
            let same = |other: &AlertRecord| other.frame_name == alert.frame_name;
            assert!(!alerts[nth + 1..].iter().any(same), "a second alert of {}", alert.frame_name);
        }
        let events = self.catalogue.events(None, 1_000).unwrap();
        assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "events without gaps");
    }

    /// All bundles of a frame that weren't dropped are there and whole.
    fn check_frame(
        &self,
        name: &str,
        id: FrameId,
        data: &[u8],
        all: &[BundleRecord],
        dropped: &BTreeMap<BundleId, String>,
    ) {
        let (mut strips, mut of, mut others) = (BTreeMap::new(), 0, 0);
        for record in all.iter().filter(|b| b.frame == Some(id)) {
            assert_eq!(record.frame_name, name);
            let (head, content) = self.unseal(record);
            if record.kind != Kind::Cube {
                others += 1;
                continue;
            }
            let part = head.manifest.labels.iter().find(|(key, _)| key == "part").unwrap().1.clone();
            let (part, parts) = part.split_once('/').unwrap();
            of = parts.parse().unwrap();
            let data_bytes = usize::try_from(head.manifest.files.last().unwrap().bytes).unwrap();
            strips.insert(part.parse::<usize>().unwrap(), content[content.len() - data_bytes..].to_vec());
        }
        let lost = dropped.values().filter(|frame| *frame == name).count();
        assert!(of > 1 && others >= 1, "frame {name}: {of} strips, {others} others");
        if lost == 0 {
            let whole: Vec<u8> = strips.into_values().flatten().collect();
            assert!(whole == data, "frame {name}: not what it was");
        } else {
            assert!(strips.len() + lost >= of, "frame {name}: {} of {of} strips", strips.len());
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// A day on board.
fn day(world: &World, promises: &Mutex<Promises>) {
    world.put("routine one", 40, promises);
    world.accept("routine one", promises);
    world.put("alert two", 60, promises);
    world.send(6, promises);
    world.accept("alert two", promises);
    world.put("odd", 3, promises);
    promises.lock().unwrap().refused.insert("odd".into());
    world.spool.reject("odd", &["odd.bil".into(), "odd.hdr".into()], "odd").unwrap();
    world.send(10, promises);
    let strip = world.catalogue.bundles().unwrap().into_iter().find(|b| b.kind == Kind::Cube).unwrap();
    let gone = strip.id;
    promises.lock().unwrap().dropped.insert(gone, strip.frame_name);
    world.catalogue.drop_bundle(&gone, 5, &Report::warning(EventCode::BundleDropped, "for room")).unwrap();
    world.vault.remove(&gone).unwrap();
    world.put("routine three", 30, promises);
    world.accept("routine three", promises);
    world.send(6, promises);
}

/// Starts a daemon on what a cut left, and looks; then lets it go on.
pub(super) fn look_after(cut: &SimDisk, promises: &Promises) {
    let world = World::open(cut).expect("the daemon starts");
    world.check(promises);
    let promises = Mutex::new(promises.clone());
    let frames: Vec<String> = promises.lock().unwrap().frames.keys().cloned().collect();
    for name in frames {
        let left = world.names_in(SPOOL);
        if left.contains(&format!("{name}.hdr")) && left.contains(&format!("{name}.bil")) {
            world.accept(&name, &promises);
        }
    }
    world.check(&promises.into_inner().unwrap());
}

/// A disk with the folders that a mission makes.
pub(super) fn formatted() -> SimDisk {
    let disk = SimDisk::default();
    for folder in [STATE, SPOOL] {
        disk.make_folder(Path::new(folder)).unwrap();
    }
    disk.sync_folder(Path::new("/")).unwrap();
    disk
}

#[test]
fn a_power_cut_at_any_operation_loses_and_doubles_nothing() {
    let cuts = std::env::var("PASSBAND_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(CUTS);
    let disk = formatted();
    let rehearsal = disk.after_cut(0);
    day(&World::open(&rehearsal).unwrap(), &Mutex::default());
    // Ids are random, and so the number of operations is another by a few each time.
    let each = cuts.div_ceil(rehearsal.operations().saturating_sub(20));
    let promises = Arc::new(Mutex::new(Promises::default()));
    let watched = Arc::clone(&promises);
    let mut seed = 1;
    let done = Arc::new(Mutex::new(0_u64));
    let count = Arc::clone(&done);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    disk.watch(move |disk| {
        let promises = watched.lock().unwrap().clone();
        let (promises, count) = (&promises, &count);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let seeds = (seed + thread..seed + each).step_by(usize::try_from(threads).unwrap());
                scope.spawn(move || {
                    for seed in seeds {
                        look_after(&disk.after_cut(seed), promises);
                        *count.lock().unwrap() += 1;
                    }
                });
            }
        });
        seed += each;
    });
    day(&World::open(&disk).unwrap(), &promises);
    disk.unwatch();
    println!("{} cuts at {} operations", done.lock().unwrap(), disk.operations());
    assert!(*done.lock().unwrap() >= cuts);
}
