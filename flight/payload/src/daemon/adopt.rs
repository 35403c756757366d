//! Adopting: sealed bundles that the catalogue knows nothing of are taken into it, when it had to begin anew.
//!
//! A sealed file says what it is: its header in clear, its manifest under its key. What was sent of it isn't known any
//! more, so its symbols go on from ids that were certainly never used.

use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Manifest};
use passband_proto::ids::{BundleId, Class};
use passband_proto::keyring::KeyRing;
use passband_proto::transfer::BlockMark;

use crate::adapters::sealed::SealedBundle;
use crate::adapters::vault::Vault;
use crate::products::Kind;
use crate::store::{BundleRecord, Catalogue, FrameId, FrameRecord, NewFrame, StoreError};
use crate::telemetry::Report;

/// Takes in what lies in the vault; events tell of each that can't be. `esi_offset` is where their symbols go on.
/// How many were taken in.
pub(crate) fn adopt(
    catalogue: &Catalogue,
    vault: &Vault,
    keys: &KeyRing,
    unix_ms: u64,
    esi_offset: u32,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    for id in vault.ids()? {
        match describe(vault, keys, id) {
            Ok((record, frame)) => {
                let text = format!("bundle {id} ({:?}) is taken into the new catalogue", record.name);
                let report = Report::info("bundle-adopted", text);
                let marks: Vec<_> = (0..record.geometry.block_count)
                    .map(|block| (id, BlockMark { block, esi: esi_offset, sent: 0 }))
                    .collect();
                match frame {
                    Some(frame) => {
                        let new = NewFrame {
                            frame,
                            bundles: vec![record],
                            alert: None,
                            spooled: Vec::new(),
                            report,
                        };
                        catalogue.add_frame(&new)?;
                    }
                    None => catalogue.add_note(&record, None, unix_ms, &report)?,
                }
                catalogue.reserve(&marks)?;
                taken += 1;
            }
            Err(why) => {
                let text = format!("bundle {id} can't be taken into the new catalogue: {why}; it is removed");
                catalogue.add_event(unix_ms, &Report::error("bundle-lost", text))?;
            }
        }
    }
    Ok(taken)
}

/// What a sealed file says of itself and of its frame.
fn describe(
    vault: &Vault,
    keys: &KeyRing,
    id: BundleId,
) -> Result<(BundleRecord, Option<FrameRecord>), String> {
    let file = vault.read(&id).map_err(|e| e.to_string())?;
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_at(0, &mut header).map_err(|e| e.to_string())?;
    let FileHeader { spacecraft, epoch, id: own_id, class, geometry } =
        FileHeader::decode(&header).map_err(|e| e.to_string())?;
    if own_id != id || file.bytes() != geometry.sealed_bytes() {
        return Err("it is another bundle, or cut off".to_owned());
    }
    let key = keys.get(spacecraft, epoch).ok_or_else(|| format!("there is no key of epoch {epoch}"))?;
    let sha256 = vault.digest(&id).map_err(|e| e.to_string())?;
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
        sha256,
    };
    let manifest = SealedBundle::open(vault, key, &record)?.manifest().clone();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == manifest.product);
    record.kind = kind.ok_or_else(|| format!("a product {:?} that isn't known", manifest.product))?;
    let label = |name: &str| label(&manifest, name);
    record.frame = label("frame-id").parse::<BundleId>().ok().map(|id| FrameId(id.0));
    label("tasking").clone_into(&mut record.tasking);
    record.created_unix_ms = manifest.created_unix_ms;
    let frame = record.frame.map(|id| frame(id, &manifest, class));
    record.frame_name = manifest.frame.clone().unwrap_or_default();
    record.name = manifest.name;
    Ok((record, frame))
}

/// The record of a frame, as far as one of its bundles tells.
fn frame(id: FrameId, manifest: &Manifest, class: Class) -> FrameRecord {
    FrameRecord {
        id,
        name: manifest.frame.clone().unwrap_or_default(),
        accepted_unix_ms: manifest.created_unix_ms,
        class,
        probability: label(manifest, "probability").parse().unwrap_or_default(),
        reason: label(manifest, "reason").to_owned(),
        bytes: 0,
        tasking: label(manifest, "tasking").to_owned(),
    }
}

fn label<'m>(manifest: &'m Manifest, name: &str) -> &'m str {
    manifest.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}
