//! Uploads on a disk that loses power at every operation, and on one that fails.

use std::sync::Mutex;

use passband_proto::dict::{EventCode, Reason, UploadFate, UploadKind};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::adapters::disk::LinuxDisk;
use crate::faults::{Faults, SimDisk};
use crate::uplink::uploads::{About, Begun, MAX_UPLOADS, Piece, UploadError, Uploads};

const FOLDER: &str = "/state/uploads";
const MOST_BYTES: u64 = 1 << 20;

type Open = Uploads<UploadFolder>;

fn disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.make_folder(Path::new("/state")).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Open {
    let (uploads, reports) = open_told(disk);
    assert_eq!(reports, []);
    uploads
}

fn open_told(disk: &SimDisk) -> (Open, Vec<crate::telemetry::Report>) {
    let folder = UploadFolder::open(Arc::new(disk.clone()), Path::new(FOLDER)).unwrap();
    Uploads::open(folder, MOST_BYTES).unwrap()
}

fn content(seed: u32, bytes: u32) -> Vec<u8> {
    (0..bytes).map(|i| u8::try_from((i * 7 + i / 256 + seed) % 251).unwrap()).collect()
}

fn about(name: &str, content: &[u8], piece: u16) -> About {
    let sha256: [u8; 32] = Sha256::digest(content).into();
    let id = *sha256.first_chunk().unwrap();
    let size = u32::try_from(content.len()).unwrap();
    About { id, kind: UploadKind::Plan, name: name.into(), size, piece, sha256, number: 0 }
}

fn piece<'a>(about: &About, content: &'a [u8], index: u32) -> &'a [u8] {
    content.chunks(about.piece.into()).nth(usize::try_from(index).unwrap()).unwrap()
}

fn send(uploads: &mut Open, about: &About, content: &[u8], index: u32) -> Piece {
    uploads.piece(about.id, index, piece(about, content, index)).unwrap()
}

fn missing(uploads: &Open, about: &About) -> u32 {
    uploads.report(about.id).unwrap().missing
}

#[test]
fn pieces_in_any_order_make_the_file_and_what_was_taken_is_remembered() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(1, 1_000);
    let about = about("noon.plan", &content, 64);
    let early = uploads.piece(about.id, 0, piece(&about, &content, 0)).unwrap_err();
    assert!(matches!(early, UploadError::NotBegun(_)) && early.to_string().starts_with("no upload "));
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::New);
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::Again);
    for index in (1..16).rev() {
        assert_eq!(send(&mut uploads, &about, &content, index), Piece::Kept);
        assert_eq!(send(&mut uploads, &about, &content, index), Piece::Repeated);
    }
    assert_eq!(uploads.progress()[0].percent, 93);
    for odd in [(0, 63), (16, 64), (15, 64), (u32::MAX, 64)] {
        assert!(matches!(uploads.piece(about.id, odd.0, &vec![0; odd.1]), Err(UploadError::NoPiece { .. })));
    }
    let Piece::Complete(complete) = send(&mut uploads, &about, &content, 0) else { panic!() };
    assert_eq!((complete.name.as_str(), complete.kind), ("noon.plan", UploadKind::Plan));
    assert!(disk.files()[&complete.path] == content);
    let counts = uploads.counts();
    assert_eq!((counts.kept, counts.repeated, counts.unknown, counts.odd), (16, 15, 1, 4));
    assert_eq!(open(&disk.after_cut(1)).complete(), [complete]);
    let mut uploads = open(&disk);
    uploads.taken(about.id).unwrap();
    assert_eq!(send(&mut uploads, &about, &content, 3), Piece::Repeated);
    let mut uploads = open(&disk.after_cut(2));
    assert_eq!((uploads.complete(), missing(&uploads, &about)), (vec![], 0));
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::Replaced, "it may be wanted again");
    assert_eq!(missing(&uploads, &about), 16);
    assert!(uploads.drop_upload(about.id).unwrap() && !uploads.drop_upload(about.id).unwrap());
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::New);
}

#[test]
fn what_can_t_be_used_is_told_and_what_can_t_be_used_yet_is_kept() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(2, 100);
    let about = about("noon.plan", &content, 64);
    let fate = |uploads: &Open| uploads.report(about.id).map(|upload| (upload.fate, upload.reason));
    uploads.begin(about.clone()).unwrap();
    assert_eq!(fate(&uploads), Some((UploadFate::Coming, Reason::None)));
    (0..2).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    uploads.waits(about.id, Reason::Busy);
    assert_eq!(fate(&uploads), Some((UploadFate::Waits, Reason::Busy)));
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::Again);
    let disk = disk.after_cut(1);
    let mut uploads = open(&disk);
    assert_eq!((fate(&uploads), uploads.complete().len()), (Some((UploadFate::Waits, Reason::None)), 1));
    uploads.refused(about.id, Reason::NotAllowed).unwrap();
    assert_eq!(fate(&uploads), Some((UploadFate::Refused, Reason::NotAllowed)));
    assert!(uploads.complete().is_empty() && fate(&open(&disk)).is_none(), "nothing of it is kept");
    assert_eq!(uploads.begin(about.clone()).unwrap(), Begun::Replaced);
    assert_eq!(fate(&uploads), Some((UploadFate::Coming, Reason::None)));
}

#[test]
fn a_cut_at_every_operation_costs_at_most_the_piece_that_was_being_written() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(3, 700);
    let about = about("x.plan", &content, 48);
    uploads.begin(about.clone()).unwrap();
    let order: Vec<u32> = (0..15).map(|i| i * 4 % 15).collect();
    let kept = Arc::new(Mutex::new(0));
    let (said, this, file) = (Arc::clone(&kept), about.clone(), content.clone());
    disk.watch(move |disk| {
        let kept = *said.lock().unwrap();
        for seed in 0..8 {
            let cut = disk.after_cut(seed);
            let left = open(&cut);
            assert!(missing(&left, &this) <= 15 - kept, "{kept} were said to be there");
            if let [complete] = &left.complete()[..] {
                assert!(cut.files()[&complete.path] == file);
            }
        }
    });
    for index in order {
        let done = send(&mut uploads, &about, &content, index);
        *kept.lock().unwrap() += 1;
        assert_eq!(matches!(done, Piece::Complete(_)), *kept.lock().unwrap() == 15);
    }
    disk.unwatch();
}

#[test]
fn a_cut_while_one_is_begun_replaced_or_dropped_leaves_one_or_the_other() {
    let (old, new) = (content(1, 300), content(2, 400));
    let (first, second) = (about("a", &old, 32), about("a", &new, 32));
    let disk = disk();
    let mut uploads = open(&disk);
    let known = [first.id, second.id];
    disk.watch(move |disk| {
        for seed in 0..16 {
            let left = open(&disk.after_cut(seed));
            let ids: Vec<_> = left.reports().iter().map(|report| report.id).collect();
            assert!(ids.len() <= 1 && ids.iter().all(|id| known.contains(id)));
        }
    });
    uploads.begin(first.clone()).unwrap();
    send(&mut uploads, &first, &old, 2);
    assert_eq!(uploads.begin(second.clone()).unwrap(), Begun::Replaced);
    send(&mut uploads, &second, &new, 2);
    let finer = About { piece: 16, ..second.clone() };
    assert_eq!(uploads.begin(finer.clone()).unwrap(), Begun::Replaced);
    assert_eq!(missing(&uploads, &finer), 25);
    uploads.drop_upload(second.id).unwrap();
    disk.unwatch();
    assert_eq!(open(&disk.after_cut(0)).reports(), []);
    assert!(disk.files().is_empty());
}

#[test]
fn what_is_damaged_on_the_disk_is_wanted_again_and_another_file_from_its_beginning() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(5, 640);
    let about = about("x", &content, 64);
    uploads.begin(about.clone()).unwrap();
    (0..8).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    let part = UploadFolder::open(Arc::new(disk.clone()), Path::new(FOLDER)).unwrap().path(about.id, "part");
    disk.damage(&part, 130, 3).unwrap();
    assert_eq!(missing(&open(&disk), &about), 3, "a start sees it");
    drop(send(&mut uploads, &about, &content, 8));
    let Piece::Spoilt(report) = send(&mut uploads, &about, &content, 9) else { panic!() };
    assert_eq!(report.code, EventCode::UploadFailed);
    assert!(report.text.ends_with("1 pieces are damaged on the disk and wanted again"), "{}", report.text);
    assert!(matches!(send(&mut uploads, &about, &content, 2), Piece::Complete(_)));
    // Pieces of another file, under a digest that isn't its.
    let mut wrong = content.clone();
    wrong[0] ^= 1;
    uploads.drop_upload(about.id).unwrap();
    uploads.begin(about.clone()).unwrap();
    (0..9).for_each(|index| drop(send(&mut uploads, &about, &wrong, index)));
    let Piece::Spoilt(report) = send(&mut uploads, &about, &wrong, 9) else { panic!() };
    assert!(report.text.contains("all pieces are wanted again"), "{}", report.text);
    assert_eq!((missing(&uploads, &about), missing(&open(&disk), &about)), (10, 10));
    (0..10).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    assert_eq!(uploads.complete().len(), 1);
}

#[test]
fn what_cannot_be_read_is_wanted_again_and_a_description_that_is_damaged_is_dropped() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(6, 640);
    let about = about("x", &content, 64);
    uploads.begin(about.clone()).unwrap();
    (0..9).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    let folder = UploadFolder::open(Arc::new(disk.clone()), Path::new(FOLDER)).unwrap();
    disk.damage(&folder.path(about.id, "about"), 20, 0).unwrap();
    let (uploads, reports) = open_told(&disk);
    assert!(uploads.reports().is_empty() && disk.files().is_empty());
    assert!(reports[0].text.ends_with("it is damaged on the disk and dropped"), "{reports:?}");
}

#[test]
fn a_disk_that_fails_costs_the_piece_and_no_more() {
    let disk = disk();
    let mut uploads = open(&disk);
    let content = content(7, 640);
    let about = about("x", &content, 64);
    uploads.begin(about.clone()).unwrap();
    drop(send(&mut uploads, &about, &content, 0));
    for faults in
        [Faults { sync_fails: true, ..Faults::default() }, Faults { read_only: true, ..Faults::default() }]
    {
        disk.set_faults(faults);
        let failed = uploads.piece(about.id, 1, piece(&about, &content, 1)).unwrap_err();
        assert!(matches!(failed, UploadError::Disk(_)), "{failed}");
        assert_eq!(missing(&uploads, &about), 9);
        disk.set_faults(Faults::default());
    }
    (1..9).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    assert!(matches!(send(&mut uploads, &about, &content, 9), Piece::Complete(_)));
}

#[test]
fn uploads_and_their_bytes_are_bounded() {
    let disk = disk();
    let mut uploads = open(&disk);
    let small = |seed| content(seed, 100);
    for seed in 0..8 {
        uploads.begin(about(&format!("n{seed}"), &small(seed), 16)).unwrap();
    }
    let one_more = about("n8", &small(8), 16);
    assert!(matches!(uploads.begin(one_more.clone()), Err(UploadError::TooMany)));
    assert_eq!(uploads.reports().len(), MAX_UPLOADS);
    uploads.drop_upload(about("n0", &small(0), 16).id).unwrap();
    let large = about("large", &content(9, (1 << 20) - 2_000), 768);
    let refused = uploads.begin(large).unwrap_err().to_string();
    assert!(refused.ends_with("and there is room for 1047680"), "{refused}");
    uploads.begin(one_more).unwrap();
    // Of those that were taken the oldest are forgotten.
    let mut uploads = open(&SimDisk::default());
    for seed in 0..20 {
        let (name, content) = (format!("n{seed}"), small(seed));
        let about = about(&name, &content, 100);
        uploads.begin(about.clone()).unwrap();
        assert!(matches!(send(&mut uploads, &about, &content, 0), Piece::Complete(_)));
        uploads.taken(about.id).unwrap();
    }
    let names: Vec<_> = uploads.progress().into_iter().map(|progress| progress.name).collect();
    assert_eq!((names.len(), names[0].as_str()), (8, "n12"));
}

#[test]
fn on_linux_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = || UploadFolder::open(Arc::new(LinuxDisk), &dir.path().join("uploads")).unwrap();
    let content = content(8, 5_000);
    let about = about("x.sh", &content, 700);
    let (mut uploads, _) = Uploads::open(at(), MOST_BYTES).unwrap();
    uploads.begin(about.clone()).unwrap();
    (0..7).for_each(|index| drop(send(&mut uploads, &about, &content, index)));
    drop(uploads);
    let (mut uploads, reports) = Uploads::open(at(), MOST_BYTES).unwrap();
    assert_eq!((missing(&uploads, &about), reports.len()), (1, 0));
    let Piece::Complete(complete) = send(&mut uploads, &about, &content, 7) else { panic!() };
    assert!(std::fs::read(complete.path).unwrap() == content);
    uploads.taken(about.id).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 1);
}

/// Sends a piece, and cuts power at one of the operations of that; whether there was any.
fn cut_while_sending(
    (disk, uploads): (&mut SimDisk, &mut Open),
    (about, content, index): (&About, &[u8], u32),
    seed: u64,
) -> bool {
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&cuts);
    disk.watch(move |disk| into.lock().unwrap().push(disk.after_cut(seed)));
    drop(send(uploads, about, content, index));
    disk.unwatch();
    let mut cuts = std::mem::take(&mut *cuts.lock().unwrap());
    if cuts.is_empty() {
        return false;
    }
    let nth = usize::try_from(seed % 97).unwrap() % cuts.len();
    *disk = cuts.swap_remove(nth);
    *uploads = open(disk);
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn over_losses_repeats_and_cuts_what_is_there_is_what_a_model_says(
        events in prop::collection::vec((0..20_u32, 0..10_u8, any::<u64>()), 0..120),
    ) {
        let mut disk = disk();
        let content = content(4, 20 * 24 - 5);
        let about = about("m", &content, 24);
        let mut uploads = open(&disk);
        uploads.begin(about.clone()).unwrap();
        let mut there = [false; 20];
        let absent = |there: &[bool; 20]| there.iter().filter(|there| !**there).count();
        for (index, what, seed) in events {
            let at = usize::try_from(index).unwrap();
            if what == 0 {
                // Nothing is being written: power takes nothing.
                disk = disk.after_cut(seed);
                uploads = open(&disk);
            } else if what < 3 {
                let cut = cut_while_sending((&mut disk, &mut uploads), (&about, &content, index), seed);
                // The piece at hand may be lost, and none of the others.
                let others = absent(&there) - usize::from(!there[at]);
                there[at] = !cut || missing(&uploads, &about) as usize == others;
            } else {
                let done = send(&mut uploads, &about, &content, index);
                let was = std::mem::replace(&mut there[at], true);
                prop_assert_eq!(done == Piece::Repeated, was);
                prop_assert_eq!(matches!(done, Piece::Complete(_)), !was && absent(&there) == 0);
            }
            prop_assert_eq!(missing(&uploads, &about) as usize, absent(&there));
            prop_assert_eq!(uploads.complete().len(), usize::from(absent(&there) == 0));
        }
    }
}
