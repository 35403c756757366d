//! The records of commanding while their disk fails: opened anew, kept in memory if that doesn't help, and put back on the
//! disk when it can be written again. Commanding goes on all the while.

use passband_proto::dict::EventCode;

use super::hands::Worker;
use super::{Commander, Then, Works};
use crate::adapters::catalogue::{memory_orders, open_orders, overlay_orders};
use crate::orders::{OrderId, Record};
use crate::store::StoreError;
use crate::telemetry::Report;

/// A store that fails again within so long is not tried again for as long, ms.
const AGAIN_MS: u64 = 60_000;

/// Where the records are, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Why they are kept in memory, if they are.
    pub(super) in_memory: Option<String>,
    /// Whether they lie over those on the disk since this run began: then they can be put back.
    over_disk: bool,
    /// When the disk was tried last, ms.
    pub(super) tried_ms: Option<u64>,
}

impl Records {
    /// As they were opened.
    pub(super) fn opened(in_memory: Option<String>) -> Self {
        Self { in_memory, ..Self::default() }
    }

    fn tried_lately(&self, now_ms: u64) -> bool {
        self.tried_ms.is_some_and(|at| now_ms.saturating_sub(at) < AGAIN_MS)
    }
}

impl Commander {
    /// Opens the records anew if they failed, or puts them back on the disk, and keeps what is owed.
    pub(super) fn see_to_records(&mut self, works: &mut dyn Works) {
        let now_ms = self.clock.now_ms();
        if self.desk.store().is_broken() {
            if let Err(e) = self.reopen(works, now_ms) {
                self.records_failed(works, &e);
            }
        } else if self.records.over_disk && !self.records.tried_lately(now_ms) {
            self.records.tried_ms = Some(now_ms);
            self.put_back(&*works);
        }
        if self.desk.owes() {
            self.keep_owed(works);
        }
    }

    /// Keeps what is owed; whether nothing is owed now.
    pub(super) fn keep_owed(&mut self, works: &mut dyn Works) -> bool {
        let settled = {
            let mut worker =
                Worker { parts: &mut self.parts, associations: &mut self.associations, works: &mut *works };
            self.desk.settle(&mut worker)
        };
        if let Err(e) = settled {
            self.records_failed(works, &e);
        }
        self.tell_settled(works);
        !self.desk.owes()
    }

    /// Tells telemetry where an order stands that came in, and what else was settled with it.
    pub(super) fn tell_taken(
        &mut self,
        works: &dyn Works,
        taken: &Result<Option<(OrderId, Record)>, StoreError>,
    ) {
        let taken = taken.as_ref().ok().and_then(Option::as_ref);
        let mut others = self.desk.take_settled();
        others.retain(|id| taken.is_none_or(|(own, _)| own != id));
        self.tell_of(works, others);
        if let Some((id, record)) = taken {
            self.told(works, *id, record);
        }
    }

    /// Tells telemetry of the orders whose outcome was kept just now.
    pub(super) fn tell_settled(&mut self, works: &dyn Works) {
        let settled = self.desk.take_settled();
        self.tell_of(works, settled);
    }

    fn tell_of(&mut self, works: &dyn Works, orders: Vec<OrderId>) {
        for id in orders {
            if let Some(record) = self.desk.ledger().get(&id).cloned() {
                self.told(works, id, &record);
            }
        }
    }

    /// Tells, once in a while, that the records can't be written.
    pub(super) fn records_failed(&mut self, works: &dyn Works, error: &StoreError) {
        let text = format!("keeping records of orders: {error}");
        self.tell(works, "records", &Report::error(EventCode::StoreError, text));
    }

    fn reopen(&mut self, works: &mut dyn Works, now_ms: u64) -> Result<(), StoreError> {
        let Some(disk) = self.parts.disk.clone() else { return Ok(()) };
        let state = self.parts.state.clone();
        let failed_again = self.records.tried_lately(now_ms);
        self.records = Records { tried_ms: Some(now_ms), ..Records::default() };
        // Closed first: a database is opened once.
        drop(self.desk.replace_store(memory_orders()?));
        let opened = if failed_again {
            overlay_orders(disk.as_ref(), &state)
                .map(|store| (store, Some("they could not be written twice in a minute".to_owned())))
        } else {
            open_orders(disk.as_ref(), &state).map(|opened| {
                if let Some(text) = opened.set_aside {
                    // What lies there now is not what memory knows: as after any start, keys are to be put to use anew.
                    self.parts.then = Some(Then::Restart);
                    works.event(&Report::error(EventCode::StoreError, text));
                }
                (opened.store, opened.in_memory)
            })
        };
        self.records.in_memory = match opened {
            Ok((store, why)) => {
                drop(self.desk.replace_store(store));
                self.records.over_disk = why.is_some();
                why
            }
            Err(e) => Some(e.to_string()),
        };
        if let Some(why) = &self.records.in_memory {
            let text =
                format!("orders are kept in memory ({why}): a restart forgets what was done meanwhile");
            works.event(&Report::error(EventCode::StoreError, text));
        }
        Ok(())
    }

    /// Puts what was kept in memory on the disk, if that can be written.
    fn put_back(&mut self, works: &dyn Works) {
        let Some(disk) = self.parts.disk.clone() else { return };
        match open_orders(disk.as_ref(), &self.parts.state) {
            Ok(opened) if opened.in_memory.is_none() => {
                if opened.store.become_like(self.desk.store()).is_ok() {
                    drop(self.desk.replace_store(opened.store));
                    self.records.in_memory = None;
                    self.records.over_disk = false;
                    works.event(&Report::info(EventCode::DiskGood, "orders are kept on the disk again"));
                }
            }
            // It is tried again.
            Ok(_) | Err(_) => {}
        }
    }
}
