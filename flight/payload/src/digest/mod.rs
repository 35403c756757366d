//! The digest: what an operator wants to know first, in one screen.
//!
//! [`Facts`] is what it says, as a plain structure: the answer to `passband digest --json`. [`Tally`] adds up what
//! happened since the last pass ended, over restarts. [`screen`] makes at most 22 lines of 80 columns and 1,400 bytes of
//! it, whatever it says, so that it is there in a second and a half over a line of 9,600 bit/s.
//!
//! Nothing here asks anybody: the daemon fills the facts, and other duties leave theirs in [`Outside`].

mod screen;
mod tally;

pub use screen::{MAX_SCREEN_BYTES, MAX_SCREEN_LINES, screen};
pub use tally::{Progress, Tally};

use passband_proto::dict::{
    Disk, Mode, ParametersState, ResetCause, ScriptEnd, Severity, Shed, UpdateState, UploadKind,
};
use passband_proto::ids::Class;
use serde::{Deserialize, Serialize};

use crate::passes::Pass;
use crate::telemetry::{Level, TransmitterStatus};

/// Most entries of each list of the facts.
pub const MAX_LISTED: usize = 16;

/// What the digest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`SCHEMA`](crate::telemetry::SCHEMA).
    pub schema: u32,
    /// The clock on board, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// Number of the spacecraft.
    pub spacecraft: u16,
    /// What runs there.
    pub running: Running,
    /// The fast link's transmitter.
    pub transmitter: TransmitterStatus,
    /// The passes that aren't over, by their AOS, a few.
    pub passes: Vec<Pass>,
    /// What is wrong.
    pub wrong: Wrong,
    /// What changed since the last pass ended.
    pub since: Since,
    /// What is to go down, by class, the most urgent first.
    pub queue: Vec<ClassQueue>,
    /// What comes up, and what is to be done next.
    pub coming: Coming,
}

/// What runs on board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Version of the program, with the commit that it was built from.
    pub version: String,
    /// The slot that it was started from, as the launcher says; none: not by the launcher.
    pub slot: Option<String>,
    /// Since it started, s.
    pub uptime_s: u64,
    /// How many times it was started on this store.
    pub boot_count: u64,
    /// Why it started.
    pub reset_cause: ResetCause,
    /// How the payload works.
    pub mode: Mode,
    /// What work is left undone.
    pub shed: Shed,
    /// SHA-256 of the program, hexadecimal; none: it is being computed, or can't be read.
    pub binary_sha256: Option<String>,
    /// SHA-256 of the configuration file's bytes.
    pub configuration_sha256: Option<String>,
    /// SHA-256 of the dictionary.
    pub dictionary_sha256: String,
    /// SHA-256 of the parameters that were changed; none: none was.
    pub parameters_sha256: Option<String>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wrong {
    /// Events of severity warning or worse since the last pass ended, a kind each, the most severe first.
    pub events: Vec<Trouble>,
    /// Kinds of such events that aren't listed.
    pub events_more: u64,
    /// Channels beyond their limits, red ones first.
    pub channels: Vec<Beyond>,
    /// How the disk does.
    pub disk: Disk,
    /// Whether the catalogue is kept in memory, as it can't be written.
    pub in_memory: bool,
    /// Whether parameters are on trial, or damaged.
    pub parameters: ParametersState,
    /// How long they are on trial still, s.
    pub trial_left_s: Option<u64>,
    /// Security associations of the uplink whose key is retired.
    pub keys_retired: Vec<u16>,
    /// Security associations whose counters are lost: they take only a re-synchronisation.
    pub counters_lost: Vec<u16>,
    /// Tasks that are stuck, and whatever else a duty finds wrong, a few words each.
    pub others: Vec<String>,
}

/// Events of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The worst of them.
    pub severity: Severity,
    /// Their code.
    pub code: String,
    /// How many.
    pub count: u64,
    /// Number of the newest.
    pub last_seq: u64,
    /// When that was, ms since 1970-01-01 UTC.
    pub last_unix_ms: u64,
    /// What it says.
    pub text: String,
}

/// A channel beyond a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beyond {
    /// Its name.
    pub channel: String,
    /// Where it stands.
    pub level: Level,
    /// Its value.
    pub value: f64,
    /// The unit of that; empty: none.
    pub unit: String,
}

/// What changed since the last pass ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When it ended, ms since 1970-01-01 UTC; none: no pass is known to have ended, and all counts from the first event
    /// that is kept.
    pub los_unix_ms: Option<u64>,
    /// What was counted.
    #[serde(flatten)]
    pub progress: Progress,
    /// Alerts sent for the first time.
    pub alerts_sent: u64,
    /// Alerts that the ground has, as it said.
    pub alerts_heard: u64,
    /// Alerts that nobody has heard, now.
    pub alerts_pending: u64,
    /// Orders done.
    pub orders_done: u64,
    /// Orders refused.
    pub orders_refused: u64,
    /// Orders failed.
    pub orders_failed: u64,
    /// Starts of the daemon.
    pub restarts: u64,
    /// Scripts that ended, the newest first.
    pub scripts: Vec<ScriptRun>,
}

/// A script that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRun {
    /// Its name.
    pub name: String,
    /// When it ended, ms since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// How.
    pub end: ScriptEnd,
    /// The number of its exit or signal.
    pub status: u8,
    /// The first line that it wrote.
    pub first_line: String,
}

/// What is to go down of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassQueue {
    /// The class.
    pub class: Class,
    /// Bundles that wait.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Bundles that the sender has.
    pub on_link: u64,
    /// Their bytes.
    pub on_link_bytes: u64,
    /// When the last of them is down, by the passes planned and the loss believed in, if all that is there goes before
    /// what comes; ms since 1970-01-01 UTC. None: it can't be told, or there is nothing.
    pub down_unix_ms: Option<u64>,
}

impl ClassQueue {
    /// Bundles that wait or are on the link.
    pub fn open(&self) -> u64 {
        self.waiting.saturating_add(self.on_link)
    }

    /// Their bytes.
    pub fn open_bytes(&self) -> u64 {
        self.waiting_bytes.saturating_add(self.on_link_bytes)
    }
}

/// What comes up, and what is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coming {
    /// What comes up in pieces.
    pub uploads: Vec<Uploading>,
    /// Where an update stands.
    pub update: UpdateState,
    /// More about that, in a few words.
    pub update_text: Option<String>,
    /// What plans will do next, the soonest first.
    pub agenda: Vec<Pending>,
}

/// Something that comes up in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploading {
    /// What it is.
    pub kind: UploadKind,
    /// What it is called.
    pub name: String,
    /// The first bytes of its SHA-256, hexadecimal: what `upload drop` takes.
    #[serde(default)]
    pub id: String,
    /// Its pieces.
    pub pieces: u32,
    /// Those that are missing.
    pub missing: u32,
}

/// Something that a plan will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When, ms since 1970-01-01 UTC; none: it isn't known.
    pub unix_ms: Option<u64>,
    /// What it waits for.
    #[serde(default)]
    pub waits_for: String,
    /// Of which plan.
    pub plan: String,
    /// What, in the words of the shell.
    pub order: String,
}

/// What duties beside frames and links have to say in the digest. A duty that isn't at work leaves its part as it is by
/// default. What it counts is since the start of the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// [`Running::parameters_sha256`].
    pub parameters_sha256: Option<String>,
    /// [`Wrong::trial_left_s`].
    pub trial_left_s: Option<u64>,
    /// [`Wrong::keys_retired`].
    pub keys_retired: Vec<u16>,
    /// [`Wrong::counters_lost`].
    pub counters_lost: Vec<u16>,
    /// [`Wrong::others`].
    pub wrong: Vec<String>,
    /// Entries of plans that are done.
    pub plan_entries_done: u64,
    /// Entries of plans that failed or were left out.
    pub plan_entries_failed: u64,
    /// Scripts that ended, the newest last, [`MAX_LISTED`] at most; those of before the last pass ended are passed over.
    pub scripts: Vec<ScriptRun>,
    /// [`Coming::uploads`].
    pub uploads: Vec<Uploading>,
    /// [`Coming::update_text`].
    pub update_text: Option<String>,
    /// [`Coming::agenda`].
    pub agenda: Vec<Pending>,
}

impl Outside {
    /// A script has ended; the oldest of too many is forgotten.
    pub fn script_ended(&mut self, run: ScriptRun) {
        let surplus = self.scripts.len().saturating_add(1).saturating_sub(MAX_LISTED);
        self.scripts.drain(..surplus);
        self.scripts.push(run);
    }
}
