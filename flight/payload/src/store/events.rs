//! The table of events: bounded, the newest are kept.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{Catalogue, StoreError, decode, encode, next_number};
use crate::telemetry::{BySeverity, Event, Report};

/// Events that are kept.
pub const MAX_EVENTS: u64 = 10_000;
/// Most events that are read at once.
pub const MAX_EVENTS_READ: usize = 1_000;

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events.v1");

impl Catalogue {
    /// Keeps an event.
    pub fn add_event(&self, unix_ms: u64, report: &Report) -> Result<(), StoreError> {
        self.write(|txn| insert(txn, unix_ms, report))
    }

    /// The oldest `limit` events after number `since`; the newest `limit` without `since`. At most
    /// [`MAX_EVENTS_READ`], rising.
    pub fn events(&self, since: Option<u64>, limit: usize) -> Result<Vec<Event>, StoreError> {
        let limit = limit.min(MAX_EVENTS_READ);
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(EVENTS).map_err(StoreError::catalogue)?;
        let mut out = Vec::new();
        let mut take = |row: Result<(_, redb::AccessGuard<'_, &[u8]>), redb::StorageError>| {
            let (_, record): (redb::AccessGuard<'_, u64>, _) = row.map_err(StoreError::catalogue)?;
            out.push(decode(record.value(), "events")?);
            Ok::<(), StoreError>(())
        };
        if let Some(since) = since {
            let range = table.range(since.saturating_add(1)..).map_err(StoreError::catalogue)?;
            range.take(limit).try_for_each(&mut take)?;
        } else {
            table.iter().map_err(StoreError::catalogue)?.rev().take(limit).try_for_each(&mut take)?;
            out.reverse();
        }
        Ok(out)
    }

    /// Events that are kept, by severity, and the number of the newest.
    pub fn event_counts(&self) -> Result<(BySeverity, u64), StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(EVENTS).map_err(StoreError::catalogue)?;
        let (mut counts, mut last) = (BySeverity::default(), 0);
        for row in table.iter().map_err(StoreError::catalogue)? {
            let (seq, record) = row.map_err(StoreError::catalogue)?;
            let event: Event = decode(record.value(), "events")?;
            counts.add(event.severity);
            last = seq.value();
        }
        Ok((counts, last))
    }
}

pub(super) fn make_table(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(EVENTS)?;
    Ok(())
}

pub(super) fn insert(txn: &WriteTransaction, unix_ms: u64, report: &Report) -> Result<(), redb::Error> {
    let seq = next_number(txn, "event_seq")?;
    let mut table = txn.open_table(EVENTS)?;
    table.insert(seq, encode(&report.at(seq, unix_ms)).as_slice())?;
    if let Some(too_old) = seq.checked_sub(MAX_EVENTS) {
        table.retain_in(..=too_old, |_, _| false)?;
    }
    Ok(())
}
