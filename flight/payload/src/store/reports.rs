//! What the ground reported of bundles, so that a restart knows it, and which reports came.

use passband_proto::ids::BundleId;
use passband_proto::report::{Item, Report};
use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{Bytes12, Catalogue, StoreError, decode, encode};

/// (bundle, station, first block) → (number, item).
type Key = (Bytes12, u16, u32);
const REPORTS: TableDefinition<Key, (u64, &[u8])> = TableDefinition::new("reports.v1");
/// Station → highest number of its reports.
const STATIONS: TableDefinition<u16, u64> = TableDefinition::new("stations.v1");

pub(super) fn make_tables(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(REPORTS)?;
    txn.open_table(STATIONS)?;
    Ok(())
}

/// Notes that a station has used its numbers up to this one.
pub(super) fn note_station(txn: &WriteTransaction, station: u16, number: u64) -> Result<(), redb::Error> {
    let mut stations = txn.open_table(STATIONS)?;
    let before = stations.get(station)?.map_or(0, |number| number.value());
    stations.insert(station, before.max(number))?;
    Ok(())
}

/// Forgets what was reported of a bundle.
pub(super) fn forget(txn: &WriteTransaction, id: &BundleId) -> Result<(), redb::Error> {
    txn.open_table(REPORTS)?.retain_in((id.0, 0, 0)..=(id.0, u16::MAX, u32::MAX), |_, _| false)?;
    Ok(())
}

impl Catalogue {
    /// Notes that a report came, and what it says of the bundles in `news`.
    pub fn note_report(&self, report: &Report, news: &[BundleId]) -> Result<(), StoreError> {
        self.write(|txn| {
            note_station(txn, report.station, report.number)?;
            let mut reports = txn.open_table(REPORTS)?;
            for item in &report.items {
                let (id, first_block) = match item {
                    Item::Whole(id) => (id, 0),
                    Item::Blocks { id, first_block, .. } => (id, *first_block),
                };
                if !news.contains(id) {
                    continue;
                }
                let station = report.station;
                // What it speaks of replaces what was said of that before.
                let last = match item {
                    Item::Whole(_) => u32::MAX,
                    Item::Blocks { missing, .. } => {
                        let more = u32::try_from(missing.len()).unwrap_or(u32::MAX).saturating_sub(1);
                        first_block.saturating_add(more)
                    }
                };
                reports.retain_in((id.0, station, first_block)..=(id.0, station, last), |_, _| false)?;
                reports.insert((id.0, station, first_block), (report.number, encode(item).as_slice()))?;
            }
            Ok(())
        })
    }

    /// What was reported of a bundle, each station's and each item as a report of its own.
    pub fn reports(&self, id: &BundleId) -> Result<Vec<Report>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(REPORTS).map_err(StoreError::catalogue)?;
        let mut out = Vec::new();
        let all = (id.0, 0, 0)..=(id.0, u16::MAX, u32::MAX);
        for row in table.range(all).map_err(StoreError::catalogue)? {
            let (key, value) = row.map_err(StoreError::catalogue)?;
            let ((_, station, _), (number, item)) = (key.value(), value.value());
            out.push(Report { station, number, link: None, items: vec![decode(item, "reports")?] });
        }
        // The latest word counts, whatever range of blocks it is about.
        out.sort_by_key(|report| report.number);
        Ok(out)
    }

    /// The stations that sent reports, and the highest number of each.
    pub fn stations(&self) -> Result<Vec<(u16, u64)>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(STATIONS).map_err(StoreError::catalogue)?;
        let rows = table.iter().map_err(StoreError::catalogue)?;
        rows.map(|row| row.map(|(station, number)| (station.value(), number.value())))
            .collect::<Result<_, _>>()
            .map_err(StoreError::catalogue)
    }
}
