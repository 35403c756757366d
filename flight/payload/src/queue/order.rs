//! What is next, and what will be: [`Queue::next`] takes, [`Queue::upcoming`] only looks. Both decide by the
//! same [`Ledger::turn`], so that what is shown is what happens.

use passband_proto::ids::BundleId;

use super::Queue;
use super::entry::{Flags, RUNGS};
use super::item::Next;
use super::lanes::{Head, SlotKey};
use super::ledger::{Ledger, Turn};
use super::slab::Slab;

impl Queue {
    /// Hands the bundle whose turn it is to the sender: it is on the link from now on, until
    /// [`Queue::put_back`], [`Queue::presume`], [`Queue::known`] or [`Queue::damaged`] says what became of
    /// it. `None` when nothing waits. O(log n), and a look at each class, tasking and band that waits.
    ///
    /// No standing changes: after a restart it waits again.
    pub fn next(&mut self, now_unix_ms: u64) -> Option<Next> {
        if let Some(&(_, slot)) = self.promoted.first() {
            self.put_on_link(slot, Flags::NONE);
            let entry = self.slab.get(slot)?;
            self.ledger.charge(entry.class, entry.tasking, entry.cost_bytes());
            return Some(Next { id: entry.id, level: 0 });
        }
        let slab = &self.slab;
        let (head, turn) = self.ledger.turn(self.lanes.heads(), now_unix_ms, |key| cost(slab, key))?;
        let flags = match turn {
            Turn::Fair { crediting: false } => Flags::NONE,
            Turn::Fair { crediting: true } => Flags::CREDITING,
            Turn::Overdue { .. } => Flags::OVERDUE_TURN,
        };
        let slot = head.key.slot();
        self.put_on_link(slot, flags);
        Some(Next { id: self.slab.get(slot)?.id, level: level(head, turn) })
    }

    /// With nothing waiting, hands a bundle to the sender that is presumed down and worth more symbols: the
    /// most valuable class first, of it the least probably down, each once in a pass. `None` when something
    /// waits, or all were served. Left-over capacity is not charged to anybody. O(log n).
    pub fn next_presumed(&mut self) -> Option<Next> {
        if !self.promoted.is_empty() || !self.lanes.none_waits() {
            return None;
        }
        let sure = u8::try_from(RUNGS.len()).unwrap_or(u8::MAX);
        let slot = self.lanes.least_sure(sure)?.slot();
        self.put_on_link(slot, Flags::SERVED);
        let entry = self.slab.get(slot)?;
        Some(Next { id: entry.id, level: 1 + entry.class as u8 })
    }

    /// A pass begins: left-over capacity may go to every presumed bundle again. O(n) in those it was given to.
    pub fn begin_pass(&mut self) {
        for key in self.lanes.forget_served() {
            if let Some(entry) = self.slab.get_mut(key.slot()) {
                entry.flags.set(Flags::SERVED, false);
            }
        }
        // Those on the link or held are on no shelf: they are served in this pass, if at all.
        for slot in self.on_link.iter().chain(self.held.keys()) {
            if let Some(entry) = self.slab.get_mut(*slot) {
                entry.flags.set(Flags::SERVED, false);
            }
        }
    }

    /// What waits, in the very order in which [`Queue::next`] would take it if nothing happened in between:
    /// lazily, without changing anything. A step costs a look at each class, tasking and band that waits.
    pub fn upcoming(&self, now_unix_ms: u64) -> impl Iterator<Item = Next> + '_ {
        self.upcoming_slots(now_unix_ms).filter_map(|(slot, level)| {
            let entry = self.slab.get(slot)?;
            Some(Next { id: entry.id, level })
        })
    }

    /// The ids of what the sender has.
    pub fn on_link(&self) -> impl Iterator<Item = BundleId> + '_ {
        self.on_link.iter().filter_map(|slot| Some(self.slab.get(*slot)?.id))
    }

    /// Slots and levels of what waits, in order.
    pub(super) fn upcoming_slots(&self, now_unix_ms: u64) -> impl Iterator<Item = (u32, u8)> + '_ {
        let lanes =
            self.lanes.lanes().filter_map(|(lane, mut keys)| Some((Head { lane, key: keys.next()? }, keys)));
        let (heads, rest) = lanes.unzip();
        let promoted = self.promoted.iter().map(|(_, slot)| *slot);
        Upcoming { slab: &self.slab, promoted, heads, rest, ledger: self.ledger.clone(), now_unix_ms }
    }

    /// Puts a bundle on the link, and notes how it came there.
    fn put_on_link(&mut self, slot: u32, flags: Flags) {
        self.alter(slot, |entry| entry.flags.set(flags.and(Flags::ON_LINK), true));
    }
}

/// A walk along what waits, with a ledger of its own.
struct Upcoming<'a, P, K> {
    slab: &'a Slab,
    promoted: P,
    /// The first of each lane that is left, and what follows it there.
    heads: Vec<Head>,
    rest: Vec<K>,
    ledger: Ledger,
    now_unix_ms: u64,
}

impl<P: Iterator<Item = u32>, K: Iterator<Item = SlotKey>> Iterator for Upcoming<'_, P, K> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        if let Some(slot) = self.promoted.next() {
            let entry = self.slab.get(slot)?;
            self.ledger.charge(entry.class, entry.tasking, entry.cost_bytes());
            return Some((slot, 0));
        }
        let slab = self.slab;
        let (head, turn) =
            self.ledger.turn(self.heads.iter().copied(), self.now_unix_ms, |key| cost(slab, key))?;
        let at = self.heads.binary_search_by_key(&head.lane, |head| head.lane).ok()?;
        if let Some(key) = self.rest.get_mut(at)?.next() {
            self.heads.get_mut(at)?.key = key;
        } else {
            self.heads.remove(at);
            drop(self.rest.remove(at));
        }
        Some((head.key.slot(), level(head, turn)))
    }
}

fn cost(slab: &Slab, key: SlotKey) -> u64 {
    slab.get(key.slot()).map_or(0, super::entry::Entry::cost_bytes)
}

/// Where in the sender's order something stands whose turn it is.
fn level(head: Head, turn: Turn) -> u8 {
    let class = match turn {
        Turn::Fair { .. } => head.lane.class,
        Turn::Overdue { over } => over,
    };
    1 + class as u8
}
