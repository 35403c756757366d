//! The webhook's thread: looks for what is new, tells it, and waits. The only place where it reads the clock.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::message::{Body, Kind, as_form, as_json, document};
use super::outbox::{Entry, Outbox, State};
use super::pictures::Pictures;
use super::post::{Outcome, Poster};
use super::{Limits, Shared};
use crate::station::hex;

/// Largest picture that is sent, bytes.
const MAX_PICTURE_BYTES: u64 = 8 << 20;
/// After this it looks whether something is new even if nobody wakes it.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// What the thread works with.
pub(super) struct Worker {
    out: PathBuf,
    outbox: Outbox,
    pictures: Pictures,
    poster: Poster,
    limits: Limits,
    shared: Arc<Shared>,
    /// Tries that failed since the last that did not.
    failures: u32,
    not_before: Instant,
}

impl Worker {
    pub(super) fn new(
        out: &Path,
        outbox: Outbox,
        poster: Poster,
        limits: Limits,
        shared: Arc<Shared>,
    ) -> Self {
        let (out, pictures) = (out.to_owned(), Pictures::new(out));
        Self { out, outbox, pictures, poster, limits, shared, failures: 0, not_before: Instant::now() }
    }

    /// Tells what there is to tell until it is told to stop.
    pub(super) fn run(mut self, woken: &Receiver<()>) {
        loop {
            let more = self.step().unwrap_or_else(|e| {
                self.shared.say(&format!("{e:#}"));
                self.fail(None);
                false
            });
            let stop = self.shared.stop.load(Ordering::Relaxed);
            if stop && (!more || self.failures > 0) {
                return;
            }
            let sleep = if more { self.pause() } else { LONGEST_SLEEP };
            // A wake-up shortens no pause: the next step looks at what is new and waits on.
            if let Err(RecvTimeoutError::Disconnected) = woken.recv_timeout(sleep.min(LONGEST_SLEEP)) {
                return;
            }
        }
    }

    /// Looks for what is new, and tells one message if it is time; whether there are more.
    fn step(&mut self) -> Result<bool> {
        let now_ms = unix_ms();
        if self.outbox.look(now_ms)? {
            self.pictures.look_at_all();
        }
        for (name, path) in self.pictures.search(self.outbox.without_picture())? {
            self.outbox.picture_is(&name, &path)?;
        }
        for said in self.outbox.give_up(now_ms)? {
            self.shared.say(&said);
        }
        let Some((name, kind, entry)) = self.outbox.next() else { return Ok(false) };
        if self.pause().is_zero() {
            self.tell(&name, kind, &entry)?;
        }
        Ok(self.outbox.next().is_some())
    }

    fn tell(&mut self, name: &str, kind: Kind, entry: &Entry) -> Result<()> {
        let outcome = match self.body(kind, entry) {
            Ok(body) => self.poster.post(&body, &format!("{name}-{}", kind.name()), unix_ms()),
            Err(e) => Outcome::Refused { why: format!("{e:#}") },
        };
        let host = self.poster.target().host().to_owned();
        match outcome {
            Outcome::Taken => {
                // Before anything else: it must never be told again.
                self.outbox.note(name, kind, State::Sent, None)?;
                if std::mem::take(&mut self.failures) > 0 {
                    self.shared.say(&format!("{host} takes messages again"));
                }
                self.not_before = Instant::now();
            }
            Outcome::Later { why, after } => {
                self.outbox.note(name, kind, State::Pending, Some(why.clone()))?;
                self.fail(after);
                if self.failures == 1 {
                    self.shared.say(&format!("{host}: {why}; it is tried again"));
                }
            }
            Outcome::Refused { why } => {
                self.shared.say(&format!("the {} of {name} is given up: {why}", kind.name()));
                self.outbox.note(name, kind, State::GivenUp, Some(why))?;
                if kind == Kind::Alert {
                    self.outbox.note(name, Kind::Picture, State::GivenUp, None)?;
                }
            }
        }
        Ok(())
    }

    fn body(&self, kind: Kind, entry: &Entry) -> Result<Body> {
        let document = document(kind, self.poster.target().name(), &entry.report);
        if kind == Kind::Alert {
            return Ok(as_json(&document));
        }
        let path = entry.picture_path.as_ref().context("nobody knows where the picture is")?;
        let png = read_picture(&self.out.join(path))?;
        let mut boundary = [0; 16];
        getrandom::fill(&mut boundary).map_err(|e| anyhow::anyhow!("random source: {e}"))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(as_form(&document, &name, &png, &hex(&boundary)))
    }

    /// Waits longer after each failure, and at least as long as the server asks.
    fn fail(&mut self, after: Option<Duration>) {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let pause = self.limits.first_pause.saturating_mul(1 << doublings).min(self.limits.longest_pause);
        self.not_before = Instant::now() + pause.max(after.unwrap_or_default());
    }

    /// How long the server is to be left alone.
    fn pause(&self) -> Duration {
        self.not_before.saturating_duration_since(Instant::now())
    }
}

fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    ensure!(bytes.len() as u64 <= MAX_PICTURE_BYTES, "{} is too large to be sent", path.display());
    Ok(bytes)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
