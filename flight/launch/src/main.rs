//! The tiny slot launcher that almost never changes: chooses a slot, counts its starts, and becomes
//! the `passband` in it.
//!
//! ```text
//! ROOT/a/passband  ROOT/b/passband     the two slots
//! ROOT/golden/passband                 the image flown from the factory, read-only
//! ROOT/slot.0  ROOT/slot.1  ROOT/slot.2  copies of the slot record (`passband_proto::slot`)
//! ```
//!
//! Whatever the disk says, it starts something as long as there is something to start. It never
//! writes into a slot, never judges whether a version works (that is the version's and the
//! operator's, who `confirm` it), and never stays around: the flight software takes its place.
//!
//! What it starts finds in its environment `PASSBAND_SLOT` (`a`, `b` or `golden`) and
//! `PASSBAND_LAUNCH`, the reason: `confirmed`, `trial`, `reverted` (a trial used up its starts),
//! `no-record` (no sound copy of the record), `unwritable` (the record had to be written and
//! couldn't be) or `not-startable` (the slot chosen first has nothing that can be started).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod args;
mod decide;
mod files;
mod image;
mod start;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use passband_proto::slot::Slot;

use crate::args::{Job, Task, USAGE};
use crate::files::Root;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Job::Help) => said(USAGE),
        Ok(Job::Version) => said(concat!("passband-launch ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Job::Task { root, task }) => run(&Root::new(root), task),
        Err(error) => {
            complain(&format!("{error} (see --help)"));
            ExitCode::from(2)
        }
    }
}

fn run(root: &Root, task: Task) -> ExitCode {
    match task {
        Task::Start(args) => start::start(root, &args),
        Task::Print => said(&start::describe(root)),
        Task::Set { slot, attempts } => told(set(root, slot, attempts)),
        Task::Confirm { slot } => told(confirm(root, slot)),
    }
}

fn set(root: &Root, slot: Slot, attempts: Option<u8>) -> Result<String, String> {
    let _lock = root.lock()?;
    root.startable(slot)?;
    let record = decide::set(root.read().record, slot, attempts).map_err(|error| error.to_string())?;
    root.write(&record)?;
    Ok(start::line(&record))
}

fn confirm(root: &Root, slot: Option<Slot>) -> Result<String, String> {
    let _lock = root.lock()?;
    let record = root.read().record.ok_or("there is no sound slot record, so nothing to confirm")?;
    let confirmed = decide::confirm(record, slot).map_err(|error| error.to_string())?;
    if let Some(record) = &confirmed {
        root.write(record)?;
    }
    Ok(start::line(&confirmed.unwrap_or(record)))
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
