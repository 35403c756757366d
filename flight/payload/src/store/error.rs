//! What can go wrong in the store.

use core::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// A failure of the catalogue or of the sealed files.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has this store open.
    InUse,
    /// The catalogue was made by a version that keeps it in another way.
    Format {
        /// The format it names.
        found: u64,
    },
    /// The catalogue failed: its disk, or a damaged file.
    Catalogue(Box<redb::Error>),
    /// A record of the catalogue can't be read.
    Record {
        /// In which table.
        table: &'static str,
    },
    /// A file operation failed.
    File {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    /// A failed file operation.
    pub fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { what, path: path.into(), source }
    }

    /// Whether the disk can't be written, at present at least.
    pub fn is_fault_of_disk(&self) -> bool {
        match self {
            Self::File { source, .. } => is_fault_of_disk(source),
            Self::Catalogue(error) => match error.as_ref() {
                redb::Error::Io(e) => is_fault_of_disk(e),
                other => matches!(other, redb::Error::PreviousIo),
            },
            Self::InUse | Self::Format { .. } | Self::Record { .. } => false,
        }
    }

    /// Whether the catalogue's file holds something else than a catalogue.
    pub fn is_damage(&self) -> bool {
        let Self::Catalogue(error) = self else { return false };
        match error.as_ref() {
            redb::Error::Io(e) => matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
            other => matches!(
                other,
                redb::Error::Corrupted(_)
                    | redb::Error::UpgradeRequired(_)
                    | redb::Error::TableTypeMismatch { .. }
            ),
        }
    }

    /// A failure of the catalogue.
    pub(crate) fn catalogue(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Catalogue(Box::new(other)),
        }
    }
}

/// Whether an error says that the disk can't be written, at present at least.
pub fn is_fault_of_disk(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another passband daemon is using this state folder"),
            Self::Format { found } => {
                write!(f, "the catalogue has format {found}; this version reads format {}", super::FORMAT)
            }
            Self::Catalogue(e) => write!(f, "catalogue: {e}"),
            Self::Record { table } => write!(f, "catalogue: a record of table '{table}' can't be read"),
            Self::File { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
        }
    }
}

impl core::error::Error for StoreError {}
