//! The command line, by hand: an argument parser would outweigh the launcher.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use passband_proto::slot::Slot;

pub(crate) const USAGE: &str = "\
passband-launch: starts the flight software from the slot that the slot record names

  passband-launch --root DIR [--print] [-- ARGS...]
  passband-launch --root DIR set --slot a|b|golden [--attempts N [--deadline SECONDS]]
  passband-launch --root DIR confirm [--slot a|b|golden]
  passband ARGS...

Without a command it becomes DIR/<slot>/passband with ARGS, if that is the image whose digest the record
names. A slot on trial loses an attempt when it ends by itself or the watchdog resets the board, not when
the power goes; when they are used up, the launcher goes back to the slot before it for good. With no sound
record, an unwritable one or nothing startable in the slot, it starts DIR/golden/passband, and anything
rather than nothing. Whatever it starts runs from memory. Called by the name `passband` it becomes the active slot's program for one of
its commands, and counts nothing.

  --print      say what would be started and why; change nothing
  set          take what is in a slot: on trial with --attempts, until N failures, else as confirmed
  --deadline   how long one start of the trial may last unconfirmed
  confirm      the slot on trial works: keep it (--slot: only if it is that one); doing it again is no error
  --system DIR where /proc and /sys are, in place of /
  --help, --version

PASSBAND_ROOT is the folder for `passband` (default: /data/passband).

Example:  passband-launch --root /data/passband set --slot b --attempts 3 --deadline 86400

Exit status: 0 done, 1 not done, 2 bad usage.
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Job {
    Help,
    Version,
    Task { root: PathBuf, system: PathBuf, task: Task },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Task {
    /// Become the flight software, with these arguments.
    Start(Vec<OsString>),
    Print,
    Set {
        slot: Slot,
        /// `None`: confirmed at once.
        attempts: Option<u8>,
        /// 0: none.
        deadline_s: u32,
    },
    Confirm {
        slot: Option<Slot>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Start,
    Set,
    Confirm,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Job, UsageError> {
    let (mut root, mut system) = (None, PathBuf::from("/"));
    let (mut print, mut slot, mut attempts, mut deadline) = (false, None, None, None);
    let mut verb = Verb::Start;
    let mut passed_on = Vec::new();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h") => return Ok(Job::Help),
            Some("--version" | "-V") => return Ok(Job::Version),
            Some("--root") => root = Some(PathBuf::from(value("--root", args.next())?)),
            Some("--system") => system = PathBuf::from(value("--system", args.next())?),
            Some("--print") => print = true,
            Some("--slot") => slot = Some(slot_of(&value("--slot", args.next())?)?),
            Some("--attempts") => attempts = Some(attempts_of(&value("--attempts", args.next())?)?),
            Some("--deadline") => deadline = Some(deadline_of(&value("--deadline", args.next())?)?),
            Some("set") if verb == Verb::Start => verb = Verb::Set,
            Some("confirm") if verb == Verb::Start => verb = Verb::Confirm,
            Some("--") if verb == Verb::Start => passed_on = args.by_ref().collect(),
            _ => return Err(UsageError::Unknown(arg)),
        }
    }
    let root = root.ok_or(UsageError::Missing("--root DIR"))?;
    let task = match verb {
        Verb::Start if slot.is_some() => return Err(UsageError::NotHere("--slot")),
        Verb::Set | Verb::Confirm if print => return Err(UsageError::NotHere("--print")),
        Verb::Start | Verb::Confirm if attempts.is_some() => return Err(UsageError::NotHere("--attempts")),
        _ if deadline.is_some() && attempts.is_none() => return Err(UsageError::NotHere("--deadline")),
        Verb::Start if print => Task::Print,
        Verb::Start => Task::Start(passed_on),
        Verb::Set => {
            let slot = slot.ok_or(UsageError::Missing("--slot"))?;
            Task::Set { slot, attempts, deadline_s: deadline.unwrap_or(0) }
        }
        Verb::Confirm => Task::Confirm { slot },
    };
    Ok(Job::Task { root, system, task })
}

fn value(option: &'static str, next: Option<OsString>) -> Result<OsString, UsageError> {
    next.filter(|value| !value.is_empty()).ok_or(UsageError::NoValue(option))
}

fn slot_of(value: &OsStr) -> Result<Slot, UsageError> {
    value.to_str().and_then(Slot::from_name).ok_or_else(|| UsageError::Slot(value.to_owned()))
}

fn attempts_of(value: &OsStr) -> Result<u8, UsageError> {
    let attempts = value.to_str().and_then(|text| text.parse().ok());
    attempts.filter(|&n| n > 0).ok_or_else(|| UsageError::Attempts(value.to_owned()))
}

fn deadline_of(value: &OsStr) -> Result<u32, UsageError> {
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds.filter(|&s| s > 0).ok_or_else(|| UsageError::Deadline(value.to_owned()))
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq)]
pub(crate) enum UsageError {
    Unknown(OsString),
    Missing(&'static str),
    NoValue(&'static str),
    NotHere(&'static str),
    Slot(OsString),
    Attempts(OsString),
    Deadline(OsString),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(arg) => write!(f, "unknown argument '{}'", arg.display()),
            Self::Missing(option) => write!(f, "{option} is missing"),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::NotHere(option) => write!(f, "{option} does not belong to this command"),
            Self::Slot(value) => write!(f, "'{}' is no slot: a, b or golden", value.display()),
            Self::Deadline(value) => write!(f, "'{}' is no number of seconds from 1 on", value.display()),
            Self::Attempts(value) => write!(f, "'{}' is no number of attempts: 1 to 255", value.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Job, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn task(line: &str) -> Task {
        match parsed(line) {
            Ok(Job::Task { root, task, .. }) if root.as_os_str() == "/r" => task,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_forms_of_the_usage_text() {
        assert_eq!(task("--root /r"), Task::Start(vec![]));
        assert_eq!(task("--root /r -- run --print"), Task::Start(vec!["run".into(), "--print".into()]));
        assert_eq!(task("--root /r -- -- set"), Task::Start(vec!["--".into(), "set".into()]));
        assert_eq!(task("--root /r --print -- run"), Task::Print);
        assert_eq!(
            task("--root /r set --slot a --attempts 3"),
            Task::Set { slot: Slot::A, attempts: Some(3), deadline_s: 0 }
        );
        assert_eq!(
            task("--root /r set --slot b --attempts 255 --deadline 60"),
            Task::Set { slot: Slot::B, attempts: Some(255), deadline_s: 60 }
        );
        let golden = Task::Set { slot: Slot::Golden, attempts: None, deadline_s: 0 };
        assert_eq!(task("set --slot golden --root /r"), golden);
        assert_eq!(task("--root /r confirm"), Task::Confirm { slot: None });
        assert_eq!(task("--root /r confirm --slot b"), Task::Confirm { slot: Some(Slot::B) });
        assert_eq!(parsed("--root /r --help"), Ok(Job::Help));
        assert_eq!(parsed("--version"), Ok(Job::Version));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, error) in [
            ("", UsageError::Missing("--root DIR")),
            ("--root", UsageError::NoValue("--root")),
            ("--root /r run", UsageError::Unknown("run".into())),
            ("--root /r set", UsageError::Missing("--slot")),
            ("--root /r set --slot c", UsageError::Slot("c".into())),
            ("--root /r set --slot a --attempts 0", UsageError::Attempts("0".into())),
            ("--root /r set --slot a --attempts 256", UsageError::Attempts("256".into())),
            ("--root /r set confirm", UsageError::Unknown("confirm".into())),
            ("--root /r set --slot a -- run", UsageError::Unknown("--".into())),
            ("--root /r confirm --attempts 1", UsageError::NotHere("--attempts")),
            ("--root /r set --slot a --deadline 9", UsageError::NotHere("--deadline")),
            ("--root /r set --slot a --attempts 1 --deadline 0", UsageError::Deadline("0".into())),
            ("--root /r --slot a", UsageError::NotHere("--slot")),
            ("--root /r confirm --print", UsageError::NotHere("--print")),
        ] {
            assert_eq!(parsed(line), Err(error), "{line}");
        }
    }
}
