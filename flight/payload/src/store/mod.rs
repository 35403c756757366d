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
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::products::Kind;
use crate::telemetry::Report;

/// The format of the catalogue.
pub const FORMAT: u64 = 1;

type Bytes12 = [u8; 12];
/// A table of records by id.
type Records = TableDefinition<'static, Bytes12, &'static [u8]>;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// In the meta table: whether sealed bundles are to be taken in still.
const ADOPTING: &str = "adopting";
/// In the meta table: from which number the sender counts its sessions.
const SESSION_BASE: &str = "session_base";
const FRAMES: Records = TableDefinition::new("frames.v1");
const BUNDLES: Records = TableDefinition::new("bundles.v1");
/// Frame → its files in the spool that are still to be removed.
const SPOOLED: Records = TableDefinition::new("spooled.v1");
/// Number of a frame, rising → its id: the oldest are forgotten.
const FRAME_ORDER: TableDefinition<u64, Bytes12> = TableDefinition::new("frame-order.v1");
/// Bundle → how it stands in the queue, if that isn't as new.
const STANDINGS: Records = TableDefinition::new("standings.v1");
/// Frames that are known: what comes again is told by them.
pub const MAX_FRAMES: u64 = 100_000;
/// (bundle, block) → (esi, sent).
const MARKS: TableDefinition<(Bytes12, u32), (u32, u32)> = TableDefinition::new("marks.v1");

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
            let mut meta = txn.open_table(META)?;
            let found = meta.get("format")?.map(|v| v.value());
            if found.is_none() {
                meta.insert("format", FORMAT)?;
                meta.insert(ADOPTING, 1)?;
            }
            txn.open_table(FRAMES)?;
            txn.open_table(BUNDLES)?;
            txn.open_table(MARKS)?;
            txn.open_table(SPOOLED)?;
            txn.open_table(FRAME_ORDER)?;
            txn.open_table(STANDINGS)?;
            alerts::make_table(txn)?;
            damages::make_table(txn)?;
            reports::make_tables(txn)?;
            events::make_table(txn)?;
            Ok(found.unwrap_or(FORMAT))
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
        self.write(|txn| {
            txn.open_table(META)?.remove(ADOPTING)?;
            Ok(())
        })
    }

    /// From which number the sender counts its sessions; 0 unless [`Self::begin_sessions_at`] said otherwise.
    pub fn session_base(&self) -> Result<u64, StoreError> {
        Ok(self.meta(SESSION_BASE)?.unwrap_or_default())
    }

    /// Says from which number the sender counts its sessions, if that wasn't said before.
    pub fn begin_sessions_at(&self, base: u64) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut meta = txn.open_table(META)?;
            let said = meta.get(SESSION_BASE)?.is_some();
            if !said {
                meta.insert(SESSION_BASE, base)?;
            }
            Ok(())
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
                txn.open_table(SPOOLED)?.remove(new.frame.id.0).map(drop).map_err(Into::into)
            })
        })
    }

    /// Frames whose files may still lie in the spool.
    pub fn spooled(&self) -> Result<Vec<(FrameId, Vec<FileIdentity>)>, StoreError> {
        self.records((SPOOLED, "spooled"), |id, files| (FrameId(id), files))
    }

    /// Notes that a frame's files are gone from the spool.
    pub fn spool_cleared(&self, id: &FrameId) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.open_table(SPOOLED)?.remove(id.0)?;
            Ok(())
        })
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
                txn.open_table(META)?.insert("logged_seq", seq)?;
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
            let mut marks = txn.open_table(MARKS)?;
            for bundle in adopted {
                for block in 0..bundle.geometry.block_count {
                    marks.insert((bundle.id.0, block), (esi, 0))?;
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
            let known = txn.open_table(BUNDLES)?.get(id.0)?.is_some();
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
            let bundles = txn.open_table(BUNDLES)?;
            let mut table = txn.open_table(STANDINGS)?;
            for (id, standing) in standings {
                if bundles.get(id.0)?.is_some() {
                    table.insert(id.0, encode(standing).as_slice())?;
                }
            }
            Ok(())
        })
    }

    /// What was reserved of a bundle's blocks.
    pub fn marks(&self, id: &BundleId) -> Result<Vec<BlockMark>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(MARKS).map_err(StoreError::catalogue)?;
        let mut out = Vec::new();
        for row in table.range((id.0, 0)..=(id.0, u32::MAX)).map_err(StoreError::catalogue)? {
            let (key, mark) = row.map_err(StoreError::catalogue)?;
            let ((_, block), (esi, sent)) = (key.value(), mark.value());
            out.push(BlockMark { block, esi, sent });
        }
        Ok(out)
    }

    /// Reserves symbols of bundles' blocks; marks of bundles that are gone are passed over.
    pub fn reserve(&self, marks: &[(BundleId, BlockMark)]) -> Result<(), StoreError> {
        self.write(|txn| {
            let bundles = txn.open_table(BUNDLES)?;
            let mut table = txn.open_table(MARKS)?;
            for (id, mark) in marks {
                if bundles.get(id.0)?.is_some() {
                    table.insert((id.0, mark.block), (mark.esi, mark.sent))?;
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
            let mut table = txn.open_table(FRAMES)?;
            for frame in frames {
                table.remove(frame.0)?;
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
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let meta = txn.open_table(META).map_err(StoreError::catalogue)?;
        Ok(meta.get(name).map_err(StoreError::catalogue)?.map(|number| number.value()))
    }

    /// What a table has of this id, with the table's name for errors.
    fn record<T: DeserializeOwned>(
        &self,
        (table, name): (Records, &'static str),
        id: Bytes12,
    ) -> Result<Option<T>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(table).map_err(StoreError::catalogue)?;
        let found = table.get(id).map_err(StoreError::catalogue)?;
        found.map(|record| decode(record.value(), name)).transpose()
    }

    /// All that a table has, with the table's name for errors.
    fn records<T: DeserializeOwned, R>(
        &self,
        (table, name): (Records, &'static str),
        row: impl Fn(Bytes12, T) -> R,
    ) -> Result<Vec<R>, StoreError> {
        let txn = self.db.begin_read().map_err(StoreError::catalogue)?;
        let table = txn.open_table(table).map_err(StoreError::catalogue)?;
        let mut out = Vec::new();
        for found in table.iter().map_err(StoreError::catalogue)? {
            let (id, record) = found.map_err(StoreError::catalogue)?;
            out.push(row(id.value(), decode(record.value(), name)?));
        }
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
        run().map_err(|e: redb::Error| {
            if matches!(e, redb::Error::PreviousIo) {
                self.broken.store(true, Ordering::Relaxed);
            }
            StoreError::catalogue(e)
        })
    }
}

/// Makes a frame, its bundles and its event known; its alert.
fn insert_new(txn: &WriteTransaction, new: &NewFrame) -> Result<Option<AlertRecord>, redb::Error> {
    let frame = &new.frame;
    insert_frame(txn, frame)?;
    insert_bundles(txn, &new.bundles)?;
    txn.open_table(SPOOLED)?.insert(frame.id.0, encode(&new.spooled).as_slice())?;
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
    let mut table = txn.open_table(BUNDLES)?;
    for bundle in bundles {
        table.insert(bundle.id.0, encode(bundle).as_slice())?;
    }
    Ok(())
}

/// Makes a frame known, and forgets the oldest if there are too many.
fn insert_frame(txn: &WriteTransaction, frame: &FrameRecord) -> Result<(), redb::Error> {
    let number = next_number(txn, "frame_number")?;
    let mut frames = txn.open_table(FRAMES)?;
    frames.insert(frame.id.0, encode(&(number, frame)).as_slice())?;
    let mut order = txn.open_table(FRAME_ORDER)?;
    order.insert(number, frame.id.0)?;
    if let Some(too_old) = number.checked_sub(MAX_FRAMES) {
        let old: Vec<(u64, Bytes12)> = order
            .range(..=too_old)?
            .map(|row| row.map(|(number, id)| (number.value(), id.value())))
            .collect::<Result<_, _>>()?;
        order.retain_in(..=too_old, |_, _| false)?;
        for (number, id) in old {
            // One that came anew meanwhile has another number.
            let same = frames.get(id)?.and_then(|record| {
                postcard::take_from_bytes::<u64>(record.value()).ok().map(|(number, _)| number)
            });
            if same == Some(number) {
                frames.remove(id)?;
            }
        }
    }
    Ok(())
}

/// Forgets a bundle and what was sent and heard of it; `false` if it wasn't known.
fn forget(txn: &WriteTransaction, id: &BundleId) -> Result<bool, redb::Error> {
    let known = txn.open_table(BUNDLES)?.remove(id.0)?.is_some();
    if known {
        txn.open_table(MARKS)?.retain_in((id.0, 0)..=(id.0, u32::MAX), |_, _| false)?;
        txn.open_table(STANDINGS)?.remove(id.0)?;
        reports::forget(txn, id)?;
        damages::forget(txn, id)?;
    }
    Ok(known)
}

/// Counts up a number of the meta table and returns it.
fn next_number(txn: &WriteTransaction, name: &str) -> Result<u64, redb::Error> {
    let mut meta = txn.open_table(META)?;
    let next = meta.get(name)?.map_or(0, |v| v.value()).saturating_add(1);
    meta.insert(name, next)?;
    Ok(next)
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
