//! Where a flight binary runs: on this machine, or under an emulator of the board's processor.
//!
//! Knows how to run a program to its end within a time limit, and nothing of what it does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// `e_machine` of aarch64 (ELF for the Arm 64-bit architecture, §5.3).
const EM_AARCH64: u16 = 183;
const POLL: Duration = Duration::from_millis(5);

/// A flight binary and what runs it.
pub(crate) struct Board {
    binary: PathBuf,
    emulator: Option<PathBuf>,
    timeout: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    /// It was stopped at the time limit.
    TimedOut,
}

impl Board {
    /// This machine, with a binary built for it.
    pub(crate) fn host(binary: &Path, timeout: Duration) -> Result<Self> {
        Ok(Self { binary: found(binary)?, emulator: None, timeout })
    }

    /// The board that `binary` was built for: under `emulator`, or, where none is named, under
    /// `qemu-aarch64` if it is an aarch64 binary and this machine isn't.
    pub(crate) fn for_binary(binary: &Path, emulator: Option<&Path>, timeout: Duration) -> Result<Self> {
        let binary = found(binary)?;
        let foreign = machine(&binary)? == Some(EM_AARCH64) && !cfg!(target_arch = "aarch64");
        let emulator = match emulator {
            // With a folder in its name it is a file; the runs are made in other folders.
            Some(emulator) if emulator.components().count() > 1 => Some(found(emulator)?),
            Some(emulator) => Some(emulator.to_owned()),
            None => foreign.then(|| PathBuf::from("qemu-aarch64")),
        };
        Ok(Self { binary, emulator, timeout })
    }

    /// Runs the binary with `args` in the folder `dir` to its end; what it says goes to `log`.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S], dir: &Path, log: &Log) -> Result<Ending> {
        let mut command = match &self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let create =
            |path: &Path| File::create(path).with_context(|| format!("can't write {}", path.display()));
        command.args(args).current_dir(dir).stdin(Stdio::null());
        command.stdout(create(&log.stdout)?).stderr(create(&log.stderr)?);
        let child = command.spawn().with_context(|| format!("can't start {self}"))?;
        wait(child, self.timeout)
    }
}

impl std::fmt::Display for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(emulator) = &self.emulator {
            write!(f, "{} ", emulator.display())?;
        }
        write!(f, "{}", self.binary.display())
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::TimedOut => f.write_str("stopped at the time limit"),
        }
    }
}

/// Where a run's output goes.
pub(crate) struct Log {
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

impl Log {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { stdout: dir.join("stdout"), stderr: dir.join("stderr") }
    }

    /// The last line of standard error, for a message.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.stderr).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

fn wait(mut child: Child, timeout: Duration) -> Result<Ending> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("can't wait for the run")? {
            return Ok(Ending::Exited(status));
        }
        if started.elapsed() >= timeout {
            child.kill().context("can't stop the run")?;
            child.wait().context("can't wait for the run")?;
            return Ok(Ending::TimedOut);
        }
        sleep(POLL);
    }
}

fn found(binary: &Path) -> Result<PathBuf> {
    let path = binary.canonicalize().with_context(|| format!("can't find {}", binary.display()))?;
    if !path.is_file() {
        bail!("{} is not a file", binary.display());
    }
    Ok(path)
}

/// The processor that an ELF file is for; `None` if it is something else, such as a script.
fn machine(binary: &Path) -> Result<Option<u16>> {
    let mut head = Vec::new();
    let file = File::open(binary).with_context(|| format!("can't read {}", binary.display()))?;
    file.take(20).read_to_end(&mut head).with_context(|| format!("can't read {}", binary.display()))?;
    Ok(match head.as_slice() {
        [0x7f, b'E', b'L', b'F', .., low, high] if head.len() == 20 => {
            Some(u16::from_le_bytes([*low, *high]))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, timeout: Duration) -> (Ending, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::in_dir(dir.path());
        let board = Board::host(Path::new("/bin/sh"), timeout).unwrap();
        let ending = board.run(&["-c", script], dir.path(), &log).unwrap();
        (ending, fs::read_to_string(&log.stdout).unwrap(), log.last_words())
    }

    #[test]
    fn a_run_is_told_as_it_ended() {
        let (ending, stdout, last) =
            sh("echo out; echo first >&2; echo last >&2; exit 3", Duration::from_secs(9));
        assert_eq!(
            (ending.to_string(), stdout.as_str(), last.as_str()),
            ("exit status: 3".into(), "out\n", "last")
        );
    }

    #[test]
    fn a_run_that_hangs_is_stopped() {
        let (ending, stdout, _) = sh("echo out; exec sleep 60", Duration::from_millis(200));
        assert_eq!((ending, stdout.as_str()), (Ending::TimedOut, "out\n"));
    }

    #[test]
    fn the_emulator_is_taken_from_the_binary() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("passband");
        let emulator = |bytes: &[u8], given: Option<&Path>| {
            fs::write(&binary, bytes).unwrap();
            Board::for_binary(&binary, given, POLL).unwrap().emulator
        };
        let mut arm = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0";
        let expected = (!cfg!(target_arch = "aarch64")).then(|| PathBuf::from("qemu-aarch64"));
        assert_eq!(emulator(&arm, None), expected);
        assert_eq!(emulator(&arm, Some(Path::new("/bin/sh"))), Some(found(Path::new("/bin/sh")).unwrap()));
        assert_eq!(emulator(&arm[..19], None), None);
        arm[18] = 62;
        assert_eq!(emulator(&arm, None), None);
        assert_eq!(emulator(b"#!/bin/sh\n", None), None);
        assert_eq!(emulator(b"#!/bin/sh\n", Some(Path::new("env"))), Some(PathBuf::from("env")));
    }
}
