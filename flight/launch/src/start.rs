//! The start itself: read, decide, write down, prove, become the flight software.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use passband_launch::copies::{self, Found};
use passband_launch::linux::{Image, Root};
use passband_launch::{PROGRAM, VERSION, deadline, proof};
use passband_proto::slot::decide::{Boot, Decision, Why, damaged, decide};
use passband_proto::slot::{Slot, SlotRecord};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::complain;

/// Becomes the flight software; comes back only when nothing on the board can be started.
pub(crate) fn start(root: &Root, boot: Boot, args: &[OsString]) -> ExitCode {
    let lock = root.lock().inspect_err(|error| complain(error)).ok();
    let found = copies::read(root);
    let decision = decide(found.record, boot);
    let (order, mut why) = settle(root, &found, &decision);
    let record = decision.write.or(found.record);
    for slot in order {
        let starter = Starter { root, slot, why, args };
        match starter.proven(record.as_ref()) {
            Ok(image) => {
                if why == Why::Trial {
                    deadline::set(decision.deadline_s.unwrap_or(0));
                }
                complain(&starter.become_it(image));
                deadline::set(0);
                why = Why::NotStartable;
            }
            Err(error) => {
                complain(&error);
                why = give_up(root, record.as_ref(), slot);
            }
        }
    }
    complain("no slot holds its image: anything that can be started is started");
    for slot in order {
        let starter = Starter { root, slot, why: Why::NotStartable, args };
        let error =
            root.startable(slot).map_or_else(|error| error, |image| starter.become_it(in_memory(image)));
        complain(&error);
    }
    complain("no slot holds anything that can be started");
    drop(lock);
    ExitCode::FAILURE
}

/// Becomes the active slot's program for one of its commands, without counting or proving anything.
pub(crate) fn shell(root: &Root, args: &[OsString]) -> ExitCode {
    let record = copies::read(root).record.unwrap_or(SlotRecord::FACTORY);
    for slot in [record.active, record.fallback(), Slot::Golden] {
        let Ok(image) = root.startable(slot) else { continue };
        let program = in_memory(image);
        complain(&program.become_it(|path| {
            let mut command = Command::new(path);
            command.arg0(PROGRAM).args(args);
            command
        }));
    }
    complain(&format!(
        "nothing in {} can be started (PASSBAND_ROOT names another folder)",
        root.path().display()
    ));
    ExitCode::FAILURE
}

/// The slot on trial isn't what was staged: its trial is over. Gives back why another one is started.
fn give_up(root: &Root, record: Option<&SlotRecord>, slot: Slot) -> Why {
    let Some(reverted) = record.and_then(|record| damaged(record, slot)) else { return Why::NotStartable };
    complain(&line(&reverted));
    match copies::write(root, &reverted) {
        Ok(()) => Why::Reverted,
        Err(error) => {
            complain(&error);
            Why::NotStartable
        }
    }
}

/// Who starts one slot.
struct Starter<'a> {
    root: &'a Root,
    slot: Slot,
    why: Why,
    args: &'a [OsString],
}

/// What is to be executed.
struct Program {
    path: PathBuf,
    /// Holds a copy in memory.
    memory: Option<File>,
}

impl Starter<'_> {
    /// The slot's program in memory, once its bytes are proved to be those that the record names.
    fn proven(&self, record: Option<&SlotRecord>) -> Result<Program, String> {
        let Image { path, file, bytes, is_script } = self.root.startable(self.slot)?;
        let expected = record.map(|record| record.held(self.slot).image).unwrap_or_default();
        let memory = memory(is_script);
        let proof = match &memory {
            Some(memory) => proof::prove(file, bytes, memory),
            None => proof::prove(file, bytes, io::sink()),
        };
        match proof {
            Ok(proof) if proof.holds(expected) => Ok(Program { path, memory }),
            Ok(_) => Err(format!("{}: it isn't the image that was put there", path.display())),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Becomes it; comes back with the reason only if that can't be.
    fn become_it(&self, program: Program) -> String {
        program.become_it(|path| {
            // The exec closes the lock's file, which lets the lock go.
            let mut command = Command::new(path);
            command
                .arg0(PROGRAM)
                .args(self.args)
                .env("PASSBAND_ROOT", self.root.path())
                .env("PASSBAND_SLOT", self.slot.name())
                .env("PASSBAND_LAUNCH", self.why.name())
                .env("PASSBAND_LAUNCHER", VERSION.to_string());
            command
        })
    }
}

impl Program {
    /// From memory if it is there: what was proved is what runs, whatever the disk does meanwhile, whether it is mounted
    /// to be executed from or not. From the disk else.
    fn become_it(self, command: impl Fn(&Path) -> Command) -> String {
        if let Some(memory) = &self.memory {
            let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
            let error = command(&path).exec();
            complain(&format!("{}, in memory: {error}", self.path.display()));
        }
        let error = command(&self.path).exec();
        format!("{}: {error}", self.path.display())
    }
}

/// An image as it is.
fn in_memory(image: Image) -> Program {
    let Image { path, mut file, is_script, .. } = image;
    let memory = memory(is_script).filter(|mut memory| io::copy(&mut file, &mut memory).is_ok());
    Program { path, memory }
}

/// A file in memory; without one the file on the disk has to do. The interpreter of a script opens it again.
fn memory(is_script: bool) -> Option<File> {
    let flags = if is_script { MemfdFlags::empty() } else { MemfdFlags::CLOEXEC };
    memfd_create(PROGRAM, flags).ok().map(File::from)
}

/// What [`start`] would do, for people. Writes nothing.
pub(crate) fn describe(root: &Root, boot: Boot) -> String {
    let found = copies::read(root);
    let decision = decide(found.record, boot);
    let record = decision.write.or(found.record);
    let mut out = String::new();
    for (name, copy) in &found.copies {
        let told = copy.as_ref().map_or_else(Clone::clone, line);
        let _ = writeln!(out, "{name:<10}{told}");
    }
    for (n, slot) in decision.order.into_iter().enumerate() {
        let what = if n == 0 { "start" } else { "else" };
        let why = if n == 0 { format!(" ({})", decision.why.name()) } else { String::new() };
        let starter = Starter { root, slot, why: decision.why, args: &[] };
        let told = match starter.proven(record.as_ref()) {
            Ok(program) => program.path.display().to_string(),
            Err(error) => format!("not startable: {error}"),
        };
        let _ = writeln!(out, "{what:<10}slot {slot}{why}: {told}");
    }
    out
}

/// The record in a line.
pub(crate) fn line(record: &SlotRecord) -> String {
    let mut out = format!("generation {}: slot {} ", record.generation, record.active);
    let _ = match &record.trial {
        None => write!(out, "confirmed"),
        Some(trial) => {
            write!(out, "on trial, attempts left {}, falls back to {}", trial.attempts_left, trial.fallback)
        }
    };
    if let Some((slot, why)) = record.reverted {
        let _ = write!(out, "; the trial of {slot} failed ({why})");
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
        if let Err(error) = copies::write(root, record) {
            complain(&error);
            return (decision.unwritable, Why::Unwritable);
        }
    } else {
        copies::mend(root, found).iter().for_each(|error| complain(error));
    }
    (decision.order, decision.why)
}
