//! What the launcher decides.

use super::super::decide::{BROWN_OUTS, Boot, Decision, Why, damaged, decide};
use super::*;

const COLD: Boot = Boot { id: 0x0102_0304_0506_0708, by_watchdog: false };

/// A board on which starts end as they are told to.
struct Board {
    record: SlotRecord,
    boot: u64,
}

/// How a start ends.
#[derive(Clone, Copy)]
enum Ends {
    Crash,
    PowerCut,
    Watchdog,
    Order,
}

impl Board {
    /// Slot a is good; b is on trial.
    fn on_trial(attempts: u8) -> Self {
        let good = SlotRecord { active: Slot::A, a: held(1, Mark::Good), ..SlotRecord::FACTORY };
        let staged = good.stage(Slot::B, ImageId([2; 32])).unwrap();
        Self { record: staged.try_out(Slot::B, attempts, 600).unwrap(), boot: 1 }
    }

    /// One start that runs well or not, and ends; what was started, and why.
    fn start(&mut self, by_watchdog: bool, well: bool, ends: Ends) -> (Slot, Why) {
        let decision = decide(Some(self.record), Boot { id: self.boot, by_watchdog });
        if let Some(record) = decision.write {
            assert!(record.is_sound() && record.generation == self.record.generation + 1);
            self.record = record;
        }
        let slot = decision.order[0];
        let phases = [(well, Phase::Well), (matches!(ends, Ends::Order), Phase::Ordered)];
        for (_, phase) in phases.into_iter().filter(|(is, _)| *is) {
            self.record = self.record.got(slot, phase).unwrap().unwrap_or(self.record);
        }
        self.boot += u64::from(matches!(ends, Ends::PowerCut | Ends::Watchdog));
        (slot, decision.why)
    }
}

#[test]
fn whatever_the_record_every_slot_is_tried_once_and_what_is_written_is_sound() {
    for record in every_record().into_iter().map(Some).chain([None]) {
        for boot in [COLD, Boot { id: 5, ..COLD }, Boot { id: 5, by_watchdog: true }] {
            let decision = decide(record, boot);
            for order in [decision.order, decision.unwritable] {
                assert!(Slot::ALL.iter().all(|slot| order.contains(slot)), "{decision:?}");
            }
            let (Some(before), Some(after)) = (record, decision.write) else { continue };
            assert!(after.is_sound(), "{before:?} {after:?}");
            assert_eq!(after.generation, before.generation + 1);
            assert_eq!((after.a.image, after.b.image), (before.a.image, before.b.image));
        }
    }
}

#[test]
fn only_a_trial_writes_and_it_is_never_started_unwritten() {
    for record in every_record() {
        let Decision { write, order, unwritable, why, deadline_s } = decide(Some(record), COLD);
        let Some(trial) = record.trial else {
            assert_eq!((write, why, order[0], deadline_s), (None, Why::Confirmed, record.active, None));
            assert_eq!(order[1] == record.fallback(), record.active != Slot::Golden);
            continue;
        };
        assert_eq!((unwritable[0], unwritable[2]), (Slot::Golden, record.active));
        let write = write.unwrap();
        assert_eq!(why == Why::Trial, order[0] == record.active);
        assert_eq!(deadline_s.is_some(), why == Why::Trial && trial.deadline_s > 0);
        if why == Why::Trial {
            assert_eq!(write.last, Some(Last { slot: record.active, phase: Phase::Begun, boot: COLD.id }));
            assert_eq!(order[1], trial.fallback);
        } else {
            assert_eq!((order[0], order[2]), (trial.fallback, record.active), "the doubtful one is the last");
        }
    }
}

#[test]
fn a_generation_that_cannot_count_starts_no_trial() {
    for record in every_record() {
        let decision = decide(Some(SlotRecord { generation: u64::MAX, ..record }), COLD);
        assert_eq!(decision.write, None);
        assert!(record.trial.is_none() || decision.order[0] == Slot::Golden);
    }
}

#[test]
fn no_record_means_golden() {
    let decision = decide(None, COLD);
    assert_eq!((decision.write, decision.order[0], decision.why), (None, Slot::Golden, Why::NoRecord));
}

#[test]
fn crashes_cost_attempts_then_it_reverts_for_good() {
    let mut board = Board::on_trial(3);
    let starts: Vec<_> = (0..5).map(|_| board.start(false, true, Ends::Crash)).collect();
    let trial = (Slot::B, Why::Trial);
    assert_eq!(starts, [trial, trial, trial, (Slot::A, Why::Reverted), (Slot::A, Why::Confirmed)]);
    assert_eq!(board.record.reverted, Some((Slot::B, Cause::Crashed)));
    assert_eq!(board.record.b.mark, Mark::Failed);
}

#[test]
fn the_watchdog_costs_attempts_too() {
    let mut board = Board::on_trial(2);
    board.start(false, false, Ends::Watchdog);
    board.start(true, true, Ends::Watchdog);
    assert_eq!(board.start(true, false, Ends::Crash), (Slot::A, Why::Reverted));
    assert_eq!(board.record.reverted, Some((Slot::B, Cause::Watchdog)));
}

#[test]
fn what_is_ended_by_order_costs_nothing() {
    let mut board = Board::on_trial(1);
    for _ in 0..100 {
        assert_eq!(board.start(false, true, Ends::Order), (Slot::B, Why::Trial));
    }
}

#[test]
fn a_hundred_and_fifty_power_cuts_burn_nothing_where_the_fallback_fares_no_better() {
    let mut board = Board::on_trial(1);
    let mut starts = [0, 0];
    for _ in 0..150 {
        match board.start(false, false, Ends::PowerCut) {
            (Slot::B, Why::Trial) => starts[0] += 1,
            (Slot::A, Why::Interlude) => starts[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(starts, [134, 16], "every ninth is an interlude");
    assert_eq!(board.record.trial.unwrap().attempts_left, 1);
    // Power cuts after it has run well don't even begin to count.
    for _ in 0..150 {
        assert_eq!(board.start(false, true, Ends::PowerCut), (Slot::B, Why::Trial));
    }
}

#[test]
fn a_version_that_makes_the_power_go_reverts_in_the_end() {
    let mut board = Board::on_trial(2);
    let mut trials = 0;
    let why = loop {
        match board.start(false, board.record.trial.is_none(), Ends::PowerCut) {
            (Slot::B, Why::Trial) => trials += 1,
            (Slot::A, Why::Interlude) => {
                // The fallback runs well, and is left by order or by power.
                board.record = board.record.got(Slot::A, Phase::Well).unwrap().unwrap();
            }
            other => break other,
        }
    };
    assert_eq!(why, (Slot::A, Why::Reverted));
    assert_eq!(trials, 2 * usize::from(BROWN_OUTS));
    assert_eq!(board.record.reverted, Some((Slot::B, Cause::BrownOuts)));
}

#[test]
fn a_crash_of_the_fallback_in_an_interlude_is_not_the_trial_s() {
    let mut board = Board::on_trial(1);
    for _ in 0..BROWN_OUTS {
        board.start(false, false, Ends::PowerCut);
    }
    assert_eq!(board.start(false, false, Ends::Crash), (Slot::A, Why::Interlude));
    assert_eq!(board.start(false, false, Ends::Crash), (Slot::B, Why::Trial));
}

#[test]
fn without_a_boot_id_a_power_cut_counts_as_a_crash() {
    let mut board = Board { boot: 0, ..Board::on_trial(1) };
    board.start(false, false, Ends::Order);
    board.record.last = board.record.last.map(|last| Last { phase: Phase::Begun, boot: 0, ..last });
    board.boot = 0;
    assert_eq!(board.start(false, false, Ends::PowerCut), (Slot::A, Why::Reverted));
}

#[test]
fn a_damaged_trial_reverts_at_once_and_nothing_else_does() {
    for record in every_record() {
        for slot in Slot::ALL {
            match damaged(&record, slot) {
                Some(after) => {
                    assert!(record.trial.is_some() && slot == record.active && after.is_sound());
                    assert_eq!(after.reverted, Some((slot, Cause::Damaged)));
                    assert_eq!(after.active, record.fallback());
                }
                None => assert!(record.trial.is_none() || slot != record.active),
            }
        }
    }
}
