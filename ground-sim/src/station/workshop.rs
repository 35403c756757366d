//! The workshop: [`Finisher`]s in threads of their own, so that reception never waits for a block to be
//! decoded. What waits for them is on disk: a job is a few names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::finish::{Done, Finisher, Job};

/// Threads: each takes up to a hundred megabytes while it decodes a large block.
pub(super) const THREADS: usize = 2;

/// The station's end of it.
#[derive(Debug)]
pub(super) struct Workshop {
    jobs: Option<Sender<Job>>,
    done: Receiver<Result<Done>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Jobs that were given and not answered yet.
    open: usize,
}

impl Workshop {
    /// Starts a thread for each finisher.
    pub(super) fn start(finishers: impl IntoIterator<Item = Finisher>) -> Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (out, done) = channel();
        let (stop, todo) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(todo)));
        let mut threads = Vec::new();
        for mut finisher in finishers {
            let (stop, todo, out) = (Arc::clone(&stop), Arc::clone(&todo), out.clone());
            let next = move || todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            let work = move || {
                while let Some(job) = next() {
                    if stop.load(Ordering::Relaxed) || out.send(finisher.run(&job)).is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name("workshop".to_owned()).spawn(work);
            threads.push(thread.context("starting a thread that decodes")?);
        }
        Ok(Self { jobs: Some(jobs), done, stop, threads, open: 0 })
    }

    pub(super) fn give(&mut self, job: Job) -> Result<()> {
        let jobs = self.jobs.as_ref().context("the threads that decode were stopped")?;
        jobs.send(job).map_err(|_| anyhow!("the threads that decode have died"))?;
        self.open += 1;
        Ok(())
    }

    /// What came of the next job: at once if it is done, or else within `most`; `None`: not yet, or there is
    /// none.
    pub(super) fn next(&mut self, most: Duration) -> Result<Option<Done>> {
        if self.open == 0 {
            return Ok(None);
        }
        match self.done.recv_timeout(most) {
            Ok(done) => {
                self.open -= 1;
                done.map(Some)
            }
            // Should one have died, its job is never answered: that must not look like patience.
            Err(RecvTimeoutError::Timeout) if self.threads.iter().all(|thread| !thread.is_finished()) => {
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(anyhow!("a thread that decodes has died"))
            }
        }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_idle(&self) -> bool {
        self.open == 0
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It ends with the job it is at; what is left is done after the next start.
            let _ = thread.join();
        }
    }
}
