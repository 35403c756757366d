//! The folder of an outbox over losses, old copies and several processes.

use std::fs;

use passband_proto::dict::UploadKind;

use super::super::shelf::Shelf;
use super::*;
use passband_proto::sdls::Role;

const NOW: u64 = 1_796_119_200_000;

fn key(spi: u16) -> RoleKey {
    RoleKey::new(1, spi, Role::Operator, [7; 32]).unwrap()
}

#[test]
fn numbers_rise_over_processes_and_losses_and_a_folder_has_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path(), &key(2)).unwrap();
    let first = folder.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number;
    let other = Folder::open(dir.path(), &key(2)).unwrap();
    assert_eq!(other.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number, first + 1);
    assert!(first > 2_000_000, "from the time");
    fs::write(dir.path().join("number"), "junk").unwrap();
    assert_eq!(folder.queue(Mode::Run, &Order::Ping {}, 0).unwrap().number, first + 2);
    assert_eq!(folder.numbers().unwrap(), [first, first + 1, first + 2]);
    assert_eq!(folder.order(first).unwrap().unwrap().words(), "ping");
    assert!(folder.order(1).unwrap().is_none());
    let error = Folder::open(dir.path(), &key(3)).unwrap_err().to_string();
    assert!(error.contains("another key"), "{error}");
}

#[test]
fn an_old_copy_uses_no_number_and_no_counter_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
    let old = folder.queue(Mode::Run, &Order::Ping {}, NOW).unwrap().number;
    folder.keep_mark(NOW + 16).unwrap();
    let files = ["number", "counter"].map(|name| (name, fs::read(dir.path().join(name)).unwrap()));
    let last =
        (0..5).map(|_| folder.queue(Mode::Run, &Order::PassStop {}, NOW).unwrap().number).max().unwrap();
    folder.keep_mark(NOW + 32).unwrap();
    // An hour later the copy of before is put back.
    files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
    (old + 1..=last).for_each(|number| folder.forget_order(number).unwrap());
    let later = NOW + 3_600_000;
    assert!(folder.queue(Mode::Run, &Order::Ping {}, later).unwrap().number > last);
    assert!(folder.mark(later).unwrap() > NOW + 32);
}

#[test]
fn one_process_works_it_and_a_lost_counter_goes_on_from_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
    assert_eq!(folder.mark(NOW).unwrap(), NOW);
    folder.keep_mark(NOW + 16).unwrap();
    assert_eq!(folder.mark(NOW + 9).unwrap(), NOW + 16);
    assert_eq!(folder.mark(NOW + 99).unwrap(), NOW + 99, "the file may be an old copy");
    let lock = folder.lock().unwrap();
    assert!(lock.is_some() && folder.lock().unwrap().is_none());
    drop(lock);
    assert!(folder.lock().unwrap().is_some());
    for what in [Drop::Order(12), Drop::Upload([1, 2, 3, 4])] {
        folder.drop_later(what).unwrap();
        assert_eq!(folder.drops().unwrap(), [what]);
        folder.dropped(what).unwrap();
    }
}

#[test]
fn an_upload_is_queued_once_and_its_content_kept_until_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(dir.path(), &key(2)).unwrap();
    let queue = |content: &[u8]| folder.queue_upload(UploadKind::Script, "check", content, 200, NOW);
    let mut about = queue(&[5; 1000]).unwrap();
    assert_eq!(queue(&[5; 1000]).unwrap().begin, about.begin);
    assert_eq!(folder.load_upload(about.clone()).unwrap().progress().pieces, 5);
    about.whole = true;
    folder.keep_upload(&about).unwrap();
    assert!(folder.load_upload(about.clone()).is_err());
    assert!(
        folder.queue_upload(UploadKind::Script, "check", &[5; 1000], 200, NOW).unwrap().begin > about.begin
    );
    assert_eq!(folder.upload_ids().unwrap(), [about.id]);
}
