//! What the ground reported of bundles, so that a restart knows it, and which reports came.

use passband_proto::ids::BundleId;
use passband_proto::report::{Item, Report};
use redb::WriteTransaction;

use super::table::{self, Definition, Keys};
use super::{Catalogue, StoreError, decode, encode};
use crate::ordered;

/// (bundle, station, first block) → (number, item).
pub(super) const REPORTS: Definition = Definition::new("reports.v2");
/// Station → highest number of its reports.
pub(super) const STATIONS: Definition = Definition::new("stations.v2");

/// Notes that a station has used its numbers up to this one.
pub(super) fn note_station(txn: &WriteTransaction, station: u16, number: u64) -> Result<(), redb::Error> {
    let mut stations = table::open(txn, STATIONS)?;
    let before = stations.get(&station.to_be_bytes())?.as_deref().and_then(table::number);
    stations.put(&station.to_be_bytes(), &before.unwrap_or(0).max(number).to_be_bytes())
}

/// Forgets what was reported of a bundle.
pub(super) fn forget(txn: &WriteTransaction, id: &BundleId) -> Result<(), redb::Error> {
    table::open(txn, REPORTS)?.remove_all(Keys::within(&key(id, 0, 0), &key(id, u16::MAX, u32::MAX)))
}

/// The key of what a station reported of a bundle from a block on.
fn key(id: &BundleId, station: u16, first_block: u32) -> Vec<u8> {
    [id.0.as_slice(), &station.to_be_bytes(), &first_block.to_be_bytes()].concat()
}

/// The report of a row.
fn report_of(key: &[u8], value: &[u8]) -> Option<Report> {
    let (station, _) = key.split_first_chunk::<12>()?.1.split_first_chunk()?;
    let (number, item) = value.split_first_chunk()?;
    let items = vec![decode(item, "reports").ok()?];
    Some(Report {
        station: u16::from_be_bytes(*station),
        number: u64::from_be_bytes(*number),
        link: None,
        items,
    })
}

impl Catalogue {
    /// Notes that a report came, and what it says of the bundles in `news`.
    pub fn note_report(&self, report: &Report, news: &[BundleId]) -> Result<(), StoreError> {
        self.write(|txn| {
            note_station(txn, report.station, report.number)?;
            let mut reports = table::open(txn, REPORTS)?;
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
                let first = key(id, station, first_block);
                reports.remove_all(Keys::within(&first, &key(id, station, last)))?;
                let number = report.number.to_be_bytes();
                reports.put(&first, &[number.as_slice(), &encode(item)].concat())?;
            }
            Ok(())
        })
    }

    /// What was reported of a bundle, each station's and each item as a report of its own.
    pub fn reports(&self, id: &BundleId) -> Result<Vec<Report>, StoreError> {
        let mut out = Vec::new();
        let (first, last) = (key(id, 0, 0), key(id, u16::MAX, u32::MAX));
        table::each(&self.db, REPORTS, Keys::within(&first, &last), false, &mut |key, value| {
            out.push(report_of(key, value).ok_or(StoreError::Record { table: "reports" })?);
            Ok(true)
        })?;
        // The latest word counts, whatever range of blocks it is about.
        ordered::sort_by_key(&mut out, |report| report.number);
        Ok(out)
    }

    /// The stations that sent reports, and the highest number of each.
    pub fn stations(&self) -> Result<Vec<(u16, u64)>, StoreError> {
        let mut out = Vec::new();
        table::each(&self.db, STATIONS, Keys::ALL, false, &mut |station, number| {
            let row = (station.try_into().map(u16::from_be_bytes).ok()).zip(table::number(number));
            out.push(row.ok_or(StoreError::Record { table: "stations" })?);
            Ok(true)
        })?;
        Ok(out)
    }
}
