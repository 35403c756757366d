//! A disk that is watched: what each operation came to, and how long syncs took, goes to its [`Health`].

use core::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

use super::{DatabaseFile, Disk, DiskFile};
use crate::camera::Entry;
use crate::store::health::{Health, Operation};

/// A disk, and who follows how it does.
#[derive(Debug, Clone)]
pub struct WatchedDisk {
    disk: Arc<dyn Disk>,
    observer: Observer,
}

/// Tells steady time, ms.
pub type NowMs = Arc<dyn Fn() -> u64 + Send + Sync>;

#[derive(Clone)]
struct Observer {
    health: Arc<Mutex<Health>>,
    now_ms: NowMs,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Observer {
    fn note<T>(&self, what: &str, operation: Operation, result: io::Result<T>) -> io::Result<T> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(_) => health.worked((self.now_ms)(), operation),
            Err(e) => health.failed((self.now_ms)(), what, e),
        }
        result
    }

    fn change<T>(&self, what: &str, path: &Path, result: io::Result<T>) -> io::Result<T> {
        // The words are only made where they are needed.
        if result.is_ok() {
            return self.note(what, Operation::Change, result);
        }
        self.note(&format!("{what} {}", path.display()), Operation::Change, result)
    }

    fn sync(
        &self,
        what: &str,
        (bytes, grew): (u64, bool),
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let begun_ms = (self.now_ms)();
        let result = sync();
        let took_ms = (self.now_ms)().saturating_sub(begun_ms);
        self.note(what, Operation::Sync { bytes, grew, took_ms }, result)
    }
}

impl WatchedDisk {
    /// Follows `disk` by the clock `now_ms`.
    pub fn new(disk: Arc<dyn Disk>, health: Arc<Mutex<Health>>, now_ms: NowMs) -> Self {
        Self { disk, observer: Observer { health, now_ms } }
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(WatchedFile { file, observer: self.observer.clone(), unsynced: AtomicU64::new(0) })
    }
}

impl Disk for WatchedDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        // It may have been there: only a failure says something of the disk.
        match self.disk.make_folder(path) {
            Ok(()) => Ok(()),
            failed => self.observer.change("making", path, failed),
        }
    }

    fn make_new_folder(&self, path: &Path) -> io::Result<()> {
        self.observer.change("making", path, self.disk.make_new_folder(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.observer.change("making", path, self.disk.create(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path).map(|file| self.file(file))
    }

    fn database(&self, path: &Path, make: bool) -> io::Result<DatabaseFile> {
        let file = self.observer.change("opening", path, self.disk.database(path, make))?;
        let observer = self.observer.clone();
        let (unsynced, grew) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(DatabaseFile(Box::new(WatchedDatabase { file, observer, unsynced, grew })))
    }

    fn about(&self, path: &Path) -> io::Result<Entry> {
        self.disk.about(path)
    }

    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<Entry>> {
        self.disk.list(folder, most)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.observer.change("renaming", from, self.disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.observer.change("removing", path, self.disk.remove(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.observer.change("removing", path, self.disk.remove_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.observer.sync("syncing a folder", (0, false), || self.disk.sync_folder(path))
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn DiskFile>,
    observer: Observer,
    unsynced: AtomicU64,
}

impl DiskFile for WatchedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.file.append(bytes);
        self.unsynced.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.observer.note("writing a file", Operation::Change, result)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn sync(&self) -> io::Result<()> {
        let bytes = self.unsynced.swap(0, Ordering::Relaxed);
        self.observer.sync("syncing a file", (bytes, bytes > 0), || self.file.sync())
    }

    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn inode(&self) -> u64 {
        self.file.inode()
    }

    fn forget_cached(&self) {
        self.file.forget_cached();
    }
}

#[derive(Debug)]
struct WatchedDatabase {
    file: DatabaseFile,
    observer: Observer,
    unsynced: AtomicU64,
    grew: AtomicBool,
}

impl StorageBackend for WatchedDatabase {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let grows = self.file.len().is_ok_and(|before| len > before);
        self.observer.note("growing the catalogue", Operation::Change, self.file.set_len(len))?;
        self.grew.fetch_or(grows, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let bytes = self.unsynced.swap(0, Ordering::Relaxed);
        let grew = self.grew.swap(false, Ordering::Relaxed);
        self.observer.sync("syncing the catalogue", (bytes, grew), || self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.unsynced.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.observer.note("writing the catalogue", Operation::Change, self.file.write(offset, data))
    }
}
