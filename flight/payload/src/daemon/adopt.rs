//! Adopting: sealed bundles that the catalogue knows nothing of are taken into it, when it had to begin anew.
//!
//! A sealed file says what it is: its header in clear, its manifest under its key. No more than that is read of it, so
//! that a full disk is adopted in seconds; whether all its seals hold is for the scrub to find out. What was sent of it
//! isn't known any more, so its symbols go on from ids that were certainly never used.

use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader};
use passband_proto::ids::BundleId;
use passband_proto::keyring::KeyRing;

use crate::adapters::sealed::SealedBundle;
use crate::adapters::vault::Vault;
use crate::products::Kind;
use crate::store::{BundleRecord, Catalogue, FrameId, StoreError};
use crate::telemetry::Report;

/// Bundles that are made known at a time.
const BATCH: usize = 500;

/// Takes in what lies in the vault; events tell how many, and of each that can't be. `esi_offset` is where their symbols
/// go on. How many were taken in.
///
/// Their frames don't become known by it: whether all bundles of one are there isn't known, and should it lie in the
/// spool still, it is taken as new, in place of being removed as known.
pub(crate) fn adopt(
    catalogue: &Catalogue,
    vault: &Vault,
    keys: &KeyRing,
    unix_ms: u64,
    esi_offset: u32,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    for ids in vault.ids()?.chunks(BATCH) {
        let mut records = Vec::new();
        for id in ids {
            match describe(vault, keys, *id) {
                Ok(record) => records.push(record),
                Err(why) => {
                    let text =
                        format!("bundle {id} can't be taken into the new catalogue: {why}; it is removed");
                    catalogue.add_event(unix_ms, &Report::error("bundle-lost", text))?;
                }
            }
        }
        if !records.is_empty() {
            let text = format!("{} sealed bundles are taken into the new catalogue", records.len());
            let report = Report::info("bundles-adopted", text);
            catalogue.add_adopted(&records, esi_offset, unix_ms, &report)?;
        }
        taken += records.len();
    }
    Ok(taken)
}

/// What a sealed file says of itself.
fn describe(vault: &Vault, keys: &KeyRing, id: BundleId) -> Result<BundleRecord, String> {
    let file = vault.read(&id).map_err(|e| e.to_string())?;
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_at(0, &mut header).map_err(|e| e.to_string())?;
    let FileHeader { spacecraft, epoch, id: own_id, class, geometry } =
        FileHeader::decode(&header).map_err(|e| e.to_string())?;
    if own_id != id || file.bytes() != geometry.sealed_bytes() {
        return Err("it is another bundle, or cut off".to_owned());
    }
    let key = keys.get(spacecraft, epoch).ok_or_else(|| format!("there is no key of epoch {epoch}"))?;
    let mut record = BundleRecord {
        id,
        frame: None,
        frame_name: String::new(),
        kind: Kind::Log,
        name: String::new(),
        class,
        tasking: String::new(),
        created_unix_ms: 0,
        spacecraft,
        epoch,
        geometry,
        sha256: None,
    };
    let bundle = SealedBundle::open(vault, key, &record)?;
    let label = |name| bundle.label(name).unwrap_or_default().to_owned();
    let (frame, tasking) = (label("frame-id"), label("tasking"));
    let manifest = bundle.manifest().clone();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == manifest.product);
    record.kind = kind.ok_or_else(|| format!("a product {:?} that isn't known", manifest.product))?;
    record.frame = frame.parse::<BundleId>().ok().map(|id| FrameId(id.0));
    record.tasking = tasking;
    record.created_unix_ms = manifest.created_unix_ms;
    record.frame_name = manifest.frame.clone().unwrap_or_default();
    record.name = manifest.name;
    Ok(record)
}
