//! The desk: where duties leave what telemetry tells of them, and find what telemetry asks of them.
//!
//! | who | leaves | takes |
//! | --- | --- | --- |
//! | health | [`Desk::others`]: mode, shedding, readings | |
//! | orders and uplink | [`Desk::answer`], [`Desk::seen`], [`Desk::others`], [`Desk::outside`] | |
//! | parameters | [`Desk::settings`], [`Desk::others`], [`Desk::outside`] | |
//! | plans | [`Desk::outside`], [`Desk::keep`] | [`Desk::take_plans`], [`Desk::take_events`], [`Desk::latest`] |
//! | `blackbox send` | [`Desk::send_blackbox`] | [`Desk::take_blackbox_made`] |
//! | `tlm send` | [`Desk::ask`], [`Desk::repeat_answers`] | |
//!
//! Every call holds one lock for a moment and never waits for a disk or a link.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use passband_proto::dict::{Answer, Housekeeping};
use serde_json::Value;

use super::shared::lock;
use crate::digest::{Facts, Outside};
use crate::orders::OrderId;
use crate::telemetry::{Due, Level, Others, Refused, Sample, Schedule, Settings, Severity};

/// Most events that wait for plans.
const MAX_EVENTS: usize = 256;
/// Most plans that wait to be started.
const MAX_PLANS: usize = 16;
/// Most orders that wait for the black box.
const MAX_WANTED: usize = 64;

/// What telemetry and the other duties share.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    settings: Settings,
    others: Others,
    outside: Outside,
    program: Program,
    kept: BTreeMap<&'static str, Value>,
    plans: VecDeque<String>,
    /// Events that plans may listen to, with their severities.
    events: VecDeque<(Option<u16>, Severity)>,
    latest: Option<Arc<Latest>>,
    /// The orders that want the black box sent, and what came of them.
    blackbox_wanted: Vec<OrderId>,
    blackbox_made: Vec<(OrderId, Result<String, String>)>,
    woken: bool,
}

/// What the program is made of, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Program {
    /// SHA-256 of its file.
    pub binary: Option<[u8; 32]>,
    /// SHA-256 of the configuration file's bytes.
    pub configuration: Option<[u8; 32]>,
}

/// How everything was at the last look, a second ago at most.
#[derive(Debug)]
pub struct Latest {
    /// What was seen.
    pub sample: Sample,
    /// The channels.
    pub channels: Housekeeping,
    /// Where each channel that has limits stands.
    pub levels: BTreeMap<&'static str, Level>,
    /// What the digest says.
    pub facts: Facts,
}

impl Desk {
    /// An answer to an order: it is sent, and again until [`Desk::seen`]. An earlier one to the same order is forgotten.
    pub fn answer(&self, now_ms: u64, answer: Answer) {
        self.wake_after(|state| state.schedule.answer(now_ms, answer));
    }

    /// The ground has answers: the order `answers seen`.
    pub fn seen(&self, source: u16, below: u32, bits: u32) {
        self.wake_after(|state| state.schedule.seen(source, below, bits));
    }

    /// Sends all answers that the ground may lack again now.
    pub fn repeat_answers(&self, now_ms: u64) {
        self.wake_after(|state| state.schedule.repeat_answers(now_ms));
    }

    /// Sends a packet as soon as its turn comes.
    ///
    /// # Errors
    /// Too many wait: the order is to be refused as busy.
    pub fn ask(&self, due: Due) -> Result<(), Refused> {
        self.wake_after(|state| state.schedule.ask(due))
    }

    /// Works the schedule of what goes down.
    pub fn schedule<T>(&self, work: impl FnOnce(&mut Schedule, &Settings) -> T) -> T {
        let state = &mut *lock(&self.state);
        work(&mut state.schedule, &state.settings)
    }

    /// Changes what telemetry does by.
    pub fn settings<T>(&self, work: impl FnOnce(&mut Settings) -> T) -> T {
        self.wake_after(|state| work(&mut state.settings))
    }

    /// Changes what other duties say in the channels.
    pub fn others<T>(&self, work: impl FnOnce(&mut Others) -> T) -> T {
        work(&mut lock(&self.state).others)
    }

    /// Changes what other duties say in the digest.
    pub fn outside<T>(&self, work: impl FnOnce(&mut Outside) -> T) -> T {
        work(&mut lock(&self.state).outside)
    }

    /// What the program is made of.
    pub fn program<T>(&self, work: impl FnOnce(&mut Program) -> T) -> T {
        work(&mut lock(&self.state).program)
    }

    /// Keeps the answer that a command would get, for when the daemon is down: `params`, `agenda` or the like, a few
    /// hundred bytes. What telemetry itself knows is kept without being told.
    pub fn keep(&self, command: &'static str, answer: Value) {
        lock(&self.state).kept.insert(command, answer);
    }

    /// What was kept so.
    pub fn kept(&self) -> BTreeMap<&'static str, Value> {
        lock(&self.state).kept.clone()
    }

    /// Something happened that plans may listen to.
    pub fn happened(&self, code: Option<u16>, severity: Severity) {
        let events = &mut lock(&self.state).events;
        if events.len() >= MAX_EVENTS {
            events.pop_front();
        }
        events.push_back((code, severity));
    }

    /// What happened since the last call, by code and severity.
    pub fn take_events(&self) -> Vec<(Option<u16>, Severity)> {
        lock(&self.state).events.drain(..).collect()
    }

    /// A plan is to be started; of too many the oldest is forgotten.
    pub fn want_plan(&self, name: String) {
        let plans = &mut lock(&self.state).plans;
        if plans.len() >= MAX_PLANS {
            plans.pop_front();
        }
        plans.push_back(name);
    }

    /// The plans that are to be started as a channel is red, the oldest first; each is told once.
    pub fn take_plans(&self) -> Vec<String> {
        lock(&self.state).plans.drain(..).collect()
    }

    /// Has the black box made into a bundle and put into the queue: the order `blackbox send`. Whether it will be: of too
    /// many at once some won't.
    pub fn send_blackbox(&self, order: OrderId) -> bool {
        let wanted = &mut lock(&self.state).blackbox_wanted;
        if !wanted.contains(&order) {
            if wanted.len() >= MAX_WANTED {
                return false;
            }
            wanted.push(order);
        }
        true
    }

    /// The orders that asked for that since the last call.
    pub fn take_blackbox_wanted(&self) -> Vec<OrderId> {
        std::mem::take(&mut lock(&self.state).blackbox_wanted)
    }

    /// What came of the black box that orders asked for.
    pub fn blackbox_made(&self, orders: &[OrderId], result: &Result<String, String>) {
        let made = orders.iter().map(|order| (*order, result.clone()));
        lock(&self.state).blackbox_made.extend(made);
    }

    /// What came of it since the last call.
    pub fn take_blackbox_made(&self) -> Vec<(OrderId, Result<String, String>)> {
        std::mem::take(&mut lock(&self.state).blackbox_made)
    }

    /// How everything is; none before the first look.
    pub fn latest(&self) -> Option<Arc<Latest>> {
        lock(&self.state).latest.clone()
    }

    /// Puts a look on the desk.
    pub fn publish(&self, latest: Latest) -> Arc<Latest> {
        let latest = Arc::new(latest);
        lock(&self.state).latest = Some(Arc::clone(&latest));
        latest
    }

    /// Has telemetry look now.
    pub fn wake(&self) {
        self.wake_after(|_| ());
    }

    /// Waits until somebody wakes telemetry, `most` at most.
    pub fn wait(&self, most: Duration) {
        let state = lock(&self.state);
        let woken = self.changed.wait_timeout_while(state, most, |state| !state.woken);
        woken.unwrap_or_else(PoisonError::into_inner).0.woken = false;
    }

    fn wake_after<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let out = work(&mut state);
        state.woken = true;
        drop(state);
        self.changed.notify_all();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn plans_are_told_once_and_bounded() {
        let desk = Desk::default();
        (0..MAX_PLANS + 2).for_each(|n| desk.want_plan(n.to_string()));
        let plans = desk.take_plans();
        assert_eq!((plans.len(), plans[0].as_str()), (MAX_PLANS, "2"));
        assert!(desk.take_plans().is_empty());
    }

    #[test]
    fn whoever_asks_wakes_telemetry() {
        let (desk, begun) = (Desk::default(), Instant::now());
        desk.ask(Due::Beacon).unwrap();
        desk.wait(Duration::from_secs(20));
        assert!(begun.elapsed() < Duration::from_secs(10));
        desk.wait(Duration::from_millis(1));
        assert_eq!(desk.schedule(|schedule, settings| schedule.poll(0, settings)), Some(Due::Beacon));
    }
}
