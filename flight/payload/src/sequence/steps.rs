//! From due to ended: an entry's way, each step a function.
//!
//! ```text
//! armed ─▶ (waits) ─▶ ready ─▶ handed over ─▶ ended
//!    ╰ late ──╰ in vain ──╰ not after     ╰─▶ tries again ─▶ ready
//! ```

use passband_proto::dict::EventCode;
use passband_proto::plan::{
    Action, Condition, Giving, NotAfter, OnFailure, OnTimeout, Repeat, Trigger, show_span,
};

use super::arm::holds_at;
use super::clock::Instants;
use super::instance::{Cell, Place, Rule};
use super::output::Run;
use super::record::{End, EntryRecord, Key, State, seal};
use super::{ANSWER_MS, Sequencer};

impl Sequencer {
    /// A time of an entry has come.
    pub(super) fn fire(&mut self, now: Instants, place: Place) {
        self.set_timers(place, super::timers::Set::default());
        let Some((_, cell)) = self.look(place) else { return };
        match cell.kept.state {
            State::Armed => self.fire_armed(now, place),
            State::Waiting { until_ms } => self.fire_waiting(now, place, until_ms),
            State::Retry { attempt, .. } => self.make_ready(place, attempt),
            State::Issued { number, .. } => {
                self.in_flight.remove(&number);
                let why = format!("no answer in {} s", ANSWER_MS / 1_000);
                self.answered(now, place, number, Err(&why));
            }
            State::Follows | State::Ready { .. } | State::Ended { .. } => {}
        }
    }

    fn fire_armed(&mut self, now: Instants, place: Place) {
        let Some((rule, cell)) = self.look(place) else { return };
        let elapsed_ms = self.elapsed_ms(now, place);
        match rule.trigger {
            Trigger::At { .. } | Trigger::Pass { .. } => {
                let target = self.target(now, place, &rule, &cell);
                let late_ms =
                    self.due_unix_ms(now, place, &rule, &cell).and_then(|due| now.unix_ms.checked_sub(due));
                let Some(late_ms) = late_ms else { return self.arm(now, place) };
                if let (Some(target), Some(cell)) = (target, self.cell_mut(place)) {
                    cell.kept.edge = Some(target.edge);
                }
                if self.is_too_late(place, late_ms) {
                    return self.too_late(now, place, late_ms);
                }
                self.become_due(now, place, elapsed_ms.saturating_sub(late_ms));
            }
            Trigger::Start { .. } | Trigger::Entry { .. } => {
                let due_ms = self.due_elapsed_ms(place, &rule, &cell);
                if due_ms <= elapsed_ms { self.become_due(now, place, due_ms) } else { self.arm(now, place) }
            }
            Trigger::When(condition) => {
                let held = holds_at(condition, &cell).is_some_and(|at| at <= now.steady_ms);
                if held { self.become_due(now, place, elapsed_ms) } else { self.arm(now, place) }
            }
        }
    }

    fn fire_waiting(&mut self, now: Instants, place: Place, until_ms: u64) {
        let Some((rule, cell)) = self.look(place) else { return };
        let Some(wait) = rule.wait else { return self.make_ready(place, 0) };
        let fulfilled = match wait.condition {
            Condition::Pass { station, on } => self.is_pass_on(now, place, station) == on,
            condition => holds_at(condition, &cell).is_some_and(|at| at <= now.steady_ms),
        };
        if fulfilled {
            self.make_ready(place, 0);
        } else if self.elapsed_ms(now, place) < until_ms {
            self.arm(now, place);
        } else {
            match wait.otherwise {
                OnTimeout::Run => self.make_ready(place, 0),
                OnTimeout::Skip => self.miss(now, place, EventCode::PlanWaitMissed, "waited in vain"),
                OnTimeout::Abort => self.abort(place, "waited in vain"),
            }
        }
    }

    /// An entry is due: at `due_ms` of the time that the plan has run.
    pub(super) fn become_due(&mut self, now: Instants, place: Place, due_ms: u64) {
        self.disarm(place);
        let elapsed_ms = self.elapsed_ms(now, place);
        let Some((rule, Cell { kept: EntryRecord { skip, .. }, .. })) = self.look(place) else { return };
        if let Some(cell) = self.cell_mut(place) {
            cell.kept.due_ms = due_ms;
            if let Some(wait) = rule.wait {
                let until_ms = elapsed_ms.saturating_add(u64::from(wait.up_to_ms));
                cell.kept.state = State::Waiting { until_ms };
            }
        }
        if skip {
            return self.end(now, place, End::Skipped);
        }
        match rule.wait.map(|wait| wait.condition) {
            None => self.make_ready(place, 0),
            Some(Condition::Pass { station, on }) if self.is_pass_on(now, place, station) == on => {
                self.make_ready(place, 0);
            }
            Some(_) => {
                self.persist(place);
                self.arm(now, place);
            }
        }
    }

    /// An entry may be handed over. What would not come again after a crash is kept.
    pub(super) fn make_ready(&mut self, place: Place, attempt: u8) {
        self.disarm(place);
        let Some((rule, _)) = self.look(place) else { return };
        let Some(run) = self.running.get_mut(&place.run) else { return };
        if let Some(cell) = run.cell_mut(place.entry) {
            cell.kept.state = State::Ready { attempt };
        }
        run.set_ready(place.entry);
        if attempt == 0 && (rule.wait.is_some() || matches!(rule.trigger, Trigger::When(_))) {
            self.persist(place);
        }
    }

    /// Hands an entry's order over, or starts its plan.
    pub(super) fn issue(&mut self, now: Instants, place: Place) {
        let Some((rule, cell)) = self.look(place) else { return };
        match cell.kept.state {
            State::Issued { number, attempt } => self.hand_over(now, place, number, attempt),
            State::Ready { attempt } if self.is_over(now, place, &rule) => {
                let why = "its time is over";
                if attempt == 0 {
                    self.miss(now, place, EventCode::PlanWindowMissed, why);
                } else {
                    self.fail_for_good(now, place, &rule, why);
                }
            }
            State::Ready { attempt } => {
                let number = match rule.action {
                    Action::Order(_) => self.order_number(),
                    Action::Start(plan) => self.start_from(now, place, plan).map_err(|e| e.to_string()),
                };
                match number {
                    Err(why) => {
                        self.budget.spend(now.steady_ms);
                        self.fail(now, place, attempt, &why);
                    }
                    Ok(number) => self.issued(now, place, &rule, number, attempt),
                }
            }
            State::Follows
            | State::Armed
            | State::Waiting { .. }
            | State::Retry { .. }
            | State::Ended { .. } => {}
        }
    }

    fn issued(&mut self, now: Instants, place: Place, rule: &Rule, number: u32, attempt: u8) {
        if let Some(cell) = self.cell_mut(place) {
            cell.kept.state = State::Issued { number, attempt };
        }
        self.persist(place);
        match rule.action {
            Action::Order(_) => self.hand_over(now, place, number, attempt),
            Action::Start(_) => self.budget.spend(now.steady_ms),
        }
    }

    fn hand_over(&mut self, now: Instants, place: Place, number: u32, attempt: u8) {
        let Some(run) = self.running.get(&place.run) else { return };
        let Some(Action::Order(order)) = run.rule(place.entry).map(|rule| rule.action) else { return };
        let occurrence = run.cell(place.entry).map_or(0, |cell| cell.kept.occurrence);
        let order = Run {
            number,
            plan: run.plan.name.clone(),
            entry: place.entry.saturating_add(1),
            occurrence: occurrence.saturating_add(1),
            attempt,
            order: run.plan.order(order).unwrap_or_default().to_vec(),
        };
        self.outbox.run(order);
        self.budget.spend(now.steady_ms);
        self.in_flight.insert(number, place);
        self.arm(now, place);
    }

    fn order_number(&mut self) -> Result<u32, String> {
        let (number, reserved) = self.numbers.next_order().ok_or("all numbers of orders are used up")?;
        if let Some(reserved) = reserved {
            self.outbox.put(Key::NUMBERS, seal(&reserved));
        }
        Ok(number)
    }

    /// What came of an order, or of a plan that an entry started.
    pub(super) fn answered(&mut self, now: Instants, place: Place, number: u32, result: Result<(), &str>) {
        let Some((_, cell)) = self.look(place) else { return };
        match (cell.kept.state, result) {
            (State::Issued { number: own, .. }, Ok(())) if own == number => self.end(now, place, End::Done),
            (State::Issued { number: own, attempt }, Err(why)) if own == number => {
                self.fail(now, place, attempt, why);
            }
            _ => {}
        }
    }

    fn fail(&mut self, now: Instants, place: Place, attempt: u8, why: &str) {
        self.disarm(place);
        let Some((rule, _)) = self.look(place) else { return };
        match rule.failure {
            OnFailure::Retry { times, every_ms, .. } if attempt < times => {
                let at_ms = self.elapsed_ms(now, place).saturating_add(u64::from(every_ms));
                if let Some(cell) = self.cell_mut(place) {
                    cell.kept.state = State::Retry { attempt: attempt.saturating_add(1), at_ms };
                }
                self.unready(place);
                self.persist(place);
                self.arm(now, place);
            }
            OnFailure::Retry { .. } | OnFailure::Continue | OnFailure::Abort => {
                self.fail_for_good(now, place, &rule, why);
            }
        }
    }

    fn fail_for_good(&mut self, now: Instants, place: Place, rule: &Rule, why: &str) {
        match rule.failure {
            OnFailure::Abort | OnFailure::Retry { abort: true, .. } => self.abort(place, why),
            OnFailure::Continue | OnFailure::Retry { abort: false, .. } => {
                self.tell(place, EventCode::PlanEntryFailed, why);
                self.end(now, place, End::Failed);
            }
        }
    }

    fn is_too_late(&self, place: Place, late_ms: u64) -> bool {
        let run = self.running.get(&place.run);
        run.is_some_and(|run| late_ms > u64::from(run.plan.late.within_ms))
    }

    /// An entry bound to the wall clock is later than its plan lets it be; repeats that are, too, are passed over.
    fn too_late(&mut self, now: Instants, place: Place, late_ms: u64) {
        let Some((rule, _)) = self.look(place) else { return };
        let Some(late) = self.running.get(&place.run).map(|run| run.plan.late) else { return };
        let shown = show_span(u32::try_from(late_ms / 1_000 * 1_000).unwrap_or(u32::MAX));
        let mut why = format!("{shown} late");
        if late.otherwise == Giving::Abort {
            return self.abort(place, &why);
        }
        if let (Repeat::Every { every_ms, times }, Some(cell)) = (rule.repeat, self.cell_mut(place)) {
            let over_ms = late_ms.saturating_sub(u64::from(late.within_ms)).saturating_sub(1);
            let more = u32::try_from(over_ms / u64::from(every_ms.max(1))).unwrap_or(u32::MAX);
            let left = times.saturating_sub(1).saturating_sub(cell.kept.occurrence);
            cell.kept.occurrence = cell.kept.occurrence.saturating_add(more.min(left));
            if more > 0 {
                why = format!("{why}, with {} repeats", more.min(left));
            }
        }
        self.miss(now, place, EventCode::PlanEntryLate, &why);
    }

    fn is_over(&self, now: Instants, place: Place, rule: &Rule) -> bool {
        match rule.not_after {
            None => false,
            Some(NotAfter::Unix(unix_ms)) => now.unix_ms > unix_ms,
            Some(NotAfter::Due(ms)) => {
                let due_ms = self.look(place).map_or(0, |(_, cell)| cell.kept.due_ms);
                self.elapsed_ms(now, place) > due_ms.saturating_add(u64::from(ms))
            }
        }
    }

    fn miss(&mut self, now: Instants, place: Place, code: EventCode, why: &str) {
        self.tell(place, code, why);
        self.end(now, place, End::Missed);
    }

    /// Tells the operator of an entry.
    fn tell(&mut self, place: Place, code: EventCode, why: &str) {
        let Some(run) = self.running.get(&place.run) else { return };
        self.outbox.entry(place.run, code, format!("{}: {why}", run.name_of(place.entry)));
    }

    pub(super) fn elapsed_ms(&self, now: Instants, place: Place) -> u64 {
        self.running.get(&place.run).map_or(0, |run| run.elapsed_ms(now))
    }

    pub(super) fn unready(&mut self, place: Place) {
        if let Some(run) = self.running.get_mut(&place.run) {
            run.unset_ready(place.entry);
        }
    }

    /// Keeps where an entry stands.
    pub(super) fn persist(&mut self, place: Place) {
        if let Some((_, cell)) = self.look(place) {
            self.outbox.put(Key::entry(place.run, place.entry), seal(&cell.kept));
        }
    }
}
