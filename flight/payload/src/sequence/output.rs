//! What a sequencer is told and what it asks for.

use core::fmt;
use passband_proto::dict::EventCode;
use std::collections::BTreeMap;

use super::record::{Change, Key};
use crate::telemetry::Report;

/// What is to be done; in the order of a poll's outputs, which is this one.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Make this durable before any order that comes behind it is run.
    Persist(Change),
    /// Tell the operator.
    Report(Report),
    /// Run an order: give it to the ledger of orders, and tell what came of it.
    Run(Run),
}

/// An order to run. It may come again with the same number, after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number; with [`super::SOURCE`] its id.
    pub number: u32,
    /// The plan.
    pub plan: String,
    /// The entry, from 1.
    pub entry: u16,
    /// Which time of the entry, from 1.
    pub occurrence: u32,
    /// Which try, from 0.
    pub attempt: u8,
    /// The order.
    pub order: Vec<u8>,
}

/// A pass as it is predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassTimes {
    /// The station's name.
    pub station: String,
    /// Its start, ms since 1970-01-01 UTC.
    pub aos_unix_ms: u64,
    /// Its end, ms since 1970-01-01 UTC.
    pub los_unix_ms: u64,
}

impl From<&crate::passes::Pass> for PassTimes {
    fn from(pass: &crate::passes::Pass) -> Self {
        Self { station: pass.station.clone(), aos_unix_ms: pass.aos_unix_ms, los_unix_ms: pass.los_unix_ms }
    }
}

/// Why something that was asked isn't done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceError {
    /// There is no plan of that name on board.
    NoPlan(String),
    /// The plan doesn't run.
    NotRunning(String),
    /// The plan runs.
    Running(String),
    /// As many plans as can be are on board.
    TooManyPlans,
    /// As many plans as can run at a time do.
    TooManyRunning,
    /// Plans started plans [`super::MAX_DEPTH`] deep.
    TooDeep,
    /// The plan was compiled for another dictionary.
    Dictionary {
        /// Digest of the plan's.
        plan: [u8; 4],
        /// Digest of this program's.
        own: [u8; 4],
    },
    /// It says what no plan may say.
    Plan(passband_proto::plan::PlanError),
    /// The plan has no such entry.
    NoEntry {
        /// The plan.
        plan: String,
        /// What was asked for.
        entry: String,
    },
    /// The entry has ended, or its order was handed over.
    TooLate {
        /// The plan.
        plan: String,
        /// The entry, from 1.
        entry: u16,
    },
    /// Every number was used.
    NoNumber,
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlan(name) => write!(f, "no plan '{name}' is on board"),
            Self::NotRunning(name) => write!(f, "plan '{name}' doesn't run"),
            Self::Running(name) => write!(f, "plan '{name}' runs; cancel it first"),
            Self::TooManyPlans => {
                write!(
                    f,
                    "{} plans, or {} of one entry, are on board; remove one first",
                    super::MAX_PLANS,
                    super::MAX_SINGLE
                )
            }
            Self::TooManyRunning => {
                write!(
                    f,
                    "{} plans, or {} of one entry, run; cancel one or wait for its end",
                    super::MAX_RUNNING,
                    super::MAX_SINGLE
                )
            }
            Self::TooDeep => write!(f, "plans may start plans {} deep at most", super::MAX_DEPTH),
            Self::Dictionary { plan, own } => write!(
                f,
                "compiled for dictionary {:08x}, and this is {:08x}: compile it anew",
                u32::from_be_bytes(*plan),
                u32::from_be_bytes(*own)
            ),
            Self::Plan(error) => error.fmt(f),
            Self::NoEntry { plan, entry } => write!(f, "plan '{plan}' has no entry '{entry}'"),
            Self::TooLate { plan, entry } => {
                write!(f, "entry {entry} of plan '{plan}' has ended, or its order was handed over")
            }
            Self::NoNumber => f.write_str("all numbers of orders or of runs are used up"),
        }
    }
}

impl core::error::Error for SequenceError {}

/// Outputs until they are taken.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    changes: Vec<Change>,
    reports: Vec<Report>,
    /// What is told of entries, by plan and code: the first text and how many more there are.
    entries: BTreeMap<(u32, EventCode), (String, u32)>,
    runs: Vec<Run>,
}

impl Outbox {
    pub(super) fn put(&mut self, key: Key, value: Option<Vec<u8>>) {
        if let Some(value) = value {
            self.changes.push(Change::Put { key, value });
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn run(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub(super) fn report(&mut self, report: Report) {
        self.reports.push(report);
    }

    pub(super) fn warn(&mut self, code: EventCode, text: String) {
        self.reports.push(Report::warning(code, text));
    }

    /// Tells of an entry; many of the same kind of one plan are told together.
    pub(super) fn entry(&mut self, run: u32, code: EventCode, text: String) {
        let told = self.entries.entry((run, code)).or_insert((text, 0));
        told.1 = told.1.saturating_add(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.reports.is_empty() && self.entries.is_empty() && self.runs.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Output> {
        let all = core::mem::take(self);
        let entries = all.entries.into_iter().map(|((_, code), (text, count))| match count {
            0 | 1 => Report::warning(code, text),
            _ => Report::warning(code, format!("{text}; and {} more", count - 1)),
        });
        let reports = all.reports.into_iter().chain(entries).map(Output::Report);
        let changes = all.changes.into_iter().map(Output::Persist);
        changes.chain(reports).chain(all.runs.into_iter().map(Output::Run)).collect()
    }
}
