//! What to start and what to write down first: pure, no file and no clock.

use std::fmt;

use passband_proto::slot::{Slot, SlotRecord, SlotState};

/// What to do at a start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decision {
    /// This must be durable before `order` is followed; if it can't be, follow `unwritable`.
    pub(crate) write: Option<SlotRecord>,
    /// Slots in the order in which to try them, until one can be started.
    pub(crate) order: [Slot; 3],
    /// The order when `write` can't be made durable.
    pub(crate) unwritable: [Slot; 3],
    /// Why the first of `order` is the first.
    pub(crate) why: Why,
}

/// Why a slot is started. The texts are an interface: the flight software finds them in its
/// environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Why {
    Confirmed,
    Trial,
    Reverted,
    NoRecord,
    Unwritable,
    NotStartable,
}

impl Why {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Trial => "trial",
            Self::Reverted => "reverted",
            Self::NoRecord => "no-record",
            Self::Unwritable => "unwritable",
            Self::NotStartable => "not-startable",
        }
    }
}

/// Decides a start from the sound record, if there is one.
pub(crate) fn decide(record: Option<SlotRecord>) -> Decision {
    let Some(record) = record else {
        let order = order(&[], None);
        return Decision { write: None, order, unwritable: order, why: Why::NoRecord };
    };
    let SlotState::Trial { attempts_left, fallback } = record.state else {
        let order = order(&[record.active], None);
        return Decision { write: None, order, unwritable: order, why: Why::Confirmed };
    };
    let unwritable = order(&[Slot::Golden, fallback], Some(record.active));
    let generation = record.generation.checked_add(1);
    if let Some(attempts_left) = attempts_left.checked_sub(1) {
        let state = SlotState::Trial { attempts_left, fallback };
        let write = generation.map(|generation| SlotRecord { generation, state, ..record });
        let order = if write.is_some() { order(&[record.active, fallback], None) } else { unwritable };
        let why = if write.is_some() { Why::Trial } else { Why::Unwritable };
        return Decision { write, order, unwritable, why };
    }
    let write = generation.map(|generation| SlotRecord {
        generation,
        active: fallback,
        state: SlotState::Confirmed,
        reverted: Some(record.active),
    });
    Decision { write, order: order(&[fallback], Some(record.active)), unwritable, why: Why::Reverted }
}

/// The record that makes `slot` the active one: on trial for `attempts` starts, or confirmed.
pub(crate) fn set(
    record: Option<SlotRecord>,
    slot: Slot,
    attempts: Option<u8>,
) -> Result<SlotRecord, Refusal> {
    let generation = record.map_or(Some(1), |record| record.generation.checked_add(1));
    let trusted = match record.map(|record| (record.active, record.state)) {
        Some((active, SlotState::Confirmed)) => active,
        Some((_, SlotState::Trial { fallback, .. })) => fallback,
        None => Slot::Golden,
    };
    let state = match attempts {
        None => SlotState::Confirmed,
        Some(_) if slot == Slot::Golden => return Err(Refusal::GoldenTrial),
        Some(attempts_left) => {
            let fallback = if trusted == slot { Slot::Golden } else { trusted };
            SlotState::Trial { attempts_left, fallback }
        }
    };
    let generation = generation.ok_or(Refusal::Generation)?;
    Ok(SlotRecord { generation, active: slot, state, reverted: None })
}

/// The record that ends the trial well; `Ok(None)` when it has been confirmed already.
pub(crate) fn confirm(record: SlotRecord, slot: Option<Slot>) -> Result<Option<SlotRecord>, Refusal> {
    if let Some(asked) = slot.filter(|&slot| slot != record.active) {
        return Err(Refusal::OtherSlot { active: record.active, asked });
    }
    if record.state == SlotState::Confirmed {
        return Ok(None);
    }
    let generation = record.generation.checked_add(1).ok_or(Refusal::Generation)?;
    Ok(Some(SlotRecord { generation, state: SlotState::Confirmed, ..record }))
}

/// Every slot: the preferred ones first, then golden, then the others, and the doubtful one last.
fn order(preferred: &[Slot], doubtful: Option<Slot>) -> [Slot; 3] {
    let place = |slot: Slot| match preferred.iter().position(|&p| p == slot) {
        Some(place) => place,
        None if doubtful == Some(slot) => usize::MAX,
        None => preferred.len(),
    };
    let mut all = [Slot::Golden, Slot::A, Slot::B];
    all.sort_by_key(|&slot| place(slot));
    all
}

/// Why an operator's wish is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    GoldenTrial,
    OtherSlot { active: Slot, asked: Slot },
    Generation,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GoldenTrial => {
                f.write_str("the golden slot is what a trial falls back to: set it without --attempts")
            }
            Self::OtherSlot { active, asked } => {
                write!(f, "the active slot is {active}, not {asked}: nothing was confirmed")
            }
            Self::Generation => f.write_str(
                "the record's generation can't count any higher: remove slot.0, slot.1 and slot.2, set again",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: [Slot; 3] = Slot::ALL;

    fn confirmed(generation: u64, active: Slot) -> SlotRecord {
        SlotRecord { generation, active, state: SlotState::Confirmed, reverted: None }
    }

    fn trial(active: Slot, fallback: Slot, attempts_left: u8) -> SlotRecord {
        let state = SlotState::Trial { attempts_left, fallback };
        SlotRecord { generation: 10, active, state, reverted: None }
    }

    fn every_record() -> Vec<SlotRecord> {
        let mut all: Vec<_> = SLOTS.iter().map(|&slot| confirmed(10, slot)).collect();
        for active in [Slot::A, Slot::B] {
            for fallback in SLOTS.into_iter().filter(|&fallback| fallback != active) {
                all.extend((0..=u8::MAX).map(|n| trial(active, fallback, n)));
            }
        }
        let reverted = all.clone().into_iter().map(|r| SlotRecord { reverted: Some(Slot::B), ..r });
        let last = all.clone().into_iter().map(|r| SlotRecord { generation: u64::MAX, ..r });
        [all.clone(), reverted.collect(), last.collect()].concat()
    }

    #[test]
    fn whatever_the_record_every_slot_is_tried_once() {
        for decision in every_record().into_iter().map(Some).chain([None]).map(decide) {
            for order in [decision.order, decision.unwritable] {
                assert!(SLOTS.iter().all(|slot| order.contains(slot)), "{decision:?}");
            }
        }
    }

    #[test]
    fn a_trial_is_only_started_after_its_attempt_is_counted() {
        for record in every_record() {
            let SlotState::Trial { attempts_left, fallback } = record.state else { continue };
            let decision = decide(Some(record));
            assert_eq!(decision.unwritable[0], Slot::Golden);
            assert_eq!(decision.unwritable[2], record.active);
            if record.generation == u64::MAX {
                assert_eq!(decision.write, None);
                assert_ne!(decision.order[0], record.active);
            } else if attempts_left > 0 {
                let state = SlotState::Trial { attempts_left: attempts_left - 1, fallback };
                assert_eq!(decision.write, Some(SlotRecord { generation: 11, state, ..record }));
                assert_eq!(decision.order[..2], [record.active, fallback]);
                assert_eq!(decision.why, Why::Trial);
            } else {
                let reverted = Some(record.active);
                assert_eq!(decision.write, Some(SlotRecord { reverted, ..confirmed(11, fallback) }));
                assert_eq!((decision.order[0], decision.order[2]), (fallback, record.active));
                assert_eq!(decision.why, Why::Reverted);
            }
        }
    }

    #[test]
    fn a_confirmed_slot_is_started_with_nothing_written() {
        for slot in SLOTS {
            let decision = decide(Some(confirmed(3, slot)));
            assert_eq!((decision.write, decision.order[0], decision.why), (None, slot, Why::Confirmed));
            let golden_at = decision.order.iter().position(|&s| s == Slot::Golden);
            assert_eq!(golden_at, Some(usize::from(slot != Slot::Golden)));
        }
    }

    #[test]
    fn no_record_means_golden() {
        let decision = decide(None);
        assert_eq!((decision.write, decision.order[0], decision.why), (None, Slot::Golden, Why::NoRecord));
    }

    #[test]
    fn n_attempts_are_n_starts_then_it_reverts_for_good() {
        for fallback in [Slot::A, Slot::Golden] {
            let mut record = trial(Slot::B, fallback, 3);
            let mut started = Vec::new();
            for _ in 0..6 {
                let decision = decide(Some(record));
                started.push(decision.order[0]);
                record = decision.write.unwrap_or(record);
            }
            assert_eq!(started, [Slot::B, Slot::B, Slot::B, fallback, fallback, fallback]);
            assert_eq!(record, SlotRecord { reverted: Some(Slot::B), ..confirmed(14, fallback) });
        }
    }

    #[test]
    fn set_falls_back_to_what_was_trusted() {
        let state = |record, slot, attempts| set(record, slot, attempts).map(|r| (r.generation, r.state));
        let on_trial = |attempts_left, fallback| SlotState::Trial { attempts_left, fallback };
        assert_eq!(state(None, Slot::A, Some(2)), Ok((1, on_trial(2, Slot::Golden))));
        let old = Some(confirmed(7, Slot::A));
        assert_eq!(state(old, Slot::B, Some(2)), Ok((8, on_trial(2, Slot::A))));
        assert_eq!(state(old, Slot::A, Some(2)), Ok((8, on_trial(2, Slot::Golden))));
        assert_eq!(state(old, Slot::B, None), Ok((8, SlotState::Confirmed)));
        assert_eq!(state(old, Slot::Golden, None), Ok((8, SlotState::Confirmed)));
        assert_eq!(state(old, Slot::Golden, Some(1)), Err(Refusal::GoldenTrial));
        let unproven = Some(trial(Slot::B, Slot::A, 1));
        assert_eq!(state(unproven, Slot::B, Some(5)), Ok((11, on_trial(5, Slot::A))), "never trusts a trial");
        assert_eq!(state(unproven, Slot::A, Some(5)), Ok((11, on_trial(5, Slot::Golden))));
        assert_eq!(state(Some(confirmed(u64::MAX, Slot::A)), Slot::B, None), Err(Refusal::Generation));
    }

    #[test]
    fn every_record_that_set_makes_is_sound() {
        for old in every_record().into_iter().map(Some).chain([None]) {
            for (slot, attempts) in SLOTS.iter().flat_map(|&slot| [None, Some(4)].map(|n| (slot, n))) {
                if let Ok(record) = set(old, slot, attempts) {
                    assert_eq!(SlotRecord::decode(&record.encode()), Ok(record));
                    assert!(old.is_none_or(|old| record.generation > old.generation));
                }
            }
        }
    }

    #[test]
    fn confirm_ends_the_trial_of_that_slot_only() {
        let record = trial(Slot::B, Slot::A, 1);
        let done = confirmed(11, Slot::B);
        assert_eq!(confirm(record, None), Ok(Some(done)));
        assert_eq!(confirm(record, Some(Slot::B)), Ok(Some(done)));
        assert_eq!(confirm(done, Some(Slot::B)), Ok(None), "a second time changes nothing");
        let refused = Refusal::OtherSlot { active: Slot::B, asked: Slot::A };
        assert_eq!(confirm(record, Some(Slot::A)), Err(refused));
        assert_eq!(confirm(SlotRecord { generation: u64::MAX, ..record }, None), Err(Refusal::Generation));
    }
}
