//! Whether the seals of a stored bundle hold, block by block. Nothing is changed, and no content is handed out.

use std::io;

use passband_proto::bundle::{FILE_HEADER_BYTES, FileHeader, Opener};
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::kind;
use crate::adapters::vault::Vault;
use crate::store::{BundleRecord, StoreError};

/// Whether an error says that the medium doesn't give back what was written, as worn flash and file systems with
/// checksums tell it: more than that the disk or this process is in trouble.
pub fn is_fault_of_medium(error: &StoreError) -> bool {
    const CODES: [Errno; 5] = [Errno::IO, Errno::NODATA, Errno::BADMSG, Errno::UCLEAN, Errno::ILSEQ];
    let StoreError::File { source, .. } = error else { return false };
    CODES.iter().any(|code| source.raw_os_error() == Some(code.raw_os_error()))
}

/// What a look at a sealed file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seals {
    /// All hold; the SHA-256 of the file.
    Hold([u8; 32]),
    /// The file isn't there, or not what was sealed; so many of its blocks still open.
    Broken {
        /// Blocks that open.
        open_blocks: u32,
    },
    /// The medium gives a part of it back no more, and why; so many of its blocks still open.
    Unreadable {
        /// Blocks that open.
        open_blocks: u32,
        /// The last error.
        why: String,
    },
}

/// Whether all seals of a bundle hold that was sealed under `key`, and how many do. `pause` is as for
/// [`Vault::is_sound`].
///
/// # Errors
/// It can't be read, for another reason than its medium.
pub fn check_seals(
    vault: &Vault,
    key: &EpochKey,
    record: &BundleRecord,
    pause: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Seals>, StoreError> {
    let (id, geometry) = (&record.id, &record.geometry);
    let (mut open_blocks, mut fault, mut hash) = (0, None, Sha256::new());
    let opened = readable(vault.read_if_there(id), &mut fault)?.flatten();
    let Some(file) = opened else {
        return Ok(Some(
            fault.map_or(Seals::Broken { open_blocks }, |why| Seals::Unreadable { open_blocks, why }),
        ));
    };
    let mut header = [0; FILE_HEADER_BYTES];
    readable(vault.read_at(id, file.as_ref(), 0, &mut header), &mut fault)?;
    hash.update(header);
    let opener = Opener::new(key, id, geometry.block_count);
    for block in 0..geometry.block_count {
        let mut sealed = vec![0; geometry.block_bytes(block).unwrap_or_default() as usize];
        let bytes = sealed.len();
        let read = vault.read_block(id, file.as_ref(), geometry, (block, 0), &mut sealed);
        if readable(read, &mut fault)?.is_some() {
            hash.update(&sealed);
            open_blocks += u32::from(opens(&opener, block, sealed));
        }
        if !pause(bytes) {
            return Ok(None);
        }
    }
    let is_whole = file.bytes() == record.bytes()
        && open_blocks == geometry.block_count
        && FileHeader::decode(&header).is_ok_and(|header| header.id == *id && header.geometry == *geometry);
    Ok(Some(match fault {
        Some(why) => Seals::Unreadable { open_blocks, why },
        None if is_whole => Seals::Hold(hash.finalize().into()),
        None => Seals::Broken { open_blocks },
    }))
}

/// What was read; `None` where there is nothing, or where the medium failed, which `fault` tells then.
fn readable<T>(read: Result<T, StoreError>, fault: &mut Option<String>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(e) if kind(&e) == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) if is_fault_of_medium(&e) => {
            *fault = Some(e.to_string());
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

fn opens(opener: &Opener, block: u32, mut sealed: Vec<u8>) -> bool {
    if block == 0 { opener.open_head(sealed).is_ok() } else { opener.open(block, &mut sealed).is_ok() }
}

/// What memory holds of a bundle's file is read from the disk again from now on, where that can be done.
pub fn forget_cached(vault: &Vault, id: &BundleId) {
    if let Ok(file) = vault.read(id) {
        file.forget_cached();
    }
}
