//! What to start and what to write down first: the launcher's part.
//!
//! A trial has attempts. One is lost when a start of it *failed by its own doing*: the process ended by itself (the next
//! start is in the same boot of the kernel), or the watchdog reset the board. A power cut costs none, however often it
//! comes: boards in tumbling satellites have seen 150 a revolution.
//!
//! But a version may itself be what makes the power go, by what it switches on. So after [`BROWN_OUTS`] power cuts in a
//! row before it ran well, its fallback is started once, an *interlude*: if that one runs well where the trial didn't,
//! the trial has lost an attempt; if the power goes there, too, it was the power, and the trial goes on. In an interlude
//! the board can be commanded, so that the ground may end the trial.

use super::{Cause, Last, Phase, Slot, SlotRecord, Trial};

/// So many power cuts in a row before a trial ran well have its fallback started once.
pub const BROWN_OUTS: u8 = 8;

/// The boot in which the launcher runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Boot {
    /// Tells it from other boots: of Linux the first 8 bytes of the random `boot_id`. Where none can be read it is 0 at
    /// every start, and a power cut can't be told from a process that ended.
    pub id: u64,
    /// Whether the last reset of the board was the watchdog's.
    pub by_watchdog: bool,
}

/// What to do at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// This must be durable before `order` is followed; if it can't be, follow `unwritable`.
    pub write: Option<SlotRecord>,
    /// Slots in the order in which to try them, until one can be started.
    pub order: [Slot; 3],
    /// The order when `write` can't be made durable.
    pub unwritable: [Slot; 3],
    /// Why the first of `order` is the first.
    pub why: Why,
    /// How long what is started may last unconfirmed, s.
    pub deadline_s: Option<u32>,
}

/// Why a slot is started. The names are an interface: the flight software finds them in its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the active one, and no trial is on.
    Confirmed,
    /// It is on trial.
    Trial,
    /// It is the fallback of a trial during which the power went too often; the trial goes on afterwards.
    Interlude,
    /// The trial failed, just now.
    Reverted,
    /// There is no sound record.
    NoRecord,
    /// The record had to be written and couldn't be.
    Unwritable,
    /// What should have been started can't be.
    NotStartable,
}

impl Why {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Trial => "trial",
            Self::Interlude => "interlude",
            Self::Reverted => "reverted",
            Self::NoRecord => "no-record",
            Self::Unwritable => "unwritable",
            Self::NotStartable => "not-startable",
        }
    }
}

/// Decides a start from the sound record, if there is one.
#[must_use]
pub fn decide(record: Option<SlotRecord>, boot: Boot) -> Decision {
    let still = |order, why| Decision { write: None, order, unwritable: order, why, deadline_s: None };
    let Some(record) = record else {
        return still([Slot::Golden, Slot::A, Slot::B], Why::NoRecord);
    };
    let Some(trial) = record.trial else {
        return still(order(&record, record.active, None), Why::Confirmed);
    };
    let unwritable = order(&record, Slot::Golden, Some(record.active));
    let Some(generation) = record.generation.checked_add(1) else {
        return still(unwritable, Why::Unwritable);
    };
    let (trial, failed) = judge(&record, trial, boot);
    let counted = SlotRecord { generation, trial: Some(trial), ..record };
    if let Some(cause) = failed.filter(|_| trial.attempts_left == 0) {
        let write = counted.reverted_by(cause);
        let order = order(&write, write.active, Some(record.active));
        return Decision { write: Some(write), order, unwritable, why: Why::Reverted, deadline_s: None };
    }
    let begin = |slot| Some(Last { slot, phase: Phase::Begun, boot: boot.id });
    if trial.brown_outs >= BROWN_OUTS {
        let begun = Trial { brown_outs: 0, ..trial };
        let write = SlotRecord { trial: Some(begun), last: begin(trial.fallback), ..counted };
        let order = order(&record, trial.fallback, Some(record.active));
        return Decision { write: Some(write), order, unwritable, why: Why::Interlude, deadline_s: None };
    }
    let write = Some(SlotRecord { last: begin(record.active), ..counted });
    let deadline_s = Some(trial.deadline_s).filter(|s| *s > 0);
    Decision { write, order: order(&record, record.active, None), unwritable, why: Why::Trial, deadline_s }
}

/// The record if the slot on trial turns out not to be what was staged; `None`: this slot isn't on trial.
#[must_use]
pub fn damaged(record: &SlotRecord, slot: Slot) -> Option<SlotRecord> {
    let generation = record.generation.checked_add(1)?;
    let on_trial = record.trial.is_some() && record.active == slot;
    on_trial.then(|| SlotRecord { generation, ..*record }.reverted_by(Cause::Damaged))
}

/// What the last start of the trial has cost it, and why.
fn judge(record: &SlotRecord, trial: Trial, boot: Boot) -> (Trial, Option<Cause>) {
    let Some(last) = record.last else {
        return (trial, None);
    };
    let lost = |cause| {
        let attempts_left = trial.attempts_left.saturating_sub(1);
        (Trial { attempts_left, brown_outs: 0, ..trial }, Some(cause))
    };
    if last.slot != record.active {
        // The fallback ran where the trial's power went.
        return if last.phase == Phase::Begun { (trial, None) } else { lost(Cause::BrownOuts) };
    }
    match last.phase {
        Phase::Begun | Phase::Well if boot.id == last.boot => lost(Cause::Crashed),
        Phase::Begun | Phase::Well if boot.by_watchdog => lost(Cause::Watchdog),
        Phase::Well | Phase::Ordered => (Trial { brown_outs: 0, ..trial }, None),
        Phase::Begun => (Trial { brown_outs: trial.brown_outs.saturating_add(1), ..trial }, None),
    }
}

/// Every slot: the one that is wanted, then the one to go back to, golden, what else there is, and the doubtful one last.
fn order(record: &SlotRecord, wanted: Slot, doubtful: Option<Slot>) -> [Slot; 3] {
    let place = |slot: Slot| match slot {
        _ if doubtful == Some(slot) => 4,
        _ if slot == wanted => 0,
        _ if slot == record.fallback() => 1,
        _ if slot == Slot::Golden => 2,
        _ => 3,
    };
    let mut all = [Slot::Golden, Slot::A, Slot::B];
    all.sort_unstable_by_key(|&slot| (place(slot), slot));
    all
}
