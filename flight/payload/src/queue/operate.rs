//! What the operator may do to a bundle. Each may be said twice: the second time changes nothing.

use passband_proto::ids::{BundleId, Class};

use super::entry::{Entry, Flags};
use super::item::{Change, State};
use super::{Queue, QueueError};

impl Queue {
    /// Puts a bundle ahead of all that was not promoted before it; one that was presumed down is sent again.
    /// Refused of what is known, held or damaged. What is on the link keeps its place with the sender unless it
    /// is offered anew at level 0. Changes the standing.
    pub fn promote(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        let (_, entry) = self.find(id)?;
        match entry.state() {
            State::Waiting | State::OnLink | State::Presumed => {}
            state @ (State::Known | State::Held | State::Damaged) => {
                return Err(QueueError::WrongState { id: *id, state, wanted: "promoted" });
            }
        }
        self.operate(id, |queue, slot, entry| {
            if !entry.flags.any(Flags::PROMOTED) {
                queue.promotions = queue.promotions.saturating_add(1);
                queue.promotion.insert(slot, queue.promotions);
                queue.alter(slot, |entry| entry.flags.set(Flags::PROMOTED, true));
            }
            queue.reopen(slot);
        })
    }

    /// Undoes a promotion. Changes the standing.
    pub fn demote(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        self.operate(id, |queue, slot, _| queue.demote_slot(slot))
    }

    /// Holds a bundle: it is neither sent nor dropped for room until it is released. The sender has to withdraw
    /// it if it was on the link. Changes the standing.
    pub fn hold(&mut self, id: &BundleId, now_unix_ms: u64) -> Result<Change, QueueError> {
        let (_, entry) = self.find(id)?;
        let change = self.operate(id, |queue, slot, _| {
            queue.leave_link(slot);
            queue.held.entry(slot).or_insert(now_unix_ms);
            queue.alter(slot, |entry| entry.flags.set(Flags::HELD, true));
        })?;
        Ok(Change { withdraw: entry.state() == State::OnLink, ..change })
    }

    /// Lets a held bundle go: it is what it was. Changes the standing.
    pub fn release(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        self.operate(id, |queue, slot, _| {
            queue.alter(slot, |entry| entry.flags.set(Flags::HELD, false));
            queue.held.remove(&slot);
        })
    }

    /// Gives a bundle to another tasking, with what its sending is charged now. Changes the standing.
    pub fn retask(&mut self, id: &BundleId, tasking: u16) -> Result<Change, QueueError> {
        let taskings = self.settings.taskings.len();
        if usize::from(tasking) >= taskings {
            return Err(QueueError::NoTasking { tasking, taskings });
        }
        self.operate(id, |queue, slot, _| queue.recharge(slot, |entry| entry.tasking = tasking))
    }

    /// Gives a bundle another class, and the deadline of that class unless it has one of its own. Changes the
    /// standing.
    pub fn reclass(&mut self, id: &BundleId, class: Class) -> Result<Change, QueueError> {
        self.operate(id, |queue, slot, entry| {
            if entry.class != class {
                queue.class_slot(slot, class);
            }
        })
    }

    pub(super) fn demote_slot(&mut self, slot: u32) {
        self.alter(slot, |entry| entry.flags.set(Flags::PROMOTED, false));
        self.promotion.remove(&slot);
    }

    pub(super) fn class_slot(&mut self, slot: u32, class: Class) {
        let Some(entry) = self.slab.get(slot) else { return };
        let deadline = entry.own_deadline().unwrap_or_else(|| self.deadline(class, entry.created_unix_ms));
        self.recharge(slot, |entry| {
            entry.class = class;
            entry.deadline_unix_ms = deadline;
            entry.flags.set(Flags::RECLASSED, true);
        });
    }

    /// Changes whose account an entry belongs to; what its sending is charged goes with it.
    fn recharge(&mut self, slot: u32, change: impl FnOnce(&mut Entry)) {
        let Some(before) = self.slab.get(slot).copied() else { return };
        self.alter(slot, change);
        let Some(after) = self.slab.get(slot).copied() else { return };
        if before.flags.any(Flags::ON_LINK) && !before.flags.any(Flags::PRESUMED) {
            let bytes = before.cost_bytes();
            self.ledger.refund(before.class, before.tasking, bytes);
            self.ledger.charge(after.class, after.tasking, bytes);
        }
    }
}
