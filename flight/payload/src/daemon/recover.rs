//! Recovery: what is put in order at every start, after a kill at any moment.

use std::collections::BTreeMap;

use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;

use crate::adapters::spool::Spool;
use crate::adapters::vault::{Swept, Troubles, Vault};
use crate::ordered;
use crate::queue::{Queue, QueueError, Restored, Settings, item_of};
use crate::store::{Catalogue, StoreError};
use crate::telemetry::Report;

/// The queue as it stood: all bundles, in the order in which they were made.
pub(crate) fn line_up(
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<Result<Restored, QueueError>, StoreError> {
    let mut standings: BTreeMap<_, _> = ordered::gathered(catalogue.standings()?);
    let mut records = catalogue.bundles()?;
    ordered::sort_by_key(&mut records, |record| (record.created_unix_ms, record.id));
    let stored = records.iter().map(|record| {
        let standing = standings.remove(&record.id).map(|mut kept| {
            // The same name may have another number by now.
            kept.standing.tasking = settings.number_of(&kept.tasking);
            kept.standing
        });
        (item_of(record, settings), standing)
    });
    Ok(Queue::restore(settings.clone(), stored))
}

/// Removes sealed files that the catalogue doesn't know, but for those that are `kept` for another time, forgets bundles
/// whose file is lost, and removes from the spool what was taken; an event tells of each.
pub(crate) fn recover(
    catalogue: &Catalogue,
    vault: &Vault,
    spool: &Spool,
    unix_ms: u64,
    kept: BTreeMap<BundleId, u64>,
) -> Result<(), StoreError> {
    sweep(catalogue, vault, unix_ms, kept)?;
    for (id, files) in catalogue.spooled()? {
        let names: Vec<_> = files.iter().map(|f| f.name.as_str()).collect();
        // Removed for good, before that is noted.
        let removed = files.iter().try_for_each(|file| spool.remove(file).map(drop));
        let removed = removed.and_then(|()| spool.sync());
        let report = if let Err(e) = removed {
            Report::error(EventCode::SpoolError, format!("removing {names:?} from the spool: {e}"))
        } else {
            catalogue.spool_cleared(&id)?;
            let text = format!(
                "frame {id} was taken before the restart; its copy in the spool, {names:?}, is removed"
            );
            Report::info(EventCode::SpoolCleared, text)
        };
        catalogue.add_event(unix_ms, &report)?;
    }
    Ok(())
}

fn sweep(
    catalogue: &Catalogue,
    vault: &Vault,
    unix_ms: u64,
    kept: BTreeMap<BundleId, u64>,
) -> Result<(), StoreError> {
    let known = catalogue.bundles()?.into_iter().map(|bundle| (bundle.id, bundle.bytes()));
    let Swept { removed, missing, doubtful, stuck } = vault.sweep(kept.into_iter().chain(known))?;
    if removed > 0 {
        let text = format!("{removed} unfinished bundle files of an interrupted run removed");
        catalogue.add_event(unix_ms, &Report::info(EventCode::StoreSwept, text))?;
    }
    if stuck.count > 0 {
        let Troubles { count, first } = stuck;
        let text = format!("{count} unfinished bundle files could not be removed, the first: {first}");
        catalogue.add_event(unix_ms, &Report::error(EventCode::StoreError, text))?;
    }
    if doubtful.count > 0 {
        let Troubles { count, first } = doubtful;
        let text =
            format!("{count} bundles stay known, but their files could not be looked at, the first: {first}");
        catalogue.add_event(unix_ms, &Report::error(EventCode::BundlesUnreadable, text))?;
    }
    for id in missing {
        let text = format!("bundle {id}: its file is gone or has another size; the bundle is lost");
        catalogue.drop_bundle(&id, unix_ms, &Report::error(EventCode::BundleLost, text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use passband_proto::ids::Class;

    use super::*;
    use crate::adapters::disk::{LinuxDisk, SickDisk};
    use crate::products::Kind;
    use crate::store::tests::{bundle, memory};

    #[test]
    fn a_bundle_that_the_disk_cannot_look_at_outlives_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let sick = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&sick);
        let disk = SickDisk::over(Arc::new(LinuxDisk), move |operation, path| {
            let fails = operation == "about" && path.extension().is_some() && now.load(Ordering::Relaxed);
            fails.then(|| rustix::io::Errno::IO.into())
        });
        let vault = Vault::open(Arc::clone(&disk), dir.path()).unwrap();
        let at = |name| dir.path().join(name);
        let spool = Spool::open(disk, &at("spool"), &at("rejected"), 1 << 20).unwrap();
        let (catalogue, record) = (memory(), bundle(1, Class::Routine, Kind::Cube, 5));
        let mut draft = vault.create(&record.id).unwrap();
        draft.write_all(&vec![1; usize::try_from(record.bytes()).unwrap()]).unwrap();
        draft.finish().unwrap();
        vault.publish(&[record.id]).unwrap();
        catalogue
            .add_adopted(std::slice::from_ref(&record), 0, 5, &Report::info(EventCode::BundlesAdopted, "one"))
            .unwrap();
        for (is_sick, events) in [(true, 2), (false, 2)] {
            sick.store(is_sick, Ordering::Relaxed);
            recover(&catalogue, &vault, &spool, 77, BTreeMap::new()).unwrap();
            assert_eq!(catalogue.bundles().unwrap(), std::slice::from_ref(&record));
            let told = catalogue.events(None, 100).unwrap();
            assert!(told.len() == events && told.iter().any(|e| e.code == "bundles-unreadable"), "{told:?}");
        }
        assert!(vault.read(&record.id).is_ok());
    }
}
