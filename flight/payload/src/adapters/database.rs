//! A database on disk, `<state>/NAME.redb`; in memory, over that file, where the disk can only be read.
//!
//! What is in it is opaque here.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, StorageBackend};

use super::disk::{DatabaseFile, Disk, Overlay, Proving};
use crate::store::StoreError;

/// Most damaged ones that are kept.
const MAX_ASIDE: u32 = 100;

/// A database, and what is made of it.
#[derive(Debug)]
pub struct Shelf<T> {
    /// Its name in the state folder, without the ending.
    pub name: &'static str,
    /// Memory that it may use as a cache, bytes.
    pub cache_bytes: usize,
    /// Makes what it is to be of it.
    pub make: fn(Database) -> Result<T, StoreError>,
}

/// A database that was opened.
#[derive(Debug)]
pub struct Opened<T> {
    /// What was made of it.
    pub store: T,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Why it is kept in memory, if it is: then nothing that it is told survives a restart.
    pub in_memory: Option<String>,
    /// What happened to the one before, if that was not to be used.
    pub set_aside: Option<String>,
}

impl<T> Shelf<T> {
    /// Opens it in a state folder. A new one is made aside and renamed, so that a power cut while it is made leaves none
    /// or a whole one. One that is damaged is set aside. Where the disk can't be written, what changes is kept in
    /// memory.
    ///
    /// # Errors
    /// Another process has it open, it has another format, or those of the disk that can't be helped.
    pub fn open(&self, disk: &dyn Disk, state: &Path) -> Result<Opened<T>, StoreError> {
        let path = state.join(format!("{}.redb", self.name));
        let before = disk.about(&path);
        let is_new = matches!(&before, Err(e) if e.kind() == ErrorKind::NotFound);
        let opened = |store| Opened { store, is_new, in_memory: None, set_aside: None };
        let result = match before {
            Err(_) if is_new => self.put_new(disk, state, &path),
            Err(e) => Err(StoreError::file("looking for", &path, e)),
            // redb would take it for one to be made.
            Ok(about) if about.bytes == 0 => {
                Err(StoreError::catalogue(redb::Error::Corrupted("the file is empty".to_owned())))
            }
            Ok(_) => Ok(()),
        };
        match result.and_then(|()| self.prove(file(disk, &path, false)?)) {
            Ok(store) => Ok(opened(store)),
            Err(e) if e.is_damage() => self.begin_anew(disk, state, &path, &e),
            Err(e) if e.is_fault_of_disk() => {
                let base = if is_new { None } else { disk.open(&path).ok() };
                match self.prove(DatabaseFile(Box::new(Overlay::over(base)))) {
                    Ok(store) => Ok(Opened { in_memory: Some(e.to_string()), ..opened(store) }),
                    // It can't even be read.
                    Err(again) if again.is_damage() || again.is_fault_of_disk() => {
                        self.begin_anew(disk, state, &path, &again)
                    }
                    Err(other) => Err(other),
                }
            }
            Err(e) => Err(e),
        }
    }

    /// One of nothing, in memory, whatever the disk holds.
    ///
    /// # Errors
    /// None that a disk could be the reason of.
    pub fn in_memory(&self) -> Result<T, StoreError> {
        self.prove(DatabaseFile(Box::new(Overlay::over(None))))
    }

    /// Opens it for reading alone: what a repair changes stays in memory. For when no daemon has it open.
    ///
    /// # Errors
    /// It isn't there, is damaged, or those of the disk.
    pub fn read(&self, disk: &dyn Disk, state: &Path) -> Result<T, StoreError> {
        let path = state.join(format!("{}.redb", self.name));
        let base = disk.open(&path).map_err(|e| StoreError::file("opening", &path, e))?;
        self.prove(DatabaseFile(Box::new(Overlay::over(Some(base)))))
    }

    /// A new one in the place of a damaged one; in memory, where that can't be replaced.
    fn begin_anew(
        &self,
        disk: &dyn Disk,
        state: &Path,
        path: &Path,
        damage: &StoreError,
    ) -> Result<Opened<T>, StoreError> {
        let replaced = self.set_aside(disk, state, path).and_then(|aside| {
            self.put_new(disk, state, path)?;
            Ok((aside, self.prove(file(disk, path, false)?)?))
        });
        let name = self.name;
        match replaced {
            Ok((aside, store)) => {
                let text = format!("the {name} was damaged ({damage}); it is now {aside}");
                Ok(Opened { store, is_new: false, in_memory: None, set_aside: Some(text) })
            }
            Err(e) if e.is_fault_of_disk() => {
                let store = self.in_memory()?;
                let text = format!("the {name} is damaged ({damage}) and can't be set aside");
                Ok(Opened { store, is_new: false, in_memory: Some(e.to_string()), set_aside: Some(text) })
            }
            Err(e) => Err(e),
        }
    }

    /// Gives a damaged one another name: an engineer may want it.
    fn set_aside(&self, disk: &dyn Disk, state: &Path, path: &Path) -> Result<String, StoreError> {
        for number in 1..MAX_ASIDE {
            let name = format!("{}.damaged-{number}", self.name);
            let aside = state.join(&name);
            if disk.about(&aside).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                disk.rename(path, &aside).map_err(|e| StoreError::file("renaming", path, e))?;
                return Ok(name);
            }
        }
        Err(StoreError::file("setting aside", path, io::Error::other("there are too many already")))
    }

    fn put_new(&self, disk: &dyn Disk, state: &Path, path: &Path) -> Result<(), StoreError> {
        let aside = state.join(format!("{}.new", self.name));
        if let Err(e) = disk.remove(&aside)
            && e.kind() != ErrorKind::NotFound
        {
            return Err(StoreError::file("removing", &aside, e));
        }
        drop(self.prove(file(disk, &aside, true)?)?);
        // Whatever closing it has written.
        file(disk, &aside, false)?.sync_data().map_err(|e| StoreError::file("syncing", &aside, e))?;
        disk.rename(&aside, path).map_err(|e| StoreError::file("renaming", &aside, e))?;
        disk.sync_folder(state).map_err(|e| StoreError::file("syncing", state, e))
    }

    /// Opens it and proves it: every page has to have its checksum, so that none is read later that a worn cell has
    /// changed. redb does so in repairing a file, which it takes this one to need.
    fn prove(&self, file: DatabaseFile) -> Result<T, StoreError> {
        let proved = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&proved);
        let database = Database::builder()
            .set_cache_size(self.cache_bytes)
            .set_repair_callback(move |_| seen.store(true, Ordering::Relaxed))
            .create_with_backend(Proving::over(file));
        let mut database = database.map_err(StoreError::catalogue)?;
        if !proved.load(Ordering::Relaxed) {
            // It is new, or of a redb that keeps its flags elsewhere.
            database.check_integrity().map_err(StoreError::catalogue)?;
        }
        (self.make)(database)
    }
}

fn file(disk: &dyn Disk, path: &Path, make: bool) -> Result<DatabaseFile, StoreError> {
    disk.database(path, make).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => StoreError::InUse,
        _ => StoreError::file("opening", path, e),
    })
}
