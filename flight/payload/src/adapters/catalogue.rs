//! The catalogue's database on disk, `<state>/catalogue.redb`; in memory, over that file, where the disk can only
//! be read.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, StorageBackend};

use super::disk::{DatabaseFile, Disk, Overlay, Proving};
use crate::store::{Catalogue, StoreError};

/// Memory that the catalogue's database may use as a cache, bytes.
const CACHE_BYTES: usize = 16 << 20;
/// Its name in the state folder.
const NAME: &str = "catalogue.redb";
/// Most damaged ones that are kept.
const MAX_ASIDE: u32 = 100;
/// A new one on its way.
const ASIDE: &str = "catalogue.new";

/// A catalogue that was opened.
#[derive(Debug)]
pub struct OpenedCatalogue {
    /// It.
    pub catalogue: Catalogue,
    /// Why it is kept in memory, if it is: then nothing that it is told survives a restart.
    pub in_memory: Option<String>,
    /// What happened to the one before, if that was not to be used.
    pub set_aside: Option<String>,
}

/// Opens the catalogue in a state folder. A new one is made aside and renamed, so that a power cut while it is made
/// leaves none or a whole one. One that is damaged is set aside. Where the disk can't be written, what changes is
/// kept in memory.
///
/// # Errors
/// Another process has it open, it has another format, or those of the disk that can't be helped.
pub fn open_catalogue(disk: &dyn Disk, state: &Path) -> Result<OpenedCatalogue, StoreError> {
    let path = state.join(NAME);
    let before = disk.about(&path);
    let is_new = matches!(&before, Err(e) if e.kind() == ErrorKind::NotFound);
    let opened = |catalogue| OpenedCatalogue { catalogue, in_memory: None, set_aside: None };
    let result = match before {
        Err(_) if is_new => make_catalogue(disk, state, &path),
        Err(e) => Err(StoreError::file("looking for", &path, e)),
        // redb would take it for one to be made.
        Ok(about) if about.bytes == 0 => {
            Err(StoreError::catalogue(redb::Error::Corrupted("the file is empty".to_owned())))
        }
        Ok(_) => Ok(()),
    };
    match result.and_then(|()| open(file(disk, &path, false)?)) {
        Ok(catalogue) => Ok(opened(catalogue)),
        Err(e) if e.is_damage() => begin_anew(disk, state, &path, &e),
        Err(e) if e.is_fault_of_disk() => {
            let base = if is_new { None } else { disk.open(&path).ok() };
            match open(DatabaseFile(Box::new(Overlay::over(base)))) {
                Ok(catalogue) => Ok(OpenedCatalogue { in_memory: Some(e.to_string()), ..opened(catalogue) }),
                // It can't even be read.
                Err(again) if again.is_damage() || again.is_fault_of_disk() => {
                    begin_anew(disk, state, &path, &again)
                }
                Err(other) => Err(other),
            }
        }
        Err(e) => Err(e),
    }
}

/// A new catalogue in the place of a damaged one; in memory, where that can't be replaced.
fn begin_anew(
    disk: &dyn Disk,
    state: &Path,
    path: &Path,
    damage: &StoreError,
) -> Result<OpenedCatalogue, StoreError> {
    let replaced = set_aside(disk, state, path).and_then(|aside| {
        make_catalogue(disk, state, path)?;
        Ok((aside, open(file(disk, path, false)?)?))
    });
    match replaced {
        Ok((aside, catalogue)) => {
            let text = format!("the catalogue was damaged ({damage}); it is now {aside}");
            Ok(OpenedCatalogue { catalogue, in_memory: None, set_aside: Some(text) })
        }
        Err(e) if e.is_fault_of_disk() => empty_in_memory(damage, &e),
        Err(e) => Err(e),
    }
}

/// A catalogue of nothing, in memory.
fn empty_in_memory(damage: &StoreError, fault: &StoreError) -> Result<OpenedCatalogue, StoreError> {
    let catalogue = open(DatabaseFile(Box::new(Overlay::over(None))))?;
    let text = format!("the catalogue is damaged ({damage}) and can't be set aside");
    Ok(OpenedCatalogue { catalogue, in_memory: Some(fault.to_string()), set_aside: Some(text) })
}

/// Gives a damaged catalogue another name: an engineer may want it.
fn set_aside(disk: &dyn Disk, state: &Path, path: &Path) -> Result<String, StoreError> {
    for number in 1..MAX_ASIDE {
        let name = format!("catalogue.damaged-{number}");
        let aside = state.join(&name);
        if disk.about(&aside).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            disk.rename(path, &aside).map_err(|e| StoreError::file("renaming", path, e))?;
            return Ok(name);
        }
    }
    Err(StoreError::file("setting aside", path, io::Error::other("there are too many already")))
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

/// Opens a database and proves it: every page has to have its checksum, so that none is read later that a worn cell
/// has changed. redb does so in repairing a file, which it takes this one to need.
fn open(file: DatabaseFile) -> Result<Catalogue, StoreError> {
    let proved = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&proved);
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_repair_callback(move |_| seen.store(true, Ordering::Relaxed))
        .create_with_backend(Proving::over(file));
    let mut database = database.map_err(StoreError::catalogue)?;
    if !proved.load(Ordering::Relaxed) {
        // It is new, or of a redb that keeps its flags elsewhere.
        database.check_integrity().map_err(StoreError::catalogue)?;
    }
    Catalogue::new(database)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, SimDisk};
    use crate::telemetry::Report;
    use passband_proto::dict::EventCode;

    fn state() -> (SimDisk, &'static Path) {
        let (disk, state) = (SimDisk::default(), Path::new("/state"));
        disk.make_folder(state).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        (disk, state)
    }

    #[test]
    fn a_disk_that_can_only_be_read_keeps_what_it_had_and_the_rest_is_in_memory() {
        let (disk, state) = state();
        let first = open_catalogue(&disk, state).unwrap();
        assert!(first.catalogue.is_adopting().unwrap() && first.in_memory.is_none());
        first.catalogue.add_event(1, &Report::info(EventCode::Other, "kept")).unwrap();
        drop(first);
        for faults in [
            Faults { read_only: true, ..Faults::default() },
            Faults { sync_fails: true, ..Faults::default() },
            Faults { capacity_bytes: Some(0), ..Faults::default() },
        ] {
            disk.set_faults(faults);
            let before = disk.files();
            let opened = open_catalogue(&disk, state).unwrap();
            opened.catalogue.add_event(2, &Report::info(EventCode::Other, "in memory")).unwrap();
            let texts: Vec<_> =
                opened.catalogue.events(None, 9).unwrap().into_iter().map(|e| e.text).collect();
            assert_eq!(texts, ["kept", "in memory"], "{faults:?} {:?}", opened.in_memory);
            if opened.in_memory.is_some() {
                assert!(!faults.read_only || disk.files() == before);
            }
            assert_eq!(opened.in_memory.is_some(), faults.capacity_bytes.is_none(), "{faults:?}");
            drop(opened);
            disk.set_faults(Faults::default());
            let again = disk.after_cut(1);
            assert_eq!(
                open_catalogue(&again, state).unwrap().catalogue.events(None, 9).unwrap()[0].text,
                "kept"
            );
        }
    }

    #[test]
    fn with_nothing_to_read_either_it_begins_empty_in_memory() {
        let (disk, state) = state();
        disk.set_faults(Faults { read_only: true, ..Faults::default() });
        let opened = open_catalogue(&disk, state).unwrap();
        assert!(opened.in_memory.is_some() && opened.catalogue.bundles().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_catalogue_is_set_aside() {
        let (disk, state) = state();
        open_catalogue(&disk, state).unwrap().catalogue.end_adoption().unwrap();
        for name in ["catalogue.damaged-1", "catalogue.damaged-2"] {
            for byte in [0, 1, 2, 3] {
                disk.damage(&state.join(NAME), byte, 2).unwrap();
            }
            let opened = open_catalogue(&disk, state).unwrap();
            assert!(opened.catalogue.is_adopting().unwrap());
            assert!(opened.set_aside.as_deref().unwrap().ends_with(name));
            opened.catalogue.end_adoption().unwrap();
            assert!(disk.files().contains_key(&state.join(name)));
        }
        let opened = open_catalogue(&disk, state).unwrap();
        assert!(!opened.catalogue.is_adopting().unwrap() && opened.set_aside.is_none());
    }

    /// Wherever bits have flipped, closed in order or killed: what is opened can be read, and is as it was or new.
    #[test]
    fn a_catalogue_with_flipped_bits_is_set_aside_or_as_it_was() {
        let (disk, state) = state();
        let first = open_catalogue(&disk, state).unwrap();
        first.catalogue.end_adoption().unwrap();
        for n in 0..300 {
            first.catalogue.add_event(n, &Report::info(EventCode::Other, format!("event {n}"))).unwrap();
        }
        let killed = disk.after_cut(1);
        drop(first);
        let mut set_aside = 0;
        for (disk, seed) in
            [(&disk, 1_u64), (&killed, 2)].iter().flat_map(|(d, s)| (0..60).map(move |n| (*d, n * 2 + s)))
        {
            let disk = disk.after_cut(0);
            let path = state.join(NAME);
            let bytes = disk.about(&path).unwrap().bytes;
            for n in 0..8 {
                let at = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(7 * n) % bytes;
                disk.damage(&path, at, u8::try_from(seed % 8).unwrap()).unwrap();
            }
            let opened = open_catalogue(&disk, state).unwrap();
            let events = opened.catalogue.events(None, 1_000).unwrap().len();
            let aside = opened.set_aside.is_some();
            // After a kill damage of the last commit is taken for a torn one, which is taken back.
            let least = if seed % 2 == 0 { 299 } else { 300 };
            let as_it_was = (least..=300).contains(&events);
            assert!(
                opened.catalogue.is_adopting().unwrap() == aside
                    && if aside { events == 0 } else { as_it_was },
                "{seed}: {events}"
            );
            set_aside += u32::from(aside);
            opened.catalogue.add_event(9, &Report::info(EventCode::Other, "goes on")).unwrap();
        }
        assert!((20..120).contains(&set_aside), "{set_aside}");
    }
}
