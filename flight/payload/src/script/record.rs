//! What became of a run: a small JSON document of its own, kept beside the scripts.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Limits, Name, RunId};
use crate::json;

/// Longest record, bytes.
pub const MAX_RECORD_BYTES: usize = 16 << 10;

/// What a run used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Its time.
    Wall,
    /// Its processor time.
    Cpu,
    /// Its memory.
    Memory,
    /// Ten times the output that is kept.
    Output,
    /// Its processes.
    Processes,
    /// What may lie in the folder of a run.
    Folder,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how", content = "what")]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signal(i32),
    /// It used up a limit.
    Limit(Limit),
    /// It was stopped by order.
    Stopped,
    /// The daemon ended while it ran.
    Interrupted,
    /// It never began; why.
    NotStarted(String),
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The id of the order that asked for it.
    pub id: RunId,
    /// The script.
    pub name: Name,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// When it began, ms since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// When it ended; none while it runs.
    pub ended_unix_ms: Option<u64>,
    /// How it ended; none while it runs.
    pub end: Option<End>,
    /// Its output, bytes, those counted that aren't kept.
    pub output_bytes: u64,
    /// The first lines of it.
    pub first_lines: String,
}

impl RunRecord {
    /// The record in bytes.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        json::text(self).map(String::into_bytes)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        json::read(bytes).map_err(|e| format!("the record of a run: {e}"))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wall => "time",
            Self::Cpu => "processor time",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Processes => "processes",
            Self::Folder => "folder",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Limit(limit) => write!(f, "ended, as it used up its {limit}"),
            Self::Stopped => f.write_str("stopped by order"),
            Self::Interrupted => f.write_str("interrupted: the daemon ended while it ran"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_nonsense_refused() {
        for end in [End::Exited(3), End::Limit(Limit::Cpu), End::NotStarted("no".into()), End::Interrupted] {
            let record = RunRecord {
                id: RunId { source: 0xFFFF, number: 7 },
                name: "a-b".parse().unwrap(),
                arguments: vec!["x y".into()],
                limits: Limits::default(),
                started_unix_ms: 1,
                ended_unix_ms: Some(2),
                end: Some(end),
                output_bytes: 9,
                first_lines: "one".into(),
            };
            assert_eq!(RunRecord::decode(&record.encode().unwrap()), Ok(record));
        }
        assert!(RunRecord::decode(b"{}").is_err() && RunRecord::decode(b"").is_err());
    }
}
