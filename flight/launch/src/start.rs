//! The start itself: read, decide, write down, become the flight software.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use passband_proto::slot::{Slot, SlotRecord, SlotState};

use crate::complain;
use crate::decide::{Decision, Why, decide};
use crate::files::{Found, Root};

/// Becomes the flight software; comes back only when nothing on the board can be started.
pub(crate) fn start(root: &Root, args: &[OsString]) -> ExitCode {
    let lock = root.lock().inspect_err(|error| complain(error)).ok();
    let found = root.read();
    let decision = decide(found.record);
    let (order, mut why) = settle(root, &found, &decision);
    for slot in order {
        complain(&become_it(root, slot, why, args));
        why = Why::NotStartable;
    }
    complain("no slot holds anything that can be started");
    drop(lock);
    ExitCode::FAILURE
}

/// Becomes the flight software of a slot; comes back with the reason only if it can't.
fn become_it(root: &Root, slot: Slot, why: Why, args: &[OsString]) -> String {
    let program = match root.startable(slot) {
        Ok(program) => program,
        Err(error) => return error,
    };
    // The exec closes the lock's file, which lets the lock go.
    let error = Command::new(&program)
        .args(args)
        .env("PASSBAND_SLOT", slot.name())
        .env("PASSBAND_LAUNCH", why.code())
        .exec();
    format!("{}: {error}", program.display())
}

/// What [`start`] would do, for people. Writes nothing.
pub(crate) fn describe(root: &Root) -> String {
    let found = root.read();
    let decision = decide(found.record);
    let mut out = String::new();
    for (name, copy) in &found.copies {
        let told = copy.as_ref().map_or_else(Clone::clone, line);
        let _ = writeln!(out, "{name:<10}{told}");
    }
    for (n, slot) in decision.order.into_iter().enumerate() {
        let what = if n == 0 { "start" } else { "else" };
        let why = if n == 0 { format!(" ({})", decision.why.code()) } else { String::new() };
        let told = match root.startable(slot) {
            Ok(program) => program.display().to_string(),
            Err(error) => format!("not startable: {error}"),
        };
        let _ = writeln!(out, "{what:<10}slot {slot}{why}: {told}");
    }
    out
}

/// The record in a line.
pub(crate) fn line(record: &SlotRecord) -> String {
    let mut out = format!("generation {}: slot {} ", record.generation, record.active);
    let _ = match record.state {
        SlotState::Confirmed => write!(out, "confirmed"),
        SlotState::Trial { attempts_left, fallback } => {
            write!(out, "on trial, attempts left {attempts_left}, falls back to {fallback}")
        }
    };
    if let Some(slot) = record.reverted {
        let _ = write!(out, "; the trial of {slot} failed");
    }
    out
}

/// Makes durable what must be, mends what is damaged, and says which order holds.
fn settle(root: &Root, found: &Found, decision: &Decision) -> ([Slot; 3], Why) {
    for (name, copy) in &found.copies {
        if let Err(error) = copy {
            complain(&format!("{name}: {error}"));
        }
    }
    if let Some(record) = &decision.write {
        complain(&line(record));
        if let Err(error) = root.write(record) {
            complain(&error);
            return (decision.unwritable, Why::Unwritable);
        }
    } else if let Some(record) = &found.record {
        let wrong = found.copies.iter().filter(|(_, copy)| copy.as_ref() != Ok(record));
        for (name, _) in wrong {
            if let Err(error) = root.write_copy(name, record) {
                complain(&error);
            }
        }
    }
    (decision.order, decision.why)
}
