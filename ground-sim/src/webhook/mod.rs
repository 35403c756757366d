//! The webhook: each alert is told to a chat at once, and its picture when it is down.
//!
//! What is to be told, and what was, stands in `OUT/webhook`, a small file an alert, so that nothing is forgotten
//! over a restart: each message is delivered at least once, and never again after the server has said 2xx. One
//! that can't be delivered is tried again, ever more rarely and as the server asks (Retry-After), for a day at
//! most, and holds no other up; a picture never an alert. All of it is done by a thread of its own that is only
//! woken: reception never waits for a server.
//!
//! Alerts that were in OUT before there was a webhook are not told.

mod entry;
mod folder;
mod message;
mod outbox;
mod pictures;
mod post;
mod schedule;
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use outbox::Outbox;
use post::Poster;
pub use post::Target;
use worker::Worker;

/// How long things may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A try, from looking up the server's name to its answer.
    pub try_for: Duration,
    /// Before the second try; twice as long before each one after that …
    pub first_pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
    /// After this a message is given up.
    pub give_up_after: Duration,
    /// So often the server may fail to take a picture before it is given up.
    pub picture_tries: u32,
    /// After this nobody waits for a picture any more.
    pub picture_within: Duration,
    /// So long a picture of which nothing proves that it is an alert's must have been here before it is taken for it.
    pub guess_after: Duration,
    /// Messages that may wait; beyond it the oldest is given up.
    pub most_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            try_for: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(5),
            give_up_after: Duration::from_hours(24),
            picture_tries: 20,
            picture_within: Duration::from_hours(168),
            // More than an orbit: what proves it may come with the next pass.
            guess_after: Duration::from_hours(2),
            most_waiting: 1000,
        }
    }
}

/// Tells alerts to a webhook.
#[derive(Debug)]
pub struct Webhook {
    waker: Waker,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the webhook's thread: there may be something new.
#[derive(Debug, Clone)]
pub struct Waker(SyncSender<()>);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    news: Mutex<Vec<String>>,
}

impl Webhook {
    /// Begins to tell the alerts of `out`.
    ///
    /// # Errors
    /// The outbox can't be made or read, the machine's certificates not be used, or there can be no further thread.
    pub fn start(out: &Path, target: &Target, limits: Limits) -> Result<Self> {
        let outbox = Outbox::open(out, limits)?;
        let poster = Poster::new(target, limits)?;
        let (waker, woken) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let worker = Worker::new(out, outbox, poster, limits, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("webhook".to_owned());
        let thread = thread.spawn(move || worker.run(&woken)).context("starting a thread")?;
        Ok(Self { waker: Waker(waker), shared, thread: Some(thread) })
    }

    /// What wakes its thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What went wrong, and right again, since the last call.
    pub fn take_news(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it. What can be delivered at once still is, for `grace` at most; the rest stays in the outbox for the
    /// next time.
    pub fn finish(mut self, grace: Duration) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        let since = Instant::now();
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && since.elapsed() < grace {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.take_news()
    }
}

impl Waker {
    /// Wakes it; returns at once.
    pub fn wake(&self) {
        // One call that waits says as much as two.
        let _ = self.0.try_send(());
    }
}

impl Shared {
    fn say(&self, what: &str) {
        const MOST_NEWS: usize = 100;
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.len() < MOST_NEWS {
            news.push(format!("webhook: {what}"));
        }
    }
}

#[cfg(test)]
mod tests;
