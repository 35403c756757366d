//! The processes of a run: all that descend from one process, as `/proc` shows them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::adapters::os::read_text;
use crate::health::parse::{ProcessStat, process_stat};

/// Most processes of the machine that are looked at.
const MAX_PROCESSES: usize = 65_536;
/// Longest stat of a process, and longest environment that is looked at, bytes.
const MAX_BYTES: (u64, u64) = (4 << 10, 128 << 10);

/// What the processes of a run use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) processes: u64,
    /// Processor time, those counted that have ended and were waited for, clock ticks.
    pub(super) cpu_ticks: u64,
    pub(super) pages: u64,
}

/// All processes that descend from `root`, the nearest first, without itself.
pub(super) fn descendants(root: u32) -> Vec<(u32, ProcessStat)> {
    let all = processes();
    let mut out: Vec<(u32, ProcessStat)> = Vec::new();
    let mut above = vec![root];
    while !above.is_empty() {
        let next: Vec<_> = all.iter().filter(|(_, stat)| above.contains(&stat.parent)).copied().collect();
        above = next.iter().map(|(pid, _)| *pid).filter(|pid| *pid != root).collect();
        above.retain(|pid| !out.iter().any(|(known, _)| known == pid));
        out.extend(next.into_iter().filter(|(pid, _)| above.contains(pid)));
    }
    out
}

/// What they use; the first `overhead` of them, which are ours, don't count as processes.
pub(super) fn usage(descendants: &[(u32, ProcessStat)], overhead: usize) -> Usage {
    let mut out = Usage::default();
    for (n, (_, stat)) in descendants.iter().enumerate() {
        out.cpu_ticks = out.cpu_ticks.saturating_add(stat.cpu_ticks);
        if n >= overhead {
            out.pages = out.pages.saturating_add(stat.resident_pages);
            // One that has ended uses nothing but its number.
            out.processes = out.processes.saturating_add(u64::from(!stat.zombie));
        }
    }
    out
}

/// Kills processes; the farthest last, so that nobody is left who could start more.
pub(super) fn kill(processes: &[(u32, ProcessStat)]) {
    for (pid, stat) in processes.iter().filter(|(_, stat)| !stat.zombie) {
        kill_one(*pid, stat);
    }
}

/// Kills what a run of an earlier daemon left behind, known by a marker in the environment that it began with; how
/// many there were.
pub(super) fn kill_marked(marker: &[u8]) -> usize {
    let own = std::process::id();
    let is_marked = |(pid, _): &(u32, ProcessStat)| {
        let environment = fs::File::open(format!("/proc/{pid}/environ")).and_then(|file| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES.1), &mut bytes)?;
            Ok(bytes)
        });
        *pid != own && environment.is_ok_and(|bytes| bytes.split(|b| *b == 0).any(|one| one == marker))
    };
    let marked: Vec<_> = processes().into_iter().filter(is_marked).collect();
    kill(&marked);
    marked.len()
}

/// Threads of all processes of a user.
pub(super) fn threads_of(uid: u32) -> u64 {
    let is_own = |pid: u32| fs::metadata(format!("/proc/{pid}")).is_ok_and(|about| about.uid() == uid);
    let threads = processes().into_iter().filter(|(pid, _)| is_own(*pid)).map(|(_, stat)| stat.threads);
    threads.fold(0, u64::saturating_add)
}

fn kill_one(pid: u32, stat: &ProcessStat) {
    // The number may be another process's by now.
    let same = stat_of(pid).is_some_and(|now| now.began_ticks == stat.began_ticks);
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|_| same) {
        // One that is gone is what was wanted.
        let _gone = kill_process(pid, Signal::KILL);
    }
}

fn processes() -> Vec<(u32, ProcessStat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.take(MAX_PROCESSES).filter_map(|pid| Some((pid, stat_of(pid)?))).collect()
}

fn stat_of(pid: u32) -> Option<ProcessStat> {
    read_text(std::path::Path::new(&format!("/proc/{pid}/stat")), MAX_BYTES.0)
        .ok()
        .as_deref()
        .and_then(process_stat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn children_of_children_are_found_and_killed() {
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let begun = std::time::Instant::now();
        while descendants(child.id()).len() < 2 {
            assert!(begun.elapsed().as_secs() < 10);
        }
        assert!(descendants(std::process::id()).iter().any(|(pid, _)| *pid == child.id()));
        let all = descendants(child.id());
        assert_eq!(usage(&all, 0).processes, 2);
        kill(&all);
        child.wait().unwrap();
        assert!(descendants(child.id()).is_empty());
    }
}
