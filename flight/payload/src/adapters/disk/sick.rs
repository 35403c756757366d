//! A disk on which chosen operations fail: for tests of what becomes of that.

use core::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{DatabaseFile, Disk, DiskFile};
use crate::camera::Entry;

/// Says whether an operation ("about", "rename", "remove", …) on a path fails, and how.
pub(crate) type Fault = Box<dyn Fn(&str, &Path) -> Option<io::Error> + Send + Sync>;

/// A disk over another; its free space can't be told.
pub(crate) struct SickDisk {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) fault: Fault,
}

impl fmt::Debug for SickDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SickDisk({:?})", self.disk)
    }
}

impl SickDisk {
    /// Over `disk`, failing where `fault` says so.
    pub(crate) fn over(
        disk: Arc<dyn Disk>,
        fault: impl Fn(&str, &Path) -> Option<io::Error> + Send + Sync + 'static,
    ) -> Arc<dyn Disk> {
        Arc::new(Self { disk, fault: Box::new(fault) })
    }

    fn check(&self, operation: &str, path: &Path) -> io::Result<()> {
        (self.fault)(operation, path).map_or(Ok(()), Err)
    }
}

impl Disk for SickDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.check("make_folder", path)?;
        self.disk.make_folder(path)
    }

    fn make_new_folder(&self, path: &Path) -> io::Result<()> {
        self.check("make_new_folder", path)?;
        self.disk.make_new_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check("create", path)?;
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check("open", path)?;
        self.disk.open(path)
    }

    fn database(&self, path: &Path, make: bool) -> io::Result<DatabaseFile> {
        self.disk.database(path, make)
    }

    fn about(&self, path: &Path) -> io::Result<Entry> {
        self.check("about", path)?;
        self.disk.about(path)
    }

    /// What "about" fails for has only its name in the listing.
    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<Entry>> {
        self.check("list", folder)?;
        let told = |entry: Entry| match self.check("about", &folder.join(&entry.name)) {
            Ok(()) => entry,
            Err(_) => Entry::unknown(entry.name),
        };
        Ok(self.disk.list(folder, most)?.into_iter().map(told).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check("rename", from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check("remove", path)?;
        self.disk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.check("remove_folder", path)?;
        self.disk.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.check("sync_folder", path)?;
        self.disk.sync_folder(path)
    }

    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }
}
