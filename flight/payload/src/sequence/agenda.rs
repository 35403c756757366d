//! What is pending, in the order in which it is expected: for `passband agenda`.

use std::collections::BTreeSet;

use passband_proto::plan::{Orders, Plan, Trigger, show_condition};

use super::Sequencer;
use super::clock::Instants;
use super::instance::{Cell, Instance, Place, Rule};
use super::record::{State, Status, Tally};
use crate::ordered;

/// An entry that is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The plan.
    pub plan: String,
    /// The entry, from 1.
    pub entry: u16,
    /// Its label, if it has one.
    pub label: Option<String>,
    /// Which time it would be, from 1.
    pub occurrence: u32,
    /// How far it is.
    pub state: RowState,
    /// Whether its plan is held.
    pub held: bool,
    /// Whether it is skipped when it is due.
    pub skip: bool,
    /// When it is expected, ms since 1970-01-01 UTC, if that can be told.
    pub expected_unix_ms: Option<u64>,
    /// What it waits for, as the plan says it.
    pub waits_for: String,
    /// What it does, as the plan says it.
    pub what: String,
}

/// How far a pending entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// An entry before it has to end.
    Follows,
    /// It isn't due.
    Pending,
    /// It is due and waits for its condition.
    Waiting,
    /// It is due, and other orders go first.
    Ready,
    /// Its order was handed over, or the plan that it started runs.
    Running,
    /// It failed and is tried again.
    Retrying,
}

impl RowState {
    /// Its name in every output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Follows => "follows",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Retrying => "retrying",
        }
    }
}

/// A plan on board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Its name.
    pub name: String,
    /// Its version; none if its file can't be used any more.
    pub version: Option<u32>,
    /// How many entries it has.
    pub entries: usize,
    /// What became of it when it was last started; none: it wasn't.
    pub status: Option<Status>,
    /// Whether it is held.
    pub held: bool,
    /// When it was last started, ms since 1970-01-01 UTC.
    pub started_unix_ms: Option<u64>,
    /// Entries that are pending.
    pub pending: usize,
    /// How the others ended.
    pub tally: Tally,
}

impl Sequencer {
    /// What is pending: at most `limit` rows, what is expected first, then what can't be told, in the order of plans
    /// and entries.
    pub fn agenda(&self, now: Instants, limit: usize, orders: &dyn Orders) -> Vec<Row> {
        let mut pending = Vec::new();
        for (number, run) in &self.running {
            for (entry, cell) in run.cells().filter(|(_, cell)| is_pending(cell)) {
                let place = Place { run: *number, entry };
                let expected = run.rule(entry).and_then(|rule| self.expected(now, place, &rule, cell));
                pending.push((expected.unwrap_or(u64::MAX), place));
            }
        }
        ordered::sort_by(&mut pending, Ord::cmp);
        pending.truncate(limit);
        pending.into_iter().filter_map(|(expected, place)| self.row(place, expected, orders)).collect()
    }

    /// A plan on board.
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.shelf.get(name).map(std::sync::Arc::as_ref)
    }

    /// The plans on board, and those that ran and can't be used any more.
    pub fn plans(&self) -> Vec<PlanRow> {
        let names: BTreeSet<_> = ordered::gathered(self.shelf.keys().chain(self.ended.keys()));
        names.into_iter().map(|name| self.plan_row(name)).collect()
    }

    fn plan_row(&self, name: &str) -> PlanRow {
        let run = self.run_of(name).and_then(|number| self.running.get(&number));
        let plan = self.shelf.get(name);
        // How a run of another version of it ended says nothing of this one.
        let ended = self.ended.get(name).map(|(_, record)| record);
        let ended = ended.filter(|record| plan.is_none_or(|plan| plan.digest() == record.digest));
        let record = run.map(|run| &run.record).or(ended);
        PlanRow {
            name: name.to_owned(),
            version: plan.map(|plan| plan.version),
            entries: plan.map_or(0, |plan| plan.entries.len()),
            status: record.map(|record| record.status),
            held: run.is_some_and(|run| run.record.held),
            started_unix_ms: record.map(|record| record.started_unix_ms),
            pending: run.map_or(0, |run| run.cells().filter(|(_, cell)| is_pending(cell)).count()),
            tally: run.map(Instance::tally).or(record.map(|record| record.tally)).unwrap_or_default(),
        }
    }

    fn row(&self, place: Place, expected: u64, orders: &dyn Orders) -> Option<Row> {
        let run = self.running.get(&place.run)?;
        let (entry, cell) = (run.plan.entry(place.entry)?, run.cell(place.entry)?);
        let due = || run.plan.show_trigger(entry, orders).unwrap_or_else(|why| why);
        let (state, waits_for) = match cell.kept.state {
            State::Follows => (RowState::Follows, due()),
            State::Armed => (RowState::Pending, due()),
            State::Waiting { .. } => {
                let shown = entry.wait.map(|wait| show_condition(&run.plan, wait.condition, orders));
                (RowState::Waiting, shown.and_then(Result::ok).unwrap_or_default())
            }
            State::Ready { .. } => (RowState::Ready, "its turn".to_owned()),
            State::Issued { .. } => (RowState::Running, "its result".to_owned()),
            State::Retry { .. } => (RowState::Retrying, "another try".to_owned()),
            State::Ended { .. } => return None,
        };
        Some(Row {
            plan: run.plan.name.clone(),
            entry: place.entry.saturating_add(1),
            label: entry.label.clone(),
            occurrence: cell.kept.occurrence.saturating_add(1),
            state,
            held: run.record.held,
            skip: cell.kept.skip,
            expected_unix_ms: Some(expected).filter(|at| *at < u64::MAX),
            waits_for,
            what: run.plan.show_action(entry, orders).unwrap_or_else(|why| why),
        })
    }

    /// When an entry is expected to be handed over, ms since 1970-01-01 UTC.
    fn expected(&self, now: Instants, place: Place, rule: &Rule, cell: &Cell) -> Option<u64> {
        let in_plan = |at_ms: u64| {
            let left_ms = at_ms.saturating_sub(self.elapsed_ms(now, place));
            now.unix_ms.saturating_add(left_ms)
        };
        match (cell.kept.state, rule.trigger) {
            (State::Ready { .. } | State::Issued { .. }, _) => Some(now.unix_ms),
            (State::Retry { at_ms, .. }, _) => Some(in_plan(at_ms)),
            (State::Armed, Trigger::At { .. } | Trigger::Pass { .. }) => {
                cell.timers.unix_ms.or_else(|| self.due_unix_ms(now, place, rule, cell))
            }
            (State::Armed, Trigger::Start { .. } | Trigger::Entry { .. }) => {
                Some(in_plan(self.due_elapsed_ms(place, rule, cell)))
            }
            (State::Armed, Trigger::When(_))
            | (State::Follows | State::Waiting { .. } | State::Ended { .. }, _) => None,
        }
    }
}

fn is_pending(cell: &Cell) -> bool {
    !matches!(cell.kept.state, State::Ended { .. })
}
