//! A database file that redb takes for one that was not closed in order, so that it proves every page by its checksum
//! before it trusts any.
//!
//! After an orderly end redb reads the state of its allocator back unproved, and a bit that has flipped there makes it
//! panic: at every start, as the file stays what it is. Of an unclean end the file's header tells in two bits of its
//! byte 9, after the magic number (redb 4, docs/design.md, "Database header"): recovery is required, and the last commit
//! was in two phases. Until that byte is written first, it is read as "required" and "in one".

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use super::DatabaseFile;

/// Where the flags are in the file.
const FLAGS_AT: u64 = 9;
const RECOVERY_REQUIRED: u8 = 2;
const TWO_PHASE_COMMIT: u8 = 4;

/// A database file of which nothing is believed at first.
#[derive(Debug)]
pub struct Proving {
    file: DatabaseFile,
    /// The flags are redb's own by now.
    written: AtomicBool,
}

impl Proving {
    /// Over a file.
    pub fn over(file: DatabaseFile) -> Self {
        Self { file, written: AtomicBool::new(false) }
    }
}

impl StorageBackend for Proving {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
        if self.written.load(Ordering::Relaxed) {
            return Ok(());
        }
        let place = FLAGS_AT.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(flags) = place.and_then(|at| out.get_mut(at)) {
            *flags = (*flags | RECOVERY_REQUIRED) & !TWO_PHASE_COMMIT;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if (offset..offset.saturating_add(data.len() as u64)).contains(&FLAGS_AT) {
            self.written.store(true, Ordering::Relaxed);
        }
        self.file.write(offset, data)
    }
}
