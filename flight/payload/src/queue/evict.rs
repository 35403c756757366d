//! What goes when room is needed.
//!
//! Damaged bundles, then those known to be down, then those presumed down; among these the lowest class first,
//! of it cubes before what is small, of those the oldest first. Then what was not sent, of the classes that the
//! settings allow and of none above that of the incoming frame: again the lowest class and the largest first,
//! of those the one that was due first (with the deadlines of a class, the oldest). What is held, promoted or
//! on the link never goes.

use passband_proto::ids::{BundleId, Class};

use super::Queue;
use super::lanes::{Pile, SlotKey};

/// Bands, the largest things first.
const BANDS: [u8; 3] = [2, 1, 0];
/// The reserve is no more than this part of the quota.
const RESERVE_PART: u64 = 4;

impl Queue {
    /// The bundles to drop, in order, so that `need_bytes` more, of a frame of class `incoming`, fit into
    /// `quota_bytes` of which `used_bytes` are used; none if they fit as it is, `None` if all that may go is
    /// not enough. Nothing is changed. O(log n) a bundle.
    pub fn victims(
        &self,
        need_bytes: u64,
        used_bytes: u64,
        quota_bytes: u64,
        incoming: Class,
    ) -> Option<Vec<BundleId>> {
        let reserve = match incoming {
            Class::Alert | Class::Suspect => 0,
            Class::Routine | Class::DiscardCandidate => {
                self.settings.reserve_bytes.min(quota_bytes / RESERVE_PART)
            }
        };
        let limit = quota_bytes.saturating_sub(reserve);
        let mut over = used_bytes.saturating_add(need_bytes).saturating_sub(limit);
        let mut out = Vec::new();
        if over == 0 {
            return Some(out);
        }
        if need_bytes > limit {
            return None;
        }
        for key in self.in_order_of_going(incoming) {
            let Some(entry) = self.slab.get(key.slot()) else { continue };
            out.push(entry.id);
            over = over.saturating_sub(entry.bytes);
            if over == 0 {
                return Some(out);
            }
        }
        None
    }

    /// All that may go for a frame of class `incoming`.
    fn in_order_of_going(&self, incoming: Class) -> impl Iterator<Item = SlotKey> + '_ {
        let piles = [Pile::Damaged, Pile::Known, Pile::Presumed].into_iter();
        let kept = piles
            .flat_map(|pile| lowest_first().map(move |(class, band)| (pile, class, band)))
            .flat_map(|(pile, class, band)| self.lanes.pile(pile, class, band));
        let floor = self.settings.drop_unsent;
        let allowed = move |class: Class| class >= incoming && floor.is_some_and(|floor| class >= floor);
        let unsent = lowest_first()
            .filter(move |(class, _)| allowed(*class))
            .flat_map(|(class, band)| self.lanes.unsent(class, band));
        kept.chain(unsent)
    }
}

/// Classes and bands, the least valuable and the largest first.
fn lowest_first() -> impl Iterator<Item = (Class, u8)> {
    Class::ALL.into_iter().rev().flat_map(|class| BANDS.map(|band| (class, band)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{T0, drain, id, item, numbers, queue};
    use super::*;
    use crate::queue::Item;
    use crate::queue::item::Kind;

    const MB: u64 = 1_000_000;

    /// Damaged 0; known 1 (alert) and 2 (routine); presumed 3, 4 (small), 5 (suspect), 6; waiting 10 and up.
    fn full() -> Queue {
        let of = |n, class| Item { class, ..item(n) };
        let mut queue = queue([
            item(0),
            of(1, Class::Alert),
            item(2),
            item(3),
            Item { kind: Kind::Log, ..item(4) },
            of(5, Class::Suspect),
            item(6),
        ]);
        drain(&mut queue, T0);
        let done = [queue.damaged(&id(0)), queue.known(&id(1)), queue.known(&id(2))];
        assert!(done.iter().all(Result::is_ok));
        (3..7).for_each(|n| assert!(queue.presume(&id(n), 1_250, 0.9).is_ok()));
        for (n, class) in [
            (10, Class::Routine),
            (11, Class::DiscardCandidate),
            (12, Class::Routine),
            (13, Class::Suspect),
            (14, Class::Routine),
            (15, Class::Routine),
        ] {
            assert!(queue.insert(&of(n, class)).is_ok());
        }
        assert!(queue.promote(&id(14)).is_ok() && queue.hold(&id(15), T0).is_ok());
        queue
    }

    /// The victims for a frame of a class when there is no quota left but what the frame needs.
    fn victims(queue: &Queue, megabytes: u64, class: Class) -> Option<Vec<u32>> {
        let quota = 100 * MB;
        queue.victims(megabytes * MB, quota, quota, class).map(numbers)
    }

    #[test]
    fn the_least_valuable_goes_first_and_what_is_protected_never() {
        let mut queue = full();
        queue.settings.reserve_bytes = 0;
        assert_eq!(victims(&queue, 0, Class::Alert), Some(vec![]));
        assert_eq!(victims(&queue, 1, Class::Alert), Some(vec![0]));
        let order = vec![0, 2, 1, 3, 6, 4, 5, 11, 10, 12];
        assert_eq!(victims(&queue, 10, Class::Alert), Some(order.clone()));
        assert_eq!(victims(&queue, 11, Class::Alert), None, "suspect, promoted and held ones stay");
        assert_eq!(victims(&queue, 10, Class::Routine), Some(order));
        assert_eq!(victims(&queue, 8, Class::DiscardCandidate).unwrap().last(), Some(&11));
        assert_eq!(victims(&queue, 9, Class::DiscardCandidate), None, "routine ones are worth more");
        queue.settings.drop_unsent = None;
        assert_eq!(victims(&queue, 8, Class::Alert), None);
        queue.settings.drop_unsent = Some(Class::Suspect);
        assert_eq!(victims(&queue, 11, Class::Suspect).unwrap().last(), Some(&13));
    }

    #[test]
    fn the_reserve_is_for_alert_and_suspect_frames() {
        let mut queue = full();
        queue.settings.reserve_bytes = 5 * MB;
        assert_eq!(victims(&queue, 1, Class::Suspect).map(|v| v.len()), Some(1));
        assert_eq!(victims(&queue, 1, Class::Routine).map(|v| v.len()), Some(6));
        queue.settings.reserve_bytes = u64::MAX;
        let room = |queue: &Queue, used, class| queue.victims(MB, used, 100 * MB, class).map(|v| v.len());
        assert_eq!(room(&queue, 74 * MB, Class::Routine), Some(0), "a quarter at most");
        assert_eq!(room(&queue, 75 * MB, Class::Routine), Some(1));
        assert_eq!(room(&queue, 75 * MB, Class::Alert), Some(0));
        assert_eq!(queue.victims(u64::MAX, 0, 100 * MB, Class::Alert), None, "larger than all there is");
    }
}
