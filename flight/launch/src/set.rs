//! What somebody at the board wants: takes what lies in a slot, or confirms it.

use std::io;

use passband_launch::linux::Root;
use passband_launch::{copies, proof};
use passband_proto::slot::change::Refusal;
use passband_proto::slot::{Cause, Slot, SlotRecord};

use crate::start::line;

/// Makes what is in `slot` the image to start: on trial, or confirmed.
pub(crate) fn set(root: &Root, slot: Slot, attempts: Option<u8>, deadline_s: u32) -> Result<String, String> {
    let _lock = root.lock()?;
    let image = root.startable(slot)?;
    let proof = proof::prove(image.file, image.bytes, io::sink()).map_err(|e| e.to_string())?;
    if proof.own == Some(false) {
        return Err(format!("{}: its bytes aren't those that its own digest tells", image.path.display()));
    }
    let before = copies::read(root).record.unwrap_or(SlotRecord::FACTORY);
    let changed = || -> Result<SlotRecord, Refusal> {
        // Whoever is at the board ends a trial by choosing something else.
        let free = before.revert(Cause::Ordered)?.unwrap_or(before);
        let Some(attempts) = attempts else {
            return if slot == Slot::Golden { free.choose(slot) } else { free.install(slot, proof.id) };
        };
        let held = free.held(slot);
        let staged = if held.image == proof.id { free } else { free.clear(slot)?.stage(slot, proof.id)? };
        staged.try_out(slot, attempts, deadline_s)
    };
    let record = changed().map_err(|error| error.to_string())?;
    copies::write(root, &record)?;
    Ok(line(&record))
}

/// Ends the trial well.
pub(crate) fn confirm(root: &Root, slot: Option<Slot>) -> Result<String, String> {
    let _lock = root.lock()?;
    let record = copies::read(root).record.ok_or("there is no sound slot record, so nothing to confirm")?;
    let confirmed = record.confirm(slot.unwrap_or(record.active)).map_err(|error| error.to_string())?;
    if let Some(record) = &confirmed {
        copies::write(root, record)?;
    }
    Ok(line(&confirmed.unwrap_or(record)))
}
