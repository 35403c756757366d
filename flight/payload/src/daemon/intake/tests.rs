use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Head, Opener, SealOptions};
use passband_proto::keys::EpochKey;
use passband_spectral::envi::{DataType, Header};
use redb::Database;

use super::*;
use crate::adapters::disk::{Disk, LinuxDisk};
use crate::adapters::vault::Vault;
use crate::daemon::recover::recover;
use crate::products::{Kind, Make, Rule};

/// A state folder with all that intake works with, as a start of the daemon opens it.
struct World {
    spool: Spool,
    vault: Vault,
    catalogue: Catalogue,
    key: EpochKey,
    target: Target,
    params: Params,
    rules: Rules,
    calibration: Option<PathBuf>,
    stop: AtomicBool,
}

/// Follows a taking, and ends it as a fault at a step would.
struct Until<F: FnMut(Step) -> Result<(), IntakeError>>(F);

impl<F: FnMut(Step) -> Result<(), IntakeError>> Follow for Until<F> {
    fn at(&mut self, step: Step) -> Result<(), IntakeError> {
        (self.0)(step)
    }

    fn alert(&mut self, _alert: AlertRecord) {}

    fn make_room(&mut self, bytes: u64, class: Class) -> Result<(), IntakeError> {
        assert!(bytes > 48_000 && class == Class::Routine);
        Ok(())
    }
}

/// Two small bundles of a routine frame, and strips of 20,000 bytes at most.
fn rules() -> Rules {
    let make = Make(Some(Class::Routine));
    let routine = Rule { quicklook: make, evidence: make, region: make, cube: make };
    Rules { routine, strip_bytes: 20_000, ..Rules::default() }
}

/// What comes of frame `a` by these rules.
const BUNDLES: usize = 5;

const SEAL: SealOptions = SealOptions { symbol_bytes: 64, segment_symbols: 300, digests_are_fresh: false };

impl World {
    fn open(state: &Path) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(LinuxDisk);
        let (spool, rejected) = (state.join("spool"), state.join("rejected"));
        let world = Self {
            spool: Spool::open(Arc::clone(&disk), &spool, &rejected, 1 << 20).unwrap(),
            vault: Vault::open(disk, state).unwrap(),
            catalogue: Catalogue::new(Database::create(state.join("c.redb")).unwrap()).unwrap(),
            key: EpochKey::new(1, 1, [8; 32]),
            target: Target::ch4(),
            params: Params::default(),
            rules: rules(),
            calibration: None,
            stop: AtomicBool::new(false),
        };
        recover(&world.catalogue, &world.vault, &world.spool, 77, BTreeMap::new()).unwrap();
        world
    }

    /// Takes frame `a`; the daemon is killed at `kill`.
    fn take(&self, kill: Option<Step>) -> Result<Taken, IntakeError> {
        self.take_until(|step| if Some(step) == kill { Err(IntakeError::Stopping) } else { Ok(()) })
    }

    /// Takes frame `a`, until `until` ends it.
    fn take_until(&self, until: impl FnMut(Step) -> Result<(), IntakeError>) -> Result<Taken, IntakeError> {
        let files = FrameFiles { name: "a".into(), header: "a.hdr".into(), data: "a.bil".into() };
        let calibration = self.calibration.as_deref();
        let intake = Intake {
            spool: &self.spool,
            catalogue: &self.catalogue,
            sealer: Sealer {
                vault: &self.vault,
                key: &self.key,
                options: SEAL,
                threads: 1,
                stop: &self.stop,
            },
            rules: &self.rules,
            examiner: &Detector { target: &self.target, params: &self.params, calibration },
        };
        intake.take(files, 123, &mut Until(until))
    }

    fn codes(&self) -> Vec<String> {
        self.catalogue.events(None, 100).unwrap().into_iter().map(|e| e.code).collect()
    }

    /// Opens a bundle: its head and its whole content.
    fn unseal(&self, record: &BundleRecord) -> (Head, Vec<u8>) {
        let file = self.vault.read(&record.id).unwrap();
        let mut header = [0; FILE_HEADER_BYTES];
        file.read_at(0, &mut header).unwrap();
        let header = FileHeader::decode(&header).unwrap();
        assert_eq!((header.id, header.geometry, header.class), (record.id, record.geometry, record.class));
        let opener = Opener::new(&self.key, &record.id, record.geometry.block_count);
        let read = |i| {
            let mut block = vec![0; record.geometry.block_bytes(i).unwrap() as usize];
            self.vault.read_block(&record.id, file.as_ref(), &record.geometry, (i, 0), &mut block).unwrap();
            block
        };
        let mut head = opener.open_head(read(0)).unwrap();
        let mut content = head.content.take().unwrap_or_default();
        for i in 1..record.geometry.block_count {
            let mut part = read(i);
            opener.open(i, &mut part).unwrap();
            content.extend_from_slice(&part);
        }
        (head, content)
    }
}

/// Puts frame `a` into the spool: its header and its data.
fn put_frame(state: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut header = Header::new(40, 50, 12, DataType::U16);
    header.wavelengths_nm = Some((0..12).map(|i| 450.0 + 160.0 * f64::from(i)).collect());
    let data: Vec<u8> = (0..48_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let header = header.to_text().into_bytes();
    fs::create_dir_all(state.join("spool")).unwrap();
    fs::write(state.join("spool/a.bil"), &data).unwrap();
    fs::write(state.join("spool/a.hdr"), &header).unwrap();
    (header, data)
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().file_type().unwrap().is_file()).count()
}

/// The frame is in the store exactly once, whole, and nothing else is anywhere.
fn check(world: &World, state: &Path, header: &[u8], data: &[u8]) {
    assert_eq!(count(&state.join("spool")), 0, "the spool is empty");
    assert_eq!((count(&state.join("bundles")), count(&state.join("bundles/tmp"))), (BUNDLES, 0));
    let bundles = world.catalogue.bundles().unwrap();
    assert_eq!(bundles.len(), BUNDLES);
    let of = |kind| bundles.iter().filter(move |b| b.kind == kind);
    let label = |head: &Head, name: &str| {
        head.manifest.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap()
    };
    let mut strips: Vec<_> = of(Kind::Cube).map(|b| world.unseal(b)).collect();
    strips.sort_by_key(|(head, _)| label(head, "part"));
    let parts: Vec<_> = strips.iter().map(|(head, _)| (label(head, "part"), label(head, "lines"))).collect();
    let expected = [("1/3", "0..17"), ("2/3", "17..34"), ("3/3", "34..50")];
    assert_eq!(parts, expected.map(|(part, lines)| (part.to_owned(), lines.to_owned())));
    let mut again = Vec::new();
    for (nth, (head, content)) in strips.iter().enumerate() {
        let mut rest = content.as_slice();
        let mut files: Vec<(&str, &[u8])> = Vec::new();
        for file in &head.manifest.files {
            let (bytes, after) = rest.split_at(usize::try_from(file.bytes).unwrap());
            files.push((&file.name, bytes));
            rest = after;
        }
        if nth == 0 {
            assert_eq!(files.remove(0), ("a.hdr", header), "as it came");
        }
        assert!(files[0].0.starts_with("a.lines-0000") && files[1].0.contains(".bil"), "{files:?}");
        let own = parse_header(files[0].1).unwrap();
        again.extend_from_slice(Cube::new(own, files[1].1.to_vec()).unwrap().data());
    }
    assert!(again == data, "bit for bit");
    let (quicklook, _) = world.unseal(of(Kind::Quicklook).next().unwrap());
    assert_eq!(quicklook.manifest.preview.unwrap().name, "a.quicklook.png");
    let (evidence, content) = world.unseal(of(Kind::Evidence).next().unwrap());
    let files = &evidence.manifest.files;
    assert_eq!((files[0].name.as_str(), files[1].name.as_str()), ("a.record", "a.detections.json"));
    let (record, rest) = content.split_at(usize::try_from(files[0].bytes).unwrap());
    let json = &rest[..usize::try_from(files[1].bytes).unwrap()];
    let verdict: triage::Verdict = serde_json::from_slice(json).unwrap();
    assert_eq!((verdict.frame.as_str(), verdict.report.lines), ("a", 50));
    let record = triage::read_record(record).unwrap().record;
    assert_eq!(record, passband_spectral::triage::Record::of(&verdict.report));
    assert_eq!(evidence.manifest.frame.as_deref(), Some("a"));
    assert_eq!(world.codes().iter().filter(|c| *c == "frame-accepted").count(), 1);
    assert_eq!(world.catalogue.spooled().unwrap(), []);
}

#[test]
fn a_frame_is_taken_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (header, data) = put_frame(dir.path());
    let world = World::open(dir.path());
    let taken = world.take(None).unwrap();
    assert!(matches!(&taken, Taken::Accepted { bundles, .. } if bundles.len() == BUNDLES), "{taken:?}");
    check(&world, dir.path(), &header, &data);
}

#[test]
fn a_small_frame_is_not_cut_and_says_whom_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut header, data) = put_frame(dir.path());
    header.extend_from_slice(b"tasking = pipeline 7\n");
    fs::write(dir.path().join("spool/a.hdr"), &header).unwrap();
    let world = World { rules: Rules::default(), ..World::open(dir.path()) };
    let Ok(Taken::Accepted { bundles, .. }) = world.take(None) else { panic!() };
    let kinds: Vec<_> = bundles.iter().map(|b| (b.kind, b.tasking.as_str())).collect();
    assert_eq!(kinds, [(Kind::Quicklook, "pipeline 7"), (Kind::Cube, "pipeline 7")]);
    let (head, content) = world.unseal(&bundles[1]);
    assert_eq!(content, [header, data].concat(), "bit for bit");
    assert_eq!(head.manifest.files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a.hdr", "a.bil"]);
    assert!(head.manifest.labels.contains(&("tasking".into(), "pipeline 7".into())));
}

#[test]
fn a_kill_between_any_two_steps_loses_and_doubles_nothing() {
    use Step::{Committed, Published, Removed, Sealed};
    for kill in [Sealed(1), Sealed(2), Sealed(5), Published, Committed, Removed(1), Removed(2)] {
        let dir = tempfile::tempdir().unwrap();
        let (header, data) = put_frame(dir.path());
        let world = World::open(dir.path());
        assert!(matches!(world.take(Some(kill)), Err(IntakeError::Stopping)), "{kill:?}");
        drop(world);
        let world = World::open(dir.path());
        let left = count(&dir.path().join("spool"));
        let known = matches!(kill, Committed | Removed(_));
        assert_eq!(left, if known { 0 } else { 2 }, "{kill:?}: {:?}", world.codes());
        if left > 0 {
            world.take(None).unwrap();
        }
        check(&world, dir.path(), &header, &data);
        assert_eq!(world.codes().contains(&"spool-cleared".to_owned()), known, "{kill:?}");
    }
}

#[test]
fn the_same_frame_again_is_removed_with_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let (header, data) = put_frame(dir.path());
    let world = World::open(dir.path());
    world.take(None).unwrap();
    put_frame(dir.path());
    assert!(matches!(world.take(None), Ok(Taken::Duplicate { .. })));
    assert!(world.codes().contains(&"frame-duplicate".to_owned()));
    check(&world, dir.path(), &header, &data);
}

#[test]
fn a_spool_that_can_not_be_cleared_keeps_no_alert_back() {
    let dir = tempfile::tempdir().unwrap();
    put_frame(dir.path());
    let world = World::open(dir.path());
    let taken = world.take_until(|step| match step {
        Step::Removed(1) => Err(IntakeError::Later("read-only".into())),
        _ => Ok(()),
    });
    assert!(matches!(taken, Ok(Taken::Accepted { .. })), "{taken:?}");
    assert!(world.codes().contains(&"spool-stuck".to_owned()));
}

#[test]
fn a_frame_that_can_not_be_stored_leaves_nothing_behind_and_stays_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    put_frame(dir.path());
    let world = World::open(dir.path());
    fs::remove_dir(dir.path().join("bundles/tmp")).unwrap();
    assert!(matches!(world.take(None), Err(IntakeError::Later(why)) if why.contains("bundles/tmp")));
    fs::create_dir(dir.path().join("bundles/tmp")).unwrap();
    world.stop.store(true, Ordering::Relaxed);
    assert!(matches!(world.take(None), Err(IntakeError::Stopping)), "the daemon stops while it reads");
    assert_eq!((count(&dir.path().join("spool")), count(&dir.path().join("bundles"))), (2, 0));
    assert_eq!(world.catalogue.bundles().unwrap(), []);
}

#[test]
fn a_header_that_lies_is_malformed() {
    let dir = tempfile::tempdir().unwrap();
    put_frame(dir.path());
    let world = World::open(dir.path());
    fs::write(dir.path().join("spool/a.bil"), [0; 7]).unwrap();
    assert!(matches!(world.take(None), Err(IntakeError::Malformed(why)) if why.contains("48000 bytes")));
}

#[test]
fn a_calibration_counts_and_one_of_another_shape_rejects_the_frame() {
    let dir = tempfile::tempdir().unwrap();
    put_frame(dir.path());
    let mut world = World::open(dir.path());
    let calibration = dir.path().join("cal.hdr");
    world.calibration = Some(calibration.clone());
    let refused = world.take(None);
    assert!(matches!(&refused, Err(IntakeError::Later(why)) if why.contains("cal.hdr")), "{refused:?}");
    let put = |samples: usize, gain: f32| {
        fs::write(&calibration, Header::new(samples, 1, 12, DataType::F32).to_text()).unwrap();
        fs::write(calibration.with_extension("bil"), gain.to_le_bytes().repeat(samples * 12)).unwrap();
    };
    put(39, 1.0);
    let refused = world.take(None);
    assert!(
        matches!(&refused, Err(IntakeError::Malformed(why)) if why.contains("39 samples") && why.contains("needs 40")),
        "{refused:?}"
    );
    // All detectors dark: that must show.
    put(40, 0.0);
    let Ok(Taken::Accepted { bundles, .. }) = world.take(None) else { panic!() };
    let (head, content) = world.unseal(&bundles[0]);
    let record = &content[..usize::try_from(head.manifest.files[0].bytes).unwrap()];
    let with = triage::read_record(record).unwrap().record;
    let other = tempfile::tempdir().unwrap();
    put_frame(other.path());
    let world = World::open(other.path());
    let Ok(Taken::Accepted { bundles, .. }) = world.take(None) else { panic!() };
    let (head, content) = world.unseal(&bundles[0]);
    let record = &content[..usize::try_from(head.manifest.files[0].bytes).unwrap()];
    assert_ne!(triage::read_record(record).unwrap().record, with);
}

#[test]
fn a_bundle_whose_file_is_lost_is_told_of_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    put_frame(dir.path());
    let world = World::open(dir.path());
    let Ok(Taken::Accepted { bundles, .. }) = world.take(None) else { panic!() };
    fs::write(dir.path().join(format!("bundles/{}.pbb", bundles[0].id)), b"short").unwrap();
    drop(world);
    let world = World::open(dir.path());
    assert_eq!(world.catalogue.bundles().unwrap().len(), BUNDLES - 1);
    assert!(world.codes().contains(&"bundle-lost".to_owned()));
}
