//! Why a frame is refused, and how often that was so.

use core::fmt;

use super::fault::FrameFault;

/// Why a frame is refused. Nothing was changed by it but counts and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// Its shape, FECF or address is wrong.
    Frame(FrameFault),
    /// No key is known of this SPI.
    UnknownSpi {
        /// The SPI.
        spi: u16,
    },
    /// The key was retired.
    Retired {
        /// The SPI.
        spi: u16,
    },
    /// More frames that name this SPI than are looked at. It isn't known who sent them.
    Flooded {
        /// The SPI.
        spi: u16,
    },
    /// The tag doesn't hold: forged, sealed under another key, or changed on purpose.
    Tag {
        /// The SPI.
        spi: u16,
    },
    /// Authentic, but its counter was used.
    Replayed {
        /// The SPI.
        spi: u16,
        /// The counter.
        counter: u64,
    },
    /// Authentic, but further behind than is remembered.
    TooOld {
        /// The SPI.
        spi: u16,
        /// The counter.
        counter: u64,
    },
    /// Authentic, but the marks of this key are lost: nothing but a re-synchronisation is accepted.
    Unsynchronised {
        /// The SPI.
        spi: u16,
    },
    /// An authentic re-synchronisation of another challenge than the present one, or the second of it.
    Challenge {
        /// The SPI.
        spi: u16,
    },
    /// An authentic re-synchronisation that says something else than a challenge and a counter.
    ResyncShape {
        /// The SPI.
        spi: u16,
    },
    /// An authentic re-synchronisation that would make used counters free again.
    Backward {
        /// The SPI.
        spi: u16,
        /// The highest counter used: what the sender has to go beyond.
        highest: u64,
    },
    /// Authentic and new, but its holder sends more than it may. It may be sent again as it is.
    Busy {
        /// The SPI.
        spi: u16,
    },
}

impl Reject {
    /// The reason it is counted under.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Frame(FrameFault::Truncated { .. }) => Reason::Truncated,
            Self::Frame(FrameFault::TooLong { .. }) => Reason::TooLong,
            Self::Frame(FrameFault::NotAFrame(_)) => Reason::NotAFrame,
            Self::Frame(FrameFault::Fecf) => Reason::Fecf,
            Self::Frame(FrameFault::Spacecraft { .. }) => Reason::Spacecraft,
            Self::Frame(FrameFault::Channel { .. }) => Reason::Channel,
            Self::UnknownSpi { .. } => Reason::UnknownSpi,
            Self::Retired { .. } => Reason::Retired,
            Self::Flooded { .. } => Reason::Flooded,
            Self::Tag { .. } => Reason::Tag,
            Self::Replayed { .. } => Reason::Replayed,
            Self::TooOld { .. } => Reason::TooOld,
            Self::Unsynchronised { .. } => Reason::Unsynchronised,
            Self::Challenge { .. } => Reason::Challenge,
            Self::ResyncShape { .. } => Reason::ResyncShape,
            Self::Backward { .. } => Reason::Backward,
            Self::Busy { .. } => Reason::Busy,
        }
    }
}

impl Reject {
    /// The SPI it names; none if nothing is known to be named.
    #[must_use]
    pub fn spi(&self) -> Option<u16> {
        match *self {
            Self::Frame(_) => None,
            Self::UnknownSpi { spi }
            | Self::Retired { spi }
            | Self::Flooded { spi }
            | Self::Tag { spi }
            | Self::Replayed { spi, .. }
            | Self::TooOld { spi, .. }
            | Self::Unsynchronised { spi }
            | Self::Challenge { spi }
            | Self::ResyncShape { spi }
            | Self::Backward { spi, .. }
            | Self::Busy { spi } => Some(spi),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(fault) => fault.fmt(f),
            Self::UnknownSpi { spi } => write!(f, "SPI {spi}: no key is known"),
            Self::Retired { spi } => write!(f, "SPI {spi}: the key was retired"),
            Self::Flooded { spi } => write!(f, "SPI {spi}: more frames name it than are looked at"),
            Self::Tag { spi } => write!(f, "SPI {spi}: the tag doesn't hold"),
            Self::Replayed { spi, counter } => write!(f, "SPI {spi}: counter {counter} was used before"),
            Self::TooOld { spi, counter } => write!(f, "SPI {spi}: counter {counter} is too old"),
            Self::Unsynchronised { spi } => {
                write!(f, "SPI {spi}: its marks are lost; re-synchronise it first")
            }
            Self::Challenge { spi } => write!(f, "SPI {spi}: the challenge isn't the present one"),
            Self::ResyncShape { spi } => write!(f, "SPI {spi}: not a challenge and a counter"),
            Self::Backward { spi, highest } => {
                write!(f, "SPI {spi}: counters up to {highest} are used; propose a higher one")
            }
            Self::Busy { spi } => {
                write!(f, "SPI {spi}: its holder sends more than it may; send it again later")
            }
        }
    }
}

impl core::error::Error for Reject {}

/// A reason that rejects are counted under. See [`Reject`] and [`FrameFault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the variants of Reject and FrameFault of the same names say it")]
pub enum Reason {
    Truncated,
    TooLong,
    NotAFrame,
    Fecf,
    Spacecraft,
    Channel,
    UnknownSpi,
    Retired,
    Flooded,
    Tag,
    Replayed,
    TooOld,
    Unsynchronised,
    Challenge,
    ResyncShape,
    Backward,
    Busy,
}

impl Reason {
    /// All reasons; a reason's place here is its number.
    pub const ALL: [Self; 17] = [
        Self::Truncated,
        Self::TooLong,
        Self::NotAFrame,
        Self::Fecf,
        Self::Spacecraft,
        Self::Channel,
        Self::UnknownSpi,
        Self::Retired,
        Self::Flooded,
        Self::Tag,
        Self::Replayed,
        Self::TooOld,
        Self::Unsynchronised,
        Self::Challenge,
        Self::ResyncShape,
        Self::Backward,
        Self::Busy,
    ];

    /// The name used in telemetry and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TooLong => "too-long",
            Self::NotAFrame => "not-a-frame",
            Self::Fecf => "fecf",
            Self::Spacecraft => "spacecraft",
            Self::Channel => "channel",
            Self::UnknownSpi => "unknown-spi",
            Self::Retired => "retired",
            Self::Flooded => "flooded",
            Self::Tag => "tag",
            Self::Replayed => "replayed",
            Self::TooOld => "too-old",
            Self::Unsynchronised => "unsynchronised",
            Self::Challenge => "challenge",
            Self::ResyncShape => "resync-shape",
            Self::Backward => "backward",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many frames came, and what became of them. Counts stop at their highest value, and begin anew at a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Let through.
    pub accepted: u32,
    rejected: [u32; Reason::ALL.len()],
}

impl Counts {
    /// How many were refused for this reason.
    #[must_use]
    pub fn rejected(&self, reason: Reason) -> u32 {
        self.rejected.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many were refused.
    #[must_use]
    pub fn all_rejected(&self) -> u32 {
        self.rejected.iter().fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    pub(super) fn reject(&mut self, reason: Reason) {
        if let Some(count) = self.rejected.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn accept(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_count_and_name() {
        let mut counts = Counts::default();
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
            counts.reject(reason);
            assert_eq!((counts.rejected(reason), counts.all_rejected()), (1, u32::try_from(i).unwrap() + 1));
            assert!(Reason::ALL.iter().all(|other| *other == reason || other.name() != reason.name()));
        }
    }
}
