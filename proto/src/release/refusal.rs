//! Why a root or a manifest isn't believed.

use core::fmt;

use super::envelope::KeyId;

/// Why something signed is refused. Each attack has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It isn't made as an envelope is: what is wrong.
    Shape(&'static str),
    /// It is an envelope of something else.
    Kind {
        /// What was looked for.
        wanted: &'static str,
    },
    /// One key signed it twice.
    Twice {
        /// That key.
        key: KeyId,
    },
    /// A key of the role stands beside a signature that isn't its own.
    Forged {
        /// That key.
        key: KeyId,
    },
    /// Too few keys of the role signed it.
    Threshold {
        /// Whose signatures are wanted.
        role: &'static str,
        /// How many keys of the role signed.
        signed: u8,
        /// How many have to.
        wanted: u8,
    },
    /// It is signed, but a field makes no sense: which.
    Field(&'static str),
    /// A root that isn't the one after the one that is believed.
    NotNext {
        /// Its version.
        version: u32,
        /// The one that is believed.
        believed: u32,
    },
    /// The manifest was made under a root that isn't known here yet.
    RootUnknown {
        /// The version of that root.
        version: u32,
        /// The one that is believed.
        believed: u32,
    },
    /// It is for the satellites of another mission.
    Mission,
    /// It is for boards of another type.
    Board,
    /// It is older than what one of its keys signed and was confirmed.
    Older {
        /// Its version.
        version: u64,
        /// The one that was confirmed.
        confirmed: u64,
    },
    /// It has the version of the image that was confirmed, and another image.
    SameVersion {
        /// That version.
        version: u64,
    },
    /// Its time is over.
    Expired {
        /// When that was, seconds since 1970.
        at_unix_s: u64,
    },
    /// The launcher of this board doesn't do what it needs.
    Launcher {
        /// The version of what this launcher does.
        has: u16,
        /// The least that is wanted.
        least: u16,
        /// The most that is known to it.
        most: u16,
    },
    /// It can't read the state that is there, or what runs now couldn't read what it writes.
    State {
        /// The format that is there, or that it writes.
        format: u16,
        /// What can be read.
        least: u16,
        /// What can be read.
        most: u16,
        /// Whether it is the running version that couldn't read.
        back: bool,
    },
    /// No delta of it begins with an image that this board has.
    Base,
    /// The delta isn't one that the manifest names.
    Delta,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(what) => write!(f, "not a signed file: {what}"),
            Self::Kind { wanted } => write!(f, "signed, but not a {wanted}"),
            Self::Twice { key } => write!(f, "key {key} signed twice"),
            Self::Forged { key } => write!(f, "the signature of key {key} is wrong"),
            Self::Threshold { role, signed, wanted } => {
                write!(f, "signed by {signed} keys of the {role} role, {wanted} wanted")
            }
            Self::Field(what) => write!(f, "signed, but its {what} makes no sense"),
            Self::NotNext { version, believed } => {
                write!(f, "root {version} doesn't follow root {believed}, which is believed")
            }
            Self::RootUnknown { version, believed } => {
                write!(
                    f,
                    "made under root {version}, root {believed} is believed: send the roots between first"
                )
            }
            Self::Mission => f.write_str("made for another mission"),
            Self::Board => f.write_str("made for another type of board"),
            Self::Older { version, confirmed } => {
                write!(f, "version {version} is older than {confirmed}, which was confirmed")
            }
            Self::SameVersion { version } => {
                write!(f, "version {version} was confirmed with another image")
            }
            Self::Expired { at_unix_s } => write!(f, "its time was over at {at_unix_s} s since 1970"),
            Self::Launcher { has, least, most } => {
                write!(f, "needs a launcher of version {least} to {most}, this one has {has}")
            }
            Self::State { format, least, most, back: false } => {
                write!(f, "reads state of format {least} to {most}, the state here has {format}")
            }
            Self::State { format, least, most, back: true } => {
                write!(
                    f,
                    "writes state of format {format}, what runs now reads {least} to {most} after a revert"
                )
            }
            Self::Base => f.write_str("no delta begins with an image that is here"),
            Self::Delta => f.write_str("its delta isn't one that the manifest names"),
        }
    }
}

impl core::error::Error for Refusal {}
