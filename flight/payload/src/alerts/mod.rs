//! Alerts: which message goes over the alert radio now, and when the next one does.
//!
//! An alert is sent until the ground acknowledges it, a newer one stands in its place, or it is too old. What is
//! sent next is what tells the ground most: of all that is due the one that was sent least often, since each
//! message more makes it likelier that an earlier one was heard; of those the surest, then the strongest, then
//! the newest. So what was never sent goes before every repeat, the surest first. All alerts together keep to
//! the radio's `budget`, of which repeats leave some, and the distances of repeats grow by a [`Backoff`].
//!
//! Times are those of a steady clock; the wall clock only tells how long the board was off. This module never
//! sends, stores or reads anything: [`Schedule`] holds what is pending, the store knows what became of it.

mod backoff;
mod budget;
mod site;

pub use backoff::Backoff;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use self::budget::Budget;
use crate::config;
use crate::ordered;
use crate::store::{AlertRecord, AlertState};

/// The pause after the alert radio refused a message, ms.
const RETRY_MS: u64 = 1_000;

/// Decides what the alert radio sends.
#[derive(Debug)]
pub struct Schedule {
    backoff: Backoff,
    budget: Budget,
    same_site_m: u32,
    pending: BTreeMap<u32, Pending>,
    /// The radio refused a message: nothing is sent before.
    held_until_ms: u64,
}

#[derive(Debug)]
struct Pending {
    record: AlertRecord,
    /// Its age at the steady time `at_ms`.
    age_ms: u64,
    at_ms: u64,
}

/// A message to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the alert.
    pub number: u32,
    /// The bytes.
    pub sealed: Vec<u8>,
}

/// What changes once a message has left.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The alert, this time counted.
    pub record: AlertRecord,
    /// Numbers of the older alerts it stands in the place of.
    pub superseded: Vec<u32>,
}

impl Schedule {
    /// An empty schedule with these rules.
    pub fn new(rules: &config::Alerts) -> Self {
        Self {
            backoff: Backoff::new(&rules.repeat_s, rules.stale_s),
            budget: Budget::new(rules.per_minute),
            same_site_m: rules.same_site_m,
            pending: BTreeMap::new(),
            held_until_ms: 0,
        }
    }

    /// Goes on with the alerts of the runs before: those that are pending, within what the messages of the last
    /// minute have left of the budget.
    pub fn resume(&mut self, now_ms: u64, unix_ms: u64, records: &[AlertRecord]) {
        for record in records {
            for ago_ms in self.backoff.sent_ago_ms(record, unix_ms) {
                self.budget.recall(now_ms, ago_ms);
            }
        }
        self.follow(now_ms, unix_ms, records);
    }

    /// Takes an alert; only its evidence is new of one that it has, and one that isn't pending is passed over.
    pub fn add(&mut self, now_ms: u64, unix_ms: u64, record: &AlertRecord) {
        if let Some(known) = self.pending.get_mut(&record.number) {
            known.record.evidence = record.evidence;
        } else if record.state == AlertState::Pending {
            let age_ms = self.backoff.age_ms(record, unix_ms);
            self.pending.insert(record.number, Pending { record: record.clone(), age_ms, at_ms: now_ms });
        }
    }

    /// Does as the store says: `records` is all that it keeps.
    pub fn follow(&mut self, now_ms: u64, unix_ms: u64, records: &[AlertRecord]) {
        let of_store: BTreeMap<_, _> =
            ordered::gathered(records.iter().map(|record| (record.number, record.state)));
        self.pending.retain(|number, _| of_store.get(number) == Some(&AlertState::Pending));
        records.iter().for_each(|record| self.add(now_ms, unix_ms, record));
    }

    /// Forgets alerts that are pending no longer.
    pub fn forget(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.pending.remove(&number);
        }
    }

    /// The pending alerts, rising.
    pub fn pending(&self) -> impl Iterator<Item = &AlertRecord> {
        self.pending.values().map(|pending| &pending.record)
    }

    /// Gives up what is too old: the numbers of alerts that were never sent, and of those that were.
    pub fn expire(&mut self, now_ms: u64) -> (Vec<u32>, Vec<u32>) {
        let stale_ms = self.backoff.stale_ms();
        let (mut unsent, mut sent) = (Vec::new(), Vec::new());
        self.pending.retain(|number, pending| {
            let over = pending.age_now(now_ms) >= stale_ms;
            if over {
                if pending.record.sends == 0 { &mut unsent } else { &mut sent }.push(*number);
            }
            !over
        });
        (unsent, sent)
    }

    /// The message to send at `now_ms`, if any. Tell what came of it by [`Self::sent`] or [`Self::refused`], then ask
    /// again.
    pub fn poll(&self, now_ms: u64) -> Option<Message> {
        let due = self.pending.values().filter(|pending| self.due_at_ms(pending) <= now_ms);
        let best = due.min_by_key(|pending| (pending.record.sends, Reverse(pending.record.worth())))?;
        // A repeat never has room where a first message has none, so nothing behind the best has.
        if self.ready_ms(now_ms, best) > now_ms {
            return None;
        }
        Some(Message { number: best.record.number, sealed: best.record.sealed.clone() })
    }

    /// Takes note that a message has left; `None` for an alert that isn't pending.
    pub fn sent(&mut self, now_ms: u64, unix_ms: u64, number: u32) -> Option<Sent> {
        let pending = self.pending.get_mut(&number)?;
        self.budget.spend(now_ms, pending.record.sends > 0);
        (pending.age_ms, pending.at_ms) = (pending.age_now(now_ms), now_ms);
        pending.record.sends = pending.record.sends.saturating_add(1);
        (pending.record.age_ms, pending.record.noted_unix_ms) = (pending.age_ms, unix_ms);
        let record = pending.record.clone();
        let older = self.pending.range(..number).map(|(_, older)| &older.record);
        let superseded: Vec<_> = older
            .filter(|older| site::is_same(older, &record, self.same_site_m))
            .map(|older| older.number)
            .collect();
        self.forget(superseded.iter().copied());
        Some(Sent { record, superseded })
    }

    /// Takes note that the radio refused a message: everything stays pending, and is tried again in a moment.
    pub fn refused(&mut self, now_ms: u64) {
        self.held_until_ms = now_ms.saturating_add(RETRY_MS);
    }

    /// When there is something to do next: a message to send, or an alert to give up; `None`: nothing is pending.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let of = |pending: &Pending| {
            let too_old = pending.at_age_ms(self.backoff.stale_ms());
            self.ready_ms(now_ms, pending).max(self.due_at_ms(pending)).min(too_old)
        };
        self.pending.values().map(of).min()
    }

    /// When an alert is due by its back-off.
    fn due_at_ms(&self, pending: &Pending) -> u64 {
        pending.at_age_ms(self.backoff.due_age_ms(&pending.record))
    }

    /// When there is room for a message of an alert.
    fn ready_ms(&self, now_ms: u64, pending: &Pending) -> u64 {
        self.budget.free_ms(now_ms, pending.record.sends > 0).max(self.held_until_ms)
    }
}

impl Pending {
    fn age_now(&self, now_ms: u64) -> u64 {
        self.age_ms.saturating_add(now_ms.saturating_sub(self.at_ms))
    }

    /// The steady time at which it has this age.
    fn at_age_ms(&self, age_ms: u64) -> u64 {
        self.at_ms.saturating_add(age_ms.saturating_sub(self.age_ms))
    }
}

#[cfg(test)]
mod tests;
