//! How the record changes by the hand of who updates a board: each change is one write.
//!
//! ```text
//!            clear        stage        try_out          confirm
//!   any ──▶ empty ──▶ staged ──▶ staged, on trial ──▶ good, active
//!                                     │ revert, or the launcher
//!                                     ▼
//!                                  failed; the fallback is active
//! ```
//!
//! The active slot, and the one on trial, can't be cleared; so whatever is written, and wherever it is cut off, the
//! launcher has what it had.

use core::fmt;

use super::{Cause, Held, Last, Mark, Phase, Slot, SlotRecord, Trial};
use crate::release::ImageId;

impl SlotRecord {
    fn next(&self) -> Result<Self, Refusal> {
        let generation = self.generation.checked_add(1).ok_or(Refusal::Generation)?;
        Ok(Self { generation, ..*self })
    }

    #[must_use]
    fn with(self, slot: Slot, held: Held) -> Self {
        match slot {
            Slot::A => Self { a: held, ..self },
            Slot::B => Self { b: held, ..self },
            Slot::Golden => self,
        }
    }

    /// The slot is to be written: whatever it holds isn't started any more. This has to be durable before the first byte
    /// is written.
    ///
    /// # Errors
    /// [`Refusal`]: it is golden, or the active one.
    pub fn clear(&self, slot: Slot) -> Result<Self, Refusal> {
        if slot == Slot::Golden {
            return Err(Refusal::Golden);
        }
        if slot == self.active {
            return Err(Refusal::Active { slot });
        }
        if self.trial.is_some_and(|trial| trial.fallback == slot) {
            return Err(Refusal::OnTrial { slot: self.active });
        }
        Ok(self.next()?.with(slot, Held::EMPTY))
    }

    /// The slot holds this image, durably, and it was read back and proved.
    ///
    /// # Errors
    /// [`Refusal`]: the slot wasn't cleared.
    pub fn stage(&self, slot: Slot, image: ImageId) -> Result<Self, Refusal> {
        if slot == Slot::Golden {
            return Err(Refusal::Golden);
        }
        if self.held(slot).mark != Mark::Empty || image == ImageId::NONE {
            return Err(Refusal::NotCleared { slot });
        }
        Ok(self.next()?.with(slot, Held { image, mark: Mark::Staged }))
    }

    /// From the next start on the slot is on trial. One that failed may be tried again.
    ///
    /// # Errors
    /// [`Refusal`]: it holds nothing, is golden or active, another one is on trial, or no attempts are given.
    pub fn try_out(&self, slot: Slot, attempts: u8, deadline_s: u32) -> Result<Self, Refusal> {
        if slot == Slot::Golden {
            return Err(Refusal::Golden);
        }
        if self.trial.is_some() {
            return Err(Refusal::OnTrial { slot: self.active });
        }
        if slot == self.active {
            return Err(Refusal::Active { slot });
        }
        let held = self.held(slot);
        if held.mark == Mark::Empty {
            return Err(Refusal::Empty { slot });
        }
        if attempts == 0 {
            return Err(Refusal::NoAttempts);
        }
        let trial = Trial { fallback: self.active, attempts_left: attempts, brown_outs: 0, deadline_s };
        let staged = self.next()?.with(slot, Held { mark: Mark::Staged, ..held });
        Ok(Self { active: slot, trial: Some(trial), last: None, reverted: None, ..staged })
    }

    /// The trial of this slot ended well; `None`: it has been confirmed already.
    ///
    /// # Errors
    /// [`Refusal`]: another slot is the active one.
    pub fn confirm(&self, slot: Slot) -> Result<Option<Self>, Refusal> {
        if slot != self.active {
            return Err(Refusal::OtherSlot { active: self.active, asked: slot });
        }
        if self.trial.is_none() {
            return Ok(None);
        }
        let held = Held { mark: Mark::Good, ..self.held(slot) };
        let good = self.next()?.with(slot, held);
        Ok(Some(Self { trial: None, last: None, reverted: None, ..good }))
    }

    /// The trial ends, and from the next start on its fallback is the active slot; `None`: none is on.
    ///
    /// # Errors
    /// [`Refusal::Generation`].
    pub fn revert(&self, cause: Cause) -> Result<Option<Self>, Refusal> {
        let next = self.next()?;
        Ok(self.trial.map(|_| next.reverted_by(cause)))
    }

    pub(super) fn reverted_by(self, cause: Cause) -> Self {
        let failed = Held { mark: Mark::Failed, ..self.held(self.active) };
        let (active, reverted) = (self.fallback(), Some((self.active, cause)));
        Self { active, trial: None, last: None, reverted, ..self.with(self.active, failed) }
    }

    /// From the next start on a slot that was confirmed once is the active one, or golden. The one that was active stays
    /// as it is.
    ///
    /// # Errors
    /// [`Refusal`]: it never was confirmed, or a trial is on.
    pub fn choose(&self, slot: Slot) -> Result<Self, Refusal> {
        if self.trial.is_some() {
            return Err(Refusal::OnTrial { slot: self.active });
        }
        if self.held(slot).mark != Mark::Good {
            return Err(Refusal::NotGood { slot });
        }
        Ok(Self { active: slot, reverted: None, ..self.next()? })
    }

    /// A board is given an image that isn't tried out first: by who has it in hand, never in orbit.
    ///
    /// # Errors
    /// [`Refusal`]: the slot is golden, or the record can't count any higher.
    pub fn install(&self, slot: Slot, image: ImageId) -> Result<Self, Refusal> {
        if slot == Slot::Golden || image == ImageId::NONE {
            return Err(Refusal::Golden);
        }
        let held = self.next()?.with(slot, Held { image, mark: Mark::Good });
        Ok(Self { active: slot, trial: None, last: None, reverted: None, ..held })
    }

    /// The last start of a trial got so far; `None`: that is known, or this boot, slot or record isn't of a trial.
    ///
    /// # Errors
    /// [`Refusal::Generation`].
    pub fn got(&self, slot: Slot, phase: Phase) -> Result<Option<Self>, Refusal> {
        let last = self.last.filter(|last| last.slot == slot && last.phase != phase);
        let next = self.next()?;
        Ok(last.map(|last| Self { last: Some(Last { phase, ..last }), ..next }))
    }
}

/// Why a record can't be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The golden image is never written nor tried out.
    Golden,
    /// The slot is the active one.
    Active {
        /// That slot.
        slot: Slot,
    },
    /// A slot is on trial.
    OnTrial {
        /// That slot.
        slot: Slot,
    },
    /// The slot was not cleared before it was written.
    NotCleared {
        /// That slot.
        slot: Slot,
    },
    /// The slot holds nothing.
    Empty {
        /// That slot.
        slot: Slot,
    },
    /// The slot never was confirmed.
    NotGood {
        /// That slot.
        slot: Slot,
    },
    /// A trial needs an attempt at least.
    NoAttempts,
    /// Another slot is the active one.
    OtherSlot {
        /// That one.
        active: Slot,
        /// The one that was asked about.
        asked: Slot,
    },
    /// The record can't count any higher.
    Generation,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Golden => f.write_str("the golden slot is never written nor tried out"),
            Self::Active { slot } => write!(f, "slot {slot} is the active one"),
            Self::OnTrial { slot } => write!(f, "slot {slot} is on trial: confirm or revert it first"),
            Self::NotCleared { slot } => write!(f, "slot {slot} was not cleared"),
            Self::Empty { slot } => write!(f, "slot {slot} holds nothing"),
            Self::NotGood { slot } => write!(f, "slot {slot} never was confirmed"),
            Self::NoAttempts => f.write_str("a trial needs one attempt at least"),
            Self::OtherSlot { active, asked } => {
                write!(f, "the active slot is {active}, not {asked}: nothing was confirmed")
            }
            Self::Generation => f.write_str("the record's generation can't count any higher"),
        }
    }
}

impl core::error::Error for Refusal {}
