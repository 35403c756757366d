//! What is done with associations beside opening frames: marks are restored and confirmed, keys are retired, challenges
//! set, states told. None of it reads a frame.

use core::fmt;

use super::keys::Role;
use super::receiver::{Associations, CHALLENGE_BYTES, CHALLENGE_LIFE_MS, Challenge, window_of};
use super::reject::Counts;
use super::window::{Mark, Window};

/// The state of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepts frames.
    Operational,
    /// Its marks are lost: accepts a re-synchronisation only.
    Unsynchronised,
    /// Accepts nothing any more.
    Retired,
}

impl State {
    /// The name used in telemetry and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Unsynchronised => "unsynchronised",
            Self::Retired => "retired",
        }
    }
}

/// What telemetry tells of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationStatus {
    /// The security parameter index.
    pub spi: u16,
    /// The holder's role.
    pub role: Role,
    /// Its state.
    pub state: State,
    /// The highest counter used; `None` if the marks are lost.
    pub highest: Option<u64>,
    /// What became of frames that named it.
    pub counts: Counts,
}

impl Associations {
    /// Takes a mark from disk. Of several marks of one key, such as the two copies of a store, all that any of them says is
    /// used is used. Gives false if there is no such key: the mark is to be kept all the same.
    pub fn restore(&mut self, mark: &Mark) -> bool {
        let Some(association) = self.all.get_mut(&mark.spi) else { return false };
        let restored = window_of(mark);
        let window = association.window.map_or(restored, |window| window.union(restored));
        // Copies that differ may not both survive: neither is relied upon.
        let alone = association.window.is_none_or(|before| before == restored);
        association.window = Some(window);
        association.retired |= mark.retired;
        association.durable = alone.then_some(*mark);
        true
    }

    /// A mark is on disk.
    pub fn persisted(&mut self, mark: &Mark) {
        if let Some(association) = self.all.get_mut(&mark.spi) {
            association.durable = Some(*mark);
        }
    }

    /// The exact marks of all keys that have any.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let mark = |(spi, association): (&u16, &super::receiver::Association)| {
            let window = association.window.or(association.retired.then_some(Window::up_to(0)))?;
            Some(association.mark(*spi, window))
        };
        self.all.iter().filter_map(mark).collect()
    }

    /// The exact marks that aren't on disk: to be written when the line is idle, so that the next reboot skips nothing.
    #[must_use]
    pub fn settle(&self) -> Vec<Mark> {
        let mut marks = self.marks();
        marks.retain(|mark| self.all.get(&mark.spi).is_some_and(|of| of.durable != Some(*mark)));
        marks
    }

    /// How many counters one mark of this key covers ahead; 0 at first. Gives false if there is no such key.
    pub fn set_reserve(&mut self, spi: u16, reserve: u64) -> bool {
        let association = self.all.get_mut(&spi);
        association.map(|association| association.reserve = reserve).is_some()
    }

    /// Retires a key for good, by an order that came under another one. Gives the mark to write.
    ///
    /// # Errors
    /// Why it isn't retired.
    pub fn retire(&mut self, by: u16, spi: u16) -> Result<Mark, RetireError> {
        let role = self.all.get(&spi).ok_or(RetireError::Unknown { spi })?.role;
        if by == spi || self.state(by) != Some(State::Operational) {
            return Err(RetireError::By { by });
        }
        if self.state(spi) == Some(State::Retired) {
            return Err(RetireError::Already { spi });
        }
        let recoveries = self.all.values().filter(|of| of.role == Role::Recovery && !of.retired).count();
        if role == Role::Recovery && recoveries <= 1 {
            return Err(RetireError::LastRecovery { spi });
        }
        let association = self.all.get_mut(&spi).ok_or(RetireError::Unknown { spi })?;
        association.retired = true;
        let window = association.window.unwrap_or(Window::up_to(0));
        Ok(association.mark(spi, window))
    }

    /// Whether another challenge is wanted: there is none, or the present one was used some time ago.
    #[must_use]
    pub fn needs_challenge(&self, now_ms: u64) -> bool {
        self.challenge.is_none_or(|present| {
            let used = self.all.values().any(|association| association.spent);
            used && now_ms.saturating_sub(present.since_ms) >= CHALLENGE_LIFE_MS
        })
    }

    /// Sets the challenge of the next re-synchronisations: fresh from a cryptographic random source, at each start and
    /// whenever [`Associations::needs_challenge`] asks; never one that was used before.
    pub fn set_challenge(&mut self, challenge: [u8; CHALLENGE_BYTES], now_ms: u64) {
        self.challenge = Some(Challenge { bytes: challenge, since_ms: now_ms });
        self.all.values_mut().for_each(|association| association.spent = false);
    }

    /// The present challenge, for telemetry. Not secret.
    #[must_use]
    pub fn challenge(&self) -> Option<[u8; CHALLENGE_BYTES]> {
        self.challenge.map(|present| present.bytes)
    }

    /// What became of all frames.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The state of a key; `None` if there is none of this SPI.
    #[must_use]
    pub fn state(&self, spi: u16) -> Option<State> {
        let association = self.all.get(&spi)?;
        Some(match (association.retired, association.window) {
            (true, _) => State::Retired,
            (false, None) => State::Unsynchronised,
            (false, Some(_)) => State::Operational,
        })
    }

    /// All associations, by SPI.
    pub fn status(&self) -> impl Iterator<Item = AssociationStatus> {
        self.all.iter().filter_map(|(&spi, association)| {
            let highest = association.window.map(|window| window.highest);
            let state = self.state(spi)?;
            Some(AssociationStatus {
                spi,
                role: association.role,
                state,
                highest,
                counts: association.counts,
            })
        })
    }
}

/// Why a key isn't retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetireError {
    /// No key is known of this SPI.
    Unknown {
        /// The SPI.
        spi: u16,
    },
    /// Only another association may retire a key, and one that is operational.
    By {
        /// The SPI of whom asked.
        by: u16,
    },
    /// It was retired before.
    Already {
        /// The SPI.
        spi: u16,
    },
    /// It is the last recovery key.
    LastRecovery {
        /// The SPI.
        spi: u16,
    },
}

impl fmt::Display for RetireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { spi } => write!(f, "SPI {spi}: no key is known"),
            Self::By { by } => {
                write!(f, "a key is retired by another one that is operational; SPI {by} is not such a one")
            }
            Self::Already { spi } => write!(f, "SPI {spi} was retired before"),
            Self::LastRecovery { spi } => write!(f, "SPI {spi} is the last recovery key"),
        }
    }
}

impl core::error::Error for RetireError {}
