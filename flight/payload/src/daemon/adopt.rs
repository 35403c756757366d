//! Adopting: sealed bundles that the catalogue knows nothing of are taken into it, when it had to begin anew.
//!
//! A sealed file says what it is: its header in clear, its manifest under its key. No more than that is read of it, so
//! that a full disk is adopted in seconds; whether all its seals hold is for the scrub to find out. What was sent of it
//! isn't known any more, so its symbols go on from ids that were certainly never used.
//!
//! It goes on, over restarts, until nothing is left that may be taken in another time: a file that can't be read now, or
//! whose key isn't there. No such file is removed.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Head, Opener};
use passband_proto::dict::EventCode;
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;

use crate::adapters::vault::Vault;
use crate::ordered;
use crate::products::Kind;
use crate::store::{BundleRecord, Catalogue, FrameId, StoreError};
use crate::telemetry::Report;

/// Bundles that are made known at a time.
const BATCH: usize = 500;

/// Where the numbers of adopted bundles and of what is sent from now on begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    /// The id from which on their symbols count.
    pub(crate) esi: u32,
    /// The session from which on the sender counts.
    pub(crate) session: u64,
}

/// Takes in what lies in the vault and isn't known, if the catalogue is new, or was at an earlier start that didn't
/// come to the end of this; events tell how many, and of each that can't be. Gives the files that are to be kept though
/// they aren't known, and their sizes.
///
/// Their frames don't become known by it: whether all bundles of one are there isn't known, and should it lie in the
/// spool still, it is taken as new, in place of being removed as known.
///
/// # Errors
/// The catalogue can't be read, or what lies there can't be listed. If it can't be written, all is kept that isn't known.
pub(crate) fn adopt(
    catalogue: &Catalogue,
    vault: &Vault,
    keys: &KeyRing,
    unix_ms: u64,
    begin: Begin,
) -> Result<BTreeMap<BundleId, u64>, StoreError> {
    if !catalogue.is_adopting()? {
        return Ok(BTreeMap::new());
    }
    let known: BTreeSet<BundleId> =
        ordered::gathered(catalogue.bundles()?.into_iter().map(|record| record.id));
    let mut adoption =
        Adoption { catalogue, vault, keys, unix_ms, epochs: BTreeSet::new(), kept: BTreeMap::new() };
    adoption.kept = ordered::gathered(vault.files()?.into_iter().filter(|(id, _)| !known.contains(id)));
    match adoption.run(begin) {
        Err(e) if !e.is_fault_of_disk() => Err(e),
        _ => Ok(adoption.kept),
    }
}

struct Adoption<'a> {
    catalogue: &'a Catalogue,
    vault: &'a Vault,
    keys: &'a KeyRing,
    unix_ms: u64,
    /// Spacecraft and epochs of which a head was opened: their keys are the right ones.
    epochs: BTreeSet<(u16, u16)>,
    /// What isn't taken in, so far.
    kept: BTreeMap<BundleId, u64>,
}

impl Adoption<'_> {
    fn run(&mut self, begin: Begin) -> Result<(), StoreError> {
        if !self.kept.is_empty() {
            self.catalogue.begin_sessions_at(begin.session)?;
        }
        let (mut unfit, ids) = (Vec::new(), self.kept.keys().copied().collect::<Vec<_>>());
        for ids in ids.chunks(BATCH) {
            let mut records = Vec::new();
            for id in ids {
                match describe(self.vault, self.keys, *id) {
                    Ok(record) => records.push(record),
                    Err(why) => unfit.push((*id, why)),
                }
            }
            self.take_in(&records, begin.esi)?;
        }
        self.sort_out(unfit)
    }

    fn take_in(&mut self, records: &[BundleRecord], esi: u32) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let text = format!("{} sealed bundles are taken into the new catalogue", records.len());
        self.catalogue.add_adopted(
            records,
            esi,
            self.unix_ms,
            &Report::info(EventCode::BundlesAdopted, text),
        )?;
        for record in records {
            self.kept.remove(&record.id);
            self.epochs.insert((record.spacecraft, record.epoch));
        }
        Ok(())
    }

    /// Gives up what is broken, and keeps what may be taken in another time.
    fn sort_out(&mut self, unfit: Vec<(BundleId, Unfit)>) -> Result<(), StoreError> {
        let mut later = Vec::new();
        for (id, why) in unfit {
            let lost = match why {
                Unfit::Broken(why) => Ok(why),
                // Under a key that opens others it is the seal that is broken, not the key.
                Unfit::Sealed(epoch, why) if self.epochs.contains(&epoch) => Ok(why),
                Unfit::Sealed(_, why) | Unfit::Now(why) => Err(why),
            };
            match lost {
                Ok(why) => {
                    let text =
                        format!("bundle {id} can't be taken into the new catalogue: {why}; it is removed");
                    self.catalogue.add_event(self.unix_ms, &Report::error(EventCode::BundleLost, text))?;
                    self.kept.remove(&id);
                }
                Err(why) => later.push((id, why)),
            }
        }
        let Some((id, why)) = later.first() else { return self.catalogue.end_adoption() };
        let text = format!(
            "{} sealed bundles can't be taken into the new catalogue now (bundle {id}: {why}); they are kept, and looked \
             at again at the next start",
            later.len()
        );
        self.catalogue.add_event(self.unix_ms, &Report::error(EventCode::BundlesNotAdopted, text))
    }
}

/// Why a sealed file isn't taken in.
enum Unfit {
    /// It isn't what was sealed.
    Broken(String),
    /// Its head doesn't open under the key of this spacecraft and epoch.
    Sealed((u16, u16), String),
    /// It may be another time.
    Now(String),
}

/// What a sealed file says of itself.
fn describe(vault: &Vault, keys: &KeyRing, id: BundleId) -> Result<BundleRecord, Unfit> {
    let now = |e: StoreError| Unfit::Now(e.to_string());
    let file = vault.read(&id).map_err(now)?;
    let (mut header, bytes) = ([0; FILE_HEADER_BYTES], file.bytes());
    if bytes < header.len() as u64 {
        return Err(Unfit::Broken("it is cut off".to_owned()));
    }
    vault.read_at(&id, file.as_ref(), 0, &mut header).map_err(now)?;
    let header = FileHeader::decode(&header).map_err(|e| Unfit::Broken(e.to_string()))?;
    let FileHeader { spacecraft, epoch, id: own_id, class, geometry } = header;
    if own_id != id || bytes != geometry.sealed_bytes() {
        return Err(Unfit::Broken("it is another bundle, or cut off".to_owned()));
    }
    let key = keys.get(spacecraft, epoch);
    let key = key.ok_or_else(|| Unfit::Now(format!("there is no key of epoch {epoch}")))?;
    let mut head = vec![0; geometry.head_bytes as usize];
    vault.read_block(&id, file.as_ref(), &geometry, (0, 0), &mut head).map_err(now)?;
    let opened = Opener::new(key, &id, geometry.block_count).open_head(head);
    let Head { manifest, .. } = opened.map_err(|e| Unfit::Sealed((spacecraft, epoch), e.to_string()))?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == manifest.product);
    // Another version of this program may know it.
    let kind =
        kind.ok_or_else(|| Unfit::Now(format!("a product {:?} that isn't known", manifest.product)))?;
    let label = |name| manifest.label(name).unwrap_or_default();
    Ok(BundleRecord {
        id,
        frame: label("frame-id").parse::<BundleId>().ok().map(|id| FrameId(id.0)),
        kind,
        class,
        tasking: label("tasking").to_owned(),
        created_unix_ms: manifest.created_unix_ms,
        spacecraft,
        epoch,
        geometry,
        sha256: None,
        frame_name: manifest.frame.unwrap_or_default(),
        name: manifest.name,
    })
}

#[cfg(test)]
mod tests;
