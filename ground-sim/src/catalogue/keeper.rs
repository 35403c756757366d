//! The catalogue kept while datagrams come: a thread of its own, of low priority, that is told which products are
//! whole and never waited for. What it can't do it reports; what it misses it finds when there is less to do, or
//! when it is started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Catalogue, fault};

/// Products that may wait; more are found by a look at OUT later.
const MOST_WAITING: usize = 4096;
/// Reports that may wait to be taken.
const MOST_FAULTS: usize = 100;
/// After such a silence the collection is brought up to date.
const QUIET: Duration = Duration::from_millis(500);
/// What could not be taken in for a reason that may pass is tried again after this.
const RETRY: Duration = Duration::from_mins(1);
/// The same fault is said again after this.
const SAY_AGAIN: Duration = Duration::from_hours(1);
/// Faults of which is known when they were said.
const MOST_SAID: usize = 1000;
/// The collection names all frames: writing it takes at most one part in so many of the thread's time.
const SHARE_OF_TIME: u32 = 20;
/// Added to the thread's nice value: whatever receives and decodes comes first.
const NICENESS: i32 = 10;

/// Keeps a catalogue.
#[derive(Debug)]
pub struct Keeper {
    folders: Option<SyncSender<PathBuf>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    missed: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// The keeper's thread.
struct Work<'a> {
    catalogue: Catalogue,
    shared: &'a Shared,
    changed: &'a dyn Fn(),
    /// When each fault was said.
    said: BTreeMap<String, Instant>,
    /// When to look for what could not be taken in.
    retry: Option<Instant>,
}

impl Keeper {
    /// A keeper of `out`, or why there is none: reception goes on without.
    pub fn start_or_say(out: &Path, changed: impl Fn() + Send + 'static) -> Option<Self> {
        Self::start(out, changed).inspect_err(|e| tracing::warn!("no catalogue is kept: {e:#}")).ok()
    }

    /// Starts to keep the catalogue of `out`, beginning with what isn't in it yet. `changed` is called, in the
    /// keeper's thread, whenever something was taken in.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(out: &Path, changed: impl Fn() + Send + 'static) -> Result<Self> {
        let (folders, coming) = sync_channel(MOST_WAITING);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let catalogue = Catalogue::new(out);
        let thread = std::thread::Builder::new().name("catalogue".to_owned());
        let thread = thread.spawn(move || {
            let (said, retry) = (BTreeMap::new(), None);
            Work { catalogue, shared: &theirs, changed: &changed, said, retry }.keep(&coming);
        });
        Ok(Self { folders: Some(folders), shared, thread: Some(thread.context("starting a thread")?) })
    }

    /// Tells of a product that is whole. Returns at once.
    pub fn add(&self, folder: &Path) {
        let Some(folders) = &self.folders else { return };
        if let Err(TrySendError::Full(_)) = folders.try_send(folder.to_owned()) {
            self.shared.missed.store(true, Ordering::Relaxed);
        }
    }

    /// What went wrong since the last call.
    pub fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until what it was told of is in the catalogue, for the end of reception; what went wrong.
    pub fn finish(mut self) -> Vec<String> {
        self.join();
        self.take_faults()
    }

    fn join(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.folders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn fault(&self, what: &str) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < MOST_FAULTS {
            faults.push(format!("catalogue: {what}"));
        }
    }
}

impl Work<'_> {
    /// Keeps the catalogue until nobody can tell of products any more.
    fn keep(mut self, coming: &Receiver<PathBuf>) {
        yield_to_reception();
        self.catch_up();
        let mut not_before = Instant::now();
        loop {
            match coming.recv_timeout(QUIET) {
                Ok(folder) => self.add(&folder),
                Err(RecvTimeoutError::Timeout) => {
                    let is_time = self.retry.is_some_and(|at| at <= Instant::now());
                    if self.shared.missed.swap(false, Ordering::Relaxed) || is_time {
                        self.catch_up();
                    }
                    let now = Instant::now();
                    if now >= not_before {
                        self.close();
                        not_before = now + now.elapsed() * SHARE_OF_TIME;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn add(&mut self, folder: &Path) {
        match self.catalogue.add(folder) {
            Ok(faults) => {
                (self.changed)();
                faults.iter().for_each(|said| self.fault(&anyhow::Error::msg(said.clone())));
            }
            Err(e) => self.fault(&e.context(folder.display().to_string())),
        }
    }

    fn catch_up(&mut self) {
        self.retry = None;
        let mut faults = Vec::new();
        let taken = self
            .catalogue
            .catch_up(&self.shared.stop, |e| faults.push((format!("{e:#}"), fault::may_pass(e))));
        faults.into_iter().for_each(|(said, may_pass)| self.say(said, may_pass));
        match taken {
            Ok(0) => {}
            Ok(_) => (self.changed)(),
            Err(e) => self.fault(&e),
        }
    }

    fn close(&mut self) {
        if let Err(e) = self.catalogue.close() {
            self.fault(&e);
        }
    }

    fn fault(&mut self, e: &anyhow::Error) {
        self.say(format!("{e:#}"), fault::may_pass(e));
    }

    /// Says what went wrong, unless it was said not long ago.
    fn say(&mut self, what: String, may_pass: bool) {
        let now = Instant::now();
        if may_pass {
            self.retry.get_or_insert(now + RETRY);
        }
        self.said.retain(|_, at| now.duration_since(*at) < SAY_AGAIN);
        if self.said.contains_key(&what) {
            return;
        }
        self.shared.fault(&what);
        if self.said.len() < MOST_SAID {
            self.said.insert(what, now);
        }
    }
}

/// Lowers this thread's priority; on Linux nice values are the threads' own (setpriority(2)).
fn yield_to_reception() {
    let own = rustix::thread::gettid();
    if let Err(e) = rustix::process::setpriority_process(Some(own), NICENESS) {
        tracing::debug!("the catalogue's thread keeps its priority: {e}");
    }
}
