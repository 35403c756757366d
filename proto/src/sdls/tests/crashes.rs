//! Crashes at any point, writes that fail, copies that differ.

use proptest::prelude::*;

use super::*;

/// A disk with one mark, and the board that is run on it.
struct Run {
    board: Associations,
    disk: Mark,
    reserve: u64,
    /// Counters whose frames were acted on.
    acted: Vec<u64>,
    /// The highest counter of a frame that was opened, acted on or not.
    opened: u64,
}

impl Run {
    fn reboot(&mut self) {
        self.board = blank(Limits::UNLIMITED);
        assert!(self.board.restore(&self.disk));
        self.board.set_reserve(1, self.reserve);
    }

    /// Takes a frame; crashes at the given point, if there is one. 0: before the write, 1: before it is confirmed, 2: before the
    /// frame is acted on.
    fn take(&mut self, counter: u64, crash: Option<u8>) {
        let Ok(opened) = self.board.open(0, &frame(1, counter)) else { return };
        self.opened = self.opened.max(counter);
        if let Some(mark) = opened.must_persist {
            if crash == Some(0) {
                return self.reboot();
            }
            self.disk = mark;
            if crash == Some(1) {
                return self.reboot();
            }
            self.board.persisted(&mark);
        }
        if crash == Some(2) {
            return self.reboot();
        }
        self.acted.push(counter);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A frame whose counter is so far from the highest, either way.
    Frame(i64, Option<u8>),
    Reboot,
    Settle,
    Reserve(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let crash = prop_oneof![6 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    prop_oneof![
        12 => (-70..20_i64, crash).prop_map(|(by, crash)| Step::Frame(by, crash)),
        1 => Just(Step::Reboot),
        1 => Just(Step::Settle),
        1 => prop_oneof![Just(0), 1..40_u64].prop_map(Step::Reserve),
    ]
}

proptest! {
    #[test]
    fn no_counter_is_acted_on_twice_over_any_number_of_crashes(steps in prop::collection::vec(step(), 1..120)) {
        let fresh = Mark::fresh(1);
        let mut run = Run { board: board(), disk: fresh, reserve: 0, acted: vec![], opened: 0 };
        let mut most = 0;
        for step in steps {
            match step {
                Step::Frame(by, crash) => {
                    let highest = run.board.marks().first().map_or(0, |mark| mark.highest);
                    let counter = highest.saturating_add_signed(by).max(1);
                    run.take(counter, crash);
                }
                Step::Reboot => run.reboot(),
                Step::Settle => {
                    for mark in run.board.settle() {
                        if mark.spi == 1 {
                            run.disk = mark;
                            run.board.persisted(&mark);
                        }
                    }
                }
                Step::Reserve(reserve) => {
                    run.reserve = reserve;
                    most = most.max(reserve);
                    run.board.set_reserve(1, reserve);
                }
            }
            prop_assert!(run.disk.highest <= run.opened + most, "a reboot would skip more than the reserve");
            let mut sorted = run.acted.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), run.acted.len(), "a counter was acted on twice");
        }
    }

    #[test]
    fn a_reboot_skips_at_most_the_reserve(reserve in 0..100_u64, jumps in prop::collection::vec(1..50_u64, 1..60)) {
        let mut run = Run { board: board(), disk: Mark::fresh(1), reserve, acted: vec![], opened: 0 };
        run.board.set_reserve(1, reserve);
        let mut counter = 0;
        for jump in jumps {
            counter += jump;
            run.take(counter, None);
            prop_assert!(run.disk.highest >= counter && run.disk.highest - counter <= reserve);
            let mut again = blank(Limits::UNLIMITED);
            again.restore(&run.disk);
            prop_assert!(again.open(0, &frame(1, counter + reserve + 1)).is_ok(), "what comes behind is accepted");
        }
        // At rest the exact mark is written, and a reboot skips nothing.
        let exact = run.board.settle();
        prop_assert!(reserve == 0 || exact.iter().any(|mark| mark.spi == 1) || run.disk.highest == counter);
        for mark in exact.iter().filter(|mark| mark.spi == 1) {
            run.disk = *mark;
        }
        run.reboot();
        prop_assert!(run.board.open(0, &frame(1, counter + 1)).is_ok());
        prop_assert!(run.board.open(0, &frame(1, counter)).is_err());
    }
}

#[test]
fn a_write_that_failed_is_asked_for_again() {
    let mut board = board();
    board.set_reserve(1, 10);
    let first = board.open(0, &frame(1, 1)).unwrap().must_persist;
    assert_eq!(first.map(|mark| mark.highest), Some(11));
    let second = board.open(0, &frame(1, 2)).unwrap().must_persist;
    assert_eq!(second.map(|mark| mark.highest), Some(12), "the first wasn't confirmed");
    board.persisted(&second.unwrap());
    for counter in 3..=12 {
        assert_eq!(board.open(0, &frame(1, counter)).unwrap().must_persist, None);
    }
    assert_eq!(board.open(0, &frame(1, 13)).unwrap().must_persist.map(|mark| mark.highest), Some(23));
}

#[test]
fn two_copies_of_a_mark_are_united_and_not_relied_upon() {
    let mut board = blank(Limits::UNLIMITED);
    board.set_reserve(1, 10);
    assert!(board.restore(&Mark { spi: 1, highest: 20, seen: u64::MAX, retired: false }));
    assert!(board.restore(&Mark { spi: 1, highest: 30, seen: 1, retired: false }));
    assert!(!board.restore(&Mark::fresh(77)), "a key that isn't known");
    assert_eq!(refused(&mut board, &frame(1, 20)).reason(), Reason::Replayed);
    assert_eq!(refused(&mut board, &frame(1, 30)).reason(), Reason::Replayed);
    assert!(board.open(0, &frame(1, 25)).unwrap().must_persist.is_some());
    assert_eq!(board.state(1), Some(State::Operational));
    assert_eq!(board.state(2), Some(State::Unsynchronised));
}
