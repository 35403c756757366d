//! The workshop: a [`Finisher`] in a thread of its own, so that reception never waits for a block to be
//! decoded. What waits for it is on disk: a job is a few names.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, mpsc::RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::finish::{Done, Finisher, Job};

/// The station's end of it.
#[derive(Debug)]
pub(super) struct Workshop {
    jobs: Option<Sender<Job>>,
    done: Receiver<Result<Done>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Jobs that were given and not answered yet.
    open: usize,
}

impl Workshop {
    pub(super) fn start(mut finisher: Finisher) -> Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (out, done) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            for job in todo {
                if stopped.load(Ordering::Relaxed) || out.send(finisher.run(&job)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("workshop".to_owned()).spawn(work);
        let thread = thread.context("starting the thread that decodes")?;
        Ok(Self { jobs: Some(jobs), done, stop, thread: Some(thread), open: 0 })
    }

    pub(super) fn give(&mut self, job: Job) -> Result<()> {
        let jobs = self.jobs.as_ref().context("the thread that decodes was stopped")?;
        jobs.send(job).map_err(|_| anyhow!("the thread that decodes has died"))?;
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
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("the thread that decodes has died")),
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
        if let Some(thread) = self.thread.take() {
            // It ends with the job it is at; what is left is done after the next start.
            let _ = thread.join();
        }
    }
}
