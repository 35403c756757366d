//! Tables of the catalogue: bytes by bytes, all of one type.
//!
//! The database's code is made anew for each pair of types that a table has, some 35 kB of program a pair; with one pair
//! for all tables it is there once. What a key or a value means, the owner of a table knows. Numbers in keys are
//! big endian, so that keys are in the order of their numbers; keys of a table are all of one length, or names.

use std::ops::Bound;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::StoreError;

/// A table, by its name.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// First and last key of a range, both in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'k> {
    first: Bound<&'k [u8]>,
    last: Bound<&'k [u8]>,
}

impl<'k> Keys<'k> {
    /// Every key.
    pub(super) const ALL: Self = Self { first: Bound::Unbounded, last: Bound::Unbounded };

    /// From one key on.
    pub(super) fn from(first: &'k [u8]) -> Self {
        Self { first: Bound::Included(first), ..Self::ALL }
    }

    /// Up to one key.
    pub(super) fn up_to(last: &'k [u8]) -> Self {
        Self { last: Bound::Included(last), ..Self::ALL }
    }

    /// From one key to another.
    pub(super) fn within(first: &'k [u8], last: &'k [u8]) -> Self {
        Self { first: Bound::Included(first), last: Bound::Included(last) }
    }
}

/// What a row is handed to; `false`: no more are wanted.
pub(super) type Take<'t, E> = &'t mut dyn FnMut(&[u8], &[u8]) -> Result<bool, E>;

/// A table in a transaction that writes.
pub(super) struct Table<'txn>(redb::Table<'txn, &'static [u8], &'static [u8]>);

/// Opens a table, made if it is not there.
pub(super) fn open(txn: &WriteTransaction, table: Definition) -> Result<Table<'_>, redb::Error> {
    Ok(Table(txn.open_table(table)?))
}

impl Table<'_> {
    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(self.0.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Whether there is a row of this key.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, redb::Error> {
        Ok(self.0.get(key)?.is_some())
    }

    /// Puts a row, in the place of one of the same key.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        self.0.insert(key, value)?;
        Ok(())
    }

    /// Removes a row; whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, redb::Error> {
        Ok(self.0.remove(key)?.is_some())
    }

    /// Removes all rows of a range.
    pub(super) fn remove_all(&mut self, keys: Keys<'_>) -> Result<(), redb::Error> {
        self.0.retain_in::<&[u8], _>((keys.first, keys.last), |_, _| false)?;
        Ok(())
    }

    /// Hands over the rows of a range, rising.
    pub(super) fn each(&self, keys: Keys<'_>, take: Take<'_, redb::Error>) -> Result<(), redb::Error> {
        for row in self.0.range::<&[u8]>((keys.first, keys.last))? {
            let (key, value) = row?;
            if !take(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }
}

/// The value of a key.
///
/// # Errors
/// The database can't be read.
pub(super) fn get(db: &Database, table: Definition, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let read = || -> Result<_, redb::Error> {
        let found = db.begin_read()?.open_table(table)?.get(key)?;
        Ok(found.map(|value| value.value().to_vec()))
    };
    read().map_err(StoreError::catalogue)
}

/// Hands over the rows of a range: rising, or from the last on.
///
/// # Errors
/// The database can't be read, or that of `take`.
pub(super) fn each(
    db: &Database,
    table: Definition,
    keys: Keys<'_>,
    from_last: bool,
    take: Take<'_, StoreError>,
) -> Result<(), StoreError> {
    let range = || -> Result<_, redb::Error> {
        Ok(db.begin_read()?.open_table(table)?.range::<&[u8]>((keys.first, keys.last))?)
    };
    let mut rows = range().map_err(StoreError::catalogue)?;
    while let Some(row) = if from_last { rows.next_back() } else { rows.next() } {
        let (key, value) = row.map_err(StoreError::catalogue)?;
        if !take(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

/// A number as it is kept.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// A number that a key or value begins with, and the rest.
pub(super) fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const TABLE: Definition = Definition::new("numbers");

    /// A database of the numbers 0 to 299, each under itself.
    fn numbers() -> Database {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut table = open(&txn, TABLE).unwrap();
            for n in (0..300_u64).rev() {
                table.put(&n.to_be_bytes(), &n.to_be_bytes()).unwrap();
            }
        }
        txn.commit().unwrap();
        db
    }

    fn read(db: &Database, keys: Keys<'_>, from_last: bool, most: usize) -> Vec<u64> {
        let mut out = Vec::new();
        each(db, TABLE, keys, from_last, &mut |key, value| {
            assert_eq!(key, value);
            out.extend(number(value));
            Ok(out.len() < most)
        })
        .unwrap();
        out
    }

    #[test]
    fn keys_are_in_the_order_of_their_numbers() {
        let db = numbers();
        assert_eq!(read(&db, Keys::ALL, false, 999), (0..300).collect::<Vec<_>>());
        assert_eq!(read(&db, Keys::ALL, true, 3), [299, 298, 297]);
        let at = |n: u64| n.to_be_bytes();
        assert_eq!(read(&db, Keys::from(&at(254)), false, 3), [254, 255, 256]);
        assert_eq!(read(&db, Keys::up_to(&at(2)), false, 9), [0, 1, 2]);
        assert_eq!(read(&db, Keys::within(&at(255), &at(257)), true, 9), [257, 256, 255]);
        assert_eq!(get(&db, TABLE, &at(256)).unwrap().as_deref().and_then(number), Some(256));
        assert_eq!(get(&db, TABLE, &at(300)).unwrap(), None);
    }

    #[test]
    fn a_range_is_removed_with_both_its_ends() {
        let db = numbers();
        let txn = db.begin_write().unwrap();
        {
            let mut table = open(&txn, TABLE).unwrap();
            table.remove_all(Keys::within(&2_u64.to_be_bytes(), &298_u64.to_be_bytes())).unwrap();
            assert!(table.remove(&0_u64.to_be_bytes()).unwrap() && !table.remove(b"none").unwrap());
            assert!(table.has(&1_u64.to_be_bytes()).unwrap());
        }
        txn.commit().unwrap();
        assert_eq!(read(&db, Keys::ALL, false, 9), [1, 299]);
    }

    #[test]
    fn what_is_too_short_or_too_long_is_no_number() {
        assert_eq!([number(&[0; 7]), number(&[0; 9]), number(&[0; 8])], [None, None, Some(0)]);
        assert_eq!(split_u32(&[0, 0, 1, 0, 9]), Some((256, [9].as_slice())));
        assert_eq!(split_u32(&[0; 3]), None);
    }
}
