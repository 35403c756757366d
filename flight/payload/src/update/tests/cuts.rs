//! Power cuts at every operation of staging, and again at every operation of what goes on after the first.
//!
//! After each the launcher has to start what ran before, whole; and staging, done again, has to come to its end. The
//! fault model is that of [`crate::faults`]: whatever wasn't synced is there or not, sector by sector, name by name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use passband_proto::slot::Slot;

use super::board::{Board, id, new};
use super::staged;
use crate::faults::SimDisk;

/// Dice of a cut.
const SEEDS: u64 = 3;

/// Stages on the disk and looks at it as a cut before each operation, and one after the last, would leave it.
fn after_each_cut(disk: SimDisk, seeds: u64, mut look: impl FnMut(SimDisk) + Send + 'static) {
    let board = Board::on(disk);
    let left = Arc::new(Mutex::new(Vec::new()));
    let into = left.clone();
    board.disk.watch(move |disk| {
        into.lock().unwrap().extend((0..seeds).map(|seed| disk.after_cut(seed)));
    });
    staged(&board, |_| ()).unwrap();
    board.disk.unwatch();
    left.lock().unwrap().push(board.disk.after_cut(0));
    let left = std::mem::take(&mut *left.lock().unwrap());
    left.into_iter().for_each(&mut look);
}

/// What has to hold on a disk whatever happened to it before.
fn holds(disk: &SimDisk) {
    let board = Board::on(disk.clone());
    let record = board.slots.found().record.expect("a sound record");
    assert_eq!(record.active, Slot::A, "nobody wanted another one");
    assert_eq!(board.starts(), Some(Slot::A));
}

#[test]
fn whenever_the_power_goes_what_ran_runs_and_the_update_comes_to_its_end() {
    for against_what_runs in [true, false] {
        let cuts = Arc::new(AtomicU64::new(0));
        let counted = cuts.clone();
        after_each_cut(Board::new(against_what_runs).disk, SEEDS, move |first| {
            holds(&first);
            let counted = counted.clone();
            after_each_cut(first, 1, move |second| {
                holds(&second);
                let board = Board::on(second);
                staged(&board, |_| ()).unwrap();
                assert_eq!((board.image(Slot::B), board.slots.record().b.image), (new().to_vec(), id(new())));
                assert_eq!(board.starts(), Some(Slot::A));
                counted.fetch_add(1, Ordering::Relaxed);
            });
        });
        let cuts = cuts.load(Ordering::Relaxed);
        assert!(cuts > 500, "{cuts} cuts");
    }
}
