//! Why an order about parameters is refused.

use core::fmt;

use passband_proto::dict::{BadValue, ParameterId, Reason};

use super::WITHIN_S;
use super::set::{MAX_CHANGES, MAX_VALUE_BYTES};

/// An order about parameters that changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// The dictionary has no such parameter.
    Unknown(ParameterId),
    /// The text is no value of the parameter, or out of its range.
    Value(BadValue),
    /// The value takes more text than a packet holds.
    Long(ParameterId),
    /// The value doesn't go with others, or with the configuration file.
    Conflict(ParameterId, String),
    /// Nothing is staged.
    NothingStaged,
    /// Nothing is on trial.
    NotOnTrial,
    /// The time to confirm is over.
    TooLate,
    /// The time to confirm is out of range, s.
    Within(u32),
    /// There are as many changes, or versions, as there can be.
    Full,
}

impl Refused {
    /// As an answer to the order says it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unknown(_) => Reason::NotFound,
            Self::Value(_) | Self::Long(_) | Self::Within(_) => Reason::Malformed,
            Self::TooLate => Reason::TimedOut,
            Self::Conflict(..) | Self::NothingStaged | Self::NotOnTrial | Self::Full => Reason::NotPossible,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "{id} is no parameter of this version"),
            Self::Value(bad) => bad.fmt(f),
            Self::Long(id) => write!(f, "{id}: written in full it has more than {MAX_VALUE_BYTES} bytes"),
            Self::Conflict(id, why) => write!(f, "{id} can't be put in force: {why}"),
            Self::NothingStaged => f.write_str("nothing is staged"),
            Self::NotOnTrial => f.write_str("no parameters are on trial"),
            Self::TooLate => f.write_str("the time to confirm is over: the parameters before are put back"),
            Self::Within(within_s) => {
                let (least, most) = (WITHIN_S.start(), WITHIN_S.end());
                write!(f, "time to confirm: {within_s} s is out of range: must be {least} to {most}")
            }
            Self::Full => write!(f, "there are {MAX_CHANGES} changes, as many as are kept"),
        }
    }
}

impl core::error::Error for Refused {}
