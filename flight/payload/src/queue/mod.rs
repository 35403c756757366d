//! Queue: which bundle goes down next, and which goes when room is needed.
//!
//! What the operator promoted goes first, then class after class. Within a class taskings share by bytes;
//! within a tasking what is small goes before regions and cubes, then what is due first, then the oldest.
//! What is overdue in a lower class gets a small share ahead of its turn, so that nothing starves.
//!
//! | file | what |
//! | --- | --- |
//! | `item` | what goes in and out: [`Item`], [`Standing`], [`Change`] |
//! | `settings` | deadlines, taskings and their shares |
//! | `entry`, `slab`, `lanes` | what is known of each bundle, where it is, and in which order |
//! | `ledger` | who was served how much, and so whose turn it is |
//! | `filing` | puts each entry into the one place where it belongs |
//! | `order` | [`Queue::next`], [`Queue::upcoming`] |
//! | `life` | what the sender, the ground and the scrub say of a bundle |
//! | `operate` | what the operator may do to it |
//! | `evict` | what goes when room is needed |
//! | `explain` | why a bundle is where it is, and when it will be down |
//!
//! A pure structure in memory: it never reads a clock, a file or a setting that it wasn't handed, and holds
//! no names (those stay in the catalogue). At most [`MAX_ENTRIES`] bundles, about 125 bytes each; every
//! operation is O(log n) unless it says otherwise. It is lost with a restart, and made anew from the
//! [`Standing`]s that the catalogue keeps: what an operation changes of those it returns. How much each
//! tasking was served is not kept: fairness begins anew.

mod entry;
mod error;
mod evict;
mod explain;
mod filing;
pub mod item;
mod lanes;
mod ledger;
mod life;
mod operate;
mod order;
mod row;
pub mod settings;
mod slab;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::ids::BundleId;

pub use error::QueueError;
pub use explain::{Contact, Cost, Explanation, Forecast, LinkBelief, Moment, NotExpected, Reason, when_sent};
pub use item::{Change, Item, Kind, Next, Standing, State, View};
pub use row::{Row, item_of};
pub use settings::{Deadlines, Settings, SettingsError, Tasking};
pub use tally::{Amount, Tally};

use lanes::Lanes;
use ledger::Ledger;
use slab::Slab;

/// Most bundles in the queue.
pub const MAX_ENTRIES: usize = 2_000_000;

/// All bundles that are stored, in the order in which they go.
#[derive(Debug)]
pub struct Queue {
    settings: Settings,
    slab: Slab,
    by_id: BTreeMap<BundleId, u32>,
    lanes: Lanes,
    ledger: Ledger,
    tally: Tally,
    /// Those promoted that wait, in the order of promotion.
    promoted: BTreeSet<(u64, u32)>,
    /// That order for everything promoted, whatever its state.
    promotion: BTreeMap<u32, u64>,
    /// Promotions so far.
    promotions: u64,
    on_link: BTreeSet<u32>,
    /// Since when each is held, ms since 1970-01-01 UTC.
    held: BTreeMap<u32, u64>,
    /// Insertions so far.
    insertions: u32,
}

/// A queue as it stood before a restart, and the bundles that it refused, and why.
pub type Restored = (Queue, Vec<(BundleId, QueueError)>);

impl Queue {
    /// An empty queue.
    pub fn new(settings: Settings) -> Result<Self, QueueError> {
        settings.check()?;
        Ok(Self {
            ledger: Ledger::new(&settings),
            settings,
            slab: Slab::default(),
            by_id: BTreeMap::new(),
            lanes: Lanes::default(),
            tally: Tally::default(),
            promoted: BTreeSet::new(),
            promotion: BTreeMap::new(),
            promotions: 0,
            on_link: BTreeSet::new(),
            held: BTreeMap::new(),
            insertions: 0,
        })
    }

    /// The queue as it stood before a restart; in the order in which bundles were made, those without a
    /// standing being new. A tasking that the settings no longer have becomes the default one. O(n log n).
    ///
    /// What is refused of them stands beside it, and why: no bundle keeps the others from being sent.
    ///
    /// # Errors
    /// The settings can't be.
    pub fn restore(
        settings: Settings,
        stored: impl IntoIterator<Item = (Item, Option<Standing>)>,
    ) -> Result<Restored, QueueError> {
        let (mut queue, mut refused) = (Self::new(settings)?, Vec::new());
        for (mut item, standing) in stored {
            if let Some(standing) = &standing {
                item.tasking = standing.tasking;
                item.deadline_unix_ms = standing.deadline_unix_ms.or(item.deadline_unix_ms);
            }
            if usize::from(item.tasking) >= queue.settings.taskings.len() {
                item.tasking = 0;
            }
            match (queue.file(&item), standing) {
                (Ok(slot), Some(standing)) => queue.stand(slot, &standing),
                (Ok(_), None) => {}
                (Err(e), _) => refused.push((item.id, e)),
            }
        }
        Ok((queue, refused))
    }

    /// Takes a bundle in. Its standing is made durable with its record: one transaction.
    pub fn insert(&mut self, item: &Item) -> Result<Change, QueueError> {
        let slot = self.file(item)?;
        let entry = self.entry(slot, item.id)?;
        Ok(Change { id: item.id, standing: self.standing(slot, &entry), changed: true, withdraw: false })
    }

    /// Forgets a bundle: it was dropped. The sender has to withdraw it if it [was on the link](State).
    pub fn remove(&mut self, id: &BundleId) -> Result<View, QueueError> {
        let (slot, entry) = self.find(id)?;
        let view = self.view(slot, &entry);
        self.leave_link(slot);
        self.demote_slot(slot);
        let entry = self.entry(slot, *id)?;
        self.take_out(slot, &entry);
        if let Some((class, tasking)) = entry.account() {
            self.ledger.leave(class, tasking);
        }
        self.held.remove(&slot);
        self.by_id.remove(id);
        self.slab.remove(slot);
        Ok(view)
    }

    /// A bundle, if it is in the queue.
    pub fn get(&self, id: &BundleId) -> Option<View> {
        let slot = *self.by_id.get(id)?;
        Some(self.view(slot, self.slab.get(slot)?))
    }

    /// All bundles, in no order that means anything. O(n).
    pub fn iter(&self) -> impl Iterator<Item = View> + '_ {
        self.slab.iter().map(|(slot, entry)| self.view(slot, entry))
    }

    /// How many bundles there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Counts and bytes by state and class. O(1).
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The settings it works by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod invariants;
#[cfg(test)]
pub(super) mod tests;
