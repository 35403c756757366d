//! The update of this board, from the order to begin to the confirmation: a state machine over what is kept beside the
//! slots.
//!
//! ```text
//!           start            staged           try              confirm
//!   idle ──────────▶ wanted ────────▶ staged ─────▶ trying ──────────────▶ idle, and the ratchet moves
//!                       │                │              │  order, deadline, not healthy, or the launcher's doing
//!                       └── abort ───────┴──── abort ───┴──▶ idle or failed; what was before runs
//! ```
//!
//! Every step is one order that returns at once and may be given again; every step is durable before it is told, and each
//! start goes on where the one before was. What is confirmed is the slot first and the ratchet then: cut off between the
//! two, the next start moves the ratchet.

use std::sync::Arc;

use passband_proto::dict::{EventCode, Reason, UpdateState};
use passband_proto::release::manifest::{Manifest, StateFormats};
use passband_proto::release::trust::{Board, MAX_TRUST_BYTES, Trust};
use passband_proto::slot::{Cause, Mark, Phase as Got, Slot, SlotRecord};

use super::contract::{Contract, Health, Vitals};
use super::kept::{Kept, MAX_KEPT_BYTES, Phase};
use super::stage::{Progress, StageError};
use crate::adapters::disk::Disk;
use crate::adapters::slots::{SlotFault, Slots};
use crate::adapters::twin::Twin;
use crate::command::hex;
use crate::telemetry::Report;

/// Time on trial is kept as often as this, s.
const KEEP_EVERY_S: u32 = 600;

/// What this version does to the state folder.
pub const STATE: StateFormats = StateFormats { writes: 1, least: 1, most: 1 };

/// What the launcher said of this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The slot that runs.
    pub slot: Slot,
    /// Whether it is the fallback of a trial that goes on.
    pub interlude: bool,
    /// The version of what the launcher does; 0: no launcher started this, so nothing can be tried out.
    pub launcher: u16,
}

impl Running {
    /// Started by hand: as if from golden.
    pub const BY_HAND: Self = Self { slot: Slot::Golden, interlude: false, launcher: 0 };
}

/// How updates are done on this board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its type, which manifests name.
    pub board: String,
    /// Failures that end a trial.
    pub attempts: u8,
    /// A trial that nobody confirmed in so much time of running ends, s.
    pub deadline_s: u32,
    /// Whether one that is healthy confirms itself.
    pub by_itself: bool,
    /// When it is healthy.
    pub contract: Contract,
    /// An interlude of a trial ends after so long, s.
    pub interlude_s: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let contract = Contract::default();
        let deadline_s = 3 * 24 * 3_600;
        Self { board: String::new(), attempts: 3, deadline_s, by_itself: false, contract, interlude_s: 6_000 }
    }
}

/// Why an order isn't done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In a word.
    pub reason: Reason,
    /// In words.
    pub text: String,
}

fn refused<T>(reason: Reason, text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason, text: text.into() })
}

impl From<SlotFault> for Refused {
    fn from(fault: SlotFault) -> Self {
        let reason = match fault {
            SlotFault::Refused(_) => Reason::NotPossible,
            SlotFault::Disk(_) => Reason::Fault,
        };
        Self { reason, text: fault.to_string() }
    }
}

/// What is to be done next, by whoever runs the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Stay,
    /// The daemon ends, and the launcher starts what the record says.
    Switch,
}

/// The update of this board.
#[derive(Debug)]
pub struct Updater {
    slots: Slots,
    running: Running,
    policy: Policy,
    trust: Option<Trust>,
    trust_twin: Twin,
    kept: Option<Kept>,
    kept_twin: Twin,
    progress: Option<Progress>,
    health: Health,
    unkept_s: u32,
    ran_s: u32,
}

impl Updater {
    /// Takes up what is kept beside the slots; `root` is the one that came with the image that runs, to be believed if
    /// nothing else is. Finishes what a cut left half done. Gives back what there is to be told.
    pub fn open(slots: Slots, running: Running, policy: Policy, root: Option<&[u8]>) -> (Self, Vec<Report>) {
        let (disk, folder): (Arc<dyn Disk>, _) = (slots.disk().clone(), slots.root().to_owned());
        let (trust_twin, trust) = Twin::open(disk.clone(), &folder, "trust", MAX_TRUST_BYTES);
        let (kept_twin, kept) = Twin::open(disk, &folder, "update", MAX_KEPT_BYTES);
        let mut told: Vec<Report> = [&trust.faults, &kept.faults]
            .into_iter()
            .flatten()
            .chain(&slots.mend())
            .map(|fault| Report::error(EventCode::UpdateChanged, fault.clone()))
            .collect();
        let first = || root.map(Trust::new).transpose();
        let trust = match trust.payload.as_deref().map(Trust::decode) {
            Some(Ok(trust)) => Ok(Some(trust)),
            Some(Err(why)) => {
                told.push(Report::error(
                    EventCode::UpdateChanged,
                    format!("what was believed is lost: {why}"),
                ));
                first()
            }
            None => first(),
        };
        let trust = trust.unwrap_or_else(|why| {
            told.push(Report::error(
                EventCode::UpdateChanged,
                format!("the root that came with the image: {why}"),
            ));
            None
        });
        let kept = kept.payload.as_deref().filter(|payload| !payload.is_empty()).and_then(Kept::decode);
        let health = Health::new(policy.contract, kept.as_ref().map_or(0, |kept| kept.passes));
        let mut updater = Self {
            slots,
            running,
            policy,
            trust,
            trust_twin,
            kept,
            kept_twin,
            progress: None,
            health,
            unkept_s: 0,
            ran_s: 0,
        };
        told.extend(updater.catch_up());
        (updater, told)
    }

    /// Goes on with what the record says was decided.
    fn catch_up(&mut self) -> Vec<Report> {
        let record = self.slots.record();
        let Some(kept) = self.kept.clone().filter(|kept| kept.phase == Phase::Trying) else {
            return Vec::new();
        };
        match (kept.slot, record.reverted) {
            (Some(slot), Some((failed, cause))) if slot == failed => self.failed(&kept, cause),
            // The power went before the record was written.
            (Some(slot), _) if record.trial.is_none() && record.active != slot => {
                let told = self.keep(Some(Kept { phase: Phase::Staged, ..kept }));
                told.err()
                    .map(|refused| Report::error(EventCode::UpdateChanged, refused.text))
                    .into_iter()
                    .collect()
            }
            (Some(slot), _) if record.trial.is_none() && record.active == slot => {
                let told = self.ratchet(&kept, None);
                told.map_or_else(
                    |refused| vec![Report::error(EventCode::UpdateChanged, refused.text)],
                    |r| vec![r],
                )
            }
            _ => Vec::new(),
        }
    }

    fn failed(&mut self, kept: &Kept, cause: Cause) -> Vec<Report> {
        let slot = kept.slot.map_or("?", Slot::name);
        let why = format!("the trial of slot {slot} failed: {cause}");
        let text = format!("update {}: {why}; slot {} runs", hex(&kept.id), self.running.slot);
        let failed = Kept { phase: Phase::Failed, why, ..kept.clone() };
        let mut told = vec![Report::error(EventCode::UpdateChanged, text)];
        if let Err(refused) = self.keep(Some(failed)) {
            told.push(Report::error(EventCode::UpdateChanged, refused.text));
        }
        told
    }

    fn keep(&mut self, kept: Option<Kept>) -> Result<(), Refused> {
        let payload = kept.as_ref().map(Kept::encode).unwrap_or_default();
        let written = self.kept_twin.write(&payload);
        written.map_err(|error| Refused {
            reason: Reason::Fault,
            text: format!("keeping the update: {error}"),
        })?;
        self.kept = kept;
        Ok(())
    }

    /// An update is wanted: its file is on board or comes up.
    ///
    /// # Errors
    /// [`Refused`]: another one is under way.
    pub fn start(&mut self, id: [u8; 4]) -> Result<(), Refused> {
        match &self.kept {
            Some(kept) if kept.id == id && kept.phase != Phase::Failed => return Ok(()),
            Some(kept) if matches!(kept.phase, Phase::Wanted | Phase::Staged | Phase::Trying) => {
                let text = format!("update {} is under way; `update abort` ends it", hex(&kept.id));
                return refused(Reason::NotPossible, text);
            }
            _ => {}
        }
        self.progress = None;
        self.keep(Some(Kept::wanted(id)))
    }

    /// The update that is wanted and not yet in a slot.
    pub fn wanted(&self) -> Option<[u8; 4]> {
        self.kept.as_ref().filter(|kept| kept.phase == Phase::Wanted).map(|kept| kept.id)
    }

    /// The update that is under way, or failed last.
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// What is believed.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// The slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Believes roots that came up, in their order.
    ///
    /// # Errors
    /// [`Refused`]: those before the one that isn't believed are.
    pub fn rotate(&mut self, roots: &[Vec<u8>]) -> Result<(), Refused> {
        for root in roots {
            let Some(mut trust) = self.trust.clone() else {
                return refused(Reason::NotPossible, "no root is known here, so no other can be believed");
            };
            trust
                .rotate(root)
                .map_err(|why| Refused { reason: Reason::NotPossible, text: format!("root: {why}") })?;
            self.believe(trust)?;
        }
        Ok(())
    }

    fn believe(&mut self, trust: Trust) -> Result<(), Refused> {
        if self.trust.as_ref() != Some(&trust) {
            let written = self.trust_twin.write(&trust.encode());
            written.map_err(|error| Refused {
                reason: Reason::Fault,
                text: format!("keeping the root: {error}"),
            })?;
            self.trust = Some(trust);
        }
        Ok(())
    }

    /// The manifest is believed, and is of the update that is wanted; gives back the slot that its image goes into, and what it
    /// says.
    ///
    /// # Errors
    /// [`Refused`]: why not; the update has failed then.
    pub fn check(&mut self, manifest: &[u8], now_unix_s: Option<u64>) -> Result<(Slot, Manifest), Refused> {
        let Some(trust) = &self.trust else { return refused(Reason::NotPossible, "no root is known here") };
        let board = Board {
            kind: &self.policy.board,
            launcher: self.running.launcher.max(1),
            state: STATE.writes,
            runs: STATE,
            now_unix_s,
        };
        let no = |why: &dyn std::fmt::Display| Refused {
            reason: Reason::NotPossible,
            text: format!("manifest: {why}"),
        };
        let approved = trust.check(manifest, &board).map_err(|why| no(&why))?;
        let record = self.slots.record();
        let Some(slot) = free(&record, self.running.slot) else {
            return refused(Reason::Busy, "a trial is on: both slots are needed for it");
        };
        let Some(kept) = self.kept.clone().filter(|kept| kept.phase == Phase::Wanted) else {
            return refused(Reason::NotFound, "no update is wanted");
        };
        self.keep(Some(Kept { slot: Some(slot), manifest: manifest.to_vec(), ..kept }))?;
        Ok((slot, approved.manifest))
    }

    /// How far staging is.
    pub fn goes_on(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// What came of staging.
    pub fn staged(&mut self, id: [u8; 4], result: &Result<(), StageError>) -> Vec<Report> {
        self.progress = None;
        let Some(kept) = self.kept.clone().filter(|kept| kept.id == id && kept.phase == Phase::Wanted) else {
            return Vec::new();
        };
        let (kept, report) = match result {
            Ok(()) => {
                let text = format!(
                    "update {}: its image is in slot {}",
                    hex(&id),
                    kept.slot.map_or("?", Slot::name)
                );
                (Kept { phase: Phase::Staged, ..kept }, Report::info(EventCode::UpdateChanged, text))
            }
            Err(StageError::Stopped) => return Vec::new(),
            Err(error) if error.may_pass() => {
                let text = format!("update {}: {error}; it is tried again", hex(&id));
                return vec![Report::error(EventCode::UpdateChanged, text)];
            }
            Err(error) => return self.refuse(&error.to_string()),
        };
        match self.keep(Some(kept)) {
            Ok(()) => vec![report],
            Err(refused) => vec![Report::error(EventCode::UpdateChanged, refused.text)],
        }
    }

    /// The update that is wanted can't be: why.
    pub fn refuse(&mut self, why: &str) -> Vec<Report> {
        let Some(kept) = self.kept.clone().filter(|kept| kept.phase == Phase::Wanted) else {
            return Vec::new();
        };
        let mut told =
            vec![Report::error(EventCode::UpdateChanged, format!("update {}: {why}", hex(&kept.id)))];
        if let Err(refused) = self.keep(Some(Kept { phase: Phase::Failed, why: why.to_owned(), ..kept })) {
            told.push(Report::error(EventCode::UpdateChanged, refused.text));
        }
        told
    }

    /// From the next start on the image that was staged is on trial.
    ///
    /// # Errors
    /// [`Refused`]: nothing is staged.
    pub fn try_out(&mut self) -> Result<Next, Refused> {
        let Some(kept) = self.kept.clone() else {
            return refused(Reason::NotFound, "no update is under way");
        };
        let Some(slot) = kept.slot.filter(|_| matches!(kept.phase, Phase::Staged | Phase::Trying)) else {
            return refused(Reason::NotPossible, "its image is in no slot yet");
        };
        if self.running.launcher == 0 {
            return refused(
                Reason::NotPossible,
                "passband-launch didn't start this: nothing would start the image",
            );
        }
        let record = self.slots.record();
        if record.active == slot && record.trial.is_some() {
            return Ok(if self.running.slot == slot { Next::Stay } else { Next::Switch });
        }
        self.keep(Some(Kept { phase: Phase::Trying, used_s: 0, passes: 0, ..kept }))?;
        let (attempts, deadline_s) = (self.policy.attempts, self.policy.deadline_s);
        self.slots.change(|record| record.try_out(slot, attempts, deadline_s).map(Some))?;
        Ok(Next::Switch)
    }

    /// The image on trial works: it stays, and nothing older is installed any more. `anyway`: whatever its health.
    ///
    /// # Errors
    /// [`Refused`]: it isn't the one that runs, or it has not shown that it is healthy.
    pub fn confirm(&mut self, anyway: bool, now_unix_s: Option<u64>) -> Result<Report, Refused> {
        let Some(kept) = self.kept.clone().filter(|kept| kept.phase == Phase::Trying) else {
            return refused(Reason::NotFound, "no update is on trial");
        };
        let Some(slot) = kept.slot.filter(|slot| *slot == self.running.slot) else {
            return refused(Reason::NotPossible, "the image on trial isn't the one that runs");
        };
        if let (false, Err(why)) = (anyway, self.health.healthy()) {
            return refused(Reason::NotPossible, format!("not healthy yet: {why}"));
        }
        self.slots.change(|record| record.confirm(slot))?;
        passband_launch::deadline::set(0);
        self.ratchet(&kept, now_unix_s)
    }

    fn ratchet(&mut self, kept: &Kept, now_unix_s: Option<u64>) -> Result<Report, Refused> {
        let mut name = String::new();
        if let Some(mut trust) = self.trust.clone()
            && let Ok(approved) = trust.authentic(&kept.manifest)
        {
            trust.confirm(&approved, now_unix_s);
            self.believe(trust)?;
            name = format!(", {}", approved.manifest.name);
        }
        self.keep(None)?;
        let text = format!("update {}{name}: slot {} is confirmed", hex(&kept.id), self.running.slot);
        Ok(Report::info(EventCode::UpdateChanged, text))
    }

    /// Ends the update. If it is on trial what was before runs from the next start on.
    ///
    /// # Errors
    /// [`Refused`]: none is under way.
    pub fn abort(&mut self) -> Result<Next, Refused> {
        let Some(kept) = self.kept.clone() else {
            return refused(Reason::NotFound, "no update is under way");
        };
        let before = self.slots.record();
        if kept.phase == Phase::Trying {
            self.slots.change(|record| record.revert(Cause::Ordered))?;
        }
        self.progress = None;
        self.keep(None)?;
        let on_trial = before.trial.is_some() && kept.phase == Phase::Trying;
        Ok(if on_trial && self.running.slot == before.active { Next::Switch } else { Next::Stay })
    }

    /// Goes back to the version before the one that was confirmed, or to golden.
    ///
    /// # Errors
    /// [`Refused`]: the slot never was confirmed, or a trial is on.
    pub fn back(&mut self, slot: Slot) -> Result<Next, Refused> {
        if self.running.launcher == 0 {
            return refused(
                Reason::NotPossible,
                "passband-launch didn't start this: nothing would start another slot",
            );
        }
        self.slots
            .change(|record| if record.active == slot { Ok(None) } else { record.choose(slot).map(Some) })?;
        Ok(if self.running.slot == slot { Next::Stay } else { Next::Switch })
    }

    /// This start got so far.
    ///
    /// # Errors
    /// The record can't be written.
    pub fn got(&self, phase: Got) -> Result<(), SlotFault> {
        let slot = self.running.slot;
        self.slots.change(|record| record.got(slot, phase)).map(drop)
    }

    /// A second went by, and this is how the payload does.
    pub fn second(&mut self, vitals: &Vitals, now_unix_s: Option<u64>) -> (Vec<Report>, Next) {
        self.ran_s = self.ran_s.saturating_add(1);
        if self.running.interlude && self.ran_s >= self.policy.interlude_s {
            // What is on trial has another go.
            return (Vec::new(), Next::Switch);
        }
        let Some(kept) = self.kept.clone().filter(|kept| kept.phase == Phase::Trying) else {
            return (Vec::new(), Next::Stay);
        };
        if kept.slot != Some(self.running.slot) || self.slots_trial_over() {
            return (Vec::new(), Next::Stay);
        }
        self.health.look(vitals);
        self.unkept_s = self.unkept_s.saturating_add(1);
        let used_s = kept.used_s.saturating_add(self.unkept_s);
        if let Some(cause) = self.ends(used_s) {
            return self.give_up(&kept, cause);
        }
        if self.policy.by_itself && self.health.healthy().is_ok() {
            return match self.confirm(false, now_unix_s) {
                Ok(report) => (vec![report], Next::Stay),
                Err(refused) => (vec![Report::error(EventCode::UpdateChanged, refused.text)], Next::Stay),
            };
        }
        if self.unkept_s >= KEEP_EVERY_S || self.health.passes() != kept.passes {
            self.unkept_s = 0;
            let passes = self.health.passes();
            if let Err(refused) = self.keep(Some(Kept { used_s, passes, ..kept })) {
                return (vec![Report::error(EventCode::UpdateChanged, refused.text)], Next::Stay);
            }
        }
        (Vec::new(), Next::Stay)
    }

    /// Whether somebody at the board has ended the trial meanwhile.
    fn slots_trial_over(&self) -> bool {
        self.slots.record().trial.is_none()
    }

    fn ends(&self, used_s: u32) -> Option<Cause> {
        if self.health.ill().is_some() {
            return Some(Cause::Unhealthy);
        }
        (used_s >= self.policy.deadline_s).then_some(Cause::Deadline)
    }

    fn give_up(&mut self, kept: &Kept, cause: Cause) -> (Vec<Report>, Next) {
        if let Err(fault) = self.slots.change(|record| record.revert(cause)) {
            return (vec![Report::error(EventCode::UpdateChanged, fault.to_string())], Next::Stay);
        }
        let why = self.health.ill().unwrap_or("nobody confirmed it in time");
        let text = format!("update {}: {why}; what was before is started", hex(&kept.id));
        (vec![Report::error(EventCode::UpdateChanged, text)], Next::Switch)
    }

    /// Where it stands, in a word; `received`: its file is whole.
    pub fn state(&self, received: bool) -> UpdateState {
        match self.kept.as_ref().map(|kept| kept.phase) {
            None => UpdateState::Idle,
            Some(Phase::Wanted) if received => UpdateState::Received,
            Some(Phase::Wanted) => UpdateState::Receiving,
            Some(Phase::Staged) => UpdateState::Staged,
            Some(Phase::Trying) => UpdateState::Trial,
            Some(Phase::Failed) => UpdateState::Failed,
        }
    }

    /// What is missing for a confirmation.
    ///
    /// # Errors
    /// That.
    pub fn healthy(&self) -> Result<(), String> {
        self.health.healthy()
    }

    /// How far staging is, if it is at work.
    pub fn progress(&self) -> Option<Progress> {
        self.progress
    }

    /// What the launcher said of this start.
    pub fn running(&self) -> Running {
        self.running
    }
}

/// The slot that a new image may go into: neither active nor running nor what a trial goes back to, one that isn't good
/// if there is a choice.
fn free(record: &SlotRecord, running: Slot) -> Option<Slot> {
    let mut free =
        [Slot::A, Slot::B].into_iter().filter(|slot| *slot != running && record.clear(*slot).is_ok());
    let first = free.next()?;
    Some(free.next().filter(|_| record.held(first).mark == Mark::Good).unwrap_or(first))
}
