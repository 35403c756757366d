//! What is answered to the operator's questions about commanding.

use super::plans::instants;
use super::uploads::Coming;
use super::{Commander, Works};
use crate::adapters::script::ScriptStore;
use crate::command::{
    AgendaAnswer, KeyRow, KeysAnswer, OrderRow, OrdersAnswer, ScriptsAnswer, UpdateAnswer, UploadLine, hex,
};
use crate::ordered;
use crate::orders::Moment;
use crate::parameters::Summary;
use crate::sequence::PlanRow;
use crate::telemetry::SCHEMA;
use crate::update::updater::Updater;

/// Runs of scripts in an answer.
const RUNS: usize = 20;

impl Commander {
    /// The parameters whose names begin so.
    pub(crate) fn parameters(&self, now: Moment, prefix: &str) -> Option<Summary> {
        let file = self.parts.parameters.as_ref()?;
        Some(file.parameters().summary(prefix, super::parameters::now_of(now)))
    }

    /// What is pending, at most so many rows.
    pub(crate) fn agenda_answer(&self, now: Moment, limit: usize) -> AgendaAnswer {
        let (mut plans, mut pending) = (Vec::new(), Vec::new());
        if let Some(own) = &self.parts.plans {
            plans = own.sequencer.plans().into_iter().map(PlanRow::into).collect();
            let rows = own.sequencer.agenda(instants(now.unix_ms), limit, own.dictionary());
            pending = rows.into_iter().map(Into::into).collect();
        }
        AgendaAnswer { schema: SCHEMA, now_unix_ms: now.unix_ms, plans, pending }
    }

    /// The scripts on board, and their newest runs.
    pub(crate) fn scripts_answer(&self) -> ScriptsAnswer {
        let (mut scripts, mut runs) = (Vec::new(), Vec::new());
        if let Some(disk) = &self.parts.disk
            && let Ok(store) = ScriptStore::open(std::sync::Arc::clone(disk), &self.parts.state)
        {
            let named = |(name, bytes): (crate::script::Name, u64)| (String::from(name), bytes);
            scripts = store.list().unwrap_or_default().into_iter().map(named).collect();
            runs = store.runs().unwrap_or_default();
            ordered::sort_by_key(&mut runs, |run| run.started_unix_ms);
            let old = runs.len().saturating_sub(RUNS);
            runs.drain(..old);
        }
        ScriptsAnswer { schema: SCHEMA, scripts, runs }
    }

    /// Where the update stands, and what comes up.
    pub(crate) fn update_answer(&self) -> UpdateAnswer {
        let uploads = self.parts.uploads.as_ref().map(Coming::reports).unwrap_or_default();
        UpdateAnswer {
            schema: SCHEMA,
            state: self.parts.update_state(),
            id: self.parts.updater.as_ref().and_then(Updater::kept).map(|kept| hex(&kept.id)),
            version: crate::version(),
            text: self.parts.update_words(),
            slots: self.parts.slots_text(),
            uploads: uploads.into_iter().map(UploadLine::from).collect(),
        }
    }

    /// The newest orders, oldest first.
    pub(crate) fn orders_answer(&self, limit: usize) -> OrdersAnswer {
        let ledger = self.desk.ledger();
        let mut all: Vec<_> = ledger.iter().collect();
        ordered::sort_by_key(&mut all, |(id, record)| (record.changed_unix_ms, **id));
        let newest = all.len().saturating_sub(limit);
        let orders = all.into_iter().skip(newest).map(|(id, record)| OrderRow::new(*id, record)).collect();
        OrdersAnswer {
            schema: SCHEMA,
            armed: ledger.armed().iter().map(ToString::to_string).collect(),
            orders,
        }
    }

    /// The keys of the uplink.
    pub(crate) fn keys_now(&mut self, works: &dyn Works) -> KeysAnswer {
        self.look_at_keys(works, true);
        self.keys_answer()
    }

    /// The keys, as they were read last.
    pub(super) fn keys_answer(&self) -> KeysAnswer {
        let associations = &self.associations;
        KeysAnswer {
            schema: SCHEMA,
            challenge: associations.challenge().map(|bytes| hex(&bytes)),
            in_memory: self.records.in_memory.is_some(),
            refused: KeysAnswer::refusals(associations.counts()),
            keys: associations.status().map(|status| KeyRow::new(&status)).collect(),
        }
    }
}
