//! Scripts: operators' shell scripts, what they may use, and what became of each run.
//!
//! A run is known by the id of the order that asked for it. It is recorded before anything is started, so that an order
//! that comes again starts nothing, and so that a run that was on when the daemon died is known to have been
//! interrupted; it is never run again by itself. Output is kept from its beginning up to a limit; the rest is counted.
//!
//! Nothing here starts a process or touches a file: [`crate::adapters::script`] does.

mod record;

use core::fmt;

use serde::{Deserialize, Serialize};

pub use record::{End, Limit, MAX_RECORD_BYTES, RunRecord};

/// Longest script, bytes.
pub const MAX_SCRIPT_BYTES: usize = 64 << 10;
/// Most scripts that are kept.
pub const MAX_SCRIPTS: usize = 16;
/// Most runs at the same time.
pub const MAX_RUNNING: usize = 2;
/// Runs that are remembered, the newest.
pub const MAX_RUNS: usize = 256;
/// Most arguments of a run, and the longest, bytes.
pub const MAX_ARGUMENTS: (usize, usize) = (16, 256);
/// A run whose output is so many times what is kept is ended.
pub const MAX_OUTPUT_TIMES: u64 = 10;
/// Longest name, bytes.
const MAX_NAME_BYTES: usize = 24;
/// Lines and bytes of the beginning of the output that are told at once.
const FIRST_LINES: (usize, usize) = (3, 160);

/// The name of a script: 1 to 24 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name in text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = ScriptError;

    fn try_from(text: String) -> Result<Self, ScriptError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Self(text));
        }
        Err(ScriptError::Name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl core::str::FromStr for Name {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of a run: that of the order that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// By which way the order came.
    pub source: u16,
    /// Its number on that way.
    pub number: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.source, self.number)
    }
}

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Time, s, 1 to 86,400; default 300.
    pub wall_s: u64,
    /// Processor time of all its processes, s, 1 to 86,400; default 60.
    pub cpu_s: u64,
    /// Memory: the address space of each process, and what all of them hold, bytes, 16 MiB to 1 TiB; default 256 MiB.
    pub memory_bytes: u64,
    /// Output that is kept, bytes, 1 to 1 MiB; default 64 KiB.
    pub output_bytes: u64,
    /// Processes at the same time, 1 to 1,000; default 32.
    pub processes: u64,
    /// The largest file that it writes, bytes, 0 to 1 TiB; default 16 MiB.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_s: 300,
            cpu_s: 60,
            memory_bytes: 256 << 20,
            output_bytes: 1 << 20,
            processes: 32,
            file_bytes: 16 << 20,
        }
    }
}

impl Limits {
    /// Whether every number is in its range; else the name of one that isn't, with its range.
    pub fn check(&self) -> Result<(), ScriptError> {
        let within = |field, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(ScriptError::Limit { field, least, most })
            }
        };
        within("wall_s", self.wall_s, 1, 86_400)?;
        within("cpu_s", self.cpu_s, 1, 86_400)?;
        within("memory_bytes", self.memory_bytes, 16 << 20, 1 << 40)?;
        within("output_bytes", self.output_bytes, 1, 1 << 20)?;
        within("processes", self.processes, 1, 1_000)?;
        within("file_bytes", self.file_bytes, 0, 1 << 40)
    }
}

/// Whether scripts may use the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// They have none: a network namespace of their own, with nothing in it. Where the kernel gives none they don't run.
    #[default]
    None,
    /// They have the board's.
    Allow,
}

/// `[scripts]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether scripts may use the network: "none" or "allow"; default "none".
    pub network: Network,
    /// What may lie in the folder of a run, all files together, bytes on the disk, 64 KiB to 1 TiB; default 64 MiB.
    pub folder_bytes: u64,
    /// What a run may use, unless its order says less.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self { network: Network::default(), folder_bytes: 64 << 20, limits: Limits::default() }
    }
}

/// The output of a run: its beginning, and how much there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    kept: Vec<u8>,
    most: u64,
    total: u64,
}

impl Output {
    /// Keeps `most` bytes.
    pub fn new(most: u64) -> Self {
        Self { kept: Vec::new(), most, total: 0 }
    }

    /// Takes more of it.
    pub fn take(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.kept.len() as u64);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.kept.extend(bytes.iter().take(fits));
        self.total = self.total.saturating_add(bytes.len() as u64);
    }

    /// What is kept.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// How much there was, bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether there was so much that the run is to end.
    pub fn floods(&self) -> bool {
        self.total > self.most.saturating_mul(MAX_OUTPUT_TIMES)
    }

    /// The first lines, for people: at most three, 160 bytes, joined by ` | `, printable ASCII.
    pub fn first_lines(&self) -> String {
        let (lines, bytes) = FIRST_LINES;
        let printable = |b: &u8| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '?' };
        let text = |line: &[u8]| line.trim_ascii().iter().map(printable).collect::<String>();
        let all: Vec<_> =
            self.kept.split(|b| *b == b'\n').map(text).filter(|line| !line.is_empty()).take(lines).collect();
        let mut out = all.join(" | ");
        out.truncate(bytes);
        out
    }
}

/// Why a script is not kept or not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptError {
    /// Its name can't be one.
    Name,
    /// It is empty or too long.
    Length {
        /// How long it is, bytes.
        bytes: usize,
    },
    /// So many are kept already.
    TooMany,
    /// There is none of that name.
    Unknown {
        /// That name.
        name: Name,
    },
    /// So many run already.
    Busy,
    /// Too many arguments, one too long, or one with a zero byte.
    Arguments,
    /// A limit is out of range.
    Limit {
        /// Which.
        field: &'static str,
        /// The least that it may be.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The disk, or starting the process, failed.
    Failed {
        /// What was tried, and why it failed.
        why: String,
    },
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a script's name is 1 to {MAX_NAME_BYTES} of a-z, 0-9 and -"),
            Self::Length { bytes } => {
                write!(f, "a script is 1 to {MAX_SCRIPT_BYTES} bytes long, not {bytes}")
            }
            Self::TooMany => write!(f, "{MAX_SCRIPTS} scripts are kept already: remove one"),
            Self::Unknown { name } => write!(f, "there is no script {name}"),
            Self::Busy => write!(f, "{MAX_RUNNING} scripts run already"),
            Self::Arguments => {
                let (count, bytes) = MAX_ARGUMENTS;
                write!(
                    f,
                    "a script has at most {count} arguments of at most {bytes} bytes, without zero bytes"
                )
            }
            Self::Limit { field, least, most } => {
                write!(f, "{field} is out of range: must be {least} to {most}")
            }
            Self::Failed { why } => f.write_str(why),
        }
    }
}

impl core::error::Error for ScriptError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_plain_and_short() {
        for good in ["a", "look-at-disk", "0", &"x".repeat(24)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a b", "../x", "a/b", ".", "ä", &"x".repeat(25)] {
            assert_eq!(bad.parse::<Name>(), Err(ScriptError::Name), "{bad}");
        }
    }

    #[test]
    fn limits_have_ranges() {
        assert_eq!(Limits::default().check(), Ok(()));
        let field = |limits: Limits| match limits.check() {
            Err(ScriptError::Limit { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let limits = Limits::default();
        assert_eq!(field(Limits { wall_s: 0, ..limits }), "wall_s");
        assert_eq!(field(Limits { memory_bytes: 1, ..limits }), "memory_bytes");
        assert_eq!(field(Limits { output_bytes: 1 << 21, ..limits }), "output_bytes");
        assert_eq!(field(Limits { processes: 0, ..limits }), "processes");
    }

    #[test]
    fn the_first_lines_are_printable() {
        let mut output = Output::new(1000);
        output.take(b"\n  disk 93%\r\n\x1b[31mred\n\nthree\nfour\n");
        assert_eq!(output.first_lines(), "disk 93% | ?[31mred | three");
    }

    proptest! {
        #[test]
        fn output_is_bounded_whatever_comes(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
            most in 1_u64..200,
        ) {
            let mut output = Output::new(most);
            parts.iter().for_each(|part| output.take(part));
            let all = parts.concat();
            let kept = all.len().min(usize::try_from(most).unwrap());
            prop_assert_eq!(output.kept(), &all[..kept]);
            prop_assert_eq!(output.total(), all.len() as u64);
            prop_assert_eq!(output.floods(), all.len() as u64 > most * 10);
            let first = output.first_lines();
            prop_assert!(first.len() <= 160 && first.bytes().all(|b| (0x20..0x7F).contains(&b)));
        }
    }
}
