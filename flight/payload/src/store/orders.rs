//! The records of commanding: orders, marks of the uplink, plans, scripts. A database of its own, apart from the catalogue,
//! so that commanding lives on without it.
//!
//! A record is bytes under a kind and a key; whoever owns a kind knows what they mean.

use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{StoreError, decode, encode};
use crate::orders::{Keep, OrderId, Record};

/// The format of the database.
const FORMAT: u8 = 1;
/// All of it, by a byte for what it is and a key. One table, so that the database's code is there once.
const RECORDS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("records.v1");
/// What a key of the format begins with.
const META: u8 = 0;
/// What the key of an order begins with; its source and number follow, u16 and u32 big endian.
const ORDERS: u8 = 0xF0;
/// What the key of used numbers begins with; the source follows, u16 big endian.
const USED: u8 = 0xF1;

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
    broken: AtomicBool,
}

impl OrderStore {
    /// Takes an open database, makes the table it lacks, and checks its format.
    ///
    /// # Errors
    /// It is of another format, or can't be read or written.
    pub fn new(db: Database) -> Result<Self, StoreError> {
        let make = || -> Result<u8, redb::Error> {
            let txn = db.begin_write()?;
            let found = {
                let mut table = txn.open_table(RECORDS)?;
                let found =
                    table.get([META].as_slice())?.map(|v| v.value().first().copied().unwrap_or_default());
                if found.is_none() {
                    table.insert([META].as_slice(), [FORMAT].as_slice())?;
                }
                found.unwrap_or(FORMAT)
            };
            txn.commit()?;
            Ok(found)
        };
        match make().map_err(StoreError::catalogue)? {
            FORMAT => Ok(Self { db, broken: AtomicBool::new(false) }),
            found => Err(StoreError::Format { found: found.into() }),
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
                let mut table = txn.open_table(RECORDS)?;
                let mut put = |key: &[u8], value: Option<&[u8]>| -> Result<(), redb::Error> {
                    match value {
                        Some(value) => drop(table.insert(key, value)?),
                        None => drop(table.remove(key)?),
                    }
                    Ok(())
                };
                for change in orders {
                    match change {
                        Keep::Order(id, record) => put(&order_key(*id), Some(&encode(record)))?,
                        Keep::Forget(id) => put(&order_key(*id), None)?,
                        Keep::Used(source, number) => {
                            put(&key(USED, &source.to_be_bytes()), Some(&number.to_be_bytes()))?;
                        }
                    }
                }
                for Change { kind, key: name, value } in records {
                    put(&key(*kind as u8, name), value.as_deref())?;
                }
            }
            txn.commit()?;
            Ok(())
        };
        self.noted(write())
    }

    /// Whether a change could not be written: it has to be opened anew before one can.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Makes all records of this store those of another, all or nothing.
    ///
    /// # Errors
    /// This one can't be written, or the other not be read.
    pub fn become_like(&self, other: &Self) -> Result<(), StoreError> {
        let copy = || -> Result<(), redb::Error> {
            let theirs = other.db.begin_read()?;
            let theirs = theirs.open_table(RECORDS)?;
            let txn = self.db.begin_write()?;
            {
                let mut table = txn.open_table(RECORDS)?;
                table.retain(|_, _| false)?;
                for row in theirs.iter()? {
                    let (key, value) = row?;
                    table.insert(key.value(), value.value())?;
                }
            }
            txn.commit()?;
            Ok(())
        };
        self.noted(copy())
    }

    /// The orders that are remembered. One that can't be read counts as used.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn ledger(&self) -> Result<Vec<Keep>, StoreError> {
        let mut out = Vec::new();
        for (name, value) in self.rows(USED)? {
            if let (Ok(source), Ok(number)) = (name.as_slice().try_into(), value.as_slice().try_into()) {
                out.push(Keep::Used(u16::from_be_bytes(source), u32::from_be_bytes(number)));
            }
        }
        for (name, value) in self.rows(ORDERS)? {
            let Some((source, number)) = name.split_first_chunk::<2>() else { continue };
            let Ok(number) = number.try_into() else { continue };
            let id = OrderId { source: u16::from_be_bytes(*source), number: u32::from_be_bytes(number) };
            out.push(match decode::<Record>(&value, "orders") {
                Ok(record) => Keep::Order(id, record),
                Err(_) => Keep::Used(id.source, id.number),
            });
        }
        Ok(out)
    }

    /// All records of a kind, by their keys.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn records(&self, kind: Kind) -> Result<Vec<Row>, StoreError> {
        self.rows(kind as u8)
    }

    fn noted<T>(&self, result: Result<T, redb::Error>) -> Result<T, StoreError> {
        result.map_err(|e| {
            self.broken.store(true, Ordering::Relaxed);
            StoreError::catalogue(e)
        })
    }

    fn rows(&self, first: u8) -> Result<Vec<Row>, StoreError> {
        let read = || -> Result<Vec<Row>, redb::Error> {
            let txn = self.db.begin_read()?;
            let table = txn.open_table(RECORDS)?;
            let mut out = Vec::new();
            for row in table.range([first].as_slice()..)? {
                let (key, value) = row?;
                match key.value().split_first() {
                    Some((found, name)) if *found == first => {
                        out.push((name.to_vec(), value.value().to_vec()));
                    }
                    _ => break,
                }
            }
            Ok(out)
        };
        read().map_err(StoreError::catalogue)
    }
}

fn key(first: u8, name: &[u8]) -> Vec<u8> {
    [&[first], name].concat()
}

fn order_key(id: OrderId) -> Vec<u8> {
    key(ORDERS, &[id.source.to_be_bytes().as_slice(), &id.number.to_be_bytes()].concat())
}
