//! Received packets on disk, by APID and time.
//!
//! A folder of files, each a part of a day, to which records are put behind the others; [`Archive::open`] reads all of
//! them once and keeps an index: for each 256 KiB of a file, which APIDs are in it and from when to when. That is
//! bounded by the quota (of 1 GiB with ten APIDs: 1 MiB). A torn end, or damage in the middle, costs the records that
//! it touches.
//!
//! Times of a query are those that the packets say: what was received late stands where it belongs. The newest packet of
//! an APID is the one that was **received** last: a board whose clock was wrong for a while hides nothing.
//!
//! The quota holds at any time. The oldest part goes first, by bytes, or because there are packets of more days than
//! asked for; days without packets don't count, so a ground clock that jumps ahead clears nothing away but one day.
//!
//! Packets are kept as they came, with their tags, verified or not. One archive is open for writing once only.

mod follow;
mod part;
mod record;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use passband_proto::packet::TelemetryPacket;

pub use follow::Follower;
use part::{Name, Part};
use record::Record;

/// Most packets that a query gives: 15 MB at most.
pub const MAX_LIMIT: usize = 10_000;

const DAY_MS: u64 = 86_400_000;
/// The last day that a file's name can say: 9999-12-31.
const LAST_DAY: u64 = 2_932_896;
/// Part of the quota that one file may take, so that room is made in small steps.
const PARTS_OF_QUOTA: u64 = 16;
/// The largest file.
const MAX_PART_BYTES: u64 = 16 << 20;
/// Most files.
const MAX_PARTS: usize = 16_384;
/// The file that tells others that the archive is open.
const LOCK: &str = "lock";

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes on disk, [`Quota::MIN_BYTES`] at least.
    pub bytes: u64,
    /// Days of which packets are kept, 1 at least.
    pub days: usize,
}

impl Quota {
    /// The smallest archive.
    pub const MIN_BYTES: u64 = 1 << 20;
}

impl Default for Quota {
    /// 1 GiB, 90 days.
    fn default() -> Self {
        Self { bytes: 1 << 30, days: 90 }
    }
}

/// A packet of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// When it was received, ms since 1970-01-01 UTC.
    pub received_unix_ms: u64,
    /// The time that it says, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// The whole packet: [`TelemetryPacket::parse`] reads it.
    pub packet: Vec<u8>,
}

/// An archive, open for reading and writing.
#[derive(Debug)]
pub struct Archive {
    dir: PathBuf,
    quota: Quota,
    /// By name, the oldest first.
    parts: BTreeMap<Name, Part>,
    /// The one that is written to.
    current: Option<Name>,
    bytes: u64,
    latest: BTreeMap<u16, Stored>,
    /// Held as long as the archive is open for writing; none: only to read.
    lock: Option<File>,
}

impl Archive {
    /// Opens the archive in a folder, which is made if there is none.
    ///
    /// # Errors
    /// The folder or a file can't be read, somebody else has it open, or a quota that can't be kept.
    pub fn open(dir: &Path, quota: Quota) -> Result<Self> {
        ensure!(quota.bytes >= Quota::MIN_BYTES, "an archive of less than {} bytes", Quota::MIN_BYTES);
        ensure!(quota.days >= 1, "an archive of no day");
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let lock = lock(&dir.join(LOCK))?;
        let (parts, latest) = (BTreeMap::new(), BTreeMap::new());
        let mut archive =
            Self { dir: dir.to_owned(), quota, parts, current: None, bytes: 0, latest, lock: Some(lock) };
        for name in names(dir)? {
            archive.add(name)?;
        }
        archive.current = archive.parts.keys().next_back().copied();
        archive.make_room(0)?;
        Ok(archive)
    }

    /// Opens an archive to read it, whoever else has it open: [`Archive::refresh`] takes in what was written since.
    ///
    /// # Errors
    /// The folder or a file can't be read.
    pub fn open_to_read(dir: &Path) -> Result<Self> {
        let (parts, latest) = (BTreeMap::new(), BTreeMap::new());
        let quota = Quota::default();
        let mut archive =
            Self { dir: dir.to_owned(), quota, parts, current: None, bytes: 0, latest, lock: None };
        archive.refresh()?;
        Ok(archive)
    }

    /// Takes in what somebody else has written since, and forgets what is gone; nothing where the archive is open for
    /// writing here.
    ///
    /// # Errors
    /// The folder or a file can't be read.
    pub fn refresh(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let names = names(&self.dir)?;
        self.parts.retain(|name, _| names.contains(name));
        for name in names {
            let length = fs::metadata(self.dir.join(part::file_name(name))).map_or(0, |about| about.len());
            if self.parts.get(&name).is_none_or(|part| part.bytes() != length) {
                self.add(name)?;
            }
        }
        self.bytes = self.parts.values().map(Part::bytes).sum();
        Ok(())
    }

    /// Keeps a packet. It may be lost in a power cut until [`Archive::sync`].
    ///
    /// # Errors
    /// It can't be written. The archive stays whole, and the next one may be tried.
    pub fn append(&mut self, packet: &TelemetryPacket<'_>, received_unix_ms: u64) -> Result<()> {
        ensure!(self.lock.is_some(), "{}: the archive is open to read only", self.dir.display());
        let record = record::encode(received_unix_ms, packet);
        let name = self.part_for((received_unix_ms / DAY_MS).min(LAST_DAY), record.len() as u64)?;
        if let Some(before) = self.current.replace(name).filter(|before| *before != name)
            && let Some(part) = self.parts.get_mut(&before)
        {
            part.close().with_context(|| format!("syncing {}", part.path().display()))?;
        }
        self.make_room(record.len() as u64)?;
        let Some(part) = self.parts.get_mut(&name) else { bail!("no file to write to") };
        let before = part.bytes();
        let written = part.append(&record).with_context(|| format!("writing {}", part.path().display()));
        self.bytes += part.bytes() - before;
        written?;
        record::walk(&record).for_each(|record| note_latest(&mut self.latest, &record));
        Ok(())
    }

    /// Makes sure that what was appended survives a power cut.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn sync(&self) -> Result<()> {
        let current = self.current.and_then(|name| self.parts.get(&name));
        current
            .map_or(Ok(()), |part| part.sync().with_context(|| format!("syncing {}", part.path().display())))
    }

    /// The packets of an APID from `from_unix_ms` to `to_unix_ms`, both included, by the time that they say; of more
    /// than `limit` the first ones. `limit` is at most [`MAX_LIMIT`].
    ///
    /// # Errors
    /// A file can't be read.
    pub fn range(&self, apid: u16, from_unix_ms: u64, to_unix_ms: u64, limit: usize) -> Result<Vec<Stored>> {
        let limit = limit.min(MAX_LIMIT);
        let mut first = BinaryHeap::new();
        let mut number = 0_u64;
        self.visit(apid, (from_unix_ms, to_unix_ms), |record| {
            if limit == 0 {
                return;
            }
            let unix_ms = record.unix_ms();
            number += 1;
            let full = first.len() >= limit;
            if full && first.peek().is_some_and(|last: &InTime| last.key <= (unix_ms, number)) {
                return;
            }
            first.push(InTime { key: (unix_ms, number), stored: stored(record) });
            if full {
                first.pop();
            }
        })?;
        Ok(first.into_sorted_vec().into_iter().map(|found| found.stored).collect())
    }

    /// Shows every packet of an APID within a time, as they lie in the files, keeping none: for whoever
    /// sums up more than [`MAX_LIMIT`].
    ///
    /// # Errors
    /// A file can't be read.
    pub fn each(
        &self,
        apid: u16,
        unix_ms: (u64, u64),
        mut seen: impl FnMut(&TelemetryPacket<'_>),
    ) -> Result<()> {
        self.visit(apid, unix_ms, |record| seen(&record.packet))
    }

    fn visit(&self, apid: u16, unix_ms: (u64, u64), mut seen: impl FnMut(&Record<'_>)) -> Result<()> {
        for part in self.parts.values() {
            let within = |record: &Record<'_>| {
                if (unix_ms.0..=unix_ms.1).contains(&record.unix_ms()) {
                    seen(record);
                }
            };
            part.read(apid, unix_ms, within).with_context(|| format!("reading {}", part.path().display()))?;
        }
        Ok(())
    }

    /// The packet of an APID that was received last.
    pub fn latest(&self, apid: u16) -> Option<&Stored> {
        self.latest.get(&apid)
    }

    /// The APIDs of which there is a packet that was received last.
    pub fn apids(&self) -> impl Iterator<Item = u16> {
        self.latest.keys().copied()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens a part.
    fn add(&mut self, name: Name) -> Result<()> {
        let latest = &mut self.latest;
        let writes = self.lock.is_some();
        let part = Part::open(&self.dir, name, writes, |record| note_latest(latest, record))
            .with_context(|| format!("opening {}", self.dir.join(part::file_name(name)).display()))?;
        self.bytes += part.bytes();
        self.parts.insert(name, part);
        Ok(())
    }

    /// The part that `bytes` received on a day go to: the current one, or a new one.
    fn part_for(&mut self, day: u64, bytes: u64) -> Result<Name> {
        let most = (self.quota.bytes / PARTS_OF_QUOTA).min(MAX_PART_BYTES);
        let last = self.parts.range((day, 0)..=(day, u32::MAX)).next_back();
        let next = match last {
            Some((name, part)) if part.bytes() + bytes <= most => return Ok(*name),
            Some((name, _)) => (day, name.1.saturating_add(1)),
            None => (day, 0),
        };
        self.add(next)?;
        Ok(next)
    }

    /// Removes the oldest parts, never the current one, until `bytes` more are within the quota.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        loop {
            let (mut days, mut last) = (0, None);
            for (day, _) in self.parts.keys() {
                days += usize::from(last.replace(*day) != Some(*day));
            }
            let within = self.bytes + bytes <= self.quota.bytes
                && days <= self.quota.days
                && self.parts.len() <= MAX_PARTS;
            let oldest = self.parts.keys().find(|name| Some(**name) != self.current).copied();
            let Some(oldest) = oldest.filter(|_| !within) else { return Ok(()) };
            if let Some(part) = self.parts.get(&oldest) {
                fs::remove_file(part.path())
                    .with_context(|| format!("removing {}", part.path().display()))?;
                self.bytes -= part.bytes();
            }
            self.parts.remove(&oldest);
        }
    }
}

/// A packet that was found, ordered by time and then by its place.
struct InTime {
    key: (u64, u64),
    stored: Stored,
}

impl Ord for InTime {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for InTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for InTime {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for InTime {}

fn stored(record: &Record<'_>) -> Stored {
    Stored {
        received_unix_ms: record.received_unix_ms,
        unix_ms: record.unix_ms(),
        packet: record.packet.bytes().to_vec(),
    }
}

fn note_latest(latest: &mut BTreeMap<u16, Stored>, record: &Record<'_>) {
    let apid = record.packet.apid();
    if latest.get(&apid).is_none_or(|known| known.received_unix_ms <= record.received_unix_ms) {
        latest.insert(apid, stored(record));
    }
}

/// The parts that lie in a folder.
fn names(dir: &Path) -> Result<BTreeSet<Name>> {
    let reading = || format!("reading {}", dir.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        names.extend(name.to_str().and_then(part::parse_name));
    }
    Ok(names)
}

fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("{}: the archive is open elsewhere", path.display()),
        Err(fs::TryLockError::Error(e)) => Err(e).with_context(|| format!("locking {}", path.display())),
    }
}
