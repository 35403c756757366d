//! The launcher's disk: copies of the record, and what a slot holds.
//!
//! A copy is written aside, synced and renamed, and its folder synced, one copy after the other: a
//! power cut leaves each copy either old or new. The record counts as written when at least two
//! copies are, so that it survives the loss of any one.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use passband_proto::slot::{self, SLOT_RECORD_BYTES, Slot, SlotRecord};

use crate::image;

const COPIES: [&str; 3] = ["slot.0", "slot.1", "slot.2"];
const COPIES_NEEDED: usize = 2;
const LOCK_TRIES: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// The folder that holds the slots and the record.
pub(crate) struct Root(PathBuf);

/// The record as it was found.
pub(crate) struct Found {
    /// The true one, if any copy is sound.
    pub(crate) record: Option<SlotRecord>,
    /// Each copy by file name: what it says, or why it says nothing.
    pub(crate) copies: [(&'static str, Result<SlotRecord, String>); 3],
}

impl Root {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where the flight software of a slot belongs.
    fn program(&self, slot: Slot) -> PathBuf {
        self.0.join(slot.name()).join("passband")
    }

    /// The program of a slot; or why it can't be started, as far as can be seen from outside.
    pub(crate) fn startable(&self, slot: Slot) -> Result<PathBuf, String> {
        let program = self.program(slot);
        let look = || -> io::Result<()> {
            let meta = fs::metadata(&program)?;
            if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
                return Err(io::Error::other("not an executable file"));
            }
            let head = read_head(&program, image::HEAD_BYTES)?;
            image::check(&head, meta.len()).map_err(io::Error::other)
        };
        look().map_err(|error| told(&program, &error))?;
        Ok(program)
    }

    /// Reads all copies; what can't be read is only told, never an error.
    pub(crate) fn read(&self) -> Found {
        let bytes = COPIES.map(|name| read_copy(&self.0.join(name)));
        let record = slot::choose(bytes.each_ref().map(|copy| copy.as_deref().ok()));
        let mut names = COPIES.into_iter();
        let copies = bytes.map(|copy| {
            let decoded = copy.and_then(|bytes| SlotRecord::decode(&bytes).map_err(|e| e.to_string()));
            (names.next().unwrap_or_default(), decoded)
        });
        Found { record, copies }
    }

    /// Writes every copy, one after the other; an error when fewer than two could be.
    pub(crate) fn write(&self, record: &SlotRecord) -> Result<(), String> {
        let mut failures = Vec::new();
        for name in COPIES {
            if let Err(error) = self.write_copy(name, record) {
                failures.push(error);
            }
        }
        if COPIES.len().saturating_sub(failures.len()) < COPIES_NEEDED {
            return Err(format!("the slot record can't be written: {}", failures.join("; ")));
        }
        Ok(())
    }

    /// Writes one copy, durably.
    pub(crate) fn write_copy(&self, name: &str, record: &SlotRecord) -> Result<(), String> {
        let (path, aside) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let write = || -> io::Result<()> {
            let mut file = File::create(&aside)?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(&record.encode())?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| told(&path, &error))
    }

    /// Keeps other launchers from the record while the returned file lives.
    pub(crate) fn lock(&self) -> Result<File, String> {
        let file = File::open(&self.0).map_err(|error| told(&self.0, &error))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => sleep(LOCK_WAIT),
                Err(TryLockError::Error(error)) => return Err(told(&self.0, &error)),
            }
        }
        Err(format!("{}: another passband-launch is at the slot record", self.0.display()))
    }
}

fn read_copy(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        // A pipe or device in its place would block the start of the board.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a file"));
        }
        read_head(path, SLOT_RECORD_BYTES.saturating_add(1))
    };
    read().map_err(|error| error.to_string())
}

/// The first bytes of a file, at most so many.
fn read_head(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes);
    File::open(path)?.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
