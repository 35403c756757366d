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
