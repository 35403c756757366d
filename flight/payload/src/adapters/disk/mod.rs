//! The disk: the few file operations that store and spool are made of, behind traits, so that one that
//! loses, tears or refuses can stand in for Linux's.
//!
//! Nothing is durable before it is synced: a file's bytes by [`DiskFile::sync`], its name by
//! [`Disk::sync_folder`] of the folder it is in. No more than that is relied upon anywhere, whatever the file
//! system at hand promises besides.

mod linux;
mod overlay;
mod proving;
#[cfg(test)]
mod sick;
mod watched;

pub use linux::LinuxDisk;
pub use overlay::Overlay;
pub use proving::Proving;
#[cfg(test)]
pub(crate) use sick::SickDisk;
pub use watched::{NowMs, WatchedDisk};

use core::fmt::Debug;
use std::io;
use std::path::Path;

use passband_spectral::cube::ReadAt;

use redb::StorageBackend;

use crate::camera::Entry;

/// Disk space that whoever stores files leaves to others, and to the catalogue, bytes.
pub const SPARE_BYTES: u64 = 32 << 20;

/// Folders and files.
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder and those above it; one that is there is no error.
    ///
    /// # Errors
    /// Those of the disk.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes one folder.
    ///
    /// # Errors
    /// Something of that name is there (`AlreadyExists`), or those of the disk.
    fn make_new_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a file to write, for its owner alone.
    ///
    /// # Errors
    /// Something of that name is there (`AlreadyExists`), or those of the disk.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a regular file for reading; links are not followed.
    ///
    /// # Errors
    /// It isn't there, isn't a regular file, or those of the disk.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens the file of a database, for this process alone; `make` makes one that isn't there.
    ///
    /// # Errors
    /// Another process has it open (`WouldBlock`), or those of the disk.
    fn database(&self, path: &Path, make: bool) -> io::Result<DatabaseFile>;

    /// What is at `path`; a link is told as a link.
    ///
    /// # Errors
    /// Nothing is there, or those of the disk.
    fn about(&self, path: &Path) -> io::Result<Entry>;

    /// What is in a folder, `most` entries at most, in no order; of an entry that can't be looked at only its name.
    ///
    /// # Errors
    /// Those of the disk.
    fn list(&self, folder: &Path, most: usize) -> io::Result<Vec<Entry>>;

    /// Renames a file or folder; a file that has the new name is replaced.
    ///
    /// # Errors
    /// `from` isn't there, the two are on different file systems (`CrossesDevices`), or those of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// It isn't there, or those of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// It isn't there or isn't empty, or those of the disk.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Free space of the file system that `path` is on, bytes; `None` if it can't be told.
    fn free_bytes(&self, path: &Path) -> Option<u64>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Writes at the end.
    ///
    /// # Errors
    /// Those of the disk; some of the bytes may be written then.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// The file ends before that, or those of the disk.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Makes the bytes durable, not the name.
    ///
    /// # Errors
    /// Those of the disk. What was written since the last sync may be lost then, even if a later sync works.
    fn sync(&self) -> io::Result<()>;

    /// Its size when it was opened, and what was appended since, bytes.
    fn bytes(&self) -> u64;

    /// What tells it from another file of the same name.
    fn inode(&self) -> u64;

    /// What memory holds of it is to be read from the disk again. A hint: a disk that can't do it goes on as it was.
    fn forget_cached(&self);
}

impl ReadAt for Box<dyn DiskFile> {
    fn size(&self) -> u64 {
        self.bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_ref().read_at(offset, buf)
    }
}

/// The file of a database.
#[derive(Debug)]
pub struct DatabaseFile(pub Box<dyn StorageBackend>);

impl StorageBackend for DatabaseFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// It is longer, or those of [`Disk::open`].
pub fn read_file(disk: &dyn Disk, path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let bytes = usize::try_from(file.bytes()).ok().filter(|bytes| *bytes <= most);
    let bytes = bytes.ok_or_else(|| io::Error::other(format!("more than {most} bytes")))?;
    let mut out = vec![0; bytes];
    file.read_at(0, &mut out)?;
    Ok(out)
}

/// Writes a file aside, syncs it and renames it: it is there whole or not at all, for good once this returns.
///
/// # Errors
/// Those of the disk; what was at `path` before is there still.
pub fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    let aside = Path::new(&aside);
    match disk.remove(aside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = disk.create(aside)?;
    file.append(bytes)?;
    file.sync()?;
    disk.rename(aside, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
}
