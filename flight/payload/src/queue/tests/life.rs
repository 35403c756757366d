//! What happens to single bundles.

use passband_proto::ids::Class;

use super::{T0, drain, id, item, numbers, queue, sharing};
use crate::queue::item::{Kind, MAX_BUNDLE_BYTES, MAX_UNIX_MS, State};
use crate::queue::{Item, Queue, QueueError, item_of};
use crate::store::tests::bundle;

#[test]
fn class_then_band_then_deadline_then_age_then_insertion() {
    let due = |ms| Some(T0 + 86_400_000 + ms);
    let mut queue = queue([
        Item { created_unix_ms: T0 + 9_000, ..item(0) },
        item(1),
        Item { kind: Kind::Region, ..item(2) },
        Item { kind: Kind::Log, ..item(3) },
        Item { class: Class::DiscardCandidate, kind: Kind::Log, ..item(4) },
        Item { class: Class::Suspect, ..item(5) },
        Item { deadline_unix_ms: due(0), ..item(6) },
        Item { created_unix_ms: T0 + 1_000, deadline_unix_ms: due(9_000), ..item(7) },
        Item { created_unix_ms: T0 + 9_000, ..item(8) },
    ]);
    assert_eq!(drain(&mut queue, T0), [5, 3, 2, 6, 1, 7, 0, 8, 4]);
}

#[test]
fn the_operator_comes_first_and_can_undo_it() {
    let mut queue = queue((0..5).map(item));
    let level = |queue: &mut Queue| queue.next(T0).map(|next| next.level);
    assert!(queue.promote(&id(3)).unwrap().changed);
    assert!(queue.promote(&id(2)).unwrap().changed);
    assert!(!queue.promote(&id(3)).unwrap().changed, "a second time changes nothing, its place neither");
    assert_eq!(numbers(queue.upcoming(T0).map(|n| n.id)), [3, 2, 0, 1, 4]);
    assert!(queue.demote(&id(3)).unwrap().changed);
    assert!(!queue.demote(&id(3)).unwrap().changed);
    assert_eq!((level(&mut queue), level(&mut queue)), (Some(0), Some(3)));
}

#[test]
fn what_is_held_is_neither_sent_nor_dropped_and_keeps_what_it_was() {
    let mut queue = queue((0..2).map(item));
    let taken = queue.next(T0).unwrap().id;
    let change = queue.hold(&taken, T0 + 5).unwrap();
    assert!(change.withdraw && change.standing.held_since_unix_ms == Some(T0 + 5));
    let again = queue.hold(&taken, T0 + 9).unwrap();
    assert!(!again.withdraw && !again.changed, "since the first time");
    // The sender's last word comes after the hold.
    assert!(queue.presume(&taken, 1_200, 0.85).unwrap().changed);
    assert_eq!(queue.get(&taken).unwrap().state, State::Held);
    assert_eq!(queue.victims(1_500_000, 0, 0, Class::Alert), None);
    assert_eq!(drain(&mut queue, T0), [1]);
    assert!(queue.release(&taken).unwrap().changed);
    assert!(!queue.release(&taken).unwrap().changed);
    let view = queue.get(&taken).unwrap();
    assert_eq!((view.state, view.standing.sent_symbols), (State::Presumed, 1_200));
    assert_eq!(numbers(queue.victims(500_000, 1_000_000, 1_000_000, Class::Alert).unwrap()), [0]);
}

#[test]
fn what_the_ground_has_or_is_broken_is_not_sent() {
    let mut queue = queue((0..4).map(item));
    let taken = queue.next(T0).unwrap().id;
    assert!(queue.known(&taken).unwrap().withdraw);
    assert!(!queue.known(&taken).unwrap().changed);
    assert!(queue.damaged(&id(1)).unwrap().changed);
    assert!(queue.promote(&id(2)).unwrap().changed);
    assert_eq!(queue.damaged(&id(2)).unwrap().standing.promoted, None);
    for id in [taken, id(1)] {
        assert!(matches!(queue.promote(&id), Err(QueueError::WrongState { .. })));
        assert!(matches!(queue.wanted(&id), Err(QueueError::WrongState { .. })));
    }
    assert_eq!(drain(&mut queue, T0), [3]);
    assert_eq!(queue.tally().in_state(State::Damaged).bundles, 2);
    assert_eq!(queue.tally().of(State::Known, Class::Routine).bytes, 1_000_000);
    assert_eq!((queue.tally().total().bundles, queue.tally().of_class(Class::Alert).bundles), (4, 0));
}

#[test]
fn left_over_capacity_goes_to_the_least_sure_of_the_best_class_once_a_pass() {
    let mut queue = queue((0..4).map(item));
    assert_eq!(queue.reclass(&id(3), Class::Suspect).unwrap().standing.class, Some(Class::Suspect));
    assert_eq!(queue.next_presumed(), None, "something waits");
    assert_eq!(drain(&mut queue, T0), [3, 0, 1, 2]);
    for (n, presumed) in [(0, 0.92), (1, 0.81), (2, 0.999_999_9), (3, 0.97)] {
        assert!(queue.presume(&id(n), 1_300, presumed).unwrap().changed);
    }
    let left_over = |queue: &mut Queue| {
        let next = std::iter::from_fn(|| queue.next_presumed()).map(|next| (next.id, next.level));
        let (ids, levels): (Vec<_>, Vec<_>) = next.unzip();
        ids.iter().for_each(|id| assert!(queue.presume(id, 1_400, 0.96).is_ok()));
        (numbers(ids), levels)
    };
    let all = (vec![3, 1, 0], vec![2, 3, 3]);
    assert_eq!(left_over(&mut queue), all, "one is as sure as can be");
    assert_eq!(left_over(&mut queue).0, [0; 0], "each had its turn");
    queue.begin_pass();
    queue.invariants();
    assert_eq!(left_over(&mut queue).0, [3, 0, 1], "all alike: the oldest first");
    assert!(queue.wanted(&id(1)).unwrap().changed);
    assert_eq!(drain(&mut queue, T0), [1], "the ground lacks some of it");
}

#[test]
fn a_new_class_brings_its_deadline_and_an_own_one_stays() {
    let own = Some(T0 + 77);
    let mut queue = queue([item(0), Item { deadline_unix_ms: own, ..item(1) }]);
    for n in 0..2 {
        assert!(queue.reclass(&id(n), Class::Alert).unwrap().changed);
        assert!(!queue.reclass(&id(n), Class::Alert).unwrap().changed);
    }
    let deadline = |n| queue.get(&id(n)).unwrap().item.deadline_unix_ms;
    assert_eq!((deadline(0), deadline(1)), (Some(T0 + 5_400_000), own));
    assert_eq!(queue.get(&id(0)).unwrap().standing.deadline_unix_ms, None, "its class still says");
}

#[test]
fn what_can_not_be_is_refused_with_a_name() {
    let mut queue = queue([item(0)]);
    let odd = |change: fn(&mut Item)| {
        let mut odd = item(1);
        change(&mut odd);
        odd
    };
    for odd in [
        odd(|item| item.bytes = 0),
        odd(|item| item.bytes = MAX_BUNDLE_BYTES + 1),
        odd(|item| item.source_symbols = 0),
        odd(|item| item.created_unix_ms = MAX_UNIX_MS + 1),
        odd(|item| item.deadline_unix_ms = Some(MAX_UNIX_MS + 1)),
    ] {
        assert!(matches!(queue.insert(&odd), Err(QueueError::BadItem { .. })), "{odd:?}");
    }
    let no_tasking = QueueError::NoTasking { tasking: 1, taskings: 1 };
    assert_eq!(queue.insert(&odd(|item| item.tasking = 1)), Err(no_tasking.clone()));
    assert_eq!(queue.retask(&id(0), 1), Err(no_tasking));
    assert_eq!(queue.insert(&item(0)), Err(QueueError::Duplicate { id: id(0) }));
    let unknown = QueueError::Unknown { id: id(9) };
    assert_eq!(queue.known(&id(9)), Err(unknown.clone()));
    assert_eq!(unknown.to_string(), format!("no bundle {} is in the queue", id(9)));
    queue.invariants();
    let late = Item { created_unix_ms: MAX_UNIX_MS, ..item(2) };
    assert!(queue.insert(&late).is_ok(), "its deadline lies beyond all times");
    queue.invariants();
}

#[test]
fn a_restart_finds_everything_as_it_stood_and_sendings_ended() {
    let mut queue = Queue::new(sharing(&[3])).unwrap();
    (0..6).for_each(|n| assert!(queue.insert(&item(n)).unwrap().changed));
    let changes = [
        queue.promote(&id(4)).unwrap(),
        queue.promote(&id(2)).unwrap(),
        queue.hold(&id(0), T0 + 1).unwrap(),
        queue.retask(&id(1), 1).unwrap(),
        queue.reclass(&id(3), Class::DiscardCandidate).unwrap(),
    ];
    assert_eq!(queue.next(T0).unwrap().id, id(4));
    let stored = (0..6).map(|n| {
        let change = changes.iter().find(|change| change.id == id(n));
        let kept = change.map(|change| postcard::to_allocvec(&change.standing).unwrap());
        (item(n), kept.map(|bytes| postcard::from_bytes(&bytes).unwrap()))
    });
    let mut again = Queue::restore(sharing(&[3]), stored.clone()).unwrap().0;
    again.invariants();
    assert_eq!(drain(&mut again, T0), [4, 2, 1, 5, 3], "what was promoted was charged to tasking 0");
    assert!(
        again.promote(&id(5)).unwrap().standing.promoted > Some(2),
        "later than those before the restart"
    );
    let fewer = Queue::restore(sharing(&[]), stored).unwrap().0;
    assert_eq!(fewer.get(&id(1)).unwrap().item.tasking, 0, "its tasking is gone");
}

#[test]
fn what_is_refused_after_a_restart_keeps_nothing_else_from_being_sent() {
    let odd = Item { created_unix_ms: MAX_UNIX_MS + 1, ..item(1) };
    let stored = [item(0), odd, item(0), item(2)].map(|item| (item, None));
    let (mut queue, refused) = Queue::restore(sharing(&[]), stored).unwrap();
    assert_eq!(refused.iter().map(|(bundle, _)| *bundle).collect::<Vec<_>>(), [id(1), id(0)]);
    assert_eq!(drain(&mut queue, T0), [0, 2]);
    // A bundle that was made while the clock stood there isn't such a one.
    let record = bundle(1, Class::Alert, Kind::Evidence, u64::MAX);
    assert!(queue.insert(&item_of(&record, &sharing(&[]))).unwrap().changed);
}
