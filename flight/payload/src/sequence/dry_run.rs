//! Dry run: the same sequencer under a clock of its own, to see beforehand what a plan would do.
//!
//! Passes are those that are handed in. Events don't happen and channels have no value, but as assumed. What an order
//! does is told by [`Effects`]. Never touches a satellite, and never waits.

use std::collections::{BTreeMap, BTreeSet};

use passband_proto::plan::{Orders, Plan};

use super::clock::Instants;
use super::record::{Change, EntryRecord, InstanceRecord, State, open};
use super::{MAX_KNOWN_PASSES, Output, PASSES_BACK_MS, PassTimes, Run, SequenceError, Sequencer};
use crate::telemetry::{Report, Severity};

/// Most steps of a forecast.
pub const MAX_FORECAST: usize = 100_000;
/// Passes are looked up anew after so long, ms, where there are more than a sequencer takes at a time.
const REFRESH_MS: u64 = 1_800_000;

/// What orders do.
pub trait Effects {
    /// What comes of an order.
    fn run(&mut self, order: &Run) -> Effect;
}

/// What comes of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// What it does, or why it fails, for people.
    pub text: String,
    /// Whether it is done.
    pub done: bool,
    /// How long it takes, ms.
    pub takes_ms: u64,
    /// Whether plans rest from then on: safe mode.
    pub rests: bool,
}

/// Something that is assumed to happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumption {
    /// When, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// What.
    pub what: Assumed,
}

/// What is assumed to happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Assumed {
    /// An event of the dictionary.
    Event(u16, Severity),
    /// A channel of the dictionary has a value from then on.
    Channel(u16, f64),
}

/// Under what a plan is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumptions {
    /// When the plan is started, ms since 1970-01-01 UTC.
    pub start_unix_ms: u64,
    /// The end of the forecast.
    pub until_unix_ms: u64,
    /// The passes of that time.
    pub passes: Vec<PassTimes>,
    /// What happens.
    pub happens: Vec<Assumption>,
}

/// What a plan would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Step by step, in the order of time.
    pub steps: Vec<Step>,
    /// Entries of all plans that were started whose order would never be given: plan, number from 1.
    pub never: Vec<(String, u16)>,
    /// From when on plans rest, ms since 1970-01-01 UTC: the end of the forecast.
    pub rests_unix_ms: Option<u64>,
    /// Whether it is longer than [`MAX_FORECAST`], and was cut.
    pub cut: bool,
}

/// A step of a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// What.
    pub what: StepKind,
}

/// What happens in a forecast.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// An order is given.
    Order(Run, Effect),
    /// The operator is told something.
    Told(Report),
}

/// What `name`, one of `plans`, would do, with all of them on board.
///
/// # Errors
/// A plan that can't be taken on board or started.
pub fn dry_run(
    plans: Vec<Plan>,
    name: &str,
    orders: &dyn Orders,
    assumed: &Assumptions,
    effects: &mut dyn Effects,
) -> Result<Forecast, SequenceError> {
    let mut sequencer = Sequencer::new(orders);
    let sizes = plans.iter().map(|plan| (plan.name.clone(), plan.entries.len())).collect();
    for plan in plans {
        sequencer.load(plan)?;
    }
    let now = Instants { steady_ms: 0, unix_ms: assumed.start_unix_ms, boot: 1 };
    let mut trial = Trial::new(sequencer, assumed, effects, now);
    trial.look_up_passes();
    trial.sequencer.start(now, name, None)?;
    while trial.step() {}
    Ok(trial.forecast(&sizes))
}

struct Trial<'a> {
    sequencer: Sequencer,
    assumed: &'a Assumptions,
    effects: &'a mut dyn Effects,
    now: Instants,
    /// What happens that is still to come, sorted, the first at the end.
    happens: Vec<Assumption>,
    /// Results on their way, by the steady time at which they come.
    results: BTreeMap<(u64, u32), Effect>,
    passes_at_ms: u64,
    steps: Vec<Step>,
    /// The plan of each run.
    runs: BTreeMap<u32, String>,
    fired: BTreeSet<(String, u16)>,
    rests_unix_ms: Option<u64>,
    cut: bool,
}

impl<'a> Trial<'a> {
    fn new(
        sequencer: Sequencer,
        assumed: &'a Assumptions,
        effects: &'a mut dyn Effects,
        now: Instants,
    ) -> Self {
        let mut happens = assumed.happens.clone();
        happens.sort_by_key(|happens| core::cmp::Reverse(happens.unix_ms));
        Self {
            sequencer,
            assumed,
            effects,
            now,
            happens,
            results: BTreeMap::new(),
            passes_at_ms: 0,
            steps: Vec::new(),
            runs: BTreeMap::new(),
            fired: BTreeSet::new(),
            rests_unix_ms: None,
            cut: false,
        }
    }

    /// Does what is due now, then goes on to what is next; whether there is something.
    fn step(&mut self) -> bool {
        self.happen();
        for output in self.sequencer.poll(self.now) {
            match output {
                Output::Persist(change) => self.note(change),
                Output::Report(report) => self.tell(StepKind::Told(report)),
                // What is due at the same moment is given before the daemon ends.
                Output::Run(run) => self.give(run),
            }
        }
        if self.rests_unix_ms.is_some() {
            return false;
        }
        let Some(next_ms) = self.next_ms() else { return false };
        let ahead_ms = next_ms.saturating_sub(self.now.steady_ms);
        self.now.steady_ms = self.now.steady_ms.saturating_add(ahead_ms);
        self.now.unix_ms = self.now.unix_ms.saturating_add(ahead_ms);
        if self.now.steady_ms >= self.passes_at_ms.saturating_add(REFRESH_MS) {
            self.look_up_passes();
        }
        self.now.unix_ms <= self.assumed.until_unix_ms && !self.cut
    }

    /// When something is next, on the steady clock.
    fn next_ms(&self) -> Option<u64> {
        let steady_of =
            |unix_ms: u64| self.now.steady_ms.saturating_add(unix_ms.saturating_sub(self.now.unix_ms));
        let wake = self.sequencer.next_wake(self.now);
        let result = self.results.keys().next().map(|(at, _)| *at);
        let happens = self.happens.last().map(|happens| steady_of(happens.unix_ms));
        let many = self.assumed.passes.len() > MAX_KNOWN_PASSES;
        let passes = many.then(|| self.passes_at_ms.saturating_add(REFRESH_MS));
        [wake, result, happens, passes].into_iter().flatten().min()
    }

    /// What is assumed and what came of orders, up to now.
    fn happen(&mut self) {
        while let Some(happens) = self.happens.pop_if(|happens| happens.unix_ms <= self.now.unix_ms) {
            match happens.what {
                Assumed::Event(event, severity) => self.sequencer.on_event(self.now, Some(event), severity),
                Assumed::Channel(channel, value) => self.sequencer.on_channel(self.now, channel, value),
            }
        }
        while let Some(first) = self.results.first_entry().filter(|first| first.key().0 <= self.now.steady_ms)
        {
            let ((_, number), effect) = first.remove_entry();
            let result = if effect.done { Ok(()) } else { Err(effect.text.as_str()) };
            self.sequencer.on_result(self.now, number, result);
        }
    }

    fn give(&mut self, run: Run) {
        let effect = self.effects.run(&run);
        if effect.rests {
            self.rests_unix_ms = Some(self.now.unix_ms);
        }
        let at_ms = self.now.steady_ms.saturating_add(effect.takes_ms);
        self.results.insert((at_ms, run.number), effect.clone());
        self.tell(StepKind::Order(run, effect));
    }

    fn tell(&mut self, what: StepKind) {
        self.cut |= self.steps.len() >= MAX_FORECAST;
        if !self.cut {
            self.steps.push(Step { unix_ms: self.now.unix_ms, what });
        }
    }

    /// Takes note of which entries were handed over.
    fn note(&mut self, change: Change) {
        let Change::Put { key, value } = change else { return };
        match key.parts() {
            (b'r', run, _) => {
                let name = open::<InstanceRecord>(&value).map(|record| record.plan).unwrap_or_default();
                self.runs.insert(run, name);
            }
            (b'x', run, entry) => {
                let issued =
                    open::<EntryRecord>(&value).map(|kept| matches!(kept.state, State::Issued { .. }));
                if let (Some(true), Some(name)) = (issued, self.runs.get(&run)) {
                    self.fired.insert((name.clone(), entry));
                }
            }
            _ => {}
        }
    }

    fn look_up_passes(&mut self) {
        self.passes_at_ms = self.now.steady_ms;
        let from_unix_ms = self.now.unix_ms.saturating_sub(PASSES_BACK_MS);
        let passes = self.assumed.passes.iter().filter(|pass| pass.los_unix_ms >= from_unix_ms);
        self.sequencer.set_passes(self.now, passes.cloned().collect());
    }

    fn forecast(self, sizes: &BTreeMap<String, usize>) -> Forecast {
        let started: BTreeSet<&String> = self.runs.values().collect();
        let mut never = Vec::new();
        for name in started {
            let count = u16::try_from(sizes.get(name).copied().unwrap_or(0)).unwrap_or(u16::MAX);
            let not_fired = (0..count).filter(|entry| !self.fired.contains(&(name.clone(), *entry)));
            never.extend(not_fired.map(|entry| (name.clone(), entry.saturating_add(1))));
        }
        Forecast { steps: self.steps, never, rests_unix_ms: self.rests_unix_ms, cut: self.cut }
    }
}
