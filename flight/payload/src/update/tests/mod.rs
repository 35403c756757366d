//! Staging: what comes of good files and bad ones, and of power cuts at every operation.

mod board;
mod cuts;
mod life;

use passband_proto::release::ImageId;
use passband_proto::release::manifest::Manifest;
use passband_proto::slot::{Mark, Slot};

use super::file::{FileError, UpdateFile};
use super::stage::{Progress, StageError, Tick, Work, stage};
use crate::adapters::disk::{Disk, DiskFile};
use board::{Board, id, new, old, runs, trust};

/// The update that lies on a board, taken apart and believed.
struct Update {
    file: Box<dyn DiskFile>,
    manifest: Manifest,
    from: u64,
}

impl Update {
    fn on(board: &Board) -> Self {
        let file = board.upload();
        let (manifest, from) = UpdateFile::read(file.as_ref()).unwrap().manifest.unwrap();
        let manifest = trust().authentic(&manifest).unwrap().manifest;
        Self { file, manifest, from }
    }

    fn work(&self) -> Work<'_> {
        let delta = self.manifest.deltas[0];
        Work {
            file: self.file.as_ref(),
            from: self.from,
            delta,
            base: (delta.base != ImageId::NONE).then_some(Slot::A),
            slot: Slot::B,
            image: self.manifest.image,
            image_bytes: self.manifest.image_bytes,
        }
    }
}

/// Stages the update that lies on the board; `change` makes the work another one.
fn staged(board: &Board, change: impl FnOnce(&mut Work<'_>)) -> Result<(), StageError> {
    let update = Update::on(board);
    let mut work = update.work();
    change(&mut work);
    stage(&board.slots, &work, &mut |_| true)
}

#[test]
fn an_update_is_staged_beside_what_runs_and_tried_out() {
    for against_what_runs in [true, false] {
        let board = Board::new(against_what_runs);
        staged(&board, |_| ()).unwrap();
        let record = board.slots.record();
        assert_eq!((record.active, record.b.mark, record.b.image), (Slot::A, Mark::Staged, id(new())));
        assert_eq!(board.image(Slot::B), new());
        assert!(board.disk.open(&board.slots.part(Slot::B)).is_err());
        staged(&board, |_| ()).unwrap();
        assert_eq!(board.slots.record(), record, "a second time changes nothing");
        assert_eq!(board.starts(), Some(Slot::A));
        board.slots.change(|record| record.try_out(Slot::B, 3, 60).map(Some)).unwrap();
        assert_eq!(board.starts(), Some(Slot::B));
    }
}

#[test]
fn what_is_not_what_was_signed_changes_nothing() {
    let refused = |change: &dyn Fn(&mut Work<'_>)| {
        let board = Board::new(true);
        let before = board.slots.record();
        let refusal = staged(&board, change).unwrap_err();
        assert_eq!((board.slots.record(), board.image(Slot::B)), (before, old().to_vec()));
        // Nor is what was made of it in the way of the right one.
        staged(&board, |_| ()).unwrap();
        assert_eq!(board.image(Slot::B), new());
        refusal
    };
    let other = ImageId([7; 32]);
    assert!(matches!(refused(&|work| work.delta.digest = other), StageError::Delta));
    assert!(matches!(refused(&|work| work.delta.bytes += 1), StageError::Delta));
    assert!(matches!(refused(&|work| work.delta.base = other), StageError::Base));
    assert!(matches!(refused(&|work| work.image = other), StageError::Result));
    assert!(matches!(refused(&|work| work.image_bytes += 1), StageError::Result));
    assert!(matches!(refused(&|work| work.base = None), StageError::Apply(_)));
}

#[test]
fn the_slot_that_runs_is_never_written() {
    let board = Board::new(true);
    let before = board.slots.record();
    for slot in [Slot::A, Slot::Golden] {
        assert!(matches!(staged(&board, |work| work.slot = slot), Err(StageError::Record(_))), "{slot}");
        assert_eq!((board.slots.record(), board.image(Slot::A)), (before, runs().to_vec()));
    }
}

#[test]
fn a_base_that_rotted_is_seen_and_nothing_is_made_of_it() {
    let board = Board::new(true);
    board.disk.damage(&board.slots.image(Slot::A), 100, 3).unwrap();
    assert!(matches!(staged(&board, |_| ()), Err(StageError::Base)));
    assert_eq!(board.image(Slot::B), old());
}

#[test]
fn a_result_that_rots_on_its_way_to_the_disk_never_gets_into_the_slot() {
    let board = Board::new(false);
    let part = board.slots.part(Slot::B);
    board.disk.watch_reads(move |path, _, bytes| {
        if path == part
            && let Some(byte) = bytes.first_mut()
        {
            *byte ^= 1;
        }
        Ok(())
    });
    assert!(matches!(staged(&board, |_| ()), Err(StageError::Result)));
    board.disk.unwatch_reads();
    assert_eq!(board.slots.record().b.image, id(old()));
}

#[test]
fn it_stops_when_it_is_told_to_and_goes_on_where_it_was() {
    let board = Board::new(false);
    let update = Update::on(&board);
    let (mut stops, mut written) = (0, 0);
    for most in 1.. {
        let mut left = most;
        let tick: &mut Tick<'_> = &mut |Progress { done, of }| {
            assert!(done <= of);
            left -= 1;
            left > 0
        };
        let before = board.disk.written_bytes();
        match stage(&board.slots, &update.work(), tick) {
            Err(StageError::Stopped) => stops += 1,
            other => {
                other.unwrap();
                break;
            }
        }
        written += board.disk.written_bytes() - before;
    }
    assert!(stops > 3, "{stops} stops");
    assert!(
        written < 2 * new().len() as u64 + 1_000,
        "{written} bytes: segments that were made aren't made again"
    );
    assert_eq!(board.image(Slot::B), new());
}

#[test]
fn update_files_that_are_none_are_refused_with_the_place() {
    let board = Board::new(true);
    let read = |bytes: &[u8]| UpdateFile::read(board::file(&board.disk, bytes).as_ref());
    assert!(matches!(read(b""), Err(FileError::Empty)));
    assert!(matches!(read(b"no envelope at all"), Err(FileError::At(0, _))));
    let root = board::root();
    let alone = read(&root).unwrap();
    assert_eq!((alone.roots, alone.manifest), (vec![root.clone()], None));
    let torn = [&root[..], &root[..20]].concat();
    assert!(matches!(read(&torn), Err(FileError::At(at, _)) if at == root.len() as u64));
    assert!(matches!(read(&root.repeat(17)), Err(FileError::Roots)));
}
