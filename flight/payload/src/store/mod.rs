//! Store: the catalogue of frames, bundles, send marks, alerts and events, in an ACID database.
//!
//! Every method is one transaction, durable when it returns. The catalogue is handed an open database
//! and times; sealed content lies in files beside it ([`crate::adapters::vault`]), written before the
//! transaction that makes them known.

mod alerts;
mod damages;
mod error;
mod events;
pub mod health;
pub mod orders;
mod records;
mod reports;
mod table;

pub use alerts::{MAX_ALERTS, SealAlert};
pub use damages::Damage;
pub use error::{StoreError, is_fault_of_disk};
pub use events::{MAX_EVENTS, MAX_EVENTS_READ};
pub use records::{
    Acknowledger, AlertRecord, AlertState, BundleRecord, FileIdentity, FrameId, FrameRecord, StandingRecord,
    Superseder,
};

use std::sync::atomic::{AtomicBool, Ordering};

use passband_proto::ids::BundleId;
use passband_proto::transfer::BlockMark;
use redb::{Database, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::table::{Definition, Keys};
use crate::products::Kind;
use crate::telemetry::Report;

/// The format of the catalogue.
pub const FORMAT: u64 = 2;
/// The format whose table of this name had other types.
const FORMAT_OF_OTHER_TYPES: u64 = 1;

type Bytes12 = [u8; 12];
/// Name → number.
const META: Definition = Definition::new("meta");
/// In the meta table: whether sealed bundles are to be taken in still.
const ADOPTING: &str = "adopting";
/// In the meta table: from which number the sender counts its sessions.
const SESSION_BASE: &str = "session_base";
/// Frame → its number, and its record.
const FRAMES: Definition = Definition::new("frames.v2");
/// Bundle → its record.
const BUNDLES: Definition = Definition::new("bundles.v2");
/// Frame → its files in the spool that are still to be removed.
const SPOOLED: Definition = Definition::new("spooled.v2");
/// Number of a frame, rising → its id: the oldest are forgotten.
const FRAME_ORDER: Definition = Definition::new("frame-order.v2");
/// Bundle → how it stands in the queue, if that isn't as new.
const STANDINGS: Definition = Definition::new("standings.v2");
/// Frames that are known: what comes again is told by them.
pub const MAX_FRAMES: u64 = 100_000;
/// (bundle, block) → (esi, sent).
const MARKS: Definition = Definition::new("marks.v2");
/// All tables.
const TABLES: [Definition; 11] = [
    FRAMES,
    BUNDLES,
    MARKS,
    SPOOLED,
    FRAME_ORDER,
    STANDINGS,
    alerts::ALERTS,
    damages::DAMAGES,
    reports::REPORTS,
    reports::STATIONS,
    events::EVENTS,
];

/// The catalogue.
#[derive(Debug)]
pub struct Catalogue {
    db: Database,
    broken: AtomicBool,
}

/// A frame to record with all that was made from it.
#[derive(Debug)]
pub struct NewFrame {
    /// The frame.
    pub frame: FrameRecord,
    /// Its bundles, sealed and in place.
    pub bundles: Vec<BundleRecord>,
    /// The key of its alert, if it has one.
    pub alert: Option<FrameId>,
    /// Its files in the spool, which are removed once it is recorded.
    pub spooled: Vec<FileIdentity>,
    /// What to tell the operator.
    pub report: Report,
}

impl Catalogue {
    /// Takes an open database, makes the tables it lacks, and checks its format.
    pub fn new(db: Database) -> Result<Self, StoreError> {
        let catalogue = Self { db, broken: AtomicBool::new(false) };
        let found = catalogue.write(|txn| {
            let mut meta = match table::open(txn, META) {
                Err(redb::Error::TableTypeMismatch { .. }) => return Ok(FORMAT_OF_OTHER_TYPES),
                other => other?,
            };
            let found = number_in(&meta, "format")?;
            if found.is_none() {
                meta.put(b"format", &FORMAT.to_be_bytes())?;
                meta.put(ADOPTING.as_bytes(), &1_u64.to_be_bytes())?;
            }
            let found = found.unwrap_or(FORMAT);
            if found == FORMAT {
                TABLES.iter().try_for_each(|name| table::open(txn, *name).map(drop))?;
            }
            Ok(found)
        })?;
        if found == FORMAT { Ok(catalogue) } else { Err(StoreError::Format { found }) }
    }

    /// Whether sealed bundles may lie there that it doesn't know and that are to be taken in: from when it is made until
    /// [`Self::end_adoption`].
    pub fn is_adopting(&self) -> Result<bool, StoreError> {
        Ok(self.meta(ADOPTING)?.is_some())
    }

    /// What lies there from now on and isn't known is of no use.
    pub fn end_adoption(&self) -> Result<(), StoreError> {
        self.write(|txn| table::open(txn, META)?.remove(ADOPTING.as_bytes()).map(drop))
    }

    /// From which number the sender counts its sessions; 0 unless [`Self::begin_sessions_at`] said otherwise.
    pub fn session_base(&self) -> Result<u64, StoreError> {
        Ok(self.meta(SESSION_BASE)?.unwrap_or_default())
    }

    /// Says from which number the sender counts its sessions, if that wasn't said before.
    pub fn begin_sessions_at(&self, base: u64) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut meta = table::open(txn, META)?;
            let said = meta.has(SESSION_BASE.as_bytes())?;
            if said { Ok(()) } else { meta.put(SESSION_BASE.as_bytes(), &base.to_be_bytes()) }
        })
    }

    /// Counts a start of the daemon: 1 for the first on this store.
    pub fn count_boot(&self) -> Result<u64, StoreError> {
        self.write(|txn| next_number(txn, "boot_count"))
    }

    /// The record of a frame, if it was taken before.
    pub fn frame(&self, id: &FrameId) -> Result<Option<FrameRecord>, StoreError> {
        let found = self.record::<(u64, FrameRecord)>((FRAMES, "frames"), id.0)?;
        Ok(found.map(|(_, record)| record))
    }

    /// Records a frame, its bundles and its event: all or nothing. Gives the frame's alert, made before by
    /// [`Self::add_alert`], which knows its evidence from here on.
    pub fn add_frame(&self, new: &NewFrame) -> Result<Option<AlertRecord>, StoreError> {
        self.write(|txn| insert_new(txn, new))
    }

    /// Many at once, gone from the spool, for measurements.
    #[cfg(any(test, feature = "faults"))]
    pub(crate) fn add_frames(&self, new: &[NewFrame]) -> Result<(), StoreError> {
        self.write(|txn| {
            new.iter().try_for_each(|new| {
                insert_new(txn, new)?;
                table::open(txn, SPOOLED)?.remove(&new.frame.id.0).map(drop)
            })
        })
    }

    /// Frames whose files may still lie in the spool.
    pub fn spooled(&self) -> Result<Vec<(FrameId, Vec<FileIdentity>)>, StoreError> {
        self.records((SPOOLED, "spooled"), |id, files| (FrameId(id), files))
    }

    /// Notes that a frame's files are gone from the spool.
    pub fn spool_cleared(&self, id: &FrameId) -> Result<(), StoreError> {
        self.write(|txn| table::open(txn, SPOOLED)?.remove(&id.0).map(drop))
    }

    /// All bundles.
    pub fn bundles(&self) -> Result<Vec<BundleRecord>, StoreError> {
        self.records((BUNDLES, "bundles"), |_, record| record)
    }

    /// A bundle.
    pub fn bundle(&self, id: &BundleId) -> Result<Option<BundleRecord>, StoreError> {
        self.record((BUNDLES, "bundles"), id.0)
    }

    /// A note made known; `logged_seq` is the number of the last event that stands in a log by now.
    pub fn add_note(
        &self,
        bundle: &BundleRecord,
        logged_seq: Option<u64>,
        unix_ms: u64,
        report: &Report,
    ) -> Result<(), StoreError> {
        self.write(|txn| {
            insert_bundles(txn, [bundle])?;
            if let Some(seq) = logged_seq {
                table::open(txn, META)?.put(b"logged_seq", &seq.to_be_bytes())?;
            }
            events::insert(txn, unix_ms, report)
        })
    }

    /// Makes bundles known of which nothing else is; their symbols go on from `esi`.
    pub fn add_adopted(
        &self,
        adopted: &[BundleRecord],
        esi: u32,
        unix_ms: u64,
        report: &Report,
    ) -> Result<(), StoreError> {
        self.write(|txn| {
            insert_bundles(txn, adopted)?;
            let mut marks = table::open(txn, MARKS)?;
            for bundle in adopted {
                for block in 0..bundle.geometry.block_count {
                    put_mark(&mut marks, &bundle.id, &BlockMark { block, esi, sent: 0 })?;
                }
            }
            events::insert(txn, unix_ms, report)
        })
    }

    /// Keeps the digest of a bundle that had none; one that is gone is passed over.
    pub fn set_digest(&self, id: &BundleId, sha256: [u8; 32]) -> Result<(), StoreError> {
        let Some(record) = self.bundle(id)? else { return Ok(()) };
        let record = BundleRecord { sha256: Some(sha256), ..record };
        self.write(|txn| {
            let known = table::open(txn, BUNDLES)?.has(&id.0)?;
            if known { insert_bundles(txn, [&record]) } else { Ok(()) }
        })
    }

    /// Number of the last event that stands in a log; 0: none.
    pub fn logged_seq(&self) -> Result<u64, StoreError> {
        Ok(self.meta("logged_seq")?.unwrap_or_default())
    }

    /// How bundles stand in the queue: those that don't stand as new.
    pub fn standings(&self) -> Result<Vec<(BundleId, StandingRecord)>, StoreError> {
        self.records((STANDINGS, "standings"), |id, record| (BundleId(id), record))
    }

    /// Keeps how bundles stand in the queue; those that are gone are passed over.
    pub fn set_standings(&self, standings: &[(BundleId, StandingRecord)]) -> Result<(), StoreError> {
        self.write(|txn| {
            let bundles = table::open(txn, BUNDLES)?;
            let mut table = table::open(txn, STANDINGS)?;
            for (id, standing) in standings {
                if bundles.has(&id.0)? {
                    table.put(&id.0, &encode(standing))?;
                }
            }
            Ok(())
        })
    }

    /// What was reserved of a bundle's blocks.
    pub fn marks(&self, id: &BundleId) -> Result<Vec<BlockMark>, StoreError> {
        let mut out = Vec::new();
        let (first, last) = (mark_key(id, 0), mark_key(id, u32::MAX));
        table::each(&self.db, MARKS, Keys::within(&first, &last), false, &mut |key, value| {
            out.push(mark_of(key, value).ok_or(StoreError::Record { table: "marks" })?);
            Ok(true)
        })?;
        Ok(out)
    }

    /// Reserves symbols of bundles' blocks; marks of bundles that are gone are passed over.
    pub fn reserve(&self, marks: &[(BundleId, BlockMark)]) -> Result<(), StoreError> {
        self.write(|txn| {
            let bundles = table::open(txn, BUNDLES)?;
            let mut table = table::open(txn, MARKS)?;
            for (id, mark) in marks {
                if bundles.has(&id.0)? {
                    put_mark(&mut table, id, mark)?;
                }
            }
            Ok(())
        })
    }

    /// Forgets a bundle and says so; `false` if it wasn't known. Its file may then be removed.
    pub fn drop_bundle(&self, id: &BundleId, unix_ms: u64, report: &Report) -> Result<bool, StoreError> {
        self.drop_bundles(&[*id], &[], unix_ms, report).map(|dropped| dropped > 0)
    }

    /// Forgets bundles and says so, if any of them was known; how many were. Their files may then be removed.
    /// `frames` are forgotten as well: should one come again, it is new.
    pub fn drop_bundles(
        &self,
        ids: &[BundleId],
        frames: &[FrameId],
        unix_ms: u64,
        report: &Report,
    ) -> Result<usize, StoreError> {
        self.write(|txn| {
            let mut dropped = 0;
            for id in ids {
                dropped += usize::from(forget(txn, id)?);
            }
            let mut table = table::open(txn, FRAMES)?;
            for frame in frames {
                table.remove(&frame.0)?;
            }
            drop(table);
            if dropped > 0 {
                events::insert(txn, unix_ms, report)?;
            }
            Ok(dropped)
        })
    }

    /// Puts a bundle in the place of another, which is forgotten with all that was sent of it, and says so. An alert
    /// whose evidence the other was has it in this one.
    pub fn replace_bundle(
        &self,
        old: &BundleId,
        new: &BundleRecord,
        unix_ms: u64,
        report: &Report,
    ) -> Result<(), StoreError> {
        self.write(|txn| {
            forget(txn, old)?;
            insert_bundles(txn, [new])?;
            alerts::move_evidence(txn, old, &new.id)?;
            events::insert(txn, unix_ms, report)
        })
    }

    /// Whether the database has stopped working after an error of its disk: it has to be opened anew.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// A number of the meta table.
    fn meta(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let found = table::get(&self.db, META, name.as_bytes())?;
        found.map(|value| table::number(&value).ok_or(StoreError::Record { table: "meta" })).transpose()
    }

    /// What a table has of this id, with the table's name for errors.
    fn record<T: DeserializeOwned>(
        &self,
        (table, name): (Definition, &'static str),
        id: Bytes12,
    ) -> Result<Option<T>, StoreError> {
        let found = table::get(&self.db, table, &id)?;
        found.map(|record| decode(&record, name)).transpose()
    }

    /// All that a table has, with the table's name for errors.
    fn records<T: DeserializeOwned, R>(
        &self,
        (table, name): (Definition, &'static str),
        row: impl Fn(Bytes12, T) -> R,
    ) -> Result<Vec<R>, StoreError> {
        let mut out = Vec::new();
        table::each(&self.db, table, Keys::ALL, false, &mut |key, record| {
            let id = key.try_into().map_err(|_| StoreError::Record { table: name })?;
            out.push(row(id, decode(record, name)?));
            Ok(true)
        })?;
        Ok(out)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let run = || {
            let txn = self.db.begin_write()?;
            let out = work(&txn)?;
            txn.commit()?;
            Ok(out)
        };
        run().map_err(|e: redb::Error| self.failed(e))
    }

    /// The error of a transaction; notes whether the database works no more.
    fn failed(&self, error: redb::Error) -> StoreError {
        if matches!(error, redb::Error::PreviousIo) {
            self.broken.store(true, Ordering::Relaxed);
        }
        StoreError::catalogue(error)
    }
}

/// Makes a frame, its bundles and its event known; its alert.
fn insert_new(txn: &WriteTransaction, new: &NewFrame) -> Result<Option<AlertRecord>, redb::Error> {
    let frame = &new.frame;
    insert_frame(txn, frame)?;
    insert_bundles(txn, &new.bundles)?;
    table::open(txn, SPOOLED)?.put(&frame.id.0, &encode(&new.spooled))?;
    events::insert(txn, frame.accepted_unix_ms, &new.report)?;
    let evidence = new.bundles.iter().find(|bundle| bundle.kind == Kind::Evidence);
    match (new.alert, evidence) {
        (Some(key), Some(evidence)) => alerts::link_evidence(txn, key, evidence.id),
        _ => Ok(None),
    }
}

fn insert_bundles<'r>(
    txn: &WriteTransaction,
    bundles: impl IntoIterator<Item = &'r BundleRecord>,
) -> Result<(), redb::Error> {
    let mut table = table::open(txn, BUNDLES)?;
    for bundle in bundles {
        table.put(&bundle.id.0, &encode(bundle))?;
    }
    Ok(())
}

/// Makes a frame known, and forgets the oldest if there are too many.
fn insert_frame(txn: &WriteTransaction, frame: &FrameRecord) -> Result<(), redb::Error> {
    let number = next_number(txn, "frame_number")?;
    let mut frames = table::open(txn, FRAMES)?;
    frames.put(&frame.id.0, &encode(&(number, frame)))?;
    let mut order = table::open(txn, FRAME_ORDER)?;
    order.put(&number.to_be_bytes(), &frame.id.0)?;
    let Some(too_old) = number.checked_sub(MAX_FRAMES).map(u64::to_be_bytes) else { return Ok(()) };
    let mut old = Vec::new();
    order.each(Keys::up_to(&too_old), &mut |number, id| {
        old.push((table::number(number), id.to_vec()));
        Ok(true)
    })?;
    order.remove_all(Keys::up_to(&too_old))?;
    for (number, id) in old {
        // One that came anew meanwhile has another number.
        let record = frames.get(&id)?;
        let found = record.and_then(|record| postcard::take_from_bytes::<u64>(&record).ok().map(|(n, _)| n));
        if found.is_some() && found == number {
            frames.remove(&id)?;
        }
    }
    Ok(())
}

/// The key of a block's mark.
fn mark_key(id: &BundleId, block: u32) -> Vec<u8> {
    [id.0.as_slice(), &block.to_be_bytes()].concat()
}

fn put_mark(marks: &mut table::Table<'_>, id: &BundleId, mark: &BlockMark) -> Result<(), redb::Error> {
    let value = [mark.esi.to_be_bytes(), mark.sent.to_be_bytes()].concat();
    marks.put(&mark_key(id, mark.block), &value)
}

/// The mark of a row.
fn mark_of(key: &[u8], value: &[u8]) -> Option<BlockMark> {
    let (_, block) = key.split_first_chunk::<12>()?;
    let ((block, _), (esi, sent)) = (table::split_u32(block)?, table::split_u32(value)?);
    Some(BlockMark { block, esi, sent: table::split_u32(sent)?.0 })
}

/// Forgets a bundle and what was sent and heard of it; `false` if it wasn't known.
fn forget(txn: &WriteTransaction, id: &BundleId) -> Result<bool, redb::Error> {
    let known = table::open(txn, BUNDLES)?.remove(&id.0)?;
    if known {
        let (first, last) = (mark_key(id, 0), mark_key(id, u32::MAX));
        table::open(txn, MARKS)?.remove_all(Keys::within(&first, &last))?;
        table::open(txn, STANDINGS)?.remove(&id.0)?;
        reports::forget(txn, id)?;
        damages::forget(txn, id)?;
    }
    Ok(known)
}

/// Counts up a number of the meta table and returns it.
fn next_number(txn: &WriteTransaction, name: &str) -> Result<u64, redb::Error> {
    let mut meta = table::open(txn, META)?;
    let next = number_in(&meta, name)?.unwrap_or(0).saturating_add(1);
    meta.put(name.as_bytes(), &next.to_be_bytes())?;
    Ok(next)
}

/// A number of the meta table.
fn number_in(meta: &table::Table<'_>, name: &str) -> Result<Option<u64>, redb::Error> {
    let Some(value) = meta.get(name.as_bytes())? else { return Ok(None) };
    let number = table::number(&value);
    number.map(Some).ok_or_else(|| redb::Error::Corrupted(format!("{name:?} of the meta table is no number")))
}

/// A record as it is kept. Records are plain data: encoding them into memory doesn't fail.
fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let bytes = postcard::to_allocvec(record);
    debug_assert!(bytes.is_ok());
    bytes.unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8], table: &'static str) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| StoreError::Record { table })
}

#[cfg(test)]
pub(crate) mod tests;
