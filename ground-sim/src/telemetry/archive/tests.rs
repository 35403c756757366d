//! The archive: what is kept is found, whatever happens to its files.

use std::fs;
use std::io::Write;

use passband_proto::packet::{Cuc, MAX_PACKET_BYTES, seal_telemetry};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// 2026-11-29.
const DAY: u64 = 20_786 * DAY_MS;

fn packet(apid: u16, count: u16, unix_ms: u64, data: usize) -> Vec<u8> {
    let mut out = vec![0; MAX_PACKET_BYTES];
    let time = Cuc::from_unix_ms(unix_ms).unwrap();
    let bytes = seal_telemetry(&mut out, apid, count, time, &vec![7; data], None).unwrap();
    out.truncate(bytes);
    out
}

fn put(archive: &mut Archive, packet: &[u8], received_unix_ms: u64) {
    archive.append(&TelemetryPacket::parse(packet).unwrap(), received_unix_ms).unwrap();
}

fn open(dir: &TempDir) -> Archive {
    Archive::open(dir.path(), Quota::default()).unwrap()
}

fn files(dir: &TempDir) -> Vec<String> {
    let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(name).collect();
    names.retain(|name| name != LOCK);
    names.sort();
    names
}

fn times(found: &[Stored]) -> Vec<u64> {
    found.iter().map(|stored| stored.unix_ms - DAY).collect()
}

#[test]
fn packets_are_found_by_apid_and_time_now_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = open(&dir);
    for i in 0..3000_u16 {
        // Every tenth was recorded on board and comes two hours late.
        let late = if i % 10 == 0 { 7_200_000 } else { 0 };
        let unix_ms = DAY + u64::from(i) * 1000;
        put(&mut archive, &packet(0x100 + i % 3, i, unix_ms, 300), unix_ms + 20 + late);
    }
    for turn in 0..2 {
        let found = archive.range(0x101, DAY + 100_000, DAY + 110_000, 100).unwrap();
        assert_eq!(times(&found), [100_000, 103_000, 106_000, 109_000], "turn {turn}");
        assert_eq!(found[0].received_unix_ms - DAY, 7_300_020);
        let read = TelemetryPacket::parse(&found[0].packet).unwrap();
        assert_eq!((read.apid(), read.sequence_count()), (0x101, 100));
        assert_eq!(times(&archive.range(0x101, DAY, u64::MAX, 2).unwrap()), [1000, 4000], "the first ones");
        assert_eq!(archive.range(0x101, 0, u64::MAX, usize::MAX).unwrap().len(), 1000);
        assert_eq!(archive.range(0x101, 0, u64::MAX, 0).unwrap().len(), 0);
        assert_eq!(archive.range(0x1F0, 0, u64::MAX, 9).unwrap().len(), 0);
        assert_eq!(archive.latest(0x100).unwrap().unix_ms - DAY, 2_970_000, "received last");
        assert_eq!(archive.apids().collect::<Vec<_>>(), [0x100, 0x101, 0x102]);
        archive.sync().unwrap();
        drop(archive);
        archive = open(&dir);
    }
    assert_eq!(files(&dir), ["2026-11-29-0000.tlm"]);
}

#[test]
fn a_torn_end_costs_what_it_tore_and_what_follows_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("2026-11-29-0000.tlm");
    let kept = |archive: &Archive| times(&archive.range(0x100, 0, u64::MAX, 100).unwrap());
    for torn in [1, 10, 16, 40, 340] {
        let _ = fs::remove_file(&path);
        let mut archive = open(&dir);
        for i in 0..5 {
            put(&mut archive, &packet(0x100, i, DAY + u64::from(i), 300), DAY);
        }
        drop(archive);
        let length = fs::metadata(&path).unwrap().len();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - torn).unwrap();
        let mut archive = open(&dir);
        assert_eq!(kept(&archive), [0, 1, 2, 3], "{torn} bytes torn off");
        put(&mut archive, &packet(0x100, 9, DAY + 9, 300), DAY);
        assert_eq!(kept(&archive), [0, 1, 2, 3, 9]);
        drop(archive);
        assert_eq!(kept(&open(&dir)), [0, 1, 2, 3, 9], "{torn} bytes torn off, opened again");
    }
}

#[test]
fn the_quota_of_bytes_holds_at_any_time_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let quota = Quota { bytes: Quota::MIN_BYTES, days: 9 };
    let mut archive = Archive::open(dir.path(), quota).unwrap();
    for i in 0..3000_u16 {
        put(&mut archive, &packet(0x100, i, DAY + u64::from(i), 1000), DAY + u64::from(i));
        assert!(archive.bytes() <= quota.bytes);
    }
    let on_disk: u64 = files(&dir).iter().map(|f| fs::metadata(dir.path().join(f)).unwrap().len()).sum();
    assert_eq!(on_disk, archive.bytes());
    let kept = times(&archive.range(0x100, 0, u64::MAX, MAX_LIMIT).unwrap());
    assert!(kept.len() > 900 && kept.last() == Some(&2999), "{}", kept.len());
    assert_eq!(kept, (2999 + 1 - kept.len() as u64..=2999).collect::<Vec<_>>(), "the newest, without a gap");
    drop(archive);
    let archive = Archive::open(dir.path(), quota).unwrap();
    assert_eq!(times(&archive.range(0x100, 0, u64::MAX, MAX_LIMIT).unwrap()), kept);
}

#[test]
fn days_are_counted_by_what_was_received_and_a_clock_that_jumps_clears_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let quota = Quota { bytes: 1 << 30, days: 3 };
    let mut archive = Archive::open(dir.path(), quota).unwrap();
    for day in 0..5 {
        put(&mut archive, &packet(0x100, 0, DAY + day, 10), DAY + day * DAY_MS);
    }
    assert_eq!(files(&dir), ["2026-12-01-0000.tlm", "2026-12-02-0000.tlm", "2026-12-03-0000.tlm"]);
    put(&mut archive, &packet(0x100, 1, DAY + 7, 10), u64::MAX);
    assert_eq!(files(&dir), ["2026-12-02-0000.tlm", "2026-12-03-0000.tlm", "9999-12-31-0000.tlm"]);
    // Back to the day before yesterday: what is written now is never what goes.
    put(&mut archive, &packet(0x100, 2, DAY + 8, 10), DAY);
    assert_eq!(files(&dir), ["2026-11-29-0000.tlm", "2026-12-03-0000.tlm", "9999-12-31-0000.tlm"]);
    assert_eq!(times(&archive.range(0x100, 0, u64::MAX, 9).unwrap()), [4, 7, 8]);
}

#[test]
fn an_archive_is_open_once_and_leaves_other_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "2026-11-29.tlm", "2026-11-31-0000.tlm", "2026-11-29-1.tlm"] {
        fs::write(dir.path().join(name), b"not ours").unwrap();
    }
    let archive = open(&dir);
    assert_eq!((archive.bytes(), archive.parts.len()), (0, 0));
    let error = Archive::open(dir.path(), Quota::default()).unwrap_err();
    assert!(error.to_string().ends_with("the archive is open elsewhere"), "{error}");
    drop(archive);
    assert!(Archive::open(dir.path(), Quota { bytes: 5, days: 1 }).is_err());
    assert!(Archive::open(dir.path(), Quota { bytes: 1 << 30, days: 0 }).is_err());
    open(&dir);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damage_costs_the_records_that_it_touches(
        at in 0..3_000_usize, garbage in proptest::collection::vec(any::<u8>(), 0..80), cut in 0..400_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("2026-11-29-0000.tlm");
        let record = 16 + 25 + 60;
        let mut bytes = Vec::new();
        for i in 0..30 {
            let packet = packet(0x100, i, DAY + u64::from(i), 60);
            bytes.extend(record::encode(DAY, &TelemetryPacket::parse(&packet).unwrap()));
        }
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, garbage);
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        let untouched = (0..30).filter(|i| (i + 1) * record <= at || i * record >= end);
        let expected: Vec<_> = untouched.map(|i| i as u64).collect();
        let found = times(&open(&dir).range(0x100, 0, u64::MAX, 100).unwrap());
        prop_assert!(expected.iter().all(|time| found.contains(time)), "{found:?} of {expected:?}");
        prop_assert!(found.len() <= expected.len() + 1, "but for one put together again by chance");
    }
}
