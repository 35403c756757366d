//! The table of alerts: bounded, the newest are kept.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{AlertRecord, Catalogue, FrameRecord, SealAlert, StoreError, decode, encode, next_number};

/// Alerts that are kept.
const MAX_ALERTS: u32 = 1_000;

const ALERTS: TableDefinition<u32, &[u8]> = TableDefinition::new("alerts.v1");

impl Catalogue {
    /// All alerts that are kept, rising.
    pub fn alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(ALERTS).map_err(StoreError::catalogue)?;
        let mut out = Vec::new();
        for row in table.iter().map_err(StoreError::catalogue)? {
            let (_, record) = row.map_err(StoreError::catalogue)?;
            out.push(decode(record.value(), "alerts")?);
        }
        Ok(out)
    }

    /// Keeps how far the sending of an alert has got.
    pub fn update_alert(&self, alert: &AlertRecord) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.open_table(ALERTS)?.insert(alert.number, encode(alert).as_slice())?;
            Ok(())
        })
    }
}

pub(super) fn make_table(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(ALERTS)?;
    Ok(())
}

pub(super) fn insert(
    txn: &WriteTransaction,
    frame: &FrameRecord,
    seal: SealAlert<'_>,
) -> Result<Option<AlertRecord>, redb::Error> {
    let number = u32::try_from(next_number(txn, "alert_number")?).unwrap_or(u32::MAX);
    let Some(sealed) = seal(number) else { return Ok(None) };
    let record = AlertRecord {
        number,
        frame: frame.id,
        frame_name: frame.name.clone(),
        created_unix_ms: frame.accepted_unix_ms,
        sealed,
        sends: 0,
    };
    let mut table = txn.open_table(ALERTS)?;
    table.insert(number, encode(&record).as_slice())?;
    if let Some(too_old) = number.checked_sub(MAX_ALERTS) {
        table.retain_in(..=too_old, |_, _| false)?;
    }
    Ok(Some(record))
}
