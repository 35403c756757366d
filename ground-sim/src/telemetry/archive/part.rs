//! One file of the archive, and what is known of it in memory.
//!
//! A file is named `YYYY-MM-DD-NNNN.tlm`: the day its packets were received (UTC), and which part of the day. Of each
//! stretch of at most [`CHUNK_BYTES`] the index holds what APIDs are in it and from when to when their packets say they
//! are: 24 bytes an APID. Records are never changed, only put behind the others.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{self, Record};

/// Stretch of a file that has its own place in the index, and is read at once.
pub(super) const CHUNK_BYTES: u64 = 256 << 10;
/// Largest file that is read when the archive is opened, whoever made it.
const MAX_READ_BYTES: u64 = 64 << 20;

/// What names a part, and what parts are ordered by: days since 1970-01-01, and which of that day.
pub(super) type Name = (u64, u32);

/// One file.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// Open only while it is written to.
    writer: Option<File>,
    bytes: u64,
    chunks: Vec<Chunk>,
}

/// A stretch of a file.
#[derive(Debug)]
struct Chunk {
    start: u64,
    end: u64,
    apids: Vec<Extent>,
}

/// From when to when the packets of an APID are, ms since 1970-01-01 UTC.
#[derive(Debug)]
struct Extent {
    apid: u16,
    first_unix_ms: u64,
    last_unix_ms: u64,
}

impl Part {
    /// Opens a file, which is made if there is none and `writes`, and shows what stands in it to `seen`.
    pub(super) fn open(
        dir: &Path,
        name: Name,
        writes: bool,
        mut seen: impl FnMut(&Record<'_>),
    ) -> io::Result<Self> {
        let path = dir.join(file_name(name));
        let mut file = OpenOptions::new().read(true).append(writes).create(writes).open(&path)?;
        let mut content = Vec::new();
        (&mut file).take(MAX_READ_BYTES).read_to_end(&mut content)?;
        let mut part = Self { path, writer: None, bytes: file.metadata()?.len(), chunks: Vec::new() };
        for record in record::walk(&content) {
            part.note(&record, 0);
            seen(&record);
        }
        Ok(part)
    }

    /// Puts a record behind the others.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.writer.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(&self.path)?,
        };
        if let Err(e) = file.write_all(bytes) {
            // A part of it may stand there; what is appended next is found behind it.
            self.bytes = file.metadata().map_or(self.bytes + bytes.len() as u64, |m| m.len());
            return Err(e);
        }
        self.writer = Some(file);
        let offset = self.bytes;
        self.bytes += bytes.len() as u64;
        record::walk(bytes).for_each(|record| self.note(&record, offset));
        Ok(())
    }

    /// Another part is written to from now on: what was appended is made safe first.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.writer.take().map_or(Ok(()), |file| file.sync_data())
    }

    /// Shows all records of an APID whose packets may be from a time in `unix_ms`.
    pub(super) fn read(
        &self,
        apid: u16,
        unix_ms: (u64, u64),
        mut seen: impl FnMut(&Record<'_>),
    ) -> io::Result<()> {
        let mut chunks = self.chunks.iter().filter(|chunk| chunk.may_hold(apid, unix_ms)).peekable();
        if chunks.peek().is_none() {
            return Ok(());
        }
        let file = File::open(&self.path)?;
        let mut buffer = Vec::new();
        for chunk in chunks {
            buffer.resize(usize::try_from(chunk.end - chunk.start).unwrap_or(0), 0);
            file.read_exact_at(&mut buffer, chunk.start)?;
            record::walk(&buffer).filter(|record| record.packet.apid() == apid).for_each(|r| seen(&r));
        }
        Ok(())
    }

    /// Its length, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that what was appended survives a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.writer.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Takes a record into the index; it stands `offset` bytes behind where it says.
    fn note(&mut self, record: &Record<'_>, offset: u64) {
        let (start, end) = (offset + record.at as u64, offset + record.end() as u64);
        if self.chunks.last().is_none_or(|chunk| end - chunk.start > CHUNK_BYTES) {
            self.chunks.push(Chunk { start, end, apids: Vec::new() });
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.end = end;
            chunk.note(record.packet.apid(), record.unix_ms());
        }
    }
}

impl Chunk {
    fn note(&mut self, apid: u16, unix_ms: u64) {
        match self.apids.iter_mut().find(|extent| extent.apid == apid) {
            Some(extent) => {
                extent.first_unix_ms = extent.first_unix_ms.min(unix_ms);
                extent.last_unix_ms = extent.last_unix_ms.max(unix_ms);
            }
            None => self.apids.push(Extent { apid, first_unix_ms: unix_ms, last_unix_ms: unix_ms }),
        }
    }

    fn may_hold(&self, apid: u16, (from, to): (u64, u64)) -> bool {
        self.apids.iter().any(|e| e.apid == apid && e.first_unix_ms <= to && from <= e.last_unix_ms)
    }
}

/// How a part's file is called.
pub(super) fn file_name((day, number): Name) -> String {
    let date = crate::catalogue::time::rfc3339(day.saturating_mul(super::DAY_MS));
    format!("{}-{number:04}.tlm", date.get(..10).unwrap_or_default())
}

/// What part a file is, by its name; none of another kind of file.
pub(super) fn parse_name(name: &str) -> Option<Name> {
    let (date, number) = name.strip_suffix(".tlm")?.split_at_checked(10)?;
    let day = crate::catalogue::time::parse(date).ok()? / super::DAY_MS;
    let name = (day, number.strip_prefix('-')?.parse().ok()?);
    (file_name(name) == format!("{date}{number}.tlm")).then_some(name)
}
