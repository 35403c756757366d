use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use passband_proto::bundle::SealOptions;
use passband_proto::dict::EventCode;
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
use crate::store::{AlertRecord, Damage};

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
pub(in crate::daemon) struct World {
    pub(in crate::daemon) disk: SimDisk,
    pub(in crate::daemon) vault: Vault,
    pub(in crate::daemon) catalogue: Catalogue,
    pub(in crate::daemon) keys: KeyRing,
    pub(in crate::daemon) rules: Rules,
    pub(in crate::daemon) bundles: Vec<BundleRecord>,
    data: Vec<u8>,
}

impl World {
    pub(in crate::daemon) fn new(interleave: Interleave, header_offset: u64, strip_bytes: u64) -> Self {
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
        self.mend_with(&self.keys, damaged).unwrap()
    }

    fn mend_with(&self, keys: &KeyRing, damaged: &BundleRecord) -> Result<Mended, IntakeError> {
        let (target, params, stop) = (Target::ch4(), Params::default(), AtomicBool::new(false));
        let mender = Mender {
            catalogue: &self.catalogue,
            sealer: self.sealer(&stop),
            keys,
            rules: &self.rules,
            examiner: &Detector { target: &target, params: &params, calibration: None },
        };
        mender.mend(damaged, 99)
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
fn what_has_no_source_stays_as_it_is() {
    let world = World::new(Interleave::Bsq, 0, 1_000);
    let (strip, quicklook) = (world.of(Kind::Cube), world.of(Kind::Quicklook));
    world.damage(strip, strip.bytes() - 20);
    let events = world.codes();
    let Mended::Never(why) = world.mend(strip) else { panic!() };
    assert!(why.contains("nothing on board"), "{why}");
    let damage = Damage { open_blocks: 1, unended: 0, given_up: true };
    world.catalogue.set_damage(&strip.id, &damage, 5, None).unwrap();
    let Mended::Never(why) = world.mend(quicklook) else { panic!("its frame isn't whole any more") };
    assert!(why.contains("a cube 1 of ") && why.contains("damaged, too"), "{why}");
    world.catalogue.drop_bundle(&strip.id, 5, &Report::info(EventCode::Other, "x")).unwrap();
    assert_eq!(world.catalogue.damage(&strip.id).unwrap(), None, "forgotten with it");
    let Mended::Never(why) = world.mend(quicklook) else { panic!() };
    assert!(why.contains("lines 0 to"), "{why}");
    assert_eq!(world.codes()[..events.len()], events);
    assert!(world.vault.read(&strip.id).is_ok() && world.vault.read(&quicklook.id).is_ok());
    assert!(world.catalogue.bundle(&quicklook.id).unwrap().is_some());
}

#[test]
fn what_can_be_read_another_time_is_not_given_up() {
    let world = World::new(Interleave::Bip, 0, 1_000);
    let quicklook = world.of(Kind::Quicklook);
    let mut others = KeyRing::default();
    others.insert(EpochKey::new(1, 2, [9; 32]));
    let error = world.mend_with(&others, quicklook).unwrap_err();
    assert!(matches!(&error, IntakeError::Later(why) if why == "there is no key of epoch 1"), "{error:?}");
    let strip = world.of(Kind::Cube).id.to_string();
    for (errno, is_passing) in [(5, true), (12, true), (0, false)] {
        let at = strip.clone();
        world.disk.watch_reads(move |path, _, out| {
            if !path.to_string_lossy().contains(&at) {
                return Ok(());
            }
            if is_passing {
                return Err(std::io::Error::from_raw_os_error(errno));
            }
            out[0] ^= 1;
            Ok(())
        });
        match world.mend_with(&world.keys, quicklook) {
            Err(IntakeError::Later(_)) => assert!(is_passing),
            Ok(Mended::Never(why)) => assert!(!is_passing && why.contains("seal of block 0"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let (at, mut flips) = (strip, 1);
    world.disk.watch_reads(move |path, _, out| {
        if path.to_string_lossy().contains(&at) && flips > 0 {
            (out[0], flips) = (out[0] ^ 1, flips - 1);
        }
        Ok(())
    });
    assert!(matches!(world.mend(quicklook), Mended::Anew(_)), "a head that was misread once");
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
            let broken = |seals| matches!(seals, Seals::Broken { open_blocks: 0.. });
            assert!(broken(look(&record)), "{} byte {byte}", record.name);
            world.damage(&record, byte);
            assert_eq!(look(&record), Seals::Hold(sha256), "{} byte {byte}", record.name);
        }
        world.vault.remove(&record.id).unwrap();
        assert_eq!(look(&record), Seals::Broken { open_blocks: 0 });
        anew.drop_bundle(&record.id, 5, &Report::info(EventCode::Other, "x")).unwrap();
        anew.set_digest(&record.id, sha256).unwrap();
        assert_eq!(anew.bundle(&record.id).unwrap(), None);
    }
}
