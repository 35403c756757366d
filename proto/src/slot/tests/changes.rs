//! How the record changes by hand.

use super::super::change::Refusal;
use super::*;

const IMAGE: ImageId = ImageId([0xCC; 32]);

#[test]
fn whatever_is_done_in_whatever_order_gives_a_sound_record_one_generation_on() {
    for record in every_record() {
        let mut afters = Vec::new();
        for slot in Slot::ALL {
            afters.extend(record.clear(slot));
            afters.extend(record.stage(slot, IMAGE));
            afters.extend(record.try_out(slot, 3, 60));
            afters.extend(record.choose(slot));
            afters.extend(record.install(slot, IMAGE));
            afters.extend(record.confirm(slot).ok().flatten());
            afters.extend(record.got(slot, Phase::Well).unwrap());
        }
        afters.extend(record.revert(Cause::Ordered).unwrap());
        for after in afters {
            assert!(after.is_sound(), "{record:?} {after:?}");
            assert_eq!(after.generation, record.generation + 1);
        }
    }
}

#[test]
fn nothing_that_is_started_or_gone_back_to_is_ever_cleared() {
    for record in every_record() {
        for slot in [Slot::A, Slot::B] {
            let kept = slot == record.active || record.trial.is_some_and(|trial| trial.fallback == slot);
            assert_eq!(record.clear(slot).is_err(), kept, "{record:?}");
        }
        assert_eq!(record.clear(Slot::Golden), Err(Refusal::Golden));
    }
}

#[test]
fn an_update_from_the_factory_and_the_next_one() {
    let staged = SlotRecord::FACTORY.clear(Slot::A).unwrap().stage(Slot::A, IMAGE).unwrap();
    assert_eq!(staged.choose(Slot::A), Err(Refusal::NotGood { slot: Slot::A }), "not before it was tried");
    let trial = staged.try_out(Slot::A, 3, 60).unwrap();
    assert_eq!(trial.fallback(), Slot::Golden);
    assert_eq!(trial.clear(Slot::A), Err(Refusal::Active { slot: Slot::A }));
    let first = trial.confirm(Slot::A).unwrap().unwrap();
    assert_eq!((first.active, first.a.mark), (Slot::A, Mark::Good));
    assert_eq!(first.confirm(Slot::A), Ok(None), "a second time changes nothing");
    let other = Refusal::OtherSlot { active: Slot::A, asked: Slot::B };
    assert_eq!(first.confirm(Slot::B), Err(other));
    let second = first.stage(Slot::B, IMAGE).unwrap().try_out(Slot::B, 3, 60).unwrap();
    assert_eq!(second.fallback(), Slot::A);
    assert_eq!(second.clear(Slot::A), Err(Refusal::OnTrial { slot: Slot::B }));
    let back = second.revert(Cause::Unhealthy).unwrap().unwrap();
    assert_eq!((back.active, back.reverted), (Slot::A, Some((Slot::B, Cause::Unhealthy))));
    assert_eq!(back.revert(Cause::Unhealthy), Ok(None));
    let again = back.try_out(Slot::B, 1, 0).unwrap();
    assert_eq!((again.b.mark, again.reverted), (Mark::Staged, None), "a second chance");
}

#[test]
fn a_trial_goes_back_to_what_was_active_not_to_what_was_left_behind() {
    let both = SlotRecord { a: held(1, Mark::Good), b: held(2, Mark::Good), ..SlotRecord::FACTORY };
    // The operator has gone to golden because b was bad.
    let trial = both.clear(Slot::A).unwrap().stage(Slot::A, IMAGE).unwrap().try_out(Slot::A, 3, 0).unwrap();
    assert_eq!(trial.fallback(), Slot::Golden);
    assert_eq!(trial.revert(Cause::Ordered).unwrap().unwrap().active, Slot::Golden);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let factory = SlotRecord::FACTORY;
    assert_eq!(factory.try_out(Slot::A, 3, 0), Err(Refusal::Empty { slot: Slot::A }));
    assert_eq!(factory.try_out(Slot::Golden, 3, 0), Err(Refusal::Golden));
    assert_eq!(factory.stage(Slot::Golden, IMAGE), Err(Refusal::Golden));
    assert_eq!(factory.stage(Slot::A, ImageId::NONE), Err(Refusal::NotCleared { slot: Slot::A }));
    let staged = factory.stage(Slot::A, IMAGE).unwrap();
    assert_eq!(staged.stage(Slot::A, IMAGE), Err(Refusal::NotCleared { slot: Slot::A }));
    assert_eq!(staged.try_out(Slot::A, 0, 0), Err(Refusal::NoAttempts));
    let trial = staged.try_out(Slot::A, 1, 0).unwrap();
    let on = Refusal::OnTrial { slot: Slot::A };
    assert_eq!((trial.choose(Slot::Golden), trial.try_out(Slot::B, 1, 0)), (Err(on), Err(on)));
    let last = SlotRecord { generation: u64::MAX, ..staged };
    assert_eq!(last.try_out(Slot::A, 1, 0), Err(Refusal::Generation));
    assert_eq!(last.clear(Slot::A), Err(Refusal::Generation));
}

#[test]
fn how_far_a_start_got_is_noted_once_and_only_of_the_trial() {
    let trial = sample();
    assert_eq!(trial.got(Slot::B, Phase::Well), Ok(None));
    let ordered = trial.got(Slot::B, Phase::Ordered).unwrap().unwrap();
    assert_eq!(ordered.last.unwrap().phase, Phase::Ordered);
    assert_eq!(trial.got(Slot::A, Phase::Ordered), Ok(None));
    assert_eq!(SlotRecord::FACTORY.got(Slot::Golden, Phase::Well), Ok(None));
}
