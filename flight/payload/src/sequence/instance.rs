//! A plan that runs: a cell for each entry, and how entries hang together in chains.
//!
//! A chain is an entry that follows none, and all that follow it. It runs in rounds: the first repeats, and the whole
//! chain with it. This holds state; what changes it is told elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use passband_proto::plan::{Action, Entry, NotAfter, OnFailure, Plan, Repeat, Trigger, Wait};

use super::clock::Instants;
use super::record::{EntryRecord, InstanceRecord, State, Tally};
use super::timers::Set;

/// More entries than this that wait for the budget are told to the operator.
const SLOWED: usize = 30;
/// And not again for so long, ms.
const SLOWED_MS: u64 = 60_000;

/// An entry of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) run: u32,
    /// From 0.
    pub(super) entry: u16,
}

/// What an entry says, but for its label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) trigger: Trigger,
    pub(super) repeat: Repeat,
    pub(super) wait: Option<Wait>,
    pub(super) failure: OnFailure,
    pub(super) not_after: Option<NotAfter>,
    pub(super) action: Action,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) kept: EntryRecord,
    pub(super) timers: Set,
    /// Since when its condition holds, on the steady clock.
    pub(super) holds_since_ms: Option<u64>,
    /// Its condition has to be seen false before it counts.
    pub(super) must_fall: bool,
}

/// A run of a plan.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) plan: Arc<Plan>,
    pub(super) record: InstanceRecord,
    cells: Vec<Cell>,
    /// The first of the chain of each entry.
    roots: Vec<u16>,
    followers: Vec<Vec<u16>>,
    /// Entries of the chain of each first that haven't ended in this round.
    open: Vec<u16>,
    /// Chains that go on.
    open_chains: usize,
    /// What may be handed over, by the time at which it was due.
    ready: BTreeSet<(u64, u16)>,
    slowed_told_ms: Option<u64>,
}

impl Rule {
    fn of(entry: &Entry) -> Self {
        Self {
            trigger: entry.trigger,
            repeat: entry.repeat,
            wait: entry.wait,
            failure: entry.failure,
            not_after: entry.not_after,
            action: entry.action,
        }
    }
}

impl Instance {
    /// A plan at its start.
    pub(super) fn new(plan: Arc<Plan>, record: InstanceRecord) -> Self {
        let count = plan.entries.len();
        let (mut roots, mut followers) = (Vec::with_capacity(count), vec![Vec::new(); count]);
        let mut cells = Vec::with_capacity(count);
        for (place, entry) in (0_u16..).zip(&plan.entries) {
            let before = match entry.trigger {
                Trigger::Entry { entry, .. } => Some(entry),
                Trigger::At { .. } | Trigger::Start { .. } | Trigger::Pass { .. } | Trigger::When(_) => None,
            };
            let list = before.and_then(|before| followers.get_mut(usize::from(before)));
            list.into_iter().for_each(|list: &mut Vec<u16>| list.push(place));
            let root = before.and_then(|before| roots.get(usize::from(before)).copied());
            roots.push(root.unwrap_or(place));
            cells.push(Cell::new(if before.is_some() { State::Follows } else { State::Armed }));
        }
        let mut open = vec![0_u16; count];
        for root in &roots {
            open.get_mut(usize::from(*root)).into_iter().for_each(|open| *open = open.saturating_add(1));
        }
        let open_chains = open.iter().filter(|open| **open > 0).count();
        let ready = BTreeSet::new();
        Self { plan, record, cells, roots, followers, open, open_chains, ready, slowed_told_ms: None }
    }

    pub(super) fn elapsed_ms(&self, now: Instants) -> u64 {
        self.record.anchor.elapsed_ms(now)
    }

    pub(super) fn cell(&self, entry: u16) -> Option<&Cell> {
        self.cells.get(usize::from(entry))
    }

    pub(super) fn cell_mut(&mut self, entry: u16) -> Option<&mut Cell> {
        self.cells.get_mut(usize::from(entry))
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = (u16, &Cell)> {
        (0_u16..).zip(&self.cells)
    }

    /// How its entries have ended.
    pub(super) fn tally(&self) -> Tally {
        Tally::of(self.cells.iter().map(|cell| cell.kept.state))
    }

    pub(super) fn rule(&self, entry: u16) -> Option<Rule> {
        self.plan.entry(entry).map(Rule::of)
    }

    /// The first of an entry's chain.
    pub(super) fn root(&self, entry: u16) -> u16 {
        self.roots.get(usize::from(entry)).copied().unwrap_or(entry)
    }

    pub(super) fn followers(&self, entry: u16) -> &[u16] {
        self.followers.get(usize::from(entry)).map_or(&[], Vec::as_slice)
    }

    /// Takes note that an entry has ended; whether it was the last of its chain's round.
    pub(super) fn close(&mut self, entry: u16) -> bool {
        let root = usize::from(self.root(entry));
        let Some(open) = self.open.get_mut(root) else { return false };
        *open = open.saturating_sub(1);
        *open == 0
    }

    /// Takes note that a chain has ended for good; whether it was the last.
    pub(super) fn close_chain(&mut self) -> bool {
        self.open_chains = self.open_chains.saturating_sub(1);
        self.open_chains == 0
    }

    /// Sets all entries of a chain back for another round.
    pub(super) fn reopen(&mut self, root: u16, occurrence: u32) {
        let (mut left, mut count) = (vec![root], 0_u16);
        while let Some(entry) = left.pop() {
            left.extend_from_slice(self.followers(entry));
            count = count.saturating_add(1);
            if let Some(cell) = self.cell_mut(entry) {
                let state = if entry == root { State::Armed } else { State::Follows };
                let edge = cell.kept.edge;
                *cell = Cell { must_fall: true, ..Cell::new(state) };
                (cell.kept.occurrence, cell.kept.edge) = (occurrence, edge);
            }
        }
        self.open.get_mut(usize::from(root)).into_iter().for_each(|open| *open = count);
    }

    pub(super) fn set_ready(&mut self, entry: u16) {
        let due_ms = self.cell(entry).map_or(0, |cell| cell.kept.due_ms);
        self.ready.insert((due_ms, entry));
    }

    pub(super) fn unset_ready(&mut self, entry: u16) {
        let due_ms = self.cell(entry).map_or(0, |cell| cell.kept.due_ms);
        self.ready.remove(&(due_ms, entry));
    }

    /// Whether there is something to hand over.
    pub(super) fn has_ready(&self) -> bool {
        !self.record.held && !self.ready.is_empty()
    }

    pub(super) fn pop_ready(&mut self) -> Option<u16> {
        self.ready.pop_first().map(|(_, entry)| entry)
    }

    /// How many entries wait for the budget, if that is worth telling.
    pub(super) fn slowed(&mut self, steady_ms: u64) -> Option<usize> {
        let quiet = self.slowed_told_ms.is_some_and(|told| steady_ms.saturating_sub(told) < SLOWED_MS);
        if self.record.held || self.ready.len() <= SLOWED || quiet {
            return None;
        }
        self.slowed_told_ms = Some(steady_ms);
        Some(self.ready.len())
    }

    /// An entry by its label or its number from 1.
    pub(super) fn find(&self, entry: &str) -> Option<u16> {
        let by_number = || entry.parse::<u16>().ok()?.checked_sub(1);
        self.plan.find(entry).or_else(by_number).filter(|entry| self.plan.entry(*entry).is_some())
    }

    /// How people know an entry.
    pub(super) fn name_of(&self, entry: u16) -> String {
        let label = self.plan.entry(entry).and_then(|entry| entry.label.as_deref());
        let number = entry.saturating_add(1);
        match label {
            Some(label) => format!("plan {}, entry {number} ({label})", self.plan.name),
            None => format!("plan {}, entry {number}", self.plan.name),
        }
    }
}

impl Cell {
    fn new(state: State) -> Self {
        let kept = EntryRecord { occurrence: 0, due_ms: 0, edge: None, skip: false, state };
        Self { kept, timers: Set::default(), holds_since_ms: None, must_fall: false }
    }
}
