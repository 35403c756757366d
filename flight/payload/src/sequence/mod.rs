//! Sequence: runs plans, stored sequences of orders, without anybody listening.
//!
//! A [`Sequencer`] is handed times, passes, events, telemetry and the results of orders; it returns what to keep, what
//! to tell, and which orders to run. `proto/PLAN.md` says what a plan means; this is how it is kept:
//!
//! - Each order has a number that none had before, made durable before the order is handed over ([`Output`] says in
//!   which order outputs are carried out). After a crash what was handed over and not answered is handed over again
//!   under its number; the ledger of orders runs a number once, and tells again what came of one that it knows.
//! - An entry that has ended is kept as ended before anything follows from it. So no step of a clock and no crash runs
//!   an occurrence twice.
//! - Spans are counted on the steady clock, and over a reboot on the wall clock, from what was last noted.
//!
//! | file | what |
//! | --- | --- |
//! | `clock`, `timers` | both clocks; what is due next on either |
//! | `record` | what is kept, and its bytes |
//! | `instance` | a plan that runs: its entries, in chains |
//! | `arm` | when an entry is due |
//! | `steps` | from due to ended |
//! | `rounds` | what follows from an end: the chain, its next round, the end of the plan |
//! | `life` | start, hold, resume, cancel, skip |
//! | `inputs` | events, channels, passes, results |
//! | `recover` | how it goes on after a start |
//! | `agenda` | what is pending |
//! | `dry_run` | the same under a clock of its own, on the ground |
//!
//! Never reads a clock, a file or a key, never runs an order, and knows none: their bytes are the plan's. Each poll
//! does a bounded amount of work, and all plans together hand over [`MAX_PER_SECOND`] orders a second at most.

mod agenda;
mod arm;
mod budget;
mod clock;
pub mod dry_run;
mod inputs;
mod instance;
mod life;
mod numbers;
mod output;
mod record;
mod recover;
mod rounds;
mod steps;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use passband_proto::dict::EventCode;
use passband_proto::plan::{Orders, Plan};

pub use agenda::{PlanRow, Row, RowState};
pub use clock::Instants;
pub use output::{Output, PassTimes, Run, SequenceError};
pub use record::{Change, Key, Status, Tally};
pub use recover::{Stored, StoredPlan};

use budget::Budget;
use instance::{Instance, Place};
use numbers::Numbers;
use output::Outbox;
use record::InstanceRecord;
use timers::Timers;

/// The source of orders that a plan gives, in their ids.
pub const SOURCE: u16 = 0xFFFE;
/// Most plans on board of more than one entry.
pub const MAX_PLANS: usize = 16;
/// Most plans of more than one entry that run at a time.
pub const MAX_RUNNING: usize = 8;
/// Most plans of one entry on board and running.
pub const MAX_SINGLE: usize = 64;
/// How deep plans may start plans, counting the first.
pub const MAX_DEPTH: u8 = 4;
/// Most orders handed over in any second, of all plans together.
pub const MAX_PER_SECOND: usize = 10;
/// Most passes that are known at a time.
pub const MAX_KNOWN_PASSES: usize = 512;
/// How far back the passes have to reach that are handed in, ms: as far as entries may stand behind AOS or LOS, and be
/// late.
pub const PASSES_BACK_MS: u64 = 2 * 3_600_000;
/// An order that isn't answered for so long counts as failed, ms: longer than a script may run.
pub const ANSWER_MS: u64 = 25 * 3_600_000;
/// A step of the wall clock against the steady one that running plans are noted anew for, ms.
const STEP_MS: u64 = 2_000;
/// Most entries that fall due in one poll, and most that are looked at to be handed over; the next poll, for what is
/// left, is due at once.
const MAX_STEPS: usize = 256;

/// Runs plans.
#[derive(Debug)]
pub struct Sequencer {
    /// Digest of the dictionary of this program.
    dictionary: [u8; 4],
    /// The plans on board.
    shelf: BTreeMap<String, Arc<Plan>>,
    running: BTreeMap<u32, Instance>,
    /// How the last run of each plan on board ended, with its number.
    ended: BTreeMap<String, (u32, InstanceRecord)>,
    timers: Timers,
    watches: BTreeMap<Watch, BTreeSet<Place>>,
    /// Sorted by AOS.
    passes: Vec<PassTimes>,
    numbers: Numbers,
    in_flight: BTreeMap<u32, Place>,
    /// What came of plans that were started by entries: the entry, the number of the run, whether it was done.
    answers: VecDeque<(Place, u32, bool)>,
    budget: Budget,
    /// The run that was served last.
    turn: u32,
    /// By how much the wall clock was ahead of the steady one when plans were noted last, ms, modulo 2^64.
    ahead_ms: Option<u64>,
    outbox: Outbox,
}

/// What an entry listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watch {
    Event(u16),
    AnyEvent,
    Channel(u16),
    Passes,
}

impl Sequencer {
    /// A sequencer that nothing was kept of, for a dictionary with this digest.
    pub fn new(orders: &dyn Orders) -> Self {
        Self {
            dictionary: orders.dictionary_digest(),
            shelf: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            timers: Timers::default(),
            watches: BTreeMap::new(),
            passes: Vec::new(),
            numbers: Numbers::default(),
            in_flight: BTreeMap::new(),
            answers: VecDeque::new(),
            budget: Budget::default(),
            turn: 0,
            ahead_ms: None,
            outbox: Outbox::default(),
        }
    }

    /// Does what is due. Call it when [`Self::next_wake`] says, after every input, and once a minute whatever that
    /// says, since the wall clock may be set.
    ///
    /// Carry the outputs out in their order, all [`Output::Persist`] in one transaction. If that fails, keep all of
    /// them and try again before the next poll: none may be lost, and no order may be run whose number isn't durable.
    pub fn poll(&mut self, now: Instants) -> Vec<Output> {
        self.follow_clock(now);
        self.settle(now);
        for _ in 0..MAX_STEPS {
            let Some(place) = self.timers.pop_due(now) else { break };
            self.fire(now, place);
            self.settle(now);
        }
        self.issue_ready(now);
        self.outbox.take()
    }

    /// When to poll next, on the steady clock; none: only after an input.
    pub fn next_wake(&self, now: Instants) -> Option<u64> {
        if !self.outbox.is_empty() || !self.answers.is_empty() || self.has_stepped(now) {
            return Some(now.steady_ms);
        }
        let ready = self.running.values().any(Instance::has_ready);
        let free = ready.then(|| self.budget.free_ms(now.steady_ms));
        [free, self.timers.next_ms(now)].into_iter().flatten().min()
    }

    /// Whether the wall clock was set since running plans were noted.
    fn has_stepped(&self, now: Instants) -> bool {
        let ahead_ms = now.unix_ms.wrapping_sub(now.steady_ms);
        let step = |old: u64| ahead_ms.wrapping_sub(old).min(old.wrapping_sub(ahead_ms));
        !self.running.is_empty() && self.ahead_ms.is_none_or(|old| step(old) > STEP_MS)
    }

    /// Notes running plans anew when the wall clock was set: by what it says then the next boot counts their time.
    fn follow_clock(&mut self, now: Instants) {
        if !self.has_stepped(now) {
            return;
        }
        self.ahead_ms = Some(now.unix_ms.wrapping_sub(now.steady_ms));
        for (number, run) in &mut self.running {
            run.record.anchor = clock::Anchor::new(now, run.record.anchor.elapsed_ms(now));
            self.outbox.put(record::Key::run(*number), record::seal(&run.record));
        }
    }

    /// Hands over what is ready, plans in turns, as far as the budget goes.
    fn issue_ready(&mut self, now: Instants) {
        // Entries whose time is over take none of the budget.
        for _ in 0..MAX_STEPS {
            if self.budget.free_ms(now.steady_ms) > now.steady_ms {
                break;
            }
            let after = self.running.range(self.turn.saturating_add(1)..);
            let mut runs = after.chain(self.running.iter()).filter(|(_, run)| run.has_ready());
            let Some(number) = runs.next().map(|(number, _)| *number) else { return };
            self.turn = number;
            let Some(entry) = self.running.get_mut(&number).and_then(Instance::pop_ready) else { return };
            self.issue(now, Place { run: number, entry });
            self.settle(now);
        }
        self.tell_slowed(now);
    }

    /// Tells the operator of plans that want more than the budget.
    fn tell_slowed(&mut self, now: Instants) {
        for run in self.running.values_mut() {
            if let Some(count) = run.slowed(now.steady_ms) {
                let text = format!(
                    "plan {}: {count} entries wait, since plans hand over {MAX_PER_SECOND} orders a second at most",
                    run.plan.name
                );
                self.outbox.warn(EventCode::PlanSlowed, text);
            }
        }
    }

    fn watch(&mut self, watch: Watch, place: Place) {
        self.watches.entry(watch).or_default().insert(place);
    }

    fn unwatch(&mut self, watch: Watch, place: Place) {
        if let Some(places) = self.watches.get_mut(&watch) {
            places.remove(&place);
            if places.is_empty() {
                self.watches.remove(&watch);
            }
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
