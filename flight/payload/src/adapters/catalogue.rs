//! The catalogue's database on disk, `<state>/catalogue.redb`.

use std::io::ErrorKind;
use std::path::Path;

use redb::{Database, StorageBackend};

use super::disk::{DatabaseFile, Disk};
use crate::store::{Catalogue, StoreError};

/// Memory that the catalogue's database may use as a cache, bytes.
const CACHE_BYTES: usize = 16 << 20;
/// Its name in the state folder.
const NAME: &str = "catalogue.redb";
/// A new one on its way.
const ASIDE: &str = "catalogue.new";

/// Opens the catalogue in a state folder. A new one is made aside and renamed, so that a power cut while it is made
/// leaves none or a whole one.
///
/// # Errors
/// Another process has it open, it has another format, or those of the disk.
pub fn open_catalogue(disk: &dyn Disk, state: &Path) -> Result<Catalogue, StoreError> {
    let path = state.join(NAME);
    match disk.about(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => make_catalogue(disk, state, &path)?,
        Err(e) => return Err(StoreError::file("looking for", &path, e)),
        Ok(_) => {}
    }
    open(file(disk, &path, false)?)
}

fn make_catalogue(disk: &dyn Disk, state: &Path, path: &Path) -> Result<(), StoreError> {
    let aside = state.join(ASIDE);
    if let Err(e) = disk.remove(&aside)
        && e.kind() != ErrorKind::NotFound
    {
        return Err(StoreError::file("removing", &aside, e));
    }
    drop(open(file(disk, &aside, true)?)?);
    // Whatever closing it has written.
    file(disk, &aside, false)?.sync_data().map_err(|e| StoreError::file("syncing", &aside, e))?;
    disk.rename(&aside, path).map_err(|e| StoreError::file("renaming", &aside, e))?;
    disk.sync_folder(state).map_err(|e| StoreError::file("syncing", state, e))
}

fn file(disk: &dyn Disk, path: &Path, make: bool) -> Result<DatabaseFile, StoreError> {
    disk.database(path, make).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => StoreError::InUse,
        _ => StoreError::file("opening", path, e),
    })
}

fn open(file: DatabaseFile) -> Result<Catalogue, StoreError> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(file);
    Catalogue::new(database.map_err(StoreError::catalogue)?)
}
