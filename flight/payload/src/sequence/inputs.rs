//! What is told from outside: events, channels of telemetry, passes, and what came of orders.
//!
//! Told things are judged at once, and never kept: an entry sees what comes after it began to listen.

use passband_proto::plan::{Condition, Severity, Trigger};

use super::arm::holds_at;
use super::clock::Instants;
use super::instance::Place;
use super::record::State;
use super::{MAX_KNOWN_PASSES, PassTimes, Sequencer, Watch};
use crate::ordered;
use crate::telemetry;

impl Sequencer {
    /// An event has happened: its number in the dictionary, none for one that the dictionary doesn't have.
    pub fn on_event(&mut self, now: Instants, event: Option<u16>, severity: telemetry::Severity) {
        let severity = severity_of(severity);
        let mut listening = self.watchers(Watch::AnyEvent);
        listening.extend(event.map(|event| self.watchers(Watch::Event(event))).unwrap_or_default());
        for place in listening {
            match self.listens_for(place) {
                Some(Condition::Event { severity: least, .. }) if severity >= least => {
                    self.came_true(now, place);
                }
                Some(_) | None => {}
            }
        }
        self.settle(now);
    }

    /// A channel of telemetry has a value.
    pub fn on_channel(&mut self, now: Instants, channel: u16, value: f64) {
        for place in self.watchers(Watch::Channel(channel)) {
            let Some(condition @ Condition::Channel { compare, value: limit, .. }) = self.listens_for(place)
            else {
                continue;
            };
            let holds = compare.holds(value, limit);
            let Some(cell) = self.cell_mut(place) else { continue };
            if !holds {
                (cell.must_fall, cell.holds_since_ms) = (false, None);
            } else if !cell.must_fall {
                cell.holds_since_ms.get_or_insert(now.steady_ms);
            }
            if holds_at(condition, cell).is_some_and(|at| at <= now.steady_ms) {
                self.came_true(now, place);
            } else {
                self.arm(now, place);
            }
        }
        self.settle(now);
    }

    /// The channels that entries wait for now, rising: others need not be told.
    pub fn channels(&self) -> impl Iterator<Item = u16> {
        self.watches.keys().filter_map(|watch| match watch {
            Watch::Channel(channel) => Some(*channel),
            Watch::Event(_) | Watch::AnyEvent | Watch::Passes => None,
        })
    }

    /// The passes as they are predicted now, from [`super::PASSES_BACK_MS`] ago on; at most [`MAX_KNOWN_PASSES`] are
    /// taken, the first.
    pub fn set_passes(&mut self, now: Instants, mut passes: Vec<PassTimes>) {
        ordered::sort_by(&mut passes, |a, b| (a.aos_unix_ms, &a.station).cmp(&(b.aos_unix_ms, &b.station)));
        passes.truncate(MAX_KNOWN_PASSES);
        if passes == self.passes {
            return;
        }
        self.passes = passes;
        for place in self.watchers(Watch::Passes) {
            match self.listens_for(place) {
                Some(Condition::Pass { station, on }) if self.is_pass_on(now, place, station) == on => {
                    self.came_true(now, place);
                }
                Some(_) | None => self.arm(now, place),
            }
        }
        self.settle(now);
    }

    /// What came of an order, by its number: done, or why it failed. A number that isn't waited for is passed over.
    pub fn on_result(&mut self, now: Instants, number: u32, result: Result<(), &str>) {
        if let Some(place) = self.in_flight.remove(&number) {
            self.answered(now, place, number, result);
        }
        self.settle(now);
    }

    /// Whether a plan waits for what comes of an order.
    pub fn awaits(&self, number: u32) -> bool {
        self.in_flight.contains_key(&number)
    }

    /// Carries on with what came of plans that entries had started.
    pub(super) fn settle(&mut self, now: Instants) {
        while let Some((place, number, done)) = self.answers.pop_front() {
            let result = if done { Ok(()) } else { Err("the plan that it started was not done") };
            self.answered(now, place, number, result);
        }
    }

    fn watchers(&self, watch: Watch) -> Vec<Place> {
        self.watches.get(&watch).map(|places| places.iter().copied().collect()).unwrap_or_default()
    }

    /// The condition that an entry waits for now; none of entries that are due at a pass.
    fn listens_for(&self, place: Place) -> Option<Condition> {
        let (rule, cell) = self.look(place)?;
        match (cell.kept.state, rule.trigger) {
            (State::Armed, Trigger::When(condition)) => Some(condition),
            (State::Waiting { .. }, _) => rule.wait.map(|wait| wait.condition),
            _ => None,
        }
    }

    fn came_true(&mut self, now: Instants, place: Place) {
        match self.look(place).map(|(_, cell)| cell.kept.state) {
            Some(State::Armed) => self.become_due(now, place, self.elapsed_ms(now, place)),
            Some(State::Waiting { .. }) => self.make_ready(place, 0),
            _ => {}
        }
    }
}

fn severity_of(severity: telemetry::Severity) -> Severity {
    match severity {
        telemetry::Severity::Info => Severity::Info,
        telemetry::Severity::Warning => Severity::Warning,
        telemetry::Severity::Error => Severity::Error,
        telemetry::Severity::Critical => Severity::Critical,
    }
}
