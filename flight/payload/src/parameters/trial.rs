//! How long a set of parameters may be on trial, and how it is put back.

use core::fmt;

use super::set::Set;
use super::state::Trial;
use super::{Parameters, apply};

/// The record is written anew whenever so much of the time to confirm has gone: no row of restarts prolongs a trial by
/// more than that each, however the wall clock stands.
const NOTED_PARTS: u64 = 8;

/// Both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Steady time since some moment of this run, ms.
    pub steady_ms: u64,
    /// The wall clock, ms since 1970-01-01 UTC; it may step.
    pub unix_ms: u64,
}

/// Why parameters were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// An order asked for it.
    Order,
    /// Nobody confirmed in time.
    Deadline,
    /// The daemon failed to start so often with them.
    FailedStarts(u32),
}

/// Parameters were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack {
    /// The version that was on trial.
    pub from: u32,
    /// The version that is in force again.
    pub to: u32,
    /// Why.
    pub why: Why,
    /// Whether the daemon has to be started anew for all of it to count.
    pub restart: bool,
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} of the parameters is put back, version {} is in force: ", self.from, self.to)?;
        match self.why {
            Why::Order => f.write_str("an order asked for it"),
            Why::Deadline => f.write_str("nobody confirmed in time"),
            Why::FailedStarts(starts) => write!(f, "{starts} starts failed"),
        }
    }
}

impl Trial {
    /// One that begins now, and what was before it.
    pub(super) fn begin(within_s: u32, (version_before, before): (u32, Set), now: Now) -> Self {
        let within_ms = u64::from(within_s).saturating_mul(1000);
        let deadline_unix_ms = now.unix_ms.saturating_add(within_ms);
        Self { deadline_unix_ms, left_ms: within_ms, within_ms, version_before, before }
    }
}

impl Parameters {
    /// To be called once after [`Self::restore`]: puts back what is on trial if so many starts failed in a row that it
    /// is to be, or if its time went by while the daemon didn't run.
    pub fn on_start(&mut self, failed_starts: Option<u32>, now: Now) -> Option<RolledBack> {
        if let Some(failed) = failed_starts {
            return self.put_back(Why::FailedStarts(failed));
        }
        self.poll(now)
    }

    /// Puts back what is on trial when its time is over. To be called every few seconds.
    pub fn poll(&mut self, now: Now) -> Option<RolledBack> {
        let left_ms = self.time_left_ms(now)?;
        if left_ms == 0 {
            return self.put_back(Why::Deadline);
        }
        self.deadline_ms = Some(now.steady_ms.saturating_add(left_ms));
        let trial = self.state.trial.as_mut()?;
        if trial.left_ms.saturating_sub(left_ms) >= trial.within_ms / NOTED_PARTS {
            trial.left_ms = left_ms;
            trial.deadline_unix_ms = now.unix_ms.saturating_add(left_ms);
            self.changed();
        }
        None
    }

    /// The time left to confirm, ms; `None` if nothing is on trial.
    pub fn time_left_ms(&self, now: Now) -> Option<u64> {
        let trial = self.state.trial.as_ref()?;
        Some(match self.deadline_ms {
            Some(deadline_ms) => deadline_ms.saturating_sub(now.steady_ms),
            None => trial.deadline_unix_ms.saturating_sub(now.unix_ms).min(trial.left_ms),
        })
    }

    pub(super) fn put_back(&mut self, why: Why) -> Option<RolledBack> {
        let trial = self.state.trial.take()?;
        let (from, to) = (self.state.version, trial.version_before);
        let restart = self.state.in_force.restarts_to(&trial.before);
        (self.state.version, self.state.in_force) = (to, trial.before);
        self.deadline_ms = None;
        self.effective = apply(&self.configured, self.state.in_force.values());
        self.changed();
        Some(RolledBack { from, to, why, restart })
    }
}
