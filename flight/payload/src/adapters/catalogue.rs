//! The catalogue's database on disk, `<state>/catalogue.redb`, and that of commanding, `<state>/command.redb`.

use std::path::Path;

use super::database::{Opened, Shelf};
use super::disk::Disk;
use crate::store::orders::OrderStore;
use crate::store::{Catalogue, StoreError};

/// The catalogue's.
const CATALOGUE: Shelf<Catalogue> = Shelf { name: "catalogue", cache_bytes: 16 << 20, make: Catalogue::new };
/// That of commanding.
const COMMAND: Shelf<OrderStore> = Shelf { name: "command", cache_bytes: 1 << 20, make: OrderStore::new };

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

/// Opens the catalogue in a state folder, as [`Shelf::open`] does.
///
/// # Errors
/// Those of [`Shelf::open`].
pub fn open_catalogue(disk: &dyn Disk, state: &Path) -> Result<OpenedCatalogue, StoreError> {
    let Opened { store, in_memory, set_aside, .. } = CATALOGUE.open(disk, state)?;
    Ok(OpenedCatalogue { catalogue: store, in_memory, set_aside })
}

/// A catalogue of nothing, in memory, whatever the disk holds: for safe mode.
///
/// # Errors
/// None that a disk could be the reason of.
pub fn memory_catalogue() -> Result<Catalogue, StoreError> {
    CATALOGUE.in_memory()
}

/// Opens the catalogue of a state folder for reading alone, as [`Shelf::read`] does. For when no daemon has it open.
///
/// # Errors
/// Those of [`Shelf::read`].
pub fn read_catalogue(disk: &dyn Disk, state: &Path) -> Result<Catalogue, StoreError> {
    CATALOGUE.read(disk, state)
}

/// Opens the records of commanding in a state folder, as [`Shelf::open`] does.
///
/// # Errors
/// Those of [`Shelf::open`].
pub fn open_orders(disk: &dyn Disk, state: &Path) -> Result<Opened<OrderStore>, StoreError> {
    COMMAND.open(disk, state)
}

/// The records of commanding as they are on disk, changes kept in memory.
///
/// # Errors
/// Those of [`Shelf::read`].
pub fn overlay_orders(disk: &dyn Disk, state: &Path) -> Result<OrderStore, StoreError> {
    COMMAND.read(disk, state)
}

/// Records of commanding of nothing, in memory.
///
/// # Errors
/// None that a disk could be the reason of.
pub fn memory_orders() -> Result<OrderStore, StoreError> {
    COMMAND.in_memory()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Faults, SimDisk};
    use crate::telemetry::Report;
    use passband_proto::dict::EventCode;

    const NAME: &str = "catalogue.redb";

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
