//! `passband-ground bench AREA`: every target of an area, measured here and now, beside what else there is.
//!
//! | area | what |
//! | --- | --- |
//! | [`transfer`] | getting a file down with no acknowledgement, beside other file transfers |
//! | [`queue`] | the right bytes first: a day's passes, alerts, the queue, ingest |
//! | [`operations`] | five minutes at a slow line, orders done once, what an attacker gets |
//! | [`triage`] | finding plumes, beside other detectors |
//! | [`update`] | bytes of a release, beside other makers of deltas |
//!
//! Each area is a list of groups of rows; each group is a file. A row that misses its target says so and the run
//! goes on; no figure is remembered from an earlier run, none is judged by anything but its target or a peer's figure
//! of the same run.

mod child;
pub mod operations;
pub mod queue;
mod row;
pub mod transfer;
pub mod triage;
pub mod update;

pub use row::{Op, Row};

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// Each row once and small, under a minute: a test that all of it works.
    Quick,
    /// Minutes.
    Usual,
    /// All there is: an hour.
    Full,
}

/// One run of the bench.
#[derive(Debug)]
pub struct Bench {
    /// How much of it.
    pub scale: Scale,
    /// Seed of everything random.
    pub seed: u64,
    /// The `passband-ground` whose commands are measured.
    pub program: PathBuf,
    /// The command that runs the area's peers, where there is one: a program and its first arguments.
    pub peers: Option<Vec<OsString>>,
    /// Images that releases are measured with.
    pub pairs: Vec<update::Pair>,
}

impl Bench {
    /// Picks by scale.
    fn pick<T>(&self, quick: T, usual: T, full: T) -> T {
        match self.scale {
            Scale::Quick => quick,
            Scale::Usual => usual,
            Scale::Full => full,
        }
    }
}

/// Takes the rows as they come.
pub type Sink<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// Measures some groups of rows and hands each row over.
type Measure = fn(&Bench, &mut Sink) -> Result<()>;

/// What is measured by one `passband-ground bench AREA`.
#[derive(Debug, Clone, Copy)]
pub struct Area {
    /// As rows and the command line name it.
    pub name: &'static str,
    /// The groups that are measured together, and how.
    groups: &'static [(&'static [&'static str], Measure)],
}

impl Area {
    /// All groups of rows: what `--only` takes.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().flat_map(|(names, _)| names.iter().copied())
    }

    /// Measures the groups asked for, all if none is, and hands the rows to `sink`.
    ///
    /// # Errors
    /// Something could not be measured at all; a target that is missed is no error.
    pub fn run(&self, bench: &Bench, only: &[String], sink: &mut Sink) -> Result<()> {
        let wanted = |group: &str| only.is_empty() || only.iter().any(|o| o == group);
        for (names, measure) in self.groups {
            if names.iter().any(|name| wanted(name)) {
                measure(bench, &mut |row| {
                    if wanted(row.group) { sink(row.of(self.name)) } else { Ok(()) }
                })?;
            }
        }
        Ok(())
    }
}

/// A folder that is removed at the end.
///
/// # Errors
/// It can't be made.
pub fn work_folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("passband-bench-").tempdir().context("making a work folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_names_of_their_own() {
        for area in [operations::AREA, queue::AREA, transfer::AREA, triage::AREA, update::AREA] {
            let names: std::collections::BTreeSet<_> = area.groups().collect();
            assert_eq!(names.len(), area.groups().count(), "{}", area.name);
            assert!(!names.is_empty(), "{}", area.name);
        }
    }
}
