//! The records of commanding: orders, marks of the uplink, plans, scripts. A database of its own, apart from the catalogue,
//! so that commanding lives on without it.
//!
//! A record is bytes under a kind and a key; whoever owns a kind knows what they mean.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{StoreError, decode, encode};
use crate::orders::{Keep, OrderId, Record};

/// The format of the database.
const FORMAT: u64 = 1;
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'static, (u8, &'static [u8]), &'static [u8]> =
    TableDefinition::new("records.v1");
const ORDERS: TableDefinition<'static, (u16, u32), &'static [u8]> = TableDefinition::new("orders.v1");
const USED: TableDefinition<'static, u16, u32> = TableDefinition::new("used.v1");

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The highest counters of the uplink that were taken.
    Mark = 1,
    /// A plan on board, and how far it is.
    Plan = 2,
    /// A run of a script.
    Script = 3,
    /// Something small that a duty keeps.
    Note = 4,
}

/// A change of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is of.
    pub kind: Kind,
    /// Which.
    pub key: Vec<u8>,
    /// What it is from now on; none: it is forgotten.
    pub value: Option<Vec<u8>>,
}

/// The key and the value of a record.
pub type Row = (Vec<u8>, Vec<u8>);

/// The records of commanding.
#[derive(Debug)]
pub struct OrderStore {
    db: Database,
}

impl OrderStore {
    /// Takes an open database, makes the tables it lacks, and checks its format.
    ///
    /// # Errors
    /// It is of another format, or can't be read or written.
    pub fn new(db: Database) -> Result<Self, StoreError> {
        let make = || -> Result<u64, redb::Error> {
            let txn = db.begin_write()?;
            let found = {
                let mut meta = txn.open_table(META)?;
                let found = meta.get("format")?.map(|v| v.value());
                if found.is_none() {
                    meta.insert("format", FORMAT)?;
                }
                txn.open_table(RECORDS)?;
                txn.open_table(ORDERS)?;
                txn.open_table(USED)?;
                found.unwrap_or(FORMAT)
            };
            txn.commit()?;
            Ok(found)
        };
        match make().map_err(StoreError::catalogue)? {
            FORMAT => Ok(Self { db }),
            found => Err(StoreError::Format { found }),
        }
    }

    /// Makes changes durable, all or nothing.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn commit(&self, orders: &[Keep], records: &[Change]) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let txn = self.db.begin_write()?;
            {
                let mut table = txn.open_table(ORDERS)?;
                let mut used = txn.open_table(USED)?;
                for change in orders {
                    match change {
                        Keep::Order(id, record) => {
                            table.insert((id.source, id.number), encode(record).as_slice())?;
                        }
                        Keep::Forget(id) => drop(table.remove((id.source, id.number))?),
                        Keep::Used(source, number) => drop(used.insert(*source, *number)?),
                    }
                }
                let mut table = txn.open_table(RECORDS)?;
                for Change { kind, key, value } in records {
                    let key = (*kind as u8, key.as_slice());
                    match value {
                        Some(value) => drop(table.insert(key, value.as_slice())?),
                        None => drop(table.remove(key)?),
                    }
                }
            }
            txn.commit()?;
            Ok(())
        };
        write().map_err(StoreError::catalogue)
    }

    /// The orders that are remembered. One that can't be read counts as used.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn ledger(&self) -> Result<Vec<Keep>, StoreError> {
        let read = || -> Result<Vec<Keep>, redb::Error> {
            let txn = self.db.begin_read()?;
            let mut out = Vec::new();
            for row in txn.open_table(USED)?.iter()? {
                let (source, number) = row?;
                out.push(Keep::Used(source.value(), number.value()));
            }
            for row in txn.open_table(ORDERS)?.iter()? {
                let (id, record) = row?;
                let (source, number) = id.value();
                out.push(match decode::<Record>(record.value(), "orders") {
                    Ok(record) => Keep::Order(OrderId { source, number }, record),
                    Err(_) => Keep::Used(source, number),
                });
            }
            Ok(out)
        };
        read().map_err(StoreError::catalogue)
    }

    /// All records of a kind, by their keys.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn records(&self, kind: Kind) -> Result<Vec<Row>, StoreError> {
        let read = || -> Result<Vec<Row>, redb::Error> {
            let txn = self.db.begin_read()?;
            let table = txn.open_table(RECORDS)?;
            let mut out = Vec::new();
            for row in table.range((kind as u8, &[][..])..)? {
                let (key, value) = row?;
                let (found, key) = key.value();
                if found != kind as u8 {
                    break;
                }
                out.push((key.to_vec(), value.value().to_vec()));
            }
            Ok(out)
        };
        read().map_err(StoreError::catalogue)
    }
}
