use passband_proto::alert::{Alert, fit};
use passband_proto::bundle::Geometry;
use passband_proto::dict::EventCode;
use passband_proto::ids::Class;
use redb::ReadableDatabase;
use redb::backends::InMemoryBackend;

use super::*;
use crate::products::Kind;
use crate::telemetry::Severity;

pub(crate) fn memory() -> Catalogue {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    Catalogue::new(db).unwrap()
}

pub(crate) fn bundle(id: u8, class: Class, kind: Kind, created_unix_ms: u64) -> BundleRecord {
    let geometry =
        Geometry { symbol_bytes: 64, block_count: 2, head_bytes: 100, segment_bytes: 640, tail_bytes: 640 };
    BundleRecord {
        id: BundleId([id; 12]),
        frame: Some(FrameId([id; 12])),
        frame_name: format!("frame{id}"),
        kind,
        name: format!("frame{id} {kind}"),
        class,
        tasking: String::new(),
        created_unix_ms,
        spacecraft: 1,
        epoch: 1,
        geometry,
        sha256: Some([id; 32]),
    }
}

pub(crate) fn alert(number: u32, probability_permille: u16) -> Alert {
    Alert {
        number,
        time_unix_ms: 5,
        frame: fit("leak"),
        gas: fit("ch4"),
        probability_permille,
        peak_ppm_m: 100.0,
        mean_ppm_m: 50.0,
        pixels: 9,
        line: 1,
        sample: 2,
        position: None,
        plumes: 1,
        evidence: Some(BundleId([3; 12])),
    }
}

pub(super) fn frame(id: u8) -> NewFrame {
    NewFrame {
        frame: FrameRecord {
            id: FrameId([id; 12]),
            name: format!("frame{id}"),
            accepted_unix_ms: 5,
            class: Class::Alert,
            probability: 0.9,
            reason: "a plume".into(),
            bytes: 1000,
            tasking: String::new(),
        },
        bundles: vec![bundle(id, Class::Alert, Kind::Evidence, 5)],
        alert: None,
        spooled: vec![FileIdentity { name: format!("frame{id}.hdr"), inode: 7, bytes: 9 }],
        report: Report::info(EventCode::FrameAccepted, "x"),
    }
}

#[test]
fn a_frame_is_recorded_with_all_that_belongs_to_it() {
    let catalogue = memory();
    for id in [1, 2] {
        let key = FrameId([id; 12]);
        catalogue.add_alert(key, &mut |number| Some((alert(number, 990), vec![7; 9]))).unwrap();
        let alert = catalogue.add_frame(&NewFrame { alert: Some(key), ..frame(id) }).unwrap().unwrap();
        assert_eq!((alert.number, alert.sends, alert.sealed), (u32::from(id), 0, vec![7; 9]));
        assert_eq!(alert.evidence, Some(BundleId([id; 12])));
    }
    assert_eq!(catalogue.frame(&FrameId([2; 12])).unwrap().unwrap(), frame(2).frame);
    assert_eq!(catalogue.frame(&FrameId([3; 12])).unwrap(), None);
    assert_eq!(catalogue.bundles().unwrap(), [frame(1).bundles, frame(2).bundles].concat());
    assert_eq!(catalogue.alerts().unwrap().len(), 2);
    assert_eq!(catalogue.events(None, 9).unwrap().len(), 2);
}

#[test]
fn files_in_the_spool_are_known_until_they_are_gone() {
    let catalogue = memory();
    catalogue.add_frame(&frame(1)).unwrap();
    assert_eq!(catalogue.spooled().unwrap(), [(FrameId([1; 12]), frame(1).spooled)]);
    catalogue.spool_cleared(&FrameId([1; 12])).unwrap();
    assert_eq!(catalogue.spooled().unwrap(), []);
}

#[test]
fn marks_belong_to_a_bundle_and_go_with_it() {
    let catalogue = memory();
    catalogue.add_frame(&frame(1)).unwrap();
    let (one, two) = (BundleId([1; 12]), BundleId([2; 12]));
    catalogue.add_frame(&frame(2)).unwrap();
    let mark = |block, esi| BlockMark { block, esi, sent: esi / 2 };
    catalogue.reserve(&[(one, mark(0, 10)), (two, mark(0, 5)), (one, mark(7, 20))]).unwrap();
    catalogue.reserve(&[(one, mark(0, 30)), (BundleId([9; 12]), mark(0, 1))]).unwrap();
    assert_eq!(catalogue.marks(&BundleId([9; 12])).unwrap(), [], "no such bundle");
    assert_eq!(catalogue.marks(&one).unwrap(), [mark(0, 30), mark(7, 20)]);
    let dropped = Report::warning(EventCode::BundleDropped, "for room");
    assert!(catalogue.drop_bundle(&one, 1, &dropped).unwrap());
    assert!(!catalogue.drop_bundle(&one, 1, &dropped).unwrap(), "it is gone");
    assert_eq!(catalogue.marks(&one).unwrap(), []);
    assert_eq!(catalogue.marks(&two).unwrap(), [mark(0, 5)]);
    assert_eq!(catalogue.events(None, 9).unwrap().len(), 3, "one for each frame, one for the drop");
    assert!(catalogue.frame(&FrameId([1; 12])).unwrap().is_some(), "the frame is still known");
}

#[test]
fn events_are_numbered_bounded_and_paged() {
    let catalogue = memory();
    for i in 0..30 {
        let severity = if i == 29 { Severity::Error } else { Severity::Info };
        catalogue.add_event(i, &Report { severity, code: EventCode::Other, text: i.to_string() }).unwrap();
    }
    let seqs =
        |since, limit| catalogue.events(since, limit).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>();
    assert_eq!(seqs(None, 3), [28, 29, 30]);
    assert_eq!(seqs(Some(27), 9), [28, 29, 30]);
    assert_eq!(seqs(Some(0), 2), [1, 2]);
    assert_eq!(seqs(Some(u64::MAX), 2), [0_u64; 0]);
    let (counts, last) = catalogue.event_counts().unwrap();
    assert_eq!((counts.info, counts.error, last), (29, 1, 30));
}

#[test]
fn events_from_elsewhere_are_taken_up_once_and_numbers_go_on() {
    let catalogue = memory();
    let add = || catalogue.add_event(1, &Report::info(EventCode::Other, "own")).unwrap();
    let elsewhere: Vec<_> = [2, 3, 7].map(|seq| Report::info(EventCode::Other, "box").at(seq, 9)).into();
    (0..2).for_each(|_| add());
    (0..2).for_each(|_| catalogue.recall(&elsewhere, 0).unwrap());
    add();
    catalogue.recall(&[], 20).unwrap();
    add();
    let events = catalogue.events(None, 9).unwrap();
    let rows: Vec<_> = events.iter().map(|event| (event.seq, event.text.as_str())).collect();
    assert_eq!(rows, [(1, "own"), (2, "own"), (3, "box"), (7, "box"), (8, "own"), (21, "own")]);
}

#[test]
fn old_events_make_room() {
    let catalogue = memory();
    let add = |from: u64, to: u64| {
        catalogue
            .write(|txn| {
                (from..to).try_for_each(|i| events::insert(txn, i, &Report::info(EventCode::Other, "")))
            })
            .unwrap();
    };
    add(0, MAX_EVENTS + 5);
    let first = catalogue.events(Some(0), 1).unwrap();
    assert_eq!(first.first().map(|e| e.seq), Some(6));
}

#[test]
fn boots_are_counted_and_a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.redb");
    for boot in 1..4 {
        let catalogue = Catalogue::new(Database::create(&path).unwrap()).unwrap();
        assert_eq!(catalogue.count_boot().unwrap(), boot);
        let again = Database::create(&path).map_err(StoreError::catalogue).unwrap_err();
        assert!(matches!(again, StoreError::InUse), "{again}");
    }
    let catalogue = Catalogue::new(Database::create(&path).unwrap()).unwrap();
    catalogue.write(|txn| table::open(txn, META)?.put(b"format", &3_u64.to_be_bytes())).unwrap();
    drop(catalogue);
    let error = Catalogue::new(Database::create(&path).unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::Format { found: 3 }));
}

#[test]
fn a_catalogue_of_format_1_is_told_and_left_as_it_is() {
    const META_1: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.redb");
    let old = Database::create(&path).unwrap();
    let txn = old.begin_write().unwrap();
    txn.open_table(META_1).unwrap().insert("format", 1).unwrap();
    txn.commit().unwrap();
    drop(old);
    for _ in 0..2 {
        let error = Catalogue::new(Database::create(&path).unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Format { found: 1 }) && !error.is_damage(), "{error}");
    }
    let kept = Database::create(&path).unwrap().begin_read().unwrap();
    assert_eq!(kept.list_tables().unwrap().count(), 1, "nothing was made in it");
}

#[test]
fn what_was_reported_is_kept_until_the_bundle_goes() {
    use passband_proto::report::{Item, Report as Heard};

    let catalogue = memory();
    catalogue.add_frame(&frame(1)).unwrap();
    let one = BundleId([1; 12]);
    let blocks = |first_block| Item::Blocks { id: one, first_block, as_of: 9, missing: vec![3, 0] };
    let heard = |station, number, item| Heard { station, number, link: None, items: vec![item] };
    catalogue.note_report(&heard(1, 7, blocks(0)), &[one]).unwrap();
    catalogue.note_report(&heard(1, 8, blocks(2)), &[one]).unwrap();
    catalogue.note_report(&heard(2, 1, blocks(0)), &[one]).unwrap();
    catalogue.note_report(&heard(1, 6, Item::Whole(BundleId([5; 12]))), &[]).unwrap();
    let kept = catalogue.reports(&one).unwrap();
    assert_eq!(kept, [heard(2, 1, blocks(0)), heard(1, 7, blocks(0)), heard(1, 8, blocks(2))]);
    catalogue.note_report(&heard(1, 9, Item::Whole(one)), &[one]).unwrap();
    assert_eq!(catalogue.reports(&one).unwrap(), [heard(2, 1, blocks(0)), heard(1, 9, Item::Whole(one))]);
    assert_eq!(catalogue.stations().unwrap(), [(1, 9), (2, 1)]);
    catalogue.drop_bundle(&one, 1, &Report::warning(EventCode::BundleDropped, "for room")).unwrap();
    assert_eq!(catalogue.reports(&one).unwrap(), []);
    assert_eq!(catalogue.stations().unwrap().len(), 2, "replays stay refused");
}
