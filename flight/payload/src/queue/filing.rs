//! Filing: every entry is in exactly one place, that its own facts tell, and all that counts entries counts it
//! once. Whatever changes an entry goes through [`Queue::alter`].

use passband_proto::ids::{BundleId, Class};

use super::entry::{Doubt, Entry, Flags, Place};
use super::item::{Item, MAX_UNIX_MS, Standing, State, View};
use super::{MAX_ENTRIES, Queue, QueueError};

impl Queue {
    pub(super) fn file(&mut self, item: &Item) -> Result<u32, QueueError> {
        item.check(self.settings.taskings.len())?;
        if self.by_id.contains_key(&item.id) {
            return Err(QueueError::Duplicate { id: item.id });
        }
        if self.by_id.len() >= MAX_ENTRIES {
            return Err(QueueError::Full { entries: MAX_ENTRIES });
        }
        let deadline =
            item.deadline_unix_ms.unwrap_or_else(|| self.deadline(item.class, item.created_unix_ms));
        self.insertions = self.insertions.wrapping_add(1);
        let entry = Entry::new(item, deadline, self.insertions);
        let slot = self.slab.insert(entry);
        self.by_id.insert(item.id, slot);
        if let Some((class, tasking)) = entry.account() {
            self.ledger.enter(class, tasking);
        }
        self.put_in(slot, &entry);
        Ok(slot)
    }

    /// Makes an entry stand as it did.
    pub(super) fn stand(&mut self, slot: u32, standing: &Standing) {
        if let Some(order) = standing.promoted {
            self.promotion.insert(slot, order);
            self.promotions = self.promotions.max(order);
        }
        if let Some(since) = standing.held_since_unix_ms {
            self.held.insert(slot, since);
        }
        self.alter(slot, |entry| {
            let mut state = |flag, is| entry.flags.set(flag, is);
            state(Flags::DAMAGED, standing.state == State::Damaged);
            state(Flags::KNOWN, standing.state == State::Known);
            state(Flags::PRESUMED, standing.state == State::Presumed);
            state(Flags::PROMOTED, standing.promoted.is_some());
            state(Flags::HELD, standing.held_since_unix_ms.is_some());
            entry.sent_symbols = standing.sent_symbols;
            entry.doubt = Doubt::at(standing.presumed);
        });
        if let Some(class) = standing.class {
            self.class_slot(slot, class);
        }
    }

    pub(super) fn deadline(&self, class: Class, created_unix_ms: u64) -> u64 {
        let after_ms = self.settings.deadline_s.of(class).saturating_mul(1000);
        created_unix_ms.saturating_add(after_ms).min(MAX_UNIX_MS)
    }

    pub(super) fn find(&self, id: &BundleId) -> Result<(u32, Entry), QueueError> {
        let slot = *self.by_id.get(id).ok_or(QueueError::Unknown { id: *id })?;
        Ok((slot, self.entry(slot, *id)?))
    }

    pub(super) fn entry(&self, slot: u32, id: BundleId) -> Result<Entry, QueueError> {
        self.slab.get(slot).copied().ok_or(QueueError::Unknown { id })
    }

    /// Changes an entry and files it where it belongs then.
    pub(super) fn alter(&mut self, slot: u32, change: impl FnOnce(&mut Entry)) {
        let Some(before) = self.slab.get(slot).copied() else { return };
        self.take_out(slot, &before);
        let Some(entry) = self.slab.get_mut(slot) else { return };
        change(entry);
        let after = *entry;
        self.put_in(slot, &after);
        // First in, then out: whoever has the same still, or something else waiting, isn't taken to have been idle.
        if let Some((class, tasking)) = after.account() {
            self.ledger.enter(class, tasking);
        }
        if let Some((class, tasking)) = before.account() {
            self.ledger.leave(class, tasking);
        }
    }

    pub(super) fn put_in(&mut self, slot: u32, entry: &Entry) {
        self.tally.add(entry.state(), entry.class, entry.bytes);
        match entry.place() {
            Place::Waiting(lane) => self.lanes.wait(lane, entry.turn_key(slot)),
            Place::Kept(shelf) => self.lanes.keep(shelf, entry.age_key(slot)),
            Place::OnLink => drop(self.on_link.insert(slot)),
            Place::Promoted => {
                if let Some(order) = self.promotion.get(&slot) {
                    self.promoted.insert((*order, slot));
                }
            }
            Place::Held => {}
        }
    }

    pub(super) fn take_out(&mut self, slot: u32, entry: &Entry) {
        self.tally.subtract(entry.state(), entry.class, entry.bytes);
        let was_there = match entry.place() {
            Place::Waiting(lane) => self.lanes.leave(lane, entry.turn_key(slot)),
            Place::Kept(shelf) => self.lanes.take(shelf, entry.age_key(slot)),
            Place::OnLink => self.on_link.remove(&slot),
            Place::Promoted => {
                self.promotion.get(&slot).is_some_and(|order| self.promoted.remove(&(*order, slot)))
            }
            Place::Held => true,
        };
        debug_assert!(was_there, "{entry:?}");
    }

    pub(super) fn standing(&self, slot: u32, entry: &Entry) -> Standing {
        Standing {
            state: entry.lasting_state(),
            promoted: self.promotion.get(&slot).copied(),
            held_since_unix_ms: self.held.get(&slot).copied(),
            tasking: entry.tasking,
            class: entry.flags.any(Flags::RECLASSED).then_some(entry.class),
            deadline_unix_ms: entry.own_deadline(),
            sent_symbols: entry.sent_symbols,
            presumed: entry.doubt.presumed(),
        }
    }

    pub(super) fn view(&self, slot: u32, entry: &Entry) -> View {
        let item = Item {
            id: entry.id,
            class: entry.class,
            kind: entry.kind,
            created_unix_ms: entry.created_unix_ms,
            deadline_unix_ms: Some(entry.deadline_unix_ms),
            bytes: entry.bytes,
            source_symbols: entry.source_symbols,
            tasking: entry.tasking,
        };
        View { item, state: entry.state(), standing: self.standing(slot, entry) }
    }
}
