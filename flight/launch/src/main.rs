//! The tiny slot launcher that almost never changes: chooses a slot, counts how its trial fares, and becomes the
//! `passband` in it.
//!
//! Whatever the disk says, it starts something as long as there is something to start. It never writes into a slot,
//! never judges whether a version works (that is the version's and the operator's, who confirm it), and never stays
//! around: the flight software takes its place.
//!
//! What it starts finds in its environment `PASSBAND_ROOT`, `PASSBAND_SLOT` (`a`, `b` or `golden`), `PASSBAND_LAUNCHER`,
//! the version of what the launcher does, and `PASSBAND_LAUNCH`, the reason: `confirmed`, `trial`, `interlude` (the
//! power went too often during a trial, which goes on afterwards), `reverted` (a trial failed), `no-record` (no sound
//! copy of the record), `unwritable` (the record had to be written and couldn't be) or `not-startable` (the slot chosen
//! first doesn't hold its image).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod args;
mod set;
mod start;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use passband_launch::boot;
use passband_launch::linux::Root;

use crate::args::{Job, Task, USAGE};

const SHELL_NAME: &str = "passband";
const DEFAULT_ROOT: &str = "/data/passband";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().map(PathBuf::from);
    if name.as_deref().and_then(Path::file_name).is_some_and(|name| name == SHELL_NAME) {
        let root = std::env::var_os("PASSBAND_ROOT").map_or_else(|| DEFAULT_ROOT.into(), PathBuf::from);
        return start::shell(&Root::new(root), &args.collect::<Vec<_>>());
    }
    match args::parse(args) {
        Ok(Job::Help) => said(USAGE),
        Ok(Job::Version) => said(concat!("passband-launch ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Job::Task { root, system, task }) => run(&Root::new(root), &system, task),
        Err(error) => {
            complain(&format!("{error} (see --help)"));
            ExitCode::from(2)
        }
    }
}

fn run(root: &Root, system: &Path, task: Task) -> ExitCode {
    match task {
        Task::Start(args) => start::start(root, boot::this(system), &args),
        Task::Print => said(&start::describe(root, boot::this(system))),
        Task::Set { slot, attempts, deadline_s } => told(set::set(root, slot, attempts, deadline_s)),
        Task::Confirm { slot } => told(set::confirm(root, slot)),
    }
}

fn told(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(mut text) => {
            let _ = text.write_char('\n');
            said(&text)
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn said(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says it to whoever listens; the launcher goes on when nobody can be told.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "passband-launch: {text}");
}
