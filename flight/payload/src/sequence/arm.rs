//! When an entry is due: its times on either clock, or what it listens to.
//!
//! An entry of a plan that is held has no times and listens to nothing.

use passband_proto::crc32c::checksum;
use passband_proto::plan::{Condition, Edge, Repeat, Trigger};

use super::clock::Instants;
use super::instance::{Cell, Place, Rule};
use super::record::State;
use super::timers::Set;
use super::{ANSWER_MS, PassTimes, Sequencer, Watch};

/// Passes of a station that begin nearer to each other are the same one, predicted anew, ms.
const SAME_PASS_MS: u64 = 600_000;

/// AOS or LOS that an entry is due at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// The edge, ms since 1970-01-01 UTC, and what tells its station from others.
    pub(super) edge: (u64, u32),
    /// When the entry is due.
    pub(super) due_unix_ms: u64,
}

impl Sequencer {
    /// Sets all entries of a run as they have to be by their states.
    pub(super) fn arm_all(&mut self, now: Instants, run: u32) {
        let count = self.running.get(&run).map_or(0, |run| run.plan.entries.len());
        for entry in 0..u16::try_from(count).unwrap_or(u16::MAX) {
            self.arm(now, Place { run, entry });
        }
    }

    /// Takes all times of a run away, and all that it listens to.
    pub(super) fn disarm_all(&mut self, run: u32) {
        let count = self.running.get(&run).map_or(0, |run| run.plan.entries.len());
        for entry in 0..u16::try_from(count).unwrap_or(u16::MAX) {
            self.disarm(Place { run, entry });
        }
    }

    /// Takes an entry's times away, and what it listens to.
    pub(super) fn disarm(&mut self, place: Place) {
        self.set_timers(place, Set::default());
        let Some((rule, _)) = self.look(place) else { return };
        let begins = match rule.trigger {
            Trigger::When(condition) => Some(condition),
            Trigger::Pass { station, .. } => Some(Condition::Pass { station, on: true }),
            Trigger::At { .. } | Trigger::Start { .. } | Trigger::Entry { .. } => None,
        };
        let both = [begins, rule.wait.map(|wait| wait.condition)];
        both.into_iter().flatten().for_each(|condition| self.unwatch(Watch::of(condition), place));
        if let Some(cell) = self.cell_mut(place) {
            cell.holds_since_ms = None;
        }
    }

    /// Sets an entry's times and what it listens to, by its state.
    pub(super) fn arm(&mut self, now: Instants, place: Place) {
        let Some((rule, cell)) = self.look(place) else { return };
        if self.running.get(&place.run).is_none_or(|run| run.record.held) {
            return;
        }
        match cell.kept.state {
            State::Armed => self.arm_trigger(now, place, &rule, &cell),
            State::Waiting { until_ms } => self.arm_wait(now, place, &rule, &cell, until_ms),
            State::Retry { at_ms, .. } => self.set_timers(place, self.at_elapsed(place, at_ms)),
            State::Issued { .. } if self.is_in_flight(place) => {
                let steady_ms = Some(now.steady_ms.saturating_add(ANSWER_MS));
                self.set_timers(place, Set { steady_ms, unix_ms: None });
            }
            State::Follows | State::Ready { .. } | State::Issued { .. } | State::Ended { .. } => {}
        }
    }

    fn arm_trigger(&mut self, now: Instants, place: Place, rule: &Rule, cell: &Cell) {
        match rule.trigger {
            Trigger::At { .. } => {
                let unix_ms = self.due_unix_ms(now, place, rule, cell);
                self.set_timers(place, Set { steady_ms: None, unix_ms });
            }
            Trigger::Start { .. } | Trigger::Entry { .. } => {
                let due_ms = self.due_elapsed_ms(place, rule, cell);
                self.set_timers(place, self.at_elapsed(place, due_ms));
            }
            Trigger::Pass { .. } => {
                self.watch(Watch::Passes, place);
                let unix_ms = self.due_unix_ms(now, place, rule, cell);
                self.set_timers(place, Set { steady_ms: None, unix_ms });
            }
            Trigger::When(condition) => {
                self.watch(Watch::of(condition), place);
                self.set_timers(place, Set { steady_ms: holds_at(condition, cell), unix_ms: None });
            }
        }
    }

    /// It waits for its condition, and for the end of its patience.
    fn arm_wait(&mut self, now: Instants, place: Place, rule: &Rule, cell: &Cell, until_ms: u64) {
        let Some(wait) = rule.wait else { return };
        self.watch(Watch::of(wait.condition), place);
        let until = self.at_elapsed(place, until_ms).steady_ms;
        let steady_ms = [until, holds_at(wait.condition, cell)].into_iter().flatten().min();
        let unix_ms = match wait.condition {
            Condition::Pass { station, .. } => self.next_edge_ms(now, place, station),
            Condition::Channel { .. } | Condition::Event { .. } => None,
        };
        self.set_timers(place, Set { steady_ms, unix_ms });
    }

    /// The steady time at which a plan will have run for so long.
    fn at_elapsed(&self, place: Place, elapsed_ms: u64) -> Set {
        let anchor = self.running.get(&place.run).map(|run| run.record.anchor);
        Set { steady_ms: anchor.map(|anchor| anchor.steady_ms(elapsed_ms)), unix_ms: None }
    }

    /// When an entry bound to the wall clock is due, if that is known.
    pub(super) fn due_unix_ms(&self, now: Instants, place: Place, rule: &Rule, cell: &Cell) -> Option<u64> {
        match rule.trigger {
            Trigger::At { unix_ms } => Some(unix_ms.saturating_add(repeated_ms(rule, cell))),
            Trigger::Pass { .. } => self.target(now, place, rule, cell).map(|target| target.due_unix_ms),
            Trigger::Start { .. } | Trigger::Entry { .. } | Trigger::When(_) => None,
        }
    }

    /// When an entry bound to the steady clock is due: how long the plan will have run.
    pub(super) fn due_elapsed_ms(&self, place: Place, rule: &Rule, cell: &Cell) -> u64 {
        match rule.trigger {
            Trigger::Start { after_ms } => u64::from(after_ms).saturating_add(repeated_ms(rule, cell)),
            Trigger::Entry { entry, after_ms } => {
                let before = self.running.get(&place.run).and_then(|run| run.cell(entry));
                let ended_ms = before.map_or(0, |cell| match cell.kept.state {
                    State::Ended { at_ms, .. } => at_ms,
                    State::Follows
                    | State::Armed
                    | State::Waiting { .. }
                    | State::Ready { .. }
                    | State::Issued { .. }
                    | State::Retry { .. } => 0,
                });
                ended_ms.saturating_add(u64::from(after_ms))
            }
            Trigger::At { .. } | Trigger::Pass { .. } | Trigger::When(_) => 0,
        }
    }

    /// The AOS or LOS that an entry is due at next: the first that is neither before the start of the plan nor one
    /// that it was due at before, as predicted then. The clock may have been wrong at the start: what it says now of
    /// that time counts, too.
    pub(super) fn target(&self, now: Instants, place: Place, rule: &Rule, cell: &Cell) -> Option<Target> {
        let Trigger::Pass { edge, station, offset_ms } = rule.trigger else { return None };
        let run = self.running.get(&place.run)?;
        let name = station.and_then(|station| run.plan.station(station));
        let start_unix_ms = now.unix_ms.saturating_sub(run.elapsed_ms(now)).min(run.record.started_unix_ms);
        let edge_of = |pass: &PassTimes| match edge {
            Edge::Aos => pass.aos_unix_ms,
            Edge::Los => pass.los_unix_ms,
        };
        let fresh = |at: u64, mark: u32| {
            cell.kept.edge.is_none_or(|(last, of)| at > last && (mark != of || at - last > SAME_PASS_MS))
        };
        let passes = self.passes.iter().filter(|pass| name.is_none_or(|name| pass.station == name));
        passes
            .map(|pass| {
                let at = edge_of(pass);
                let due_unix_ms = at.saturating_add_signed(i64::from(offset_ms));
                Target { edge: (at, checksum(pass.station.as_bytes())), due_unix_ms }
            })
            .filter(|target| target.due_unix_ms >= start_unix_ms)
            .filter(|target| fresh(target.edge.0, target.edge.1))
            .min_by_key(|target| target.edge)
    }

    /// Whether a pass of a station is on.
    pub(super) fn is_pass_on(&self, now: Instants, place: Place, station: Option<u16>) -> bool {
        let mut passes = self.passes_of(place, station);
        passes.any(|pass| (pass.aos_unix_ms..pass.los_unix_ms).contains(&now.unix_ms))
    }

    /// The next start or end of a pass of a station.
    fn next_edge_ms(&self, now: Instants, place: Place, station: Option<u16>) -> Option<u64> {
        let edges = self.passes_of(place, station).flat_map(|pass| [pass.aos_unix_ms, pass.los_unix_ms]);
        edges.filter(|edge| *edge > now.unix_ms).min()
    }

    fn passes_of(&self, place: Place, station: Option<u16>) -> impl Iterator<Item = &PassTimes> {
        let run = self.running.get(&place.run);
        let name = station.and_then(|station| run?.plan.station(station));
        self.passes.iter().filter(move |pass| name.is_none_or(|name| pass.station == name))
    }

    fn is_in_flight(&self, place: Place) -> bool {
        let Some((_, cell)) = self.look(place) else { return false };
        let State::Issued { number, .. } = cell.kept.state else { return false };
        self.in_flight.get(&number) == Some(&place)
    }

    /// What an entry says and where it stands.
    pub(super) fn look(&self, place: Place) -> Option<(Rule, Cell)> {
        let run = self.running.get(&place.run)?;
        Some((run.rule(place.entry)?, *run.cell(place.entry)?))
    }

    pub(super) fn cell_mut(&mut self, place: Place) -> Option<&mut Cell> {
        self.running.get_mut(&place.run)?.cell_mut(place.entry)
    }

    pub(super) fn set_timers(&mut self, place: Place, set: Set) {
        if let Some(cell) = self.running.get_mut(&place.run).and_then(|run| run.cell_mut(place.entry)) {
            self.timers.set(place, &mut cell.timers, set);
        }
    }
}

impl Watch {
    /// What tells whether a condition is true.
    pub(super) fn of(condition: Condition) -> Self {
        match condition {
            Condition::Channel { channel, .. } => Self::Channel(channel),
            Condition::Event { event: Some(event), .. } => Self::Event(event),
            Condition::Event { event: None, .. } => Self::AnyEvent,
            Condition::Pass { .. } => Self::Passes,
        }
    }
}

/// How much later than its first time an entry is due that repeats at the same distances.
fn repeated_ms(rule: &Rule, cell: &Cell) -> u64 {
    match rule.repeat {
        Repeat::Every { every_ms, .. } => u64::from(every_ms).saturating_mul(u64::from(cell.kept.occurrence)),
        Repeat::Once | Repeat::Each { .. } => 0,
    }
}

/// When a condition will have held long enough, on the steady clock.
pub(super) fn holds_at(condition: Condition, cell: &Cell) -> Option<u64> {
    match condition {
        Condition::Channel { for_ms, .. } => Some(cell.holds_since_ms?.saturating_add(u64::from(for_ms))),
        Condition::Event { .. } | Condition::Pass { .. } => None,
    }
}
