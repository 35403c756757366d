//! An order in the outbox: when it goes next, and until when it is armed.

use anyhow::Result;
use passband_proto::dict::{Reason, Stage};

use super::super::entry::{Entry, Told};
use super::super::shelf::Shelf;
use super::Moment;
use super::pace::Pace;

/// An order, and when it goes next.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) entry: Entry,
    pub(super) pace: Pace,
    pub(super) since_ms: u64,
    /// Until when it is armed, if it is, on the steady clock, ms.
    pub(super) armed_until_ms: Option<u64>,
}

impl Live {
    /// Whether it is to be sent now or later.
    pub(super) fn is_to_go(&self) -> bool {
        self.entry.is_open() && !self.entry.is_there()
    }

    /// It is armed for so long, since `unix_ms` by the board's clock if that can be.
    pub(super) fn armed(&mut self, now: Moment, unix_ms: u64, for_ms: u64) {
        let since =
            if (self.entry.queued_unix_ms..=now.unix_ms).contains(&unix_ms) { unix_ms } else { now.unix_ms };
        let until = since.saturating_add(for_ms);
        self.entry.armed_until_unix_ms = Some(until);
        self.armed_until_ms = Some(now.steady_ms + until.saturating_sub(now.unix_ms));
    }

    /// Gives an order another number that was refused for its number, which is another order's: it was not done. None if
    /// nothing of it is to be sent any more.
    pub(super) fn renumber(&mut self, shelf: &mut dyn Shelf) -> Result<Option<Entry>> {
        let is_taken = |told: &Told| told.stage == Stage::Refused && told.reason == Reason::NumberTaken;
        if self.entry.dropped || self.entry.expired || !self.entry.told.as_ref().is_some_and(is_taken) {
            return Ok(None);
        }
        self.entry.goes_on_as = Some(shelf.new_number()?);
        Ok(self.entry.renumbered())
    }
}
