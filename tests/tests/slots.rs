//! The slot record of a board, explored exhaustively: the very code that flies (`passband_proto::slot`), with an operator
//! who does anything at any time, versions that run well, crash, hang or make the power go, images that rot, a disk that
//! can't be written, and power cuts between any two steps.

use passband_proto::release::ImageId;
use passband_proto::slot::decide::{BROWN_OUTS, Boot, Why, damaged, decide};
use passband_proto::slot::{Cause, Mark, Phase, Slot, SlotRecord, Trial};
use stateright::{Checker, Model, Property};

const ATTEMPTS: u8 = 2;

/// What is on the disk, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Board {
    record: SlotRecord,
    /// What lies in slots a and b: the image of this number, or bytes that are none.
    files: [Option<u8>; 2],
    /// Files that were put there by an update that was cut off before the record said so.
    runs: Option<Runs>,
    /// Which of two boots this is: no more is needed to tell the last one from this.
    boot: u64,
    by_watchdog: bool,
    /// Nothing can be written.
    read_only: bool,
    /// A slot whose file has rotted since it was proved.
    rotted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Runs {
    slot: Slot,
    why: Reason,
    /// Whether the launcher proved it.
    proved: bool,
}

/// [`Why`] as something that can be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reason {
    Confirmed,
    Trial,
    Interlude,
    Reverted,
    NoRecord,
    Unwritable,
    NotStartable,
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::Confirmed => Self::Confirmed,
            Why::Trial => Self::Trial,
            Why::Interlude => Self::Interlude,
            Why::Reverted => Self::Reverted,
            Why::NoRecord => Self::NoRecord,
            Why::Unwritable => Self::Unwritable,
            Why::NotStartable => Self::NotStartable,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    /// The launcher is started.
    Launch,
    /// The version that runs notes that it runs well, or that it ends by order and does.
    Well,
    EndsByOrder,
    /// It ends by itself, hangs until the watchdog resets the board, or the power goes.
    Crash,
    Hang,
    PowerCut,
    /// Steps of an update, each one write.
    Clear(Slot),
    PutFile(Slot),
    Stage(Slot),
    Try(Slot),
    Confirm,
    Revert,
    Choose(Slot),
    /// The world.
    Rot(Slot),
    DiskFails,
}

struct Machine;

fn index(slot: Slot) -> Option<usize> {
    [Slot::A, Slot::B].iter().position(|other| *other == slot)
}

fn image(number: u8) -> ImageId {
    ImageId([number; 32])
}

impl Board {
    /// Whether the launcher finds the image there that the record names. Golden is read-only, and always whole.
    fn proves(&self, record: &SlotRecord, slot: Slot) -> bool {
        index(slot)
            .is_none_or(|at| self.files[at].is_some_and(|number| image(number) == record.held(slot).image))
    }

    /// What the launcher does, as `flight/launch/src/start.rs` has it.
    fn launched(mut self) -> Self {
        let decision = decide(Some(self.record), Boot { id: self.boot, by_watchdog: self.by_watchdog });
        let (mut order, mut why) = (decision.order, decision.why);
        if let Some(record) = decision.write {
            if self.read_only {
                (order, why) = (decision.unwritable, Why::Unwritable);
            } else {
                self.record = record;
            }
        }
        for slot in order {
            if self.proves(&self.record, slot) {
                self.runs = Some(Runs { slot, why: why.into(), proved: true });
                return self;
            }
            why = match damaged(&self.record, slot).filter(|_| !self.read_only) {
                Some(reverted) => {
                    self.record = reverted;
                    Why::Reverted
                }
                None => Why::NotStartable,
            };
        }
        self.runs = None;
        self
    }

    fn wrote(mut self, record: SlotRecord) -> Option<Self> {
        self.record = record;
        (!self.read_only).then_some(self)
    }

    fn reset(self, by_watchdog: bool) -> Self {
        Self { runs: None, boot: 1 - self.boot, by_watchdog, ..self }
    }
}

impl Model for Machine {
    type State = Board;
    type Action = Action;

    fn init_states(&self) -> Vec<Board> {
        let factory = SlotRecord::FACTORY;
        let good = factory.install(Slot::A, image(1)).unwrap();
        let both = SlotRecord { b: good.a, ..good };
        [(factory, [None, None]), (good, [Some(1), None]), (both, [Some(1), Some(1)])]
            .map(|(record, files)| Board {
                record: SlotRecord { generation: 0, ..record },
                files,
                runs: None,
                boot: 0,
                by_watchdog: false,
                read_only: false,
                rotted: false,
            })
            .to_vec()
    }

    fn actions(&self, board: &Board, actions: &mut Vec<Action>) {
        let Some(runs) = board.runs else {
            actions.push(Action::Launch);
            return;
        };
        let slots = [Slot::A, Slot::B];
        actions.extend([Action::Well, Action::EndsByOrder, Action::Crash, Action::Hang, Action::PowerCut]);
        actions.extend([Action::Confirm, Action::Revert, Action::DiskFails]);
        actions.extend(slots.map(Action::Clear));
        // An update writes into a slot that the record calls empty and that doesn't run.
        let writable = |slot: &Slot| *slot != runs.slot && board.record.held(*slot).mark == Mark::Empty;
        actions.extend(slots.into_iter().filter(writable).map(Action::PutFile));
        let whole = |slot: &Slot| index(*slot).is_some_and(|at| board.files[at].is_some());
        actions.extend(slots.into_iter().filter(whole).map(Action::Stage));
        actions.extend(slots.map(Action::Try));
        actions.extend(Slot::ALL.map(Action::Choose));
        if !board.rotted {
            actions.extend(slots.map(Action::Rot));
        }
    }

    fn next_state(&self, board: &Board, action: Action) -> Option<Board> {
        let (record, slot) = (board.record, board.runs.map(|runs| runs.slot));
        let on = board.clone();
        let next = match action {
            Action::Launch => on.launched(),
            Action::Well => on.wrote(record.got(slot?, Phase::Well).ok()??)?,
            Action::EndsByOrder => {
                let noted = record.got(slot?, Phase::Ordered).ok().flatten();
                let ended = Board { runs: None, ..on };
                noted.filter(|_| !board.read_only).map_or(Some(ended.clone()), |noted| ended.wrote(noted))?
            }
            Action::Crash => Board { runs: None, ..on },
            Action::Hang => on.reset(true),
            Action::PowerCut => on.reset(false),
            Action::Clear(slot) => on.wrote(record.clear(slot).ok()?)?,
            Action::PutFile(slot) => {
                let mut put = on;
                put.files[index(slot)?] = Some(2);
                put
            }
            Action::Stage(slot) => {
                let number = board.files[index(slot)?]?;
                on.wrote(record.stage(slot, image(number)).ok()?)?
            }
            Action::Try(slot) => on.wrote(record.try_out(slot, ATTEMPTS, 0).ok()?)?,
            // Only the version on trial confirms itself.
            Action::Confirm => on.wrote(record.confirm(slot?).ok()??)?,
            Action::Revert => on.wrote(record.revert(Cause::Ordered).ok()??)?,
            Action::Choose(slot) => on.wrote(record.choose(slot).ok()?)?,
            Action::Rot(slot) => {
                let mut rotten = on;
                rotten.files[index(slot)?].take()?;
                rotten.rotted = true;
                rotten
            }
            Action::DiskFails => Board { read_only: true, ..on },
        };
        // Generations only count; what they are doesn't matter.
        Some(Board { record: SlotRecord { generation: 0, ..next.record }, ..next })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a record is sound", |_, board: &Board| board.record.is_sound()),
            Property::always("whatever runs was proved", |_, board: &Board| {
                board.runs.is_none_or(|runs| runs.proved)
            }),
            Property::always("a launch starts something", |_, board: &Board| {
                board.runs.is_some() || board.clone().launched().runs.is_some()
            }),
            Property::always("a trial has a fallback that starts, unless it rots", |_, board: &Board| {
                board.rotted
                    || board.record.trial.is_none_or(|trial| board.proves(&board.record, trial.fallback))
            }),
            Property::always("the active slot starts, unless it rots", |_, board: &Board| {
                board.rotted || board.proves(&board.record, board.record.active)
            }),
            Property::always("a disk that can't be written starts no trial", |_, board: &Board| {
                let next = board.clone().launched();
                !board.read_only || next.runs.is_some_and(|runs| runs.why != Reason::Trial)
            }),
            Property::always("power cuts alone end no trial", |_, board: &Board| {
                let begun = board.record.last.is_some_and(|last| {
                    last.slot == board.record.active && last.phase == Phase::Begun && last.boot != board.boot
                });
                let cut = board.runs.is_none() && !board.by_watchdog && begun;
                !cut || board.record.trial.is_none()
                    || board.clone().launched().record.trial.is_some()
                    || board.rotted
            }),
            Property::always("a trial without failures left isn't started again", |_, board: &Board| {
                board.runs.is_none_or(|runs| runs.why != Reason::Trial)
                    || board.record.trial.is_none_or(|Trial { attempts_left, .. }| attempts_left > 0)
            }),
            Property::sometimes("a trial is confirmed", |_, board: &Board| {
                board.record.active == Slot::B
                    && board.record.trial.is_none()
                    && board.record.b.image == image(2)
            }),
            Property::sometimes("a trial fails by crashes", |_, board: &Board| {
                matches!(board.record.reverted, Some((_, Cause::Crashed)))
            }),
            Property::sometimes("a trial fails by the watchdog", |_, board: &Board| {
                matches!(board.record.reverted, Some((_, Cause::Watchdog)))
            }),
            Property::sometimes("a trial fails by what it does to the power", |_, board: &Board| {
                matches!(board.record.reverted, Some((_, Cause::BrownOuts)))
            }),
            Property::sometimes("a trial fails because it rotted", |_, board: &Board| {
                matches!(board.record.reverted, Some((_, Cause::Damaged)))
            }),
            Property::sometimes("golden runs because nothing else does", |_, board: &Board| {
                board.runs.is_some_and(|runs| runs.slot == Slot::Golden && runs.why == Reason::NotStartable)
            }),
        ]
    }

    fn within_boundary(&self, board: &Board) -> bool {
        board.record.trial.is_none_or(|trial| trial.brown_outs <= BROWN_OUTS)
    }
}

#[test]
fn whatever_happens_in_whatever_order_the_board_starts_something_that_was_proved() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checked = Machine.checker().threads(threads).spawn_bfs().join();
    println!("slots: {} states, {} of them different", checked.state_count(), checked.unique_state_count());
    checked.assert_properties();
    assert!(checked.unique_state_count() > 10_000);
}
