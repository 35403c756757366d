//! The real commands as processes of their own: their JSON, their time, their memory.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How often a process's memory is read.
const SAMPLE_EVERY: Duration = Duration::from_millis(1);

/// A process that runs.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    name: String,
    start: Instant,
    stdout: Option<JoinHandle<String>>,
    resident: Option<JoinHandle<u64>>,
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Done {
    /// What it printed, if that was JSON.
    pub(super) json: Value,
    /// The most memory it had resident, bytes.
    pub(super) resident_bytes: u64,
    /// From its start to its end.
    pub(super) end: Instant,
}

/// Arguments of a command.
pub(super) fn args<const N: usize>(args: [&dyn AsArg; N]) -> Vec<OsString> {
    args.iter().map(|arg| arg.as_arg()).collect()
}

/// What can be an argument.
pub(super) trait AsArg {
    fn as_arg(&self) -> OsString;
}

impl AsArg for &str {
    fn as_arg(&self) -> OsString {
        OsString::from(self)
    }
}

impl AsArg for String {
    fn as_arg(&self) -> OsString {
        OsString::from(self)
    }
}

impl AsArg for &Path {
    fn as_arg(&self) -> OsString {
        self.as_os_str().to_owned()
    }
}

/// Starts a process.
pub(super) fn start(program: &Path, args: &[OsString]) -> Result<Running> {
    let name = format!(
        "{} {}",
        program.display(),
        args.first().map_or_else(Default::default, |a| a.to_string_lossy())
    );
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let stdout = child.stdout.take().map(|mut out| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            text
        })
    });
    let pid = child.id();
    let resident = Some(std::thread::spawn(move || peak_resident_bytes(pid)));
    Ok(Running { child, name, start: Instant::now(), stdout, resident })
}

/// Runs a process to its end.
pub(super) fn run(program: &Path, args: &[OsString], patience: Duration) -> Result<Done> {
    start(program, args)?.wait(patience)?.with_context(|| format!("{} took too long", program.display()))
}

impl Running {
    /// Kills it, as a power cut would.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing a process")?;
        self.child.wait().context("waiting for a process")?;
        Ok(())
    }

    /// Waits for the end; a process that takes longer than `patience` is killed, and `None` comes of it.
    pub(super) fn wait(mut self, patience: Duration) -> Result<Option<Done>> {
        let in_time = loop {
            if self.child.try_wait().context("waiting for a process")?.is_some() {
                break true;
            }
            if self.start.elapsed() > patience {
                self.child.kill().context("killing a process that took too long")?;
                self.child.wait().context("waiting for a process")?;
                break false;
            }
            std::thread::sleep(SAMPLE_EVERY);
        };
        let end = Instant::now();
        let text = self.stdout.take().and_then(|t| t.join().ok()).unwrap_or_default();
        let resident_bytes = self.resident.take().and_then(|t| t.join().ok()).unwrap_or_default();
        if !in_time {
            return Ok(None);
        }
        let status = self.child.wait().context("waiting for a process")?.code();
        if !matches!(status, Some(0 | 1)) {
            bail!("{} ended with status {status:?}", self.name);
        }
        let json = serde_json::from_str(&text).with_context(|| format!("{} printed no JSON", self.name))?;
        Ok(Some(Done { json, resident_bytes, end }))
    }
}

/// The most memory that a process has resident until it ends: the system's own high-water mark.
fn peak_resident_bytes(pid: u32) -> u64 {
    let mut peak = 0;
    while let Some(now) =
        fs::read_to_string(format!("/proc/{pid}/status")).ok().as_deref().and_then(high_water)
    {
        peak = peak.max(now);
        std::thread::sleep(SAMPLE_EVERY);
    }
    peak
}

/// `VmHWM` of a process's status, bytes; a process that has ended has none.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_memory_of_a_process_come_back() {
        let script = args([&"-c", &"sleep 0.1; echo '{\"a\": 1}'"]);
        let done = run(Path::new("/bin/sh"), &script, Duration::from_mins(1)).unwrap();
        assert_eq!(done.json["a"], 1);
        assert!((100_000..100_000_000).contains(&done.resident_bytes), "{}", done.resident_bytes);
    }

    #[test]
    fn a_process_that_takes_too_long_or_fails_is_told_apart() {
        let slow = start(Path::new("/bin/sh"), &args([&"-c", &"exec sleep 600"])).unwrap();
        assert!(slow.wait(Duration::from_millis(50)).unwrap().is_none());
        assert!(run(Path::new("/bin/sh"), &args([&"-c", &"exit 2"]), Duration::from_mins(1)).is_err());
    }

    #[test]
    fn the_high_water_mark_is_found() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t   4096 kB\n"), Some(4 << 20));
        assert_eq!(high_water("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
