//! What is true of the queue after every operation: called by its tests.

use std::collections::BTreeMap;

use super::Queue;
use super::entry::{Flags, Place};
use super::tally::Tally;

impl Queue {
    /// Panics if the queue does not hold together.
    pub(super) fn invariants(&self) {
        let mut tally = Tally::default();
        let mut active = BTreeMap::new();
        let (mut filed, mut promoted, mut held) = (0, 0, 0);
        for (slot, entry) in self.slab.iter() {
            assert_eq!(self.by_id.get(&entry.id), Some(&slot), "{entry:?} is found by its id");
            match entry.place() {
                Place::Waiting(lane) => assert!(self.lanes.waits(lane, entry.turn_key(slot)), "{entry:?}"),
                Place::Kept(shelf) => assert!(self.lanes.keeps(shelf, entry.age_key(slot)), "{entry:?}"),
                Place::OnLink => assert!(self.on_link.contains(&slot), "{entry:?}"),
                Place::Promoted => {
                    assert!(self.promoted.contains(&(self.promotion[&slot], slot)), "{entry:?}");
                }
                Place::Held => assert!(self.held.contains_key(&slot), "{entry:?}"),
            }
            filed += usize::from(matches!(entry.place(), Place::Waiting(_) | Place::Kept(_)));
            promoted += usize::from(entry.flags.any(Flags::PROMOTED));
            held += usize::from(entry.flags.any(Flags::HELD));
            tally.add(entry.state(), entry.class, entry.bytes);
            if let Some(account) = entry.account() {
                *active.entry(account).or_insert(0) += 1;
            }
            let of_link = Flags::OVERDUE_TURN.and(Flags::CREDITING);
            assert!(!entry.flags.any(of_link) || entry.flags.any(Flags::ON_LINK), "{entry:?}");
            assert!(!entry.flags.any(Flags::SERVED) || entry.flags.any(Flags::PRESUMED), "{entry:?}");
        }
        assert_eq!(self.slab.iter().count(), self.by_id.len());
        assert_eq!(self.lanes.counted(), filed, "nothing else is filed");
        assert_eq!((self.promotion.len(), self.held.len()), (promoted, held));
        let in_place = |place| self.slab.iter().filter(|(_, entry)| entry.place() == place).count();
        assert_eq!(self.on_link.len(), in_place(Place::OnLink));
        assert_eq!(self.promoted.len(), in_place(Place::Promoted));
        assert_eq!(self.tally, tally);
        for class in passband_proto::ids::Class::ALL {
            for tasking in (0_u16..).take(self.settings.taskings.len()) {
                let counted = active.get(&(class, tasking)).copied().unwrap_or(0);
                assert_eq!(self.ledger.active(class, tasking), counted, "{class} of tasking {tasking}");
            }
        }
    }
}
