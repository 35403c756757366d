//! Where the sender reads what it sends, and keeps what it has sent.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use passband_proto::bundle::Geometry;
use passband_proto::ids::BundleId;
use passband_proto::transfer::{BlockMark, BlockStore};

use crate::adapters::disk::DiskFile;
use crate::daemon::shared::Shared;
use crate::store::{BundleRecord, StoreError};

/// Sealed blocks from the vault, marks to the catalogue.
pub(super) struct Blocks {
    shared: Arc<Shared>,
    known: BTreeMap<BundleId, BundleRecord>,
    /// The file that was read last.
    open: Option<(BundleId, Box<dyn DiskFile>)>,
}

impl Blocks {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, known: BTreeMap::new(), open: None }
    }

    /// Blocks of this bundle can be read from now on.
    pub(super) fn insert(&mut self, record: BundleRecord) {
        self.known.insert(record.id, record);
    }

    pub(super) fn remove(&mut self, id: &BundleId) {
        self.known.remove(id);
        self.open.take_if(|open| open.0 == *id);
    }
}

impl BlockStore for Blocks {
    type Error = StoreError;

    fn read_block(
        &mut self,
        id: &BundleId,
        block: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), StoreError> {
        let vault = &self.shared.vault;
        let gone = || StoreError::file("reading", id.to_string(), io::Error::other("the bundle was dropped"));
        let geometry: Geometry = self.known.get(id).map(|record| record.geometry).ok_or_else(gone)?;
        let (_, file) = match self.open.take() {
            Some(open) if open.0 == *id => self.open.insert(open),
            _ => self.open.insert((*id, vault.read(id)?)),
        };
        vault.read_block(id, file.as_ref(), &geometry, (block, offset), out)
    }

    fn reserve(&mut self, marks: &[(BundleId, BlockMark)]) -> Result<(), StoreError> {
        self.shared.catalogue.reserve(marks)
    }
}
