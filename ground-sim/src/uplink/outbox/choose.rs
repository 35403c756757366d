//! What goes next, and what waits.

use anyhow::Result;
use passband_proto::packet::Mode;

use super::super::hold::{HOLD_MS, Hold, Seen};
use super::super::shelf::Shelf;
use super::{Moment, Outbox};

/// What may be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Resync,
    Acknowledge,
    AskKeys,
    Ask,
    Order(u32),
    Upload(usize),
}

impl Outbox {
    /// What orders wait for, if they do.
    #[must_use]
    pub fn hold(&self, now: Moment) -> Hold {
        let left = |until: u64| until.saturating_sub(now.steady_ms);
        let seen = self.orders.values().map(|live| Seen {
            entry: &live.entry,
            step_ms: left(live.since_ms + HOLD_MS),
            armed_ms: live.armed_until_ms.map_or(0, left),
        });
        Hold::of(seen, now.unix_ms)
    }

    pub(super) fn next_job(&self, now: Moment) -> Option<Job> {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.steady_ms);
        let hold = self.hold(now);
        let free = hold == Hold::Nothing;
        let upload = self.uploads.iter().position(|upload| upload.has_pieces() && free);
        let begun =
            self.uploads.iter().any(|upload| upload.about.is_open() && upload.about.told.is_some() && free);
        if due(self.resync_due_ms()) {
            Some(Job::Resync)
        } else if due(self.acknowledge.due_ms()) {
            Some(Job::Acknowledge)
        } else if self.resync.unanswered > 1 && !self.resync.asked {
            Some(Job::AskKeys)
        } else if begun && self.ask_at_ms <= now.steady_ms {
            Some(Job::Ask)
        } else {
            self.next_order(now, hold).map(Job::Order).or(upload.map(Job::Upload))
        }
    }

    fn next_order(&self, now: Moment, hold: Hold) -> Option<u32> {
        let to_go = self.orders.values().filter(|live| live.is_to_go() && !hold.keeps(&live.entry));
        let mut due = to_go.filter(|live| live.pace.due_ms() <= now.steady_ms);
        due.next().map(|live| live.entry.number)
    }

    /// Sends steps of hazardous orders no more whose time is over.
    pub(super) fn expire(&mut self, now: Moment, shelf: &mut dyn Shelf) -> Result<()> {
        for live in self.orders.values_mut().filter(|live| live.is_to_go() && live.entry.step != Mode::Run) {
            let age_ms = now.unix_ms.saturating_sub(live.entry.queued_unix_ms);
            // Whatever the clock of the day does.
            if age_ms.max(now.steady_ms.saturating_sub(live.since_ms)) >= self.arm_ms {
                live.entry.expired = true;
                shelf.keep_order(&live.entry)?;
            }
        }
        Ok(())
    }

    /// The numbers of what is not settled.
    pub(super) fn open_numbers(&self) -> impl Iterator<Item = u32> {
        let orders = self.orders.values().filter(|live| live.entry.is_open()).map(|live| live.entry.number);
        let begins =
            self.uploads.iter().filter(|upload| upload.about.is_open() && upload.about.told.is_none());
        orders.chain(begins.map(|upload| upload.about.begin))
    }
}
