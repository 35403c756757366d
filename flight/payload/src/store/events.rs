//! The table of events: bounded, the newest are kept.

use redb::WriteTransaction;

use super::table::{self, Definition, Keys};
use super::{Catalogue, META, StoreError, decode, encode, next_number, number_in};
use crate::telemetry::{BySeverity, Event, Report};

/// Events that are kept.
pub const MAX_EVENTS: u64 = 10_000;
/// Most events that are read at once.
pub const MAX_EVENTS_READ: usize = 1_000;

/// The number of the newest event, in the meta table.
const EVENT_SEQ: &str = "event_seq";
/// Number → event.
pub(super) const EVENTS: Definition = Definition::new("events.v2");

impl Catalogue {
    /// Keeps an event.
    pub fn add_event(&self, unix_ms: u64, report: &Report) -> Result<(), StoreError> {
        self.write(|txn| insert(txn, unix_ms, report))
    }

    /// Takes up events that were numbered while this catalogue was not in use, rising; those that it has are passed over.
    /// Its own go on behind the last of them, and behind `last`.
    pub fn recall(&self, events: &[Event], last: u64) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut used = number_in(&table::open(txn, META)?, EVENT_SEQ)?.unwrap_or(0);
            for event in events {
                if event.seq > used {
                    used = event.seq;
                    put(txn, event)?;
                }
            }
            table::open(txn, META)?.put(EVENT_SEQ.as_bytes(), &used.max(last).to_be_bytes())
        })
    }

    /// The oldest `limit` events after number `since`; the newest `limit` without `since`. At most
    /// [`MAX_EVENTS_READ`], rising.
    pub fn events(&self, since: Option<u64>, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = limit.min(MAX_EVENTS_READ);
        let first = since.map(|since| since.saturating_add(1).to_be_bytes());
        let keys = first.as_ref().map_or(Keys::ALL, |first| Keys::from(first));
        let mut out = Vec::new();
        if limit > 0 {
            table::each(&self.db, EVENTS, keys, since.is_none(), &mut |_, record| {
                out.push(decode(record, "events")?);
                Ok(out.len() < limit)
            })?;
        }
        if since.is_none() {
            out.reverse();
        }
        Ok(out)
    }

    /// Events that are kept, by severity, and the number of the newest.
    pub fn event_counts(&self) -> Result<(BySeverity, u64), StoreError> {
        let (mut counts, mut last) = (BySeverity::default(), 0);
        table::each(&self.db, EVENTS, Keys::ALL, false, &mut |_, record| {
            let event: Event = decode(record, "events")?;
            counts.add(event.severity);
            last = event.seq;
            Ok(true)
        })?;
        Ok((counts, last))
    }
}

pub(super) fn insert(txn: &WriteTransaction, unix_ms: u64, report: &Report) -> Result<(), redb::Error> {
    let seq = next_number(txn, EVENT_SEQ)?;
    put(txn, &report.at(seq, unix_ms))
}

fn put(txn: &WriteTransaction, event: &Event) -> Result<(), redb::Error> {
    let mut table = table::open(txn, EVENTS)?;
    table.put(&event.seq.to_be_bytes(), &encode(event))?;
    if let Some(too_old) = event.seq.checked_sub(MAX_EVENTS) {
        table.remove_all(Keys::up_to(&too_old.to_be_bytes()))?;
    }
    Ok(())
}
