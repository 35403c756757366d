//! How plans go on after a start: from what was kept, and the plans' files.
//!
//! What is damaged ends the plan that it belongs to, and no other.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::dict::EventCode;
use passband_proto::plan::{OnReboot, Orders, Plan};

use super::clock::{Anchor, Instants};
use super::instance::{Instance, Place};
use super::life::Starter;
use super::numbers::{Numbers, NumbersRecord};
use super::record::{Change, EntryRecord, InstanceRecord, Key, State, Status, open, seal};
use super::{SequenceError, Sequencer};
use crate::ordered;
use crate::telemetry::Report;

/// How often reboots may have a plan begin anew before it is ended: it may be what reboots the board.
const MAX_RESTARTS: u8 = 8;

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Vec<u8>,
}

/// A plan's file.
#[derive(Debug)]
pub struct StoredPlan {
    /// The name under which it is kept.
    pub name: String,
    /// The plan, or why it can't be read.
    pub plan: Result<Plan, String>,
}

/// All that was kept, by runs; `None` is damaged.
#[derive(Default)]
struct Kept {
    numbers: Option<NumbersRecord>,
    numbers_damaged: bool,
    runs: BTreeMap<u32, Option<InstanceRecord>>,
    entries: BTreeMap<u32, BTreeMap<u16, Option<EntryRecord>>>,
}

impl Sequencer {
    /// Goes on where the run before ended: `stored` is all that was kept, `last_order` the highest number of an order
    /// of plans that the ledger of orders knows, which counts if what was kept of the numbers is damaged.
    pub fn recover(
        orders: &dyn Orders,
        now: Instants,
        plans: Vec<StoredPlan>,
        stored: Vec<Stored>,
        last_order: u32,
    ) -> Self {
        let mut own = Self::new(orders);
        let mut kept = Kept::read(stored);
        if kept.numbers_damaged {
            let text = "the numbers of orders were damaged; goes on behind those that the ledger knows";
            own.outbox.report(Report::error(EventCode::PlanRecordDamaged, text));
        }
        own.numbers = Numbers::resume(kept.numbers.unwrap_or_default(), kept.used(last_order));
        for plan in plans {
            own.put_on_shelf(plan);
        }
        for (number, record) in core::mem::take(&mut kept.runs) {
            let entries = kept.entries.remove(&number).unwrap_or_default();
            match record {
                None => own.drop_unknown(number),
                Some(record) if record.status == Status::Running => own.go_on(now, number, record, entries),
                Some(record) => own.keep_ended(number, record),
            }
        }
        for number in kept.entries.into_keys() {
            own.outbox.change(Change::forget_entries(number));
        }
        own.ask_children();
        own.settle(now);
        own
    }

    fn put_on_shelf(&mut self, stored: StoredPlan) {
        let StoredPlan { name, plan } = stored;
        let loaded = plan.and_then(|plan| {
            if plan.name != name {
                return Err(format!("it says that its name is {}", plan.name));
            }
            self.load(plan).map_err(|error: SequenceError| error.to_string())
        });
        if let Err(why) = loaded {
            self.outbox
                .report(Report::error(EventCode::PlanUnusable, format!("the file of plan {name}: {why}")));
        }
    }

    /// Of a run nothing is known but its number.
    fn drop_unknown(&mut self, number: u32) {
        let text = format!("what was kept of run {number} of a plan; that plan has ended");
        self.outbox.report(Report::error(EventCode::PlanRecordDamaged, text));
        self.outbox.change(Change::forget_run(number));
        self.outbox.change(Change::forget_entries(number));
    }

    /// A run goes on, begins anew or ends, by its plan's policy.
    fn go_on(
        &mut self,
        now: Instants,
        number: u32,
        record: InstanceRecord,
        entries: BTreeMap<u16, Option<EntryRecord>>,
    ) {
        if record.parent.is_some_and(|(parent, _)| !self.running.contains_key(&parent)) {
            let why = "the plan that had started it has ended";
            return self.close_record(number, record, Status::Cancelled, why);
        }
        let reboot = record.anchor.is_of_another_boot(now);
        let policy = match self.sound(&record, &entries) {
            Err(why) => Err(why),
            Ok(policy) if reboot => Ok(policy),
            Ok(_) => Ok(OnReboot::Continue),
        };
        match policy {
            Err(why) => self.close_record(number, record, Status::Aborted, &why),
            Ok(OnReboot::Abort) => {
                self.close_record(number, record, Status::Aborted, "the board was started anew");
            }
            Ok(OnReboot::Restart) => self.begin_anew(now, number, record),
            Ok(OnReboot::Continue) => {
                let entries = entries.into_iter().filter_map(|(entry, record)| Some((entry, record?)));
                self.restore(now, number, record, &ordered::gathered(entries));
            }
        }
    }

    /// The policy of a run's plan, if that and all that was kept of the run is whole.
    fn sound(
        &self,
        record: &InstanceRecord,
        entries: &BTreeMap<u16, Option<EntryRecord>>,
    ) -> Result<OnReboot, String> {
        let plan =
            self.shelf.get(&record.plan).ok_or("its file is lost, damaged or of another dictionary")?;
        if plan.digest() != record.digest {
            return Err("its file is another one".to_owned());
        }
        let bad = entries.iter().find(|(entry, kept)| kept.is_none() || plan.entry(**entry).is_none());
        match bad {
            Some((entry, _)) => Err(format!("what was kept of entry {} is damaged", entry.saturating_add(1))),
            None => Ok(plan.reboot),
        }
    }

    fn begin_anew(&mut self, now: Instants, number: u32, record: InstanceRecord) {
        if record.restarts >= MAX_RESTARTS {
            let why = format!("it began anew {MAX_RESTARTS} times after reboots");
            return self.close_record(number, record, Status::Aborted, &why);
        }
        self.outbox.change(Change::forget_run(number));
        self.outbox.change(Change::forget_entries(number));
        let restarts = record.restarts.saturating_add(1);
        let starter = Starter { parent: record.parent, depth: record.depth, restarts };
        let name = record.plan.clone();
        match (self.start_as(now, &name, starter), record.parent) {
            (Ok(new), Some((run, entry))) => self.reparent(Place { run, entry }, new),
            (Ok(_), None) => {}
            (Err(error), _) => self.close_record(number, record, Status::Aborted, &error.to_string()),
        }
    }

    /// The entry that had started a plan waits for another run of it.
    fn reparent(&mut self, place: Place, new: u32) {
        if let Some(cell) = self.cell_mut(place)
            && let State::Issued { number, .. } = &mut cell.kept.state
        {
            *number = new;
            self.persist(place);
        }
    }

    fn restore(
        &mut self,
        now: Instants,
        number: u32,
        mut record: InstanceRecord,
        entries: &BTreeMap<u16, EntryRecord>,
    ) {
        let Some(plan) = self.shelf.get(&record.plan).cloned() else { return };
        // An end that was noted later than the run itself tells how long it has run at least.
        let noted = entries.values().filter_map(|kept| match kept.state {
            State::Ended { at_ms, .. } => Some(at_ms),
            _ => None,
        });
        let elapsed_ms = noted.max().unwrap_or(0).max(record.anchor.elapsed_ms(now));
        record.anchor = Anchor::new(now, elapsed_ms);
        self.outbox.put(Key::run(number), seal(&record));
        let mut run = Instance::new(plan, record);
        let (in_flight, rounds) = run.restore(entries);
        self.running.insert(number, run);
        for (order, entry) in in_flight {
            self.in_flight.insert(order, Place { run: number, entry });
        }
        self.arm_all(now, number);
        for entry in rounds {
            self.end_round(now, Place { run: number, entry });
        }
    }

    /// Entries that had started plans which don't run are told what came of those.
    fn ask_children(&mut self) {
        for (number, run) in &self.running {
            for (entry, child) in run.started() {
                if self.running.contains_key(&child) {
                    continue;
                }
                let mut ended = self.ended.values().filter(|(ended, _)| *ended == child);
                let done = ended.next().is_some_and(|(_, record)| record.status == Status::Done);
                self.answers.push_back((Place { run: *number, entry }, child, done));
            }
        }
    }
}

impl Instance {
    /// Sets all entries to where they stood: the orders that were handed over, and the chains whose round was over.
    fn restore(&mut self, entries: &BTreeMap<u16, EntryRecord>) -> (Vec<(u32, u16)>, Vec<u16>) {
        let count = u16::try_from(self.plan.entries.len()).unwrap_or(u16::MAX);
        let roots: BTreeSet<u16> = ordered::gathered((0..count).map(|entry| self.root(entry)));
        for root in &roots {
            let occurrence = entries.get(root).map_or(0, |kept| kept.occurrence);
            self.reopen(*root, occurrence);
        }
        for (entry, kept) in entries {
            let root_at = entries.get(&self.root(*entry)).map_or(0, |root| root.occurrence);
            if let Some(cell) = self.cell_mut(*entry).filter(|_| kept.occurrence == root_at) {
                cell.kept = *kept;
            }
        }
        self.restore_first_rounds(&roots);
        let (mut in_flight, mut rounds) = (Vec::new(), Vec::new());
        for entry in 0..count {
            self.restore_followers(entry);
            let Some(state) = self.cell(entry).map(|cell| cell.kept.state) else { continue };
            match state {
                State::Issued { number, .. } if self.is_order(entry) => {
                    in_flight.push((number, entry));
                    self.set_ready(entry);
                }
                State::Ready { .. } => self.set_ready(entry),
                State::Ended { .. } if self.close(entry) => rounds.push(self.root(entry)),
                _ => {}
            }
        }
        (in_flight, rounds)
    }

    /// A condition that was never seen true need not be seen false first.
    fn restore_first_rounds(&mut self, roots: &BTreeSet<u16>) {
        for root in roots {
            if let Some(cell) = self.cell_mut(*root) {
                cell.must_fall = cell.kept.occurrence > 0;
            }
        }
    }

    /// What follows from the end of an entry, where that isn't kept.
    fn restore_followers(&mut self, entry: u16) {
        let Some(State::Ended { end, at_ms }) = self.cell(entry).map(|cell| cell.kept.state) else { return };
        for follower in self.followers(entry).to_vec() {
            let Some(cell) = self.cell_mut(follower) else { continue };
            if cell.kept.state == State::Follows {
                let missed = end == super::record::End::Missed;
                cell.kept.state = if missed { State::Ended { end, at_ms } } else { State::Armed };
            }
        }
    }

    /// Entries that have started plans, and the numbers of those runs.
    fn started(&self) -> impl Iterator<Item = (u16, u32)> {
        self.cells().filter_map(|(entry, cell)| match cell.kept.state {
            State::Issued { number, .. } if !self.is_order(entry) => Some((entry, number)),
            _ => None,
        })
    }

    fn is_order(&self, entry: u16) -> bool {
        use passband_proto::plan::Action;
        self.rule(entry).is_some_and(|rule| matches!(rule.action, Action::Order(_)))
    }
}

impl Kept {
    fn read(stored: Vec<Stored>) -> Self {
        let mut kept = Self::default();
        for Stored { key, value } in stored {
            match key.parts() {
                (b'n', ..) => {
                    kept.numbers = open(&value);
                    kept.numbers_damaged = kept.numbers.is_none();
                }
                (b'r', run, _) => {
                    kept.runs.insert(run, open(&value));
                }
                (b'x', run, entry) => {
                    kept.entries.entry(run).or_default().insert(entry, open(&value));
                }
                _ => {}
            }
        }
        kept
    }

    /// Numbers that were used, whatever was kept of them.
    fn used(&self, last_order: u32) -> NumbersRecord {
        let entries = self.entries.values().flat_map(BTreeMap::values).flatten();
        let orders = entries.filter_map(|kept| match kept.state {
            State::Issued { number, .. } => Some(number),
            _ => None,
        });
        let runs = self.runs.keys().chain(self.entries.keys()).max().copied().unwrap_or(0);
        NumbersRecord { orders: orders.max().unwrap_or(0).max(last_order), runs }
    }
}
