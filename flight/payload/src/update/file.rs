//! The update file, as it came up: roots, a manifest, a delta, back to back.
//!
//! ```text
//! root envelope, any number up to 16 | manifest envelope | delta, to the end
//! ```
//!
//! A file of roots alone hands over keys and installs nothing. What is taken apart here is not yet believed.

use core::fmt;
use std::io;

use passband_delta::Stored;
use passband_proto::release::Refusal;
use passband_proto::release::envelope::{Envelope, Kind, MAX_ENVELOPE_BYTES};

use crate::adapters::disk::DiskFile;

/// Most roots in one file.
pub const MAX_ROOTS: usize = 16;

/// An update file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFile {
    /// Roots, in the order in which they are to be believed.
    pub roots: Vec<Vec<u8>>,
    /// The manifest, and where the delta begins.
    pub manifest: Option<(Vec<u8>, u64)>,
}

/// Why it can't be taken apart.
#[derive(Debug)]
pub enum FileError {
    /// The disk.
    Disk(io::Error),
    /// At this byte stands something else than it should.
    At(u64, Refusal),
    /// More than [`MAX_ROOTS`].
    Roots,
    /// Nothing in it.
    Empty,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::At(at, refusal) => write!(f, "byte {at}: {refusal}"),
            Self::Roots => write!(f, "more than {MAX_ROOTS} roots"),
            Self::Empty => f.write_str("it is empty"),
        }
    }
}

impl std::error::Error for FileError {}

impl UpdateFile {
    /// Takes a file apart.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(file: &dyn DiskFile) -> Result<Self, FileError> {
        let (mut at, end) = (0, file.bytes());
        let mut out = Self { roots: Vec::new(), manifest: None };
        while at < end {
            let window =
                usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(MAX_ENVELOPE_BYTES);
            let mut bytes = vec![0; window];
            file.read_at(at, &mut bytes).map_err(FileError::Disk)?;
            let envelope = Envelope::first(&bytes).map_err(|refusal| FileError::At(at, refusal))?;
            let (kind, length) = (envelope.kind(), envelope.bytes());
            bytes.truncate(length);
            at = at.saturating_add(length as u64);
            match kind {
                Kind::Root if out.roots.len() < MAX_ROOTS => out.roots.push(bytes),
                Kind::Root => return Err(FileError::Roots),
                Kind::Manifest => {
                    out.manifest = Some((bytes, at));
                    return Ok(out);
                }
            }
        }
        if out.roots.is_empty() { Err(FileError::Empty) } else { Ok(out) }
    }
}

/// A stretch of a file, up to its end.
#[derive(Debug, Clone, Copy)]
pub struct Rest<'a> {
    /// The file.
    pub file: &'a dyn DiskFile,
    /// Where the stretch begins.
    pub from: u64,
}

impl Stored for Rest<'_> {
    fn bytes(&self) -> u64 {
        self.file.bytes().saturating_sub(self.from)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(self.from.saturating_add(at), out)
    }
}
