//! An update from the order to begin to the confirmation, as launcher, daemon and operator play it; and its failures.

use passband_proto::dict::{Reason, UpdateState};
use passband_proto::slot::{Cause, Mark, Phase as Got, Slot};

use super::board::{Board, id, new, root, runs};
use super::{Update, UpdateFile, stage};
use crate::update::contract::{Contract, Vitals};
use crate::update::kept::{Kept, Phase};
use crate::update::updater::{Next, Policy, Running, Updater};

pub(super) const ID: [u8; 4] = [1, 2, 3, 4];
const WELL: Vitals = Vitals { up_s: 60, passes: 1, waits: false, sent: 0, red: 0, safe: false };

pub(super) fn policy() -> Policy {
    let contract = Contract { passes: 1, up_s: 60 };
    Policy { board: "test".into(), deadline_s: 100, contract, interlude_s: 50, ..Policy::default() }
}

/// The launcher starts something in this boot, and that takes up what is kept.
pub(super) fn started(board: &Board, boot: u64, policy: Policy) -> Updater {
    let slot = board.starts_in(boot).expect("something is started");
    let record = board.slots.record();
    let interlude = record.trial.is_some() && record.active != slot;
    let running = Running { slot, interlude, launcher: 1 };
    Updater::open(board.slots.clone(), running, policy, Some(&root())).0
}

/// What the daemon does with an upload that is whole and wanted.
pub(super) fn stages(board: &Board, updater: &mut Updater) {
    let taken = UpdateFile::read(board.upload().as_ref()).unwrap();
    updater.rotate(&taken.roots).unwrap();
    let (slot, _) = updater.check(&taken.manifest.unwrap().0, Some(1_800_000_001)).unwrap();
    let update = Update::on(board);
    let work = super::Work { slot, ..update.work() };
    let result = stage(&board.slots, &work, &mut |_| true);
    updater.staged(ID, &result);
}

/// Begun, staged, and started on trial in the second boot.
fn on_trial(board: &Board) -> Updater {
    let mut updater = started(board, 1, policy());
    updater.start(ID).unwrap();
    stages(board, &mut updater);
    assert_eq!(updater.try_out(), Ok(Next::Switch));
    let updater = started(board, 2, policy());
    assert_eq!((updater.running().slot, updater.state(false)), (Slot::B, UpdateState::Trial));
    updater
}

#[test]
fn from_the_order_to_the_confirmation() {
    let board = Board::new(true);
    let mut updater = started(&board, 1, policy());
    assert_eq!(updater.state(false), UpdateState::Idle);
    updater.start(ID).unwrap();
    updater.start(ID).unwrap();
    assert_eq!((updater.state(false), updater.state(true)), (UpdateState::Receiving, UpdateState::Received));
    assert_eq!(updater.try_out().unwrap_err().reason, Reason::NotPossible, "nothing is staged");
    assert_eq!(updater.start([9; 4]).unwrap_err().reason, Reason::NotPossible, "one at a time");
    stages(&board, &mut updater);
    assert_eq!(updater.state(false), UpdateState::Staged);
    assert_eq!(updater.confirm(true, None).unwrap_err().reason, Reason::NotFound, "it was never tried");
    assert_eq!(updater.try_out(), Ok(Next::Switch));
    assert_eq!(updater.trust().unwrap().confirmed(), 0, "the ratchet waits");
    let mut updater = started(&board, 2, policy());
    assert_eq!(updater.try_out(), Ok(Next::Stay), "a second time changes nothing");
    assert_eq!(updater.confirm(false, None).unwrap_err().text, "not healthy yet: 0 of 1 passes");
    updater.got(Got::Well).unwrap();
    assert_eq!(updater.second(&WELL, None), (vec![], Next::Stay), "it waits for the operator");
    let told = updater.confirm(false, Some(1_800_000_002)).unwrap();
    assert_eq!(told.text, "update 01020304, 0.3: slot b is confirmed");
    assert_eq!((updater.state(false), updater.trust().unwrap().confirmed()), (UpdateState::Idle, 3));
    let record = board.slots.record();
    assert_eq!((record.active, record.b.mark, record.b.image), (Slot::B, Mark::Good, id(new())));
    let updater = started(&board, 3, policy());
    assert_eq!((updater.running().slot, updater.trust().unwrap().confirmed()), (Slot::B, 3));
}

#[test]
fn one_that_is_healthy_confirms_itself_where_that_is_wanted() {
    let board = Board::new(true);
    on_trial(&board);
    let mut updater = started(&board, 3, Policy { by_itself: true, ..policy() });
    updater.second(&Vitals { passes: 0, ..WELL }, None);
    assert_eq!(updater.state(false), UpdateState::Trial);
    updater.second(&WELL, None);
    assert_eq!((updater.state(false), board.slots.record().trial), (UpdateState::Idle, None));
}

#[test]
fn nobody_s_confirmation_in_time_brings_back_what_was_before() {
    let board = Board::new(true);
    let mut updater = on_trial(&board);
    // 60 s, a power cut, 60 s: time on trial adds up once a pass or ten minutes have kept it.
    for second in 0..60 {
        let vitals = Vitals { passes: u16::from(second == 59), ..WELL };
        assert_eq!(updater.second(&vitals, None).1, Next::Stay);
    }
    let mut updater = started(&board, 3, policy());
    let seconds = (0..1_000).find(|_| updater.second(&Vitals { passes: 0, ..WELL }, None).1 == Next::Switch);
    assert_eq!(seconds, Some(39));
    assert_eq!(board.slots.record().reverted, Some((Slot::B, Cause::Deadline)));
    let mut updater = started(&board, 4, policy());
    assert_eq!((updater.running().slot, updater.state(false)), (Slot::A, UpdateState::Failed));
    assert_eq!(updater.kept().unwrap().why, "the trial of slot b failed: deadline");
    assert_eq!(updater.trust().unwrap().confirmed(), 0);
    // The same again gets another chance.
    updater.start(ID).unwrap();
    stages(&board, &mut updater);
    assert_eq!(updater.try_out(), Ok(Next::Switch));
}

#[test]
fn one_that_comes_up_in_safe_mode_ends_its_trial() {
    let board = Board::new(true);
    let mut updater = on_trial(&board);
    let (told, next) = updater.second(&Vitals { safe: true, ..WELL }, None);
    assert!(told[0].text.contains("safe mode") && next == Next::Switch, "{told:?}");
    assert_eq!(board.slots.record().reverted, Some((Slot::B, Cause::Unhealthy)));
}

#[test]
fn crashes_on_trial_are_told_afterwards() {
    let board = Board::new(true);
    on_trial(&board);
    // All in one boot: it ends by itself.
    for _ in 0..3 {
        started(&board, 2, policy());
    }
    let updater = started(&board, 2, policy());
    assert_eq!((updater.running().slot, updater.state(false)), (Slot::A, UpdateState::Failed));
    assert_eq!(updater.kept().unwrap().why, "the trial of slot b failed: crashed");
}

#[test]
fn what_ends_by_order_costs_no_attempt() {
    let board = Board::new(true);
    let mut updater = on_trial(&board);
    for _ in 0..9 {
        updater.got(Got::Ordered).unwrap();
        updater = started(&board, 2, policy());
        assert_eq!(updater.running().slot, Slot::B);
    }
}

#[test]
fn an_interlude_gives_the_trial_another_go_after_a_while() {
    let board = Board::new(true);
    on_trial(&board);
    let slots: Vec<_> = (3..11).map(|boot| started(&board, boot, policy()).running()).collect();
    let interlude = slots.last().unwrap();
    assert!(interlude.interlude && interlude.slot == Slot::A, "{slots:?}");
    let mut updater = started(&board, 11, policy());
    assert_eq!(updater.running().slot, Slot::B, "the power went again");
    updater = started(&Board::on(board.disk.clone()), 12, policy());
    assert_eq!(updater.second(&WELL, None).1, Next::Stay);
    let mut updater = Updater::open(board.slots.clone(), *interlude, policy(), None).0;
    let seconds = (1..1_000).find(|_| updater.second(&WELL, None).1 == Next::Switch);
    assert_eq!(seconds, Some(50));
}

#[test]
fn an_abort_at_any_step_leaves_what_ran() {
    let none = Board::new(true);
    assert_eq!(started(&none, 1, policy()).abort().unwrap_err().reason, Reason::NotFound);
    let wanted = Board::new(true);
    let mut updater = started(&wanted, 1, policy());
    updater.start(ID).unwrap();
    assert_eq!(updater.abort(), Ok(Next::Stay));
    updater.start(ID).unwrap();
    stages(&wanted, &mut updater);
    assert_eq!((updater.abort(), wanted.starts_in(2)), (Ok(Next::Stay), Some(Slot::A)));
    let board = Board::new(true);
    let mut updater = on_trial(&board);
    assert_eq!(updater.abort(), Ok(Next::Switch));
    assert_eq!(board.slots.record().reverted, Some((Slot::B, Cause::Ordered)));
    let updater = started(&board, 3, policy());
    assert_eq!((updater.running().slot, updater.state(false)), (Slot::A, UpdateState::Idle));
    assert_eq!(board.image(Slot::A), runs());
}

#[test]
fn back_and_forth_between_confirmed_versions() {
    let board = Board::new(true);
    let mut updater = started(&board, 1, policy());
    assert_eq!(updater.back(Slot::A), Ok(Next::Stay));
    assert_eq!(updater.back(Slot::B), Ok(Next::Switch));
    let mut updater = started(&board, 2, policy());
    assert_eq!(updater.running().slot, Slot::B);
    assert_eq!(updater.back(Slot::Golden), Ok(Next::Switch));
    assert_eq!(started(&board, 3, policy()).running().slot, Slot::Golden);
    let mut updater = on_trial(&Board::new(true));
    assert_eq!(updater.back(Slot::A).unwrap_err().reason, Reason::NotPossible, "a trial is on");
}

#[test]
fn a_release_that_is_not_believed_fails_with_its_reason() {
    let board = Board::new(true);
    let mut updater = started(&board, 1, Policy { board: "other".into(), ..policy() });
    updater.start(ID).unwrap();
    let manifest = UpdateFile::read(board.upload().as_ref()).unwrap().manifest.unwrap().0;
    let why = updater.check(&manifest, None).unwrap_err().text;
    assert_eq!(why, "manifest: made for another type of board");
    updater.refuse(&why);
    let updater = started(&board, 2, policy());
    assert_eq!(
        (updater.state(true), updater.kept().unwrap().why.as_str()),
        (UpdateState::Failed, why.as_str())
    );
}

#[test]
fn without_a_root_nothing_is_believed_and_a_lost_belief_falls_back_to_the_image_s() {
    let board = Board::new(true);
    let running = Running { slot: Slot::A, interlude: false, launcher: 1 };
    let (mut updater, _) = Updater::open(board.slots.clone(), running, policy(), None);
    updater.start(ID).unwrap();
    let manifest = UpdateFile::read(board.upload().as_ref()).unwrap().manifest.unwrap().0;
    assert_eq!(updater.check(&manifest, None).unwrap_err().text, "no root is known here");
    updater.abort().unwrap();
    let mut trial = on_trial(&board);
    trial.confirm(true, None).unwrap();
    for copy in ["trust.0", "trust.1"] {
        let _maybe_not_there = board.disk.damage(&board.slots.root().join(copy), 20, 1);
    }
    let (updater, told) = Updater::open(board.slots.clone(), running, policy(), Some(&root()));
    assert!(!told.is_empty() && updater.trust().unwrap().confirmed() == 0, "{told:?}");
}

/// Plays on, whatever is there, until the update is confirmed.
pub(super) fn to_its_end(board: &Board, mut boot: u64) {
    for _ in 0..20 {
        boot += 1;
        let mut updater = started(board, boot, policy());
        let kept: Option<Kept> = updater.kept().cloned();
        match kept.map(|kept| kept.phase) {
            None if board.slots.record().active == Slot::B => return,
            None | Some(Phase::Failed) => updater.start(ID).unwrap(),
            Some(Phase::Wanted) => stages(board, &mut updater),
            Some(Phase::Staged) => drop(updater.try_out().unwrap()),
            Some(Phase::Trying) => {
                updater.got(Got::Well).unwrap();
                updater.confirm(true, None).unwrap();
            }
        }
    }
    panic!("it doesn't come to its end: {:?}", board.slots.record());
}
