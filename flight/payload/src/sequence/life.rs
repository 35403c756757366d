//! A plan's life: on board, started, held, resumed, cancelled, ended; and entries that the operator skips.

use std::sync::Arc;

use passband_proto::dict::EventCode;
use passband_proto::plan::Plan;

use super::clock::{Anchor, Instants};
use super::instance::{Instance, Place};
use super::record::{Change, End, InstanceRecord, Key, State, Status, Tally, seal};
use super::{MAX_DEPTH, MAX_PLANS, MAX_RUNNING, MAX_SINGLE, SequenceError, Sequencer};
use crate::telemetry::Report;

/// Who starts a plan, and how deep that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starter {
    pub(super) parent: Option<(u32, u16)>,
    pub(super) depth: u8,
    pub(super) restarts: u8,
}

impl Sequencer {
    /// Takes a plan on board, in the place of one of the same name. Its file has to be durable before.
    ///
    /// # Errors
    /// It was compiled for another dictionary, can't be, or runs; there is no room.
    pub fn load(&mut self, plan: Plan) -> Result<(), SequenceError> {
        self.may_load(&plan)?;
        self.shelf.insert(plan.name.clone(), Arc::new(plan));
        Ok(())
    }

    /// Whether a plan could be taken on board now.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub fn may_load(&self, plan: &Plan) -> Result<(), SequenceError> {
        plan.check().map_err(SequenceError::Plan)?;
        if plan.dictionary != self.dictionary {
            return Err(SequenceError::Dictionary { plan: plan.dictionary, own: self.dictionary });
        }
        if self.run_of(&plan.name).is_some() {
            return Err(SequenceError::Running(plan.name.clone()));
        }
        let others = self.shelf.values().filter(|other| other.name != plan.name);
        let like = others.filter(|other| is_single(other) == is_single(plan)).count();
        if like >= if is_single(plan) { MAX_SINGLE } else { MAX_PLANS } {
            return Err(SequenceError::TooManyPlans);
        }
        Ok(())
    }

    /// Takes a plan from board; its file may be removed then.
    ///
    /// # Errors
    /// It isn't on board, or runs.
    pub fn unload(&mut self, name: &str) -> Result<(), SequenceError> {
        if self.run_of(name).is_some() {
            return Err(SequenceError::Running(name.to_owned()));
        }
        self.shelf.remove(name).ok_or_else(|| SequenceError::NoPlan(name.to_owned()))?;
        self.forget_ended(name);
        Ok(())
    }

    /// Starts a plan: the number of the run. `by` is the number of the order, if a plan ordered it.
    ///
    /// # Errors
    /// It isn't on board, or runs; too many run; plans have started plans too deep.
    pub fn start(&mut self, now: Instants, name: &str, by: Option<u32>) -> Result<u32, SequenceError> {
        let starter = by.and_then(|number| self.in_flight.get(&number));
        let depth = starter.and_then(|place| self.running.get(&place.run)).map_or(0, |run| run.record.depth);
        let depth = depth.saturating_add(1);
        self.start_as(now, name, Starter { parent: None, depth, restarts: 0 })
    }

    /// Holds a plan: nothing of it is due, nothing is handed over. Its time goes on.
    ///
    /// # Errors
    /// It doesn't run.
    pub fn hold(&mut self, name: &str) -> Result<(), SequenceError> {
        let run = self.number_of(name)?;
        self.disarm_all(run);
        self.set_held(run, true);
        Ok(())
    }

    /// Lets a plan go on. What was due while it was held is late or overdue.
    ///
    /// # Errors
    /// It doesn't run.
    pub fn resume(&mut self, now: Instants, name: &str) -> Result<(), SequenceError> {
        let run = self.number_of(name)?;
        self.set_held(run, false);
        self.arm_all(now, run);
        Ok(())
    }

    /// Ends a plan, and all that it has started. Orders that were handed over are not taken back.
    ///
    /// # Errors
    /// It doesn't run.
    pub fn cancel(&mut self, now: Instants, name: &str) -> Result<(), SequenceError> {
        let run = self.number_of(name)?;
        self.finish(run, Status::Cancelled, "by the operator");
        self.settle(now);
        Ok(())
    }

    /// Skips an entry, once: when it is due, or at once if it is. What follows from it goes on. The entry is named by
    /// its label, or its number from 1.
    ///
    /// # Errors
    /// The plan doesn't run; it has no such entry; that has ended or was handed over.
    pub fn skip(&mut self, now: Instants, name: &str, entry: &str) -> Result<(), SequenceError> {
        let run = self.number_of(name)?;
        let found = self.running.get(&run).and_then(|run| run.find(entry));
        let found =
            found.ok_or_else(|| SequenceError::NoEntry { plan: name.to_owned(), entry: entry.to_owned() })?;
        let place = Place { run, entry: found };
        match self.look(place).map(|(_, cell)| cell.kept.state) {
            Some(State::Follows | State::Armed) => {
                if let Some(cell) = self.cell_mut(place) {
                    cell.kept.skip = true;
                }
                self.persist(place);
            }
            Some(State::Waiting { .. } | State::Ready { .. } | State::Retry { .. }) => {
                self.end(now, place, End::Skipped);
            }
            Some(State::Issued { .. } | State::Ended { .. }) | None => {
                return Err(SequenceError::TooLate { plan: name.to_owned(), entry: found.saturating_add(1) });
            }
        }
        self.settle(now);
        Ok(())
    }

    /// Starts the plan that an entry starts.
    pub(super) fn start_from(
        &mut self,
        now: Instants,
        place: Place,
        plan: u16,
    ) -> Result<u32, SequenceError> {
        let Some(run) = self.running.get(&place.run) else {
            return Err(SequenceError::NotRunning(String::new()));
        };
        let name = run.plan.plans.get(usize::from(plan)).cloned().unwrap_or_default();
        let depth = run.record.depth.saturating_add(1);
        self.start_as(now, &name, Starter { parent: Some((place.run, place.entry)), depth, restarts: 0 })
    }

    pub(super) fn start_as(
        &mut self,
        now: Instants,
        name: &str,
        starter: Starter,
    ) -> Result<u32, SequenceError> {
        let plan = self.shelf.get(name).cloned().ok_or_else(|| SequenceError::NoPlan(name.to_owned()))?;
        if self.run_of(name).is_some() {
            return Err(SequenceError::Running(name.to_owned()));
        }
        if starter.depth > MAX_DEPTH {
            return Err(SequenceError::TooDeep);
        }
        let like = self.running.values().filter(|run| is_single(&run.plan) == is_single(&plan)).count();
        if like >= if is_single(&plan) { MAX_SINGLE } else { MAX_RUNNING } {
            return Err(SequenceError::TooManyRunning);
        }
        let (number, kept) = self.numbers.next_run().ok_or(SequenceError::NoNumber)?;
        self.outbox.put(Key::NUMBERS, seal(&kept));
        self.forget_ended(name);
        let record = InstanceRecord {
            plan: name.to_owned(),
            digest: plan.digest(),
            status: Status::Running,
            held: false,
            started_unix_ms: now.unix_ms,
            anchor: Anchor::new(now, 0),
            parent: starter.parent,
            depth: starter.depth,
            restarts: starter.restarts,
            tally: Tally::default(),
        };
        let text = format!("plan {name} version {} with {} entries", plan.version, plan.entries.len());
        self.outbox.report(Report::info(EventCode::PlanStarted, text));
        self.outbox.put(Key::run(number), seal(&record));
        self.running.insert(number, Instance::new(plan, record));
        self.arm_all(now, number);
        Ok(number)
    }

    /// Ends a plan by the fault of an entry.
    pub(super) fn abort(&mut self, place: Place, why: &str) {
        let Some(run) = self.running.get_mut(&place.run) else { return };
        let why = format!("by {}: {why}", run.name_of(place.entry));
        if let Some(cell) = run.cell_mut(place.entry) {
            cell.kept.state = State::Ended { end: End::Failed, at_ms: cell.kept.due_ms };
        }
        self.finish(place.run, Status::Aborted, &why);
    }

    /// Ends a run, and those that it has started; the entry that had started it is told.
    pub(super) fn finish(&mut self, number: u32, status: Status, why: &str) {
        self.disarm_all(number);
        let Some(mut run) = self.running.remove(&number) else { return };
        run.record.tally = run.tally();
        self.in_flight.retain(|_, place| place.run != number);
        self.close_record(number, run.record, status, why);
        let is_child = |run: &Instance| run.record.parent.is_some_and(|(parent, _)| parent == number);
        while let Some(child) = self.running.iter().find(|(_, run)| is_child(run)).map(|(child, _)| *child) {
            self.finish(child, Status::Cancelled, "the plan that had started it has ended");
        }
    }

    /// Keeps how a run ended, and forgets its entries.
    pub(super) fn close_record(
        &mut self,
        number: u32,
        mut record: InstanceRecord,
        status: Status,
        why: &str,
    ) {
        record.status = status;
        let text = format!("plan {} {}: {why}", record.plan, status.name());
        self.outbox.report(match status {
            Status::Running | Status::Done => Report::info(EventCode::PlanDone, text),
            Status::Cancelled => Report::warning(EventCode::PlanCancelled, text),
            Status::Aborted => Report::error(EventCode::PlanAborted, text),
        });
        self.outbox.put(Key::run(number), seal(&record));
        self.outbox.change(Change::forget_entries(number));
        if let Some((run, entry)) = record.parent {
            self.answers.push_back((Place { run, entry }, number, status == Status::Done));
        }
        self.keep_ended(number, record);
    }

    /// Keeps how the last run of each plan ended, of some plans that aren't on board, too.
    pub(super) fn keep_ended(&mut self, number: u32, record: InstanceRecord) {
        if let Some((older, _)) = self.ended.insert(record.plan.clone(), (number, record)) {
            self.outbox.change(Change::forget_run(older));
        }
        if self.ended.len() > MAX_PLANS + MAX_SINGLE {
            let oldest =
                self.ended.iter().min_by_key(|(_, (number, _))| *number).map(|(name, _)| name.clone());
            oldest.into_iter().for_each(|name| self.forget_ended(&name));
        }
    }

    fn forget_ended(&mut self, name: &str) {
        if let Some((number, _)) = self.ended.remove(name) {
            self.outbox.change(Change::forget_run(number));
        }
    }

    fn set_held(&mut self, number: u32, held: bool) {
        if let Some(run) = self.running.get_mut(&number) {
            run.record.held = held;
            self.outbox.put(Key::run(number), seal(&run.record));
        }
    }

    fn number_of(&self, name: &str) -> Result<u32, SequenceError> {
        self.run_of(name).ok_or_else(|| SequenceError::NotRunning(name.to_owned()))
    }

    /// The run of a plan.
    pub(super) fn run_of(&self, name: &str) -> Option<u32> {
        self.running.iter().find(|(_, run)| run.plan.name == name).map(|(number, _)| *number)
    }
}

/// Whether a plan takes hardly any room.
fn is_single(plan: &Plan) -> bool {
    plan.entries.len() <= 1
}
