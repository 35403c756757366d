//! Runs scripts: starts them, reads what they say, watches what they use, and ends them with all that they started.
//!
//! Nothing here waits: [`Runner::poll`] is to be called a few times a second while anything runs, by a thread that
//! lives as long as the daemon (a run ends with the thread that started it: `PR_SET_PDEATHSIG`).

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;

use super::child::{MARKER, arguments};
use super::folder::{self, Folder};
use super::store::ScriptStore;
use super::tree::{self, Usage};
use crate::adapters::disk::Disk;
use crate::adapters::sensors::TICKS_PER_S;
use crate::script::{
    End, Limit, Limits, MAX_ARGUMENTS, MAX_RUNNING, Name, Output, RunId, RunRecord, ScriptError, Settings,
};

/// Processes of ours between the daemon and the script.
const OVERHEAD: usize = 1;
/// Bytes read of one run at a poll.
const MAX_READ_BYTES: usize = 1 << 20;
/// What the two processes of ours may say, bytes.
const MAX_SAID_BYTES: u64 = 4 << 10;
/// A run that was killed and doesn't end is killed at its root after so long, ms.
const PATIENCE_MS: u64 = 2_000;

/// Both clocks: ms of the steady one, and ms since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Steady.
    pub ms: u64,
    /// Of the wall.
    pub unix_ms: u64,
}

/// What became of an order to run a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It runs.
    Started,
    /// This order was followed before; how its run stands.
    Already(Box<RunRecord>),
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How.
    pub record: RunRecord,
    /// Its output, as far as it is kept.
    pub output: Vec<u8>,
    /// Why its record could not be kept, if it couldn't: should the daemon start anew, it counts as interrupted.
    pub unrecorded: Option<String>,
}

/// What a run has once it was begun.
type Spawned = (Folder, Child, ChildStdout, ChildStderr);

/// Runs scripts.
#[derive(Debug)]
pub struct Runner {
    store: ScriptStore,
    settings: Settings,
    program: PathBuf,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    record: RunRecord,
    child: Child,
    out: ChildStdout,
    said: ChildStderr,
    output: Output,
    folder: Folder,
    folder_bytes: u64,
    until_ms: u64,
    /// How it is to end, and since when.
    ending: Option<(End, u64)>,
}

impl Runner {
    /// Opens the scripts of a state folder. Runs that were on when the daemon before ended are told as interrupted, and
    /// what is left of them is killed. `program` is this very program: `/proc/self/exe`.
    pub fn open(
        disk: Arc<dyn Disk>,
        state: &Path,
        settings: Settings,
        program: PathBuf,
        unix_ms: u64,
    ) -> Result<(Self, Vec<Finished>), ScriptError> {
        let store = ScriptStore::open(disk, state)?;
        let runner = Self { store, settings, program, running: Vec::new() };
        let open = runner.store.runs()?.into_iter().filter(|record| record.end.is_none());
        let interrupted = open.map(|mut record| {
            tree::kill_marked(runner.marker(record.id).as_bytes_with_name().as_slice());
            (record.end, record.ended_unix_ms) = (Some(End::Interrupted), Some(unix_ms));
            let unrecorded = runner.store.keep(&record).err().map(|e| e.to_string());
            Finished { record, output: Vec::new(), unrecorded }
        });
        let interrupted = interrupted.collect();
        if let Err(e) = folder::remove_left(runner.store.folder()) {
            tracing::warn!("what earlier runs of scripts left can't be removed: {e}");
        }
        Ok((runner, interrupted))
    }

    /// The scripts that are kept.
    pub fn store(&self) -> &ScriptStore {
        &self.store
    }

    /// Runs that are on.
    pub fn running(&self) -> impl Iterator<Item = &RunRecord> {
        self.running.iter().map(|run| &run.record)
    }

    /// Runs a script, unless this order was followed before.
    pub fn start(
        &mut self,
        id: RunId,
        name: &Name,
        words: &[String],
        limits: Limits,
        now: Now,
    ) -> Result<Begun, ScriptError> {
        if let Some(record) = self.store.run(id)? {
            return Ok(Begun::Already(Box::new(record)));
        }
        limits.check()?;
        let (most, longest) = MAX_ARGUMENTS;
        if words.len() > most || words.iter().any(|word| word.len() > longest || word.contains('\0')) {
            return Err(ScriptError::Arguments);
        }
        if self.running.len() >= MAX_RUNNING {
            return Err(ScriptError::Busy);
        }
        let script = self.store.script(name)?;
        let record = RunRecord {
            id,
            name: name.clone(),
            arguments: words.to_vec(),
            limits,
            started_unix_ms: now.unix_ms,
            ended_unix_ms: None,
            end: None,
            output_bytes: 0,
            first_lines: String::new(),
        };
        // From here on it was run, whatever happens.
        self.store.keep(&record)?;
        drop(self.store.forget_old());
        match self.spawn(&record, script) {
            Ok((folder, child, out, said)) => {
                let until_ms = now.ms.saturating_add(limits.wall_s.saturating_mul(1000));
                let output = Output::new(limits.output_bytes);
                let folder_bytes = self.settings.folder_bytes;
                self.running.push(Running {
                    record,
                    child,
                    out,
                    said,
                    output,
                    folder,
                    folder_bytes,
                    until_ms,
                    ending: None,
                });
                Ok(Begun::Started)
            }
            Err(e) => {
                let why = format!("starting a process: {e}");
                let end = Some(End::NotStarted(why.clone()));
                drop(self.store.keep(&RunRecord { end, ended_unix_ms: Some(now.unix_ms), ..record }));
                Err(ScriptError::Failed { why })
            }
        }
    }

    /// Looks at all runs; those that have ended.
    pub fn poll(&mut self, now: Now) -> Vec<Finished> {
        let mut out = Vec::new();
        for mut run in std::mem::take(&mut self.running) {
            match run.poll(now) {
                None => self.running.push(run),
                Some(end) => out.push(self.finish(run, end, now.unix_ms)),
            }
        }
        out
    }

    /// Ends a run; `false`: there is none of that id. That it has ended is told by [`Self::poll`].
    pub fn stop(&mut self, id: RunId, now_ms: u64) -> bool {
        let Some(run) = self.running.iter_mut().find(|run| run.record.id == id) else { return false };
        run.end(End::Stopped, now_ms);
        true
    }

    fn spawn(&self, record: &RunRecord, script: PathBuf) -> io::Result<Spawned> {
        let folder = Folder::make(self.store.folder(), record.id)?;
        let words = [OsString::from(script)].into_iter().chain(record.arguments.iter().map(OsString::from));
        let mut child = Command::new(&self.program)
            .args(arguments(self.settings.network, &record.limits, words.collect()))
            .env_clear()
            .env(MARKER, self.marker(record.id).0)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (out, said) = pipes.ok_or_else(|| io::Error::other("there are no pipes"))?;
        rustix::io::ioctl_fionbio(out.as_fd(), true)?;
        rustix::io::ioctl_fionbio(said.as_fd(), true)?;
        Ok((folder, child, out, said))
    }

    fn finish(&self, run: Running, end: End, unix_ms: u64) -> Finished {
        let Running { mut record, output, .. } = run;
        (record.end, record.ended_unix_ms) = (Some(end), Some(unix_ms));
        (record.output_bytes, record.first_lines) = (output.total(), output.first_lines());
        let unrecorded = self.store.keep(&record).err().map(|e| e.to_string());
        Finished { record, output: output.kept().to_vec(), unrecorded }
    }

    /// What marks the processes of a run of this state folder.
    fn marker(&self, id: RunId) -> Marker {
        let mut value = self.store.folder().as_os_str().to_owned();
        value.push(format!("#{id}"));
        Marker(value)
    }
}

struct Marker(OsString);

impl Marker {
    /// As it stands in an environment.
    fn as_bytes_with_name(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        [MARKER.as_bytes(), b"=", self.0.as_bytes()].concat()
    }
}

impl Running {
    /// Reads, watches, ends; how the run has ended, if it has.
    fn poll(&mut self, now: Now) -> Option<End> {
        self.read();
        if let Ok(Some(_)) = self.child.try_wait() {
            self.read();
            return Some(self.ended());
        }
        let processes = tree::descendants(self.child.id());
        if self.ending.is_none()
            && let Some(limit) = self.used_up(tree::usage(&processes, OVERHEAD), now.ms)
        {
            self.end(End::Limit(limit), now.ms);
        }
        if let Some((_, since_ms)) = &self.ending {
            // The process of ours at the root ends by itself once all others have.
            tree::kill(&processes);
            if now.ms.saturating_sub(*since_ms) >= PATIENCE_MS {
                drop(self.child.kill());
            }
        }
        None
    }

    fn end(&mut self, end: End, now_ms: u64) {
        self.ending.get_or_insert((end, now_ms));
    }

    /// The limit that is used up, if one is.
    fn used_up(&self, usage: Usage, now_ms: u64) -> Option<Limit> {
        let limits = &self.record.limits;
        let bytes = usage.pages.saturating_mul(rustix::param::page_size() as u64);
        match () {
            () if now_ms >= self.until_ms => Some(Limit::Wall),
            () if self.output.floods() => Some(Limit::Output),
            () if usage.processes > limits.processes => Some(Limit::Processes),
            () if bytes > limits.memory_bytes => Some(Limit::Memory),
            () if self.folder.bytes() > self.folder_bytes => Some(Limit::Folder),
            () if usage.cpu_ticks / TICKS_PER_S > limits.cpu_s => Some(Limit::Cpu),
            () => None,
        }
    }

    fn read(&mut self) {
        let (mut chunk, mut read) = ([0; 8 << 10], 0_usize);
        while read < MAX_READ_BYTES && !self.output.floods() {
            match self.out.read(&mut chunk) {
                Ok(n) if n > 0 => {
                    self.output.take(chunk.get(..n).unwrap_or_default());
                    read = read.saturating_add(n);
                }
                // Nothing more now, or for good.
                _ => return,
            }
        }
    }

    /// How the run ended, by what was done to it or what our own two processes say.
    fn ended(&mut self) -> End {
        if let Some((end, _)) = self.ending.take() {
            return end;
        }
        let mut said = Vec::new();
        // It is cut off where a pipe without an end would wait.
        drop((&mut self.said).take(MAX_SAID_BYTES).read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        let told = said.lines().rev().find_map(|line| {
            let (word, rest) = line.split_once(' ')?;
            match word {
                "exit" => rest.parse().ok().map(End::Exited),
                "signal" => rest.parse().ok().map(signal_end),
                "refused" => Some(End::NotStarted(crate::telemetry::printable(rest))),
                _ => None,
            }
        });
        told.unwrap_or_else(|| End::NotStarted("the processes around it ended without a word".to_owned()))
    }
}

/// SIGXCPU (24) is the kernel's word for processor time that is used up, on all machines that this runs on.
fn signal_end(signal: i32) -> End {
    const XCPU: i32 = 24;
    if signal == XCPU { End::Limit(Limit::Cpu) } else { End::Signal(signal) }
}
