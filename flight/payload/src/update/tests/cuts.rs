//! Power cuts at every operation of an update, from the order to begin to the confirmation, and again at every operation
//! of what goes on after the first.
//!
//! After each the launcher has to start something that is proved; what was confirmed never goes back, what was not never
//! moves the ratchet; and the update, gone on with, has to come to its end. The fault model is that of
//! [`crate::faults`]: whatever wasn't synced is there or not, sector by sector, name by name.

use std::sync::{Arc, Mutex};

use passband_proto::slot::{Mark, Slot};

use super::board::{Board, id, new};
use super::life::{policy, started, to_its_end};
use crate::faults::SimDisk;

/// Disks that are looked at, about; `PASSBAND_CUTS` sets another number.
const CUTS: u64 = 3_000;

/// Plays an update to its end on the disk, and gives back what a cut before each operation would leave, by some dice.
fn cuts(disk: &SimDisk, boot: u64, dice: &[u64]) -> Vec<SimDisk> {
    let left = Arc::new(Mutex::new(Vec::new()));
    let (into, dice) = (left.clone(), dice.to_vec());
    disk.watch(move |disk| into.lock().unwrap().extend(dice.iter().map(|die| disk.after_cut(*die))));
    to_its_end(&Board::on(disk.clone()), boot);
    disk.unwatch();
    let mut left = std::mem::take(&mut *left.lock().unwrap());
    left.push(disk.after_cut(0));
    left
}

/// What has to hold on a disk whatever happened to it before.
fn holds(disk: &SimDisk, boot: u64) {
    let board = Board::on(disk.clone());
    let before = board.slots.found().record.expect("a sound record");
    let updater = started(&board, boot, policy());
    let (record, running) = (board.slots.record(), updater.running().slot);
    assert!(running == record.active || record.trial.is_some(), "{record:?} runs {running}");
    assert_ne!(running, Slot::Golden, "a good version is there: {before:?}");
    let confirmed = record.active == Slot::B && record.b.mark == Mark::Good && record.b.image == id(new());
    assert_eq!(updater.trust().unwrap().confirmed(), if confirmed { 3 } else { 0 }, "{record:?}");
}

fn comes_to_its_end(disk: SimDisk, boot: u64) {
    let board = Board::on(disk);
    to_its_end(&board, boot);
    let updater = started(&board, boot + 100, policy());
    assert_eq!((updater.running().slot, updater.trust().unwrap().confirmed()), (Slot::B, 3));
    assert_eq!(board.image(Slot::B), new());
}

#[test]
fn cuts_whenever_they_come_leave_a_board_that_starts_and_an_update_that_ends() {
    let wanted = std::env::var("PASSBAND_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(CUTS);
    let (mut first, mut second, mut round) = (0_u64, 0_u64, 0);
    while first + second < wanted {
        let board = Board::new(round % 2 == 0);
        for disk in cuts(&board.disk, 1, &[round]) {
            first += 1;
            holds(&disk.after_cut(0), 100);
            if first + second >= wanted {
                comes_to_its_end(disk, 100);
                continue;
            }
            let again = cuts(&disk, 100, &[round.wrapping_mul(31).wrapping_add(first)]);
            second += again.len() as u64;
            for (n, disk) in again.into_iter().enumerate() {
                holds(&disk.after_cut(0), 200);
                // Each of them would take long, and say little more.
                if n % 8 == 0 {
                    comes_to_its_end(disk, 200);
                }
            }
        }
        round += 1;
    }
    println!("update: {first} cuts at every operation, {second} at every operation after one");
    assert!(first > 50 && second > 1_000);
}
