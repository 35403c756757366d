//! What becomes of a bundle: what the sender, the ground and the scrub say of it.
//!
//! Each is a fact, and may come twice, late, or after another: it is taken as far as it says anything new.

use passband_proto::ids::BundleId;

use super::entry::{Doubt, Entry, Flags};
use super::item::{Change, State};
use super::{Queue, QueueError};

/// What is true only while the sender has a bundle.
const OF_LINK: Flags = Flags::ON_LINK.and(Flags::OVERDUE_TURN).and(Flags::CREDITING);

impl Queue {
    /// The sender has let go of a bundle of which so many symbols were sent over all time: it waits again, or
    /// is what it was. Its tasking is charged what was sent instead of what was expected. Changes the
    /// standing if anything was sent.
    pub fn put_back(&mut self, id: &BundleId, sent_symbols: u64) -> Result<Change, QueueError> {
        self.operate(id, |queue, slot, _| queue.settle(slot, sent_symbols))
    }

    /// The sender has brought a bundle to the probability `presumed` (0 to 1) of being down, with so many
    /// symbols sent over all time, and has let go of it. Changes the standing.
    pub fn presume(&mut self, id: &BundleId, sent_symbols: u64, presumed: f64) -> Result<Change, QueueError> {
        self.operate(id, |queue, slot, _| {
            queue.settle(slot, sent_symbols);
            queue.alter(slot, |entry| {
                entry.flags.set(Flags::PRESUMED, true);
                entry.doubt = Doubt::at(presumed);
            });
        })
    }

    /// The ground has it all. The sender has to withdraw it if it was on the link. Changes the standing.
    pub fn known(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        self.finish(id, Flags::KNOWN)
    }

    /// It is broken on the disk: it is sent no more, and goes first when room is needed. The sender has to
    /// withdraw it if it was on the link. Changes the standing.
    pub fn damaged(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        self.finish(id, Flags::DAMAGED)
    }

    /// The ground lacks some of what was presumed down: it waits again. Refused of what is known or damaged.
    /// Changes the standing of what was presumed.
    pub fn wanted(&mut self, id: &BundleId) -> Result<Change, QueueError> {
        let (_, entry) = self.find(id)?;
        if entry.flags.any(Flags::KNOWN.and(Flags::DAMAGED)) {
            let state = entry.lasting_state();
            return Err(QueueError::WrongState { id: *id, state, wanted: "sent again" });
        }
        self.operate(id, |queue, slot, _| queue.reopen(slot))
    }

    /// Changes an entry; what that did to its standing, and whether the sender still believes it has it.
    pub(super) fn operate(
        &mut self,
        id: &BundleId,
        operation: impl FnOnce(&mut Self, u32, &Entry),
    ) -> Result<Change, QueueError> {
        let (slot, entry) = self.find(id)?;
        let before = self.standing(slot, &entry);
        operation(self, slot, &entry);
        let standing = self.standing(slot, &self.entry(slot, *id)?);
        Ok(Change { id: *id, standing, changed: standing != before, withdraw: false })
    }

    fn finish(&mut self, id: &BundleId, how: Flags) -> Result<Change, QueueError> {
        let (_, entry) = self.find(id)?;
        let change = self.operate(id, |queue, slot, _| {
            queue.leave_link(slot);
            queue.alter(slot, |entry| entry.flags.set(how, true));
            queue.demote_slot(slot);
        })?;
        Ok(Change { withdraw: entry.state() == State::OnLink, ..change })
    }

    /// Takes a bundle off the link, as if nothing had been sent.
    pub(super) fn leave_link(&mut self, slot: u32) {
        let Some(entry) = self.slab.get(slot).copied() else { return };
        if !entry.flags.any(Flags::ON_LINK) {
            return;
        }
        let bytes = entry.cost_bytes();
        if !entry.flags.any(Flags::PRESUMED) {
            self.ledger.refund(entry.class, entry.tasking, bytes);
        }
        self.credit(&entry, -i128::from(bytes));
        self.alter(slot, |entry| entry.flags.set(OF_LINK, false));
    }

    /// Takes a bundle off the link, and charges what was sent of it since it was last heard of.
    fn settle(&mut self, slot: u32, sent_symbols: u64) {
        let Some(entry) = self.slab.get(slot).copied() else { return };
        self.leave_link(slot);
        let sent = u32::try_from(sent_symbols).unwrap_or(u32::MAX);
        let more = sent.saturating_sub(entry.sent_symbols);
        if more == 0 {
            return;
        }
        let bytes = entry.bytes_of(more);
        if !entry.flags.any(Flags::PRESUMED) {
            self.ledger.charge(entry.class, entry.tasking, bytes);
        }
        self.credit(&entry, i128::from(bytes));
        self.alter(slot, |entry| entry.sent_symbols = sent);
    }

    /// Presumed no more: sending it again is charged to its tasking.
    pub(super) fn reopen(&mut self, slot: u32) {
        let Some(entry) = self.slab.get(slot).copied() else { return };
        if !entry.flags.any(Flags::PRESUMED) {
            return;
        }
        self.alter(slot, |entry| {
            entry.flags.set(Flags::PRESUMED.and(Flags::SERVED), false);
            entry.doubt = Doubt::ALL;
        });
        if entry.flags.any(Flags::ON_LINK) {
            self.ledger.charge(entry.class, entry.tasking, entry.cost_bytes());
        }
    }

    /// Bytes of a bundle are served, or for fewer than none were not, by the turn that it had.
    fn credit(&mut self, entry: &Entry, bytes: i128) {
        if entry.flags.any(Flags::CREDITING) {
            self.ledger.earn(bytes);
        } else if entry.flags.any(Flags::OVERDUE_TURN) {
            self.ledger.spend(bytes);
        }
    }
}
