//! Recovery: what is put in order at every start, after a kill at any moment.

use std::collections::BTreeMap;

use passband_proto::ids::BundleId;

use crate::adapters::spool::Spool;
use crate::adapters::vault::Vault;
use crate::queue::{Queue, QueueError, Restored, Settings, item_of};
use crate::store::{Catalogue, StoreError};
use crate::telemetry::Report;

/// The queue as it stood: all bundles, in the order in which they were made.
pub(crate) fn line_up(
    catalogue: &Catalogue,
    settings: &Settings,
) -> Result<Result<Restored, QueueError>, StoreError> {
    let mut standings: BTreeMap<_, _> = catalogue.standings()?.into_iter().collect();
    let mut records = catalogue.bundles()?;
    records.sort_by_key(|record| (record.created_unix_ms, record.id));
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
            Report::error("spool-error", format!("removing {names:?} from the spool: {e}"))
        } else {
            catalogue.spool_cleared(&id)?;
            let text = format!(
                "frame {id} was taken before the restart; its copy in the spool, {names:?}, is removed"
            );
            Report::info("spool-cleared", text)
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
    let mut known = kept;
    known.extend(catalogue.bundles()?.iter().map(|b| (b.id, b.bytes())));
    let (removed, missing) = vault.sweep(&known)?;
    if removed > 0 {
        let text = format!("{removed} unfinished bundle files of an interrupted run removed");
        catalogue.add_event(unix_ms, &Report::info("store-swept", text))?;
    }
    for id in missing {
        let text = format!("bundle {id}: its file is gone or has another size; the bundle is lost");
        catalogue.drop_bundle(&id, unix_ms, &Report::error("bundle-lost", text))?;
    }
    Ok(())
}
