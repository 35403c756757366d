//! Looking at a stored bundle: whether it is what was written, by two looks wherever the first one says that it isn't.
//!
//! A bit that flips in memory while a file is hashed looks like one that flipped on the disk. So a digest that doesn't
//! fit only begins a second look, by the seals, which authenticate every block; and no digest is believed that only one
//! reading gave. Nothing is changed here.

use passband_proto::keys::EpochKey;

use crate::adapters::sealed::{Seals, check_seals, forget_cached, is_fault_of_medium};
use crate::adapters::vault::Vault;
use crate::store::{BundleRecord, StoreError};

/// What looks at a bundle found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It is what was written, or nothing can be said of it for want of its key.
    Sound,
    /// It is what was written, and this is its digest, which is not the one that is kept.
    Digest([u8; 32]),
    /// It is what was written; the first look was wrong.
    Misread,
    /// Two looks don't agree, or there is no key for a second one; why.
    Undecided(&'static str),
    /// Twice it was not what was written.
    Damaged {
        /// Blocks that still open.
        open_blocks: u32,
    },
    /// The medium doesn't give all of it back.
    Unreadable {
        /// Blocks that open.
        open_blocks: u32,
        /// The error.
        why: String,
    },
}

/// Looks at a bundle; `None` if `pause` ended it, which is as for [`Vault::is_sound`].
///
/// # Errors
/// It can't be read, for another reason than its medium.
pub(super) fn look(
    vault: &Vault,
    key: Option<&EpochKey>,
    record: &BundleRecord,
    pause: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Found>, StoreError> {
    let Some(sha256) = &record.sha256 else {
        let Some(key) = key else { return Ok(Some(Found::Sound)) };
        return match check_seals(vault, key, record, pause)? {
            None => Ok(None),
            Some(Seals::Hold(sha256)) => confirm(vault, record, sha256, pause),
            Some(Seals::Broken { .. } | Seals::Unreadable { .. }) => look_again(vault, key, record, pause),
        };
    };
    match (vault.is_sound(&record.id, (record.bytes(), sha256), pause), key) {
        (Ok(None), _) => Ok(None),
        (Ok(Some(true)), _) => Ok(Some(Found::Sound)),
        (Ok(Some(false)), None) => Ok(Some(Found::Undecided("its digest is another, and there is no key"))),
        (Ok(Some(false)), Some(key)) => look_again(vault, key, record, pause),
        (Err(e), Some(key)) if is_fault_of_medium(&e) => look_again(vault, key, record, pause),
        (Err(e), _) => Err(e),
    }
}

/// The second look at a bundle that didn't look sound.
fn look_again(
    vault: &Vault,
    key: &EpochKey,
    record: &BundleRecord,
    pause: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Found>, StoreError> {
    forget_cached(vault, &record.id);
    Ok(match check_seals(vault, key, record, pause)? {
        None => None,
        Some(Seals::Hold(sha256)) => return confirm(vault, record, sha256, pause),
        Some(Seals::Broken { open_blocks }) => Some(Found::Damaged { open_blocks }),
        Some(Seals::Unreadable { open_blocks, why }) => Some(Found::Unreadable { open_blocks, why }),
    })
}

/// All seals hold: whether another reading gives the digest that this one gave.
fn confirm(
    vault: &Vault,
    record: &BundleRecord,
    sha256: [u8; 32],
    pause: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Found>, StoreError> {
    forget_cached(vault, &record.id);
    let same = vault.is_sound(&record.id, (record.bytes(), &sha256), pause)?;
    Ok(same.map(|same| match same {
        true if record.sha256 == Some(sha256) => Found::Misread,
        true => Found::Digest(sha256),
        false => Found::Undecided("its seals hold, but its digest is another each time"),
    }))
}
