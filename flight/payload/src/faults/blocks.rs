//! Sealed blocks from a vault and marks to a catalogue, for a sender that is tried.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;
use passband_proto::transfer::{BlockMark, BlockStore};

use crate::adapters::vault::Vault;
use crate::store::{Catalogue, StoreError};

/// What a sender reads and notes, as the daemon has it.
pub(crate) struct StoredBlocks<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) catalogue: &'a Catalogue,
    /// How the bundles are cut that may be read.
    pub(crate) geometries: BTreeMap<BundleId, Geometry>,
}

impl BlockStore for StoredBlocks<'_> {
    type Error = StoreError;

    fn read_block(
        &mut self,
        id: &BundleId,
        block: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let gone = || StoreError::file("reading", id.to_string(), ErrorKind::NotFound.into());
        let geometry = self.geometries.get(id).ok_or_else(gone)?;
        let file = self.vault.read(id)?;
        self.vault.read_block(id, file.as_ref(), geometry, (block, offset), out)
    }

    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), StoreError> {
        self.catalogue.reserve(marks)
    }
}
