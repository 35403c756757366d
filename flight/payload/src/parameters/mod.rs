//! The parameters: values of the configuration, limits and actions that operators change in flight.
//!
//! ```text
//!  stage ─▶ staged ─ commit ─▶ in force, on trial ─ confirm ─▶ in force
//!             │ discard           │ rollback, deadline, third failed start
//!             ▼                   ▼
//!           nothing             what was confirmed last, in force
//! ```
//!
//! What may be set is the dictionary's ([`passband_proto::dict::PARAMETERS`]). A set that is committed gets the version after
//! the highest that there ever was; one that is put back keeps its own. A commit while another set is on trial
//! starts a trial anew, and what would be put back is still what was confirmed last.
//!
//! An order that changed something is remembered by its id: given again it changes nothing and comes to the same. An order
//! that is refused changes nothing, and isn't remembered.
//!
//! The time to confirm runs by the steady clock; over restarts, by the wall clock or by what was left when the record
//! was written last, whichever is less: no step of the clock prolongs a trial, and none ever confirms one. Nothing here
//! reads a clock, opens a file or starts anything anew: [`crate::adapters::parameters`] keeps the record, and the daemon
//! looks at [`Parameters::config`] and [`Parameters::live`].

mod apply;
mod error;
mod list;
mod live;
mod record;
mod set;
mod state;
mod trial;

pub use apply::{Effective, apply};
pub use error::Refused;
pub use list::{Row, Summary};
pub use live::{Actions, Limits, Live, PlanName};
pub use record::{BadRecord, MAX_RECORD_BYTES};
pub use set::{Change, MAX_CHANGES, MAX_VALUE_BYTES, OrderId, Set, digest};
pub use state::Done;
pub use trial::{Now, RolledBack, Why};

use passband_proto::dict::{ParameterDef, ParameterId, ParametersState};

use self::set::MAX_VALUE_BYTES as MAX_VALUE;
use self::state::{State, Trial};
use crate::config::Config;

/// Times to confirm that may be asked for, s.
pub const WITHIN_S: core::ops::RangeInclusive<u32> = 60..=604_800;

/// The parameters.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// What the configuration file says.
    configured: Config,
    state: State,
    effective: Effective,
    /// When the trial ends, by the steady clock of this run; none before it was looked at.
    deadline_ms: Option<u64>,
    /// Rises whenever what is kept changes.
    revision: u64,
}

impl Parameters {
    /// The orders that changed something and are remembered.
    pub fn remembered(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.state.remembered()
    }

    /// Those of a configuration file, with nothing changed.
    pub fn new(configured: Config) -> Self {
        Self::of(configured, State::default())
    }

    /// Those of a configuration file that lost all changes: both copies of the record were damaged.
    pub fn lost(configured: Config) -> Self {
        Self::of(configured, State { lost: true, ..State::default() })
    }

    /// Those of a configuration file, changed as a record says.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn restore(configured: Config, record: &[u8]) -> Result<Self, BadRecord> {
        record::decode(record).map(|state| Self::of(configured, state))
    }

    fn of(configured: Config, state: State) -> Self {
        let effective = apply(&configured, state.in_force.values());
        Self { configured, state, effective, deadline_ms: None, revision: 0 }
    }

    /// What must survive: [`Self::restore`] makes the same of it.
    pub fn record(&self) -> Vec<u8> {
        record::encode(&self.state)
    }

    /// A number that rises whenever [`Self::record`] changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The configuration with what is in force.
    pub fn config(&self) -> &Config {
        &self.effective.config
    }

    /// What counts at once, with what is in force.
    pub fn live(&self) -> &Live {
        &self.effective.live
    }

    /// Whether what is in force is confirmed.
    pub fn state(&self) -> ParametersState {
        match (&self.state.trial, self.state.lost) {
            (Some(_), _) => ParametersState::OnTrial,
            (None, true) => ParametersState::Damaged,
            (None, false) => ParametersState::Confirmed,
        }
    }

    /// The version of what is in force; 0: nothing was ever committed.
    pub fn version(&self) -> u32 {
        self.state.version
    }

    /// SHA-256 of the changes in force, as [`digest`] makes it; the beacon has its first bytes.
    pub fn digest(&self) -> [u8; 32] {
        let left_out = |id| self.effective.left_out.iter().any(|(left, _)| *left == id);
        digest(self.state.in_force.values().filter(|(id, _)| !left_out(*id)))
    }

    /// What is kept and not used, in words: of another version of the program, or at odds with the configuration file.
    pub fn warnings(&self) -> Vec<String> {
        let unused = self.state.in_force.unused().map(|(code, value)| match ParameterId::from_code(code) {
            Some(id) => format!("{id}: {value:?} is no value of it in this version"),
            None => format!("parameter {code:#06x}, {value:?}, isn't known to this version"),
        });
        let left_out = self.effective.left_out.iter().map(|(id, why)| format!("{id} is not used: {why}"));
        unused.chain(left_out).collect()
    }

    /// Stages a value; "default": what the configuration says.
    ///
    /// # Errors
    /// It is none of this parameter's.
    pub fn stage(&mut self, id: ParameterId, text: &str, by: OrderId, now: Now) -> Result<Done, Refused> {
        if let Some(done) = self.state.recall(by) {
            return Ok(done);
        }
        let def = ParameterDef::get(id).ok_or(Refused::Unknown(id))?;
        let mut bytes = Vec::new();
        let value = def.parse(text, &mut bytes).map_err(Refused::Value)?.map(|value| value.to_string());
        if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(Refused::Long(id));
        }
        let change = Change { value, by, unix_ms: now.unix_ms, version: 0 };
        if !self.state.staged.insert(id.code(), change) {
            return Err(Refused::Full);
        }
        Ok(self.done(by, Done::Staged))
    }

    /// Forgets what is staged.
    ///
    /// # Errors
    /// Nothing is.
    pub fn discard(&mut self, by: OrderId) -> Result<Done, Refused> {
        if let Some(done) = self.state.recall(by) {
            return Ok(done);
        }
        if self.state.staged.is_empty() {
            return Err(Refused::NothingStaged);
        }
        self.state.staged = Set::default();
        Ok(self.done(by, Done::Discarded))
    }

    /// Puts what is staged in force, on trial: unless it is confirmed within so many s, what was confirmed last is put
    /// back.
    ///
    /// # Errors
    /// Nothing is staged, the values don't go with each other or with the configuration file, or the time isn't in
    /// [`WITHIN_S`].
    pub fn commit(&mut self, within_s: u32, by: OrderId, now: Now) -> Result<Done, Refused> {
        if let Some(done) = self.state.recall(by) {
            return Ok(done);
        }
        if self.state.staged.is_empty() {
            return Err(Refused::NothingStaged);
        }
        if !WITHIN_S.contains(&within_s) {
            return Err(Refused::Within(within_s));
        }
        let version = self.state.last_version.checked_add(1).ok_or(Refused::Full)?;
        let next = self.state.in_force.with(&self.state.staged, version).ok_or(Refused::Full)?;
        let effective = self.try_out(&next)?;
        let restart = self.state.in_force.restarts_to(&next);
        let before = core::mem::replace(&mut self.state.in_force, next);
        let (version_before, before) = match self.state.trial.take() {
            Some(trial) => (trial.version_before, trial.before),
            None => (self.state.version, before),
        };
        self.state.trial = Some(Trial::begin(within_s, (version_before, before), now));
        self.deadline_ms = Some(now.steady_ms.saturating_add(u64::from(within_s).saturating_mul(1000)));
        (self.state.version, self.state.last_version) = (version, version);
        (self.state.staged, self.effective) = (Set::default(), effective);
        Ok(self.done(by, Done::Committed { version, restart }))
    }

    /// Keeps what is on trial.
    ///
    /// # Errors
    /// Nothing is, or its time is over.
    pub fn confirm(&mut self, by: OrderId, now: Now) -> Result<Done, Refused> {
        if let Some(done) = self.state.recall(by) {
            return Ok(done);
        }
        let over = self.time_left_ms(now).ok_or(Refused::NotOnTrial)? == 0;
        if over {
            return Err(Refused::TooLate);
        }
        (self.state.trial, self.deadline_ms) = (None, None);
        self.state.lost = false;
        Ok(self.done(by, Done::Confirmed { version: self.state.version }))
    }

    /// Puts what was before the trial in force again.
    ///
    /// # Errors
    /// Nothing is on trial.
    pub fn rollback(&mut self, by: OrderId) -> Result<Done, Refused> {
        if let Some(done) = self.state.recall(by) {
            return Ok(done);
        }
        let back = self.put_back(Why::Order).ok_or(Refused::NotOnTrial)?;
        Ok(self.done(by, Done::RolledBack { version: back.to, restart: back.restart }))
    }

    /// What these values would come to, if they go with each other and with the configuration file. What didn't go before
    /// is no fault of theirs.
    fn try_out(&self, set: &Set) -> Result<Effective, Refused> {
        let effective = apply(&self.configured, set.values());
        let before = &self.effective.left_out;
        let new = effective.left_out.iter().find(|(id, _)| !before.iter().any(|(left, _)| left == id));
        match new {
            Some((id, why)) => Err(Refused::Conflict(*id, why.clone())),
            None => Ok(effective),
        }
    }

    fn done(&mut self, by: OrderId, done: Done) -> Done {
        self.changed();
        self.state.remember(by, done)
    }

    fn changed(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;
