//! Who gets how much of the link.

use passband_proto::ids::Class;

use super::{T0, drain, item, numbers, queue, sharing};
use crate::queue::item::Kind;
use crate::queue::{Item, Queue};

const SHARES: [u64; 3] = [1, 2, 5];
const LARGEST: u64 = 1_000_000;

/// A cube of tasking `n % 3` and 1 to 1,000,000 bytes.
fn mixed(n: u32) -> Item {
    let bytes = 1 + u64::from(n.wrapping_mul(2_654_435_761)) % LARGEST;
    Item { tasking: u16::try_from(n % 3).unwrap(), bytes, ..item(n) }
}

/// Is what each was served, by its share, as far from the others as two bundles at most? This is the bound of
/// start-time fair queueing (Goyal et al., theorem 1).
fn is_fair(served: &[u64; 3]) -> bool {
    let by_share = |i: usize| served[i] / SHARES[i];
    let bound = |i: usize, j: usize| LARGEST / SHARES[i] + LARGEST / SHARES[j] + 1;
    (0..3).all(|i| (0..3).all(|j| by_share(i).abs_diff(by_share(j)) <= bound(i, j)))
}

/// Takes bundles until so many bytes were served; what each tasking got.
fn serve(queue: &mut Queue, bytes: u64, after_each: impl Fn(&[u64; 3])) -> [u64; 3] {
    let mut served = [0; 3];
    while served.iter().sum::<u64>() < bytes {
        let next = queue.next(T0).unwrap();
        let item = queue.get(&next.id).unwrap().item;
        served[usize::from(item.tasking)] += item.bytes;
        let _ = queue.presume(&next.id, 1_000, 0.9).unwrap();
        after_each(&served);
    }
    served
}

#[test]
fn taskings_share_within_a_bundle_at_every_moment() {
    let mut queue = Queue::new(sharing(&[2, 5])).unwrap();
    (0..3000).for_each(|n| assert!(queue.insert(&mixed(n)).unwrap().changed));
    let served = serve(&mut queue, 600 * LARGEST, |served| assert!(is_fair(served), "{served:?}"));
    assert!(is_fair(&served));
}

#[test]
fn who_was_idle_gets_its_share_from_then_on_and_no_more() {
    let mut queue = Queue::new(sharing(&[2, 5])).unwrap();
    let of = |n: u32, tasking| Item { tasking, ..mixed(n) };
    (0..1000).for_each(|n| assert!(queue.insert(&of(n, 0)).is_ok()));
    serve(&mut queue, 100 * LARGEST, |_| {});
    (1000..3000).for_each(|n| assert!(queue.insert(&of(n, 1 + u16::try_from(n % 2).unwrap())).is_ok()));
    serve(&mut queue, 200 * LARGEST, |served| assert!(is_fair(served), "{served:?}"));
}

#[test]
fn what_was_not_sent_is_not_charged() {
    let mut queue = Queue::new(sharing(&[1])).unwrap();
    for n in 0..8 {
        assert!(queue.insert(&Item { tasking: u16::try_from(n % 2).unwrap(), ..item(n) }).unwrap().changed);
    }
    let first = queue.next(T0).unwrap().id;
    assert!(!queue.put_back(&first, 0).unwrap().changed);
    assert_eq!(queue.next(T0).unwrap().id, first, "as if it had never gone");
    assert!(queue.put_back(&first, 1_500).unwrap().changed, "half more than it has was sent");
    // Tasking 1 has its turn until it has had as much.
    assert_eq!(drain(&mut queue, T0)[..3], [1, 3, 0]);
}

#[test]
fn classes_are_strict_until_something_is_overdue() {
    let alert = |n| Item { class: Class::Alert, ..item(n) };
    let mut queue = queue((0..100).map(item).chain((100..200).map(alert)));
    let order = drain(&mut queue, T0 + 200_000);
    assert_eq!(order[..100], (100..200).collect::<Vec<_>>());
}

#[test]
fn nothing_starves_behind_a_higher_class_that_never_ends() {
    let low = |n: u32| {
        let kind = if n.is_multiple_of(2) { Kind::Cube } else { Kind::Log };
        Item { class: [Class::Routine, Class::DiscardCandidate][n as usize / 2 % 2], kind, ..item(n) }
    };
    let mut queue = queue((0..40).map(low));
    let now = T0 + 2 * 604_800_000;
    let (mut served, mut let_in) = (0_u64, Vec::new());
    for n in 1000..1800 {
        let fresh = Item { class: Class::Alert, created_unix_ms: now, ..item(n) };
        assert!(queue.insert(&fresh).unwrap().changed);
        let next = queue.next(now).unwrap();
        assert_eq!(next.level, 1, "whoever it is, it goes with the alerts");
        let item = queue.get(&next.id).unwrap().item;
        served += item.bytes;
        if item.class != Class::Alert {
            let_in.push(next.id);
        }
        let (bytes, share) = (let_in.len() as u64 * item.bytes, served / 20);
        assert!(bytes <= share && share - bytes <= item.bytes + item.bytes / 20, "{bytes} of {served}");
    }
    // Half an hour of deadlines lies between the classes: the longest overdue first.
    let deadlines = |n: &u32| if (n / 2).is_multiple_of(2) { n + 86_400 } else { n + 604_800 };
    let let_in = numbers(let_in);
    assert!(let_in.is_sorted_by_key(deadlines) && let_in.len() >= 39, "{let_in:?}");
}

#[test]
fn a_cube_of_the_same_class_does_not_starve_behind_what_is_small() {
    let small = |n| Item { kind: Kind::Evidence, ..item(n) };
    let mut queue = queue(std::iter::once(item(0)).chain((1..100).map(small)));
    let at =
        |queue: &Queue, now| numbers(queue.upcoming(now).map(|next| next.id)).iter().position(|n| *n == 0);
    assert_eq!(at(&queue, T0), Some(99), "while it isn't due it goes last");
    assert_eq!(at(&queue, T0 + 86_400_000 + 1), Some(19), "5 % are its");
    assert_eq!(drain(&mut queue, T0 + 86_400_000 + 1)[19], 0);
}
