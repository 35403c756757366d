//! The table of bundles that were found damaged: what was told of each, and how far its mending is.
//!
//! It outlives the daemon, so that each is told once, mending is tried again after a restart, and one whose mending
//! ends the daemon isn't tried for ever.

use passband_proto::ids::BundleId;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::table::{self, Definition};
use super::{BUNDLES, Catalogue, StoreError, encode, events};
use crate::telemetry::Report;

/// Bundle → its damage.
pub(super) const DAMAGES: Definition = Definition::new("damages.v2");

/// What is known of a damaged bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Blocks that could still be opened.
    pub open_blocks: u32,
    /// Tries to make it anew whose end nobody saw: the daemon ended meanwhile.
    pub unended: u32,
    /// No more is tried, and an event has told so.
    pub given_up: bool,
}

impl Catalogue {
    /// What is known of a bundle's damage; `None` if it wasn't found to be damaged.
    pub fn damage(&self, id: &BundleId) -> Result<Option<Damage>, StoreError> {
        self.record((DAMAGES, "damages"), id.0)
    }

    /// Keeps what is known of a bundle's damage, with an event if there is something to tell; of a bundle that is gone
    /// nothing is kept or told.
    pub fn set_damage(
        &self,
        id: &BundleId,
        damage: &Damage,
        unix_ms: u64,
        report: Option<&Report>,
    ) -> Result<(), StoreError> {
        self.write(|txn| {
            if !table::open(txn, BUNDLES)?.has(&id.0)? {
                return Ok(());
            }
            table::open(txn, DAMAGES)?.put(&id.0, &encode(damage))?;
            report.map_or(Ok(()), |report| events::insert(txn, unix_ms, report))
        })
    }
}

/// Forgets the damage of a bundle that goes.
pub(super) fn forget(txn: &WriteTransaction, id: &BundleId) -> Result<(), redb::Error> {
    table::open(txn, DAMAGES)?.remove(&id.0).map(drop)
}
