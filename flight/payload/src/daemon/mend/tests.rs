use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use passband_proto::bundle::SealOptions;
use passband_proto::ids::Class;
use passband_proto::keys::EpochKey;
use passband_spectral::envi::{DataType, Header, Interleave};
use passband_spectral::target::Target;
use passband_spectral::triage::Params;

use super::*;
use crate::adapters::catalogue::open_catalogue;
use crate::adapters::disk::{Disk, write_file};
use crate::adapters::sealed::{Seals, check_seals};
use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::daemon::adopt::{Begin, adopt};
use crate::daemon::intake::{Detector, Follow, Intake, Step, Taken};
use crate::faults::SimDisk;
use crate::products::{Make, Rule};
use crate::store::AlertRecord;

struct Nobody;

impl Follow for Nobody {
    fn at(&mut self, _step: Step) -> Result<(), IntakeError> {
        Ok(())
    }

    fn alert(&mut self, _alert: AlertRecord) {}

    fn make_room(&mut self, _bytes: u64, _class: Class) -> Result<(), IntakeError> {
        Ok(())
    }
}

/// A store with the bundles of one frame of this layout, whose strips have at most `strip_bytes`.
struct World {
    disk: SimDisk,
    vault: Vault,
    catalogue: Catalogue,
    keys: KeyRing,
    rules: Rules,
    bundles: Vec<BundleRecord>,
    data: Vec<u8>,
}

impl World {
    fn new(interleave: Interleave, header_offset: u64, strip_bytes: u64) -> Self {
        let disk = SimDisk::default();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let state = Path::new("/state");
        disk.make_folder(state).unwrap();
        let vault = Vault::open(Arc::clone(&shared), state).unwrap();
        let catalogue = open_catalogue(&disk, state).unwrap().catalogue;
        let spool = Spool::open(shared, Path::new("/spool"), &state.join("rejected"), 1 << 20).unwrap();
        let mut header = Header::new(20, 30, 6, DataType::U16);
        header.wavelengths_nm = Some((0..6).map(|i| 450.0 + 160.0 * f64::from(i)).collect());
        (header.interleave, header.header_offset) = (interleave, header_offset);
        let data: Vec<u8> = (0..header.data_bytes()).map(|i| (i * 37 % 251) as u8).collect();
        write_file(&disk, Path::new("/spool/a.img"), &data).unwrap();
        write_file(&disk, Path::new("/spool/a.hdr"), header.to_text().as_bytes()).unwrap();
        let mut keys = KeyRing::default();
        keys.insert(EpochKey::new(1, 1, [8; 32]));
        let make = Make(Some(Class::Routine));
        let all = Rule { quicklook: make, evidence: make, region: make, cube: make };
        let rules = Rules { routine: all, discard_candidate: all, strip_bytes, ..Rules::default() };
        let mut world = Self { disk, vault, catalogue, keys, rules, bundles: vec![], data };
        let files = FrameFiles { name: "a".into(), header: "a.hdr".into(), data: "a.img".into() };
        let (target, params, stop) = (Target::ch4(), Params::default(), AtomicBool::new(false));
        let intake = Intake {
            spool: &spool,
            catalogue: &world.catalogue,
            sealer: world.sealer(&stop),
            rules: &world.rules,
            examiner: &Detector { target: &target, params: &params, calibration: None },
        };
        let Ok(Taken::Accepted { bundles, .. }) = intake.take(files, 9, &mut Nobody) else { panic!() };
        world.bundles = bundles;
        world
    }

    fn sealer<'a>(&'a self, stop: &'a AtomicBool) -> Sealer<'a> {
        let options = SealOptions { symbol_bytes: 64, segment_symbols: 30, ..SealOptions::default() };
        Sealer { vault: &self.vault, key: self.keys.newest(1).unwrap(), options, threads: 3, stop }
    }

    fn mend(&self, damaged: &BundleRecord) -> Mended {
        let (target, params, stop) = (Target::ch4(), Params::default(), AtomicBool::new(false));
        let mender = Mender {
            catalogue: &self.catalogue,
            sealer: self.sealer(&stop),
            keys: &self.keys,
            rules: &self.rules,
            examiner: &Detector { target: &target, params: &params, calibration: None },
        };
        mender.mend(damaged, 99).unwrap()
    }

    fn of(&self, kind: Kind) -> &BundleRecord {
        self.bundles.iter().find(|b| b.kind == kind).unwrap()
    }

    fn damage(&self, record: &BundleRecord, byte: u64) {
        let path = PathBuf::from(format!("/state/bundles/{}.pbb", record.id));
        self.disk.damage(&path, byte, 3).unwrap();
    }

    fn is_sound(&self, record: &BundleRecord) -> bool {
        self.vault
            .is_sound(&record.id, (record.bytes(), &record.sha256.unwrap()), &mut |_| true)
            .unwrap()
            .unwrap()
    }

    fn codes(&self) -> Vec<String> {
        self.catalogue.events(None, 100).unwrap().into_iter().map(|e| e.code).collect()
    }
}

#[test]
fn a_frame_is_read_back_byte_for_byte_from_what_is_sealed() {
    use passband_spectral::cube::ReadAt;
    for interleave in Interleave::ALL {
        for (offset, strip_bytes) in [(0, 1 << 20), (0, 1_000), (33, 1 << 20), (33, 900)] {
            let world = World::new(interleave, offset, strip_bytes);
            let cubes: Vec<_> = world.bundles.iter().filter(|b| b.kind == Kind::Cube).collect();
            assert_eq!(cubes.len() > 1, strip_bytes < 7_000, "{interleave:?} {offset} {strip_bytes}");
            let key = world.keys.newest(1).unwrap();
            let opened =
                cubes.iter().rev().map(|r| SealedBundle::open(&world.vault, key, r).unwrap()).collect();
            let frame = SealedFrame::new(opened).unwrap();
            let from = usize::try_from(offset).unwrap();
            assert_eq!((frame.size(), frame.header_name()), (world.data.len() as u64, "a.hdr"));
            for (start, bytes) in [(from, world.data.len() - from), (from + 1, 1_700), (from + 777, 40)] {
                let mut out = vec![0; bytes];
                frame.read_at(start as u64, &mut out).unwrap();
                assert!(
                    out == world.data[start..start + bytes],
                    "{interleave:?} {offset} {strip_bytes} {start}"
                );
            }
            assert!(frame.read_at(world.data.len() as u64, &mut [0]).is_err());
            let some =
                cubes.iter().skip(1).map(|r| SealedBundle::open(&world.vault, key, r).unwrap()).collect();
            assert!(SealedFrame::new(some).is_err(), "a part is missing");
        }
    }
}

#[test]
fn what_is_made_of_a_frame_is_made_anew() {
    let world = World::new(Interleave::Bil, 0, 1_000);
    for kind in [Kind::Quicklook, Kind::Evidence] {
        let before = world.of(kind);
        world.damage(before, 200);
        assert!(!world.is_sound(before));
        let Mended::Anew(new) = world.mend(before) else { panic!("{:?}", world.codes()) };
        assert!(world.is_sound(&new) && new.id != before.id && new.name == before.name);
        assert_eq!((new.class, new.created_unix_ms, new.bytes()), (before.class, 9, before.bytes()));
        let kept = world.catalogue.bundles().unwrap();
        assert!(kept.contains(&new) && !kept.contains(before));
        assert!(world.vault.read(&before.id).is_err(), "the damaged one is gone");
    }
    assert_eq!(world.codes().iter().filter(|code| *code == "bundle-resealed").count(), 2);
}

#[test]
fn what_has_no_source_is_reported_as_lost() {
    let world = World::new(Interleave::Bsq, 0, 1_000);
    let strip = world.of(Kind::Cube);
    world.damage(strip, strip.bytes() - 20);
    assert!(!world.is_sound(strip));
    assert!(matches!(world.mend(strip), Mended::Lost));
    let quicklook = world.of(Kind::Quicklook);
    world.damage(quicklook, 100);
    assert!(matches!(world.mend(quicklook), Mended::Lost), "its frame isn't whole any more");
    let events = world.catalogue.events(None, 100).unwrap();
    let lost: Vec<_> = events.iter().filter(|e| e.code == "bundle-lost").map(|e| &e.text).collect();
    assert!(lost[0].contains("a cube 1 of ") && lost[1].contains("lines 0 to"), "{lost:?}");
}

#[test]
fn what_is_adopted_is_what_it_was_but_for_a_digest_which_its_seals_give_back() {
    let world = World::new(Interleave::Bil, 0, 1_000);
    let anew = crate::store::tests::memory();
    let begin = Begin { esi: 7, session: 9 };
    assert!(adopt(&anew, &world.vault, &world.keys, 5, begin).unwrap().is_empty());
    let key = world.keys.newest(1).unwrap();
    let look =
        |record: &BundleRecord| check_seals(&world.vault, key, record, &mut |_| true).unwrap().unwrap();
    for record in anew.bundles().unwrap() {
        let was = world.bundles.iter().find(|was| was.id == record.id).unwrap();
        assert_eq!(record, BundleRecord { sha256: None, ..was.clone() });
        let sha256 = was.sha256.unwrap();
        assert_eq!(look(&record), Seals::Hold(sha256));
        anew.set_digest(&record.id, sha256).unwrap();
        assert_eq!(anew.bundle(&record.id).unwrap().as_ref(), Some(was));
        assert_eq!(check_seals(&world.vault, key, &record, &mut |_| false).unwrap(), None);
        for byte in [0, 20, 40, record.bytes() / 2, record.bytes() - 1] {
            world.damage(&record, byte);
            assert_eq!(look(&record), Seals::Broken, "{} byte {byte}", record.name);
            world.damage(&record, byte);
            assert_eq!(look(&record), Seals::Hold(sha256), "{} byte {byte}", record.name);
        }
        world.vault.remove(&record.id).unwrap();
        assert_eq!(look(&record), Seals::Broken);
        anew.drop_bundle(&record.id, 5, &Report::info("x", "x")).unwrap();
        anew.set_digest(&record.id, sha256).unwrap();
        assert_eq!(anew.bundle(&record.id).unwrap(), None);
    }
}
