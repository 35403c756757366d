//! The two processes between the daemon and a script: `passband script-child outer|inner …`, started by the daemon
//! only. What they say of the script goes to standard error, a pipe to the daemon that the script doesn't get, a line
//! each: `exit N`, `signal N` or `refused WHY`.
//!
//! A thread-less process of its own is what may unshare, limit and give up without touching the daemon.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getgid, getpid, getppid, getuid, set_child_subreaper,
    set_parent_process_death_signal, setpriority_process, setrlimit, setsid, wait,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::inherited::close_at_exec;
use super::tree;
use crate::script::{Limits, Network};

/// The hidden command.
pub const COMMAND: &str = "script-child";
/// The variable that marks a run's processes.
pub const MARKER: &str = "PASSBAND_SCRIPT";
/// Open files of a script.
const MAX_FILES: u64 = 64;
/// What a script finds in its environment, besides the marker and the folder of its run.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C"), ("TZ", "UTC")];

/// What both of them are told.
struct Told {
    network: Network,
    limits: Limits,
    /// The script, and its arguments.
    script: Vec<OsString>,
}

/// The arguments that start the outer process, after the program.
pub fn arguments(network: Network, limits: &Limits, script: Vec<OsString>) -> Vec<OsString> {
    let own = Told { network, limits: *limits, script };
    let mut out: Vec<OsString> = vec![COMMAND.into(), "outer".into(), std::process::id().to_string().into()];
    out.extend(own.words());
    out
}

/// Is one of the two processes; `args` are those after [`COMMAND`].
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let stage = args.next().unwrap_or_default();
    let done = match stage.to_str() {
        Some("outer") => outer(args),
        Some("inner") => inner(args),
        _ => Err("it is for the daemon alone".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("refused {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Makes the namespaces, starts the inner process in them, and ends what is left when it has ended.
fn outer(mut args: impl Iterator<Item = OsString>) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    let daemon = args.next().and_then(|word| word.to_str()?.parse().ok());
    // It may have died before it was asked to be followed.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != daemon {
        return Err("the daemon is gone".to_owned());
    }
    let told = Told::read(args)?;
    set_child_subreaper(Some(getpid())).map_err(|e| format!("prctl: {e}"))?;
    setsid().map_err(|e| format!("setsid: {e}"))?;
    let tasks = tasks_of_user();
    isolate(told.network)?;
    let mut inner = Command::new("/proc/self/exe");
    inner.arg(COMMAND).arg("inner").arg(tasks.to_string()).args(told.words());
    let started = inner.spawn().map_err(|e| format!("starting the inner process: {e}"))?;
    let ended = wait_for(started.id());
    // Where there is no process namespace, orphans have fallen to this process.
    loop {
        let left = tree::descendants(std::process::id());
        if left.is_empty() {
            return ended.map(drop);
        }
        tree::kill(&left);
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

/// Takes on the limits, gives up every right, and runs the script.
fn inner(mut args: impl Iterator<Item = OsString>) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    let tasks: u64 = args.next().and_then(|word| word.to_str()?.parse().ok()).ok_or("no number of tasks")?;
    let told = Told::read(args)?;
    let mut shell = shell(&told.script)?;
    limit(&told.limits, tasks).map_err(|e| format!("limits: {e}"))?;
    give_up_rights().map_err(|e| format!("giving up rights: {e}"))?;
    let started = shell.spawn().map_err(|e| format!("starting the shell: {e}"))?;
    let status = wait_for(started.id())?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => say(&format!("exit {status}")),
        (None, Some(signal)) => say(&format!("signal {signal}")),
        (None, None) => return Err("the shell ended in an unknown way".to_owned()),
    }
    Ok(())
}

/// A network and a process namespace of its own; where the kernel gives this user none, one of users around them.
fn isolate(network: Network) -> Result<(), String> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let mut wanted = UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    wanted.set(UnshareFlags::NEWNET, network == Network::None);
    let isolated = unshare(wanted).or_else(|_| {
        unshare(wanted | UnshareFlags::NEWUSER)?;
        // The same user as outside, and no other.
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
    });
    match (isolated, network) {
        (Err(e), Network::None) => Err(format!(
            "the kernel gives no network namespace ({e}): with scripts.network = \"allow\" scripts run without one"
        )),
        _ => Ok(()),
    }
}

#[expect(
    deprecated,
    reason = "it is deprecated for its flag FILES, by which threads would lose descriptors; there are none, nor is it set"
)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}

/// The shell that runs a script, with no more than it needs.
fn shell(script: &[OsString]) -> Result<Command, String> {
    close_at_exec().map_err(|e| format!("closing what was inherited: {e}"))?;
    let mut shell = Command::new("/bin/sh");
    shell.args(script);
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(|e| format!("the output: {e}"))?;
    let marker = std::env::var_os(MARKER).unwrap_or_default();
    // All of them are begun in the folder of the run.
    let folder = std::env::current_dir().map_err(|e| format!("the folder of the run: {e}"))?;
    shell.env_clear().envs(ENVIRONMENT).env(MARKER, marker).env("HOME", &folder).env("TMPDIR", &folder);
    shell.stdin(Stdio::null()).stderr(Stdio::from(output));
    Ok(shell)
}

fn limit(limits: &Limits, tasks: u64) -> io::Result<()> {
    let set = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
    };
    // The lowest share of the processors, and with it of the disk.
    setpriority_process(None, 19)?;
    set(Resource::Core, 0, 0)?;
    set(Resource::Cpu, limits.cpu_s, limits.cpu_s.saturating_add(1))?;
    set(Resource::Fsize, limits.file_bytes, limits.file_bytes)?;
    set(Resource::Nofile, MAX_FILES, MAX_FILES)?;
    // The user's other processes count, too; root is not bound by it.
    let most = tasks.saturating_add(limits.processes).saturating_add(2);
    set(Resource::Nproc, most, most)?;
    set(Resource::As, limits.memory_bytes, limits.memory_bytes)?;
    Ok(())
}

/// No capability, now or by any program, whatever user this is.
fn give_up_rights() -> io::Result<()> {
    set_no_new_privs(true)?;
    if capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            match capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one)?,
                Ok(false) => {}
                // The kernel knows no more.
                Err(_) => break,
            }
        }
    }
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Waits for a child, and for whoever has fallen to this process before it ends.
fn wait_for(child: u32) -> Result<rustix::process::WaitStatus, String> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if is(pid, child) => return Ok(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("waiting: {e}")),
        }
    }
}

fn is(pid: Pid, child: u32) -> bool {
    u32::try_from(pid.as_raw_nonzero().get()) == Ok(child)
}

/// Threads of this user, which its limit of processes counts.
fn tasks_of_user() -> u64 {
    tree::threads_of(getuid().as_raw())
}

fn say(text: &str) {
    // Where the daemon is gone there is nobody to tell.
    let _told = writeln!(io::stderr(), "{text}");
}

impl Told {
    fn words(&self) -> Vec<OsString> {
        let Limits { wall_s: _, output_bytes: _, cpu_s, memory_bytes, processes, file_bytes } = self.limits;
        let network = if self.network == Network::None { "none" } else { "allow" };
        let numbers = [cpu_s, memory_bytes, processes, file_bytes].map(|n| OsString::from(n.to_string()));
        [OsString::from(network)].into_iter().chain(numbers).chain(self.script.iter().cloned()).collect()
    }

    fn read(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let network = match args.next().as_ref().and_then(|word| word.to_str()) {
            Some("none") => Network::None,
            Some("allow") => Network::Allow,
            _ => return Err("it is for the daemon alone".to_owned()),
        };
        let mut number =
            || args.next().and_then(|word| word.to_str()?.parse().ok()).ok_or("a limit is missing");
        let limits = Limits {
            cpu_s: number()?,
            memory_bytes: number()?,
            processes: number()?,
            file_bytes: number()?,
            ..Limits::default()
        };
        let script: Vec<_> = args.collect();
        if script.is_empty() {
            return Err("no script is named".to_owned());
        }
        Ok(Self { network, limits, script })
    }
}
