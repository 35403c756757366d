//! The webhook's thread: looks for what is new, tells it, and waits. The only place where it reads the clock.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::entry::Entry;
use super::message::{Body, Kind, as_form, as_json, document};
use super::outbox::Outbox;
use super::pictures::Pictures;
use super::post::{Outcome, Poster, Whose};
use super::schedule::{Pause, Schedule};
use super::{Limits, Shared};
use crate::station::hex;
use crate::telemetry::feed::unix_ms;

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
    schedule: Schedule,
    limits: Limits,
    shared: Arc<Shared>,
    /// Before the disk is written to again.
    disk: Pause,
    /// The server failed, and that was said.
    troubled: bool,
    /// What else fails, and was said.
    faults: BTreeSet<&'static str>,
}

impl Worker {
    pub(super) fn new(
        out: &Path,
        outbox: Outbox,
        poster: Poster,
        limits: Limits,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            out: out.to_owned(),
            outbox,
            pictures: Pictures::new(out, limits.guess_after),
            poster,
            schedule: Schedule::new(limits),
            limits,
            shared,
            disk: Pause::default(),
            troubled: false,
            faults: BTreeSet::new(),
        }
    }

    /// Tells what there is to tell until it is told to stop.
    pub(super) fn run(mut self, woken: &Receiver<()>) {
        loop {
            let sleep = self.step();
            if self.shared.stop.load(Ordering::Relaxed) && !sleep.is_zero() {
                self.disk = Pause::default();
                return self.write(unix_ms());
            }
            // A wake-up shortens no pause: the next step looks at what is new and waits on.
            if let Err(RecvTimeoutError::Disconnected) = woken.recv_timeout(sleep) {
                return;
            }
        }
    }

    /// Looks for what is new, and tells one message if it is time; how long there is nothing to do then.
    fn step(&mut self) -> Duration {
        let now_ms = unix_ms();
        let looked = self.outbox.look(now_ms);
        for said in self.heed("alerts", looked).unwrap_or_default() {
            self.shared.say(&said);
        }
        for (name, said) in self.outbox.give_up(now_ms) {
            self.shared.say(&said);
            [Kind::Alert, Kind::Picture].into_iter().for_each(|kind| self.schedule.forget(&name, kind));
        }
        // So that a kill -9 forgets nothing. If it can't be done the alerts are told all the same.
        self.write(now_ms);
        let mut next =
            self.schedule.next(&self.outbox, Kind::Alert, Instant::now()).map(|n| (n, Kind::Alert));
        if next.is_none() {
            self.find_pictures(now_ms);
            next =
                self.schedule.next(&self.outbox, Kind::Picture, Instant::now()).map(|n| (n, Kind::Picture));
        }
        let Some((name, kind)) = next else { return self.sleep() };
        self.tell(&name, kind);
        self.write(now_ms);
        // There may be news by now, and pictures are looked for when no alert waits.
        Duration::ZERO
    }

    fn find_pictures(&mut self, now_ms: u64) {
        let found = self.pictures.search(self.outbox.without_picture(), now_ms);
        for (name, path) in self.heed("pictures", found).unwrap_or_default() {
            self.outbox.picture_is(&name, &path, now_ms);
        }
    }

    fn tell(&mut self, name: &str, kind: Kind) {
        let Some(entry) = self.outbox.entry(name) else { return };
        let outcome = match self.body(kind, entry) {
            Ok(body) => self.poster.post(kind, &body, &format!("{name}-{}", kind.name()), unix_ms()),
            Err(e) => Outcome::Refused { why: format!("{e:#}") },
        };
        let host = self.poster.target().host();
        match outcome {
            Outcome::Taken => {
                self.outbox.taken(name, kind, unix_ms());
                self.schedule.taken(name, kind);
                if std::mem::take(&mut self.troubled) {
                    self.shared.say(&format!("{host} takes messages again"));
                }
            }
            Outcome::Later { why, whose, after } => {
                let first = self.schedule.failed(name, kind, whose, after, Instant::now());
                if self.outbox.failed(name, kind, &why, whose != Whose::Connection) {
                    self.give_up(name, kind, &why);
                } else if first && !std::mem::replace(&mut self.troubled, true) {
                    self.shared.say(&format!("{host}: {why}; it is tried again"));
                }
            }
            Outcome::Refused { why } => {
                self.outbox.refused(name, kind, &why);
                self.give_up(name, kind, &why);
            }
        }
    }

    fn give_up(&mut self, name: &str, kind: Kind, why: &str) {
        self.schedule.forget(name, kind);
        self.shared.say(&format!("the {} of {name} is given up: {why}", kind.name()));
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

    /// Writes what has changed, unless that failed a moment ago.
    fn write(&mut self, now_ms: u64) {
        let now = Instant::now();
        if !self.disk.left(now).is_zero() {
            return;
        }
        let written = self.outbox.write().and_then(|()| self.outbox.tidy(now_ms));
        if self.heed("outbox", written).is_some() {
            self.disk = Pause::default();
        } else {
            let Limits { first_pause, longest_pause, .. } = self.limits;
            self.disk.lengthen(now, first_pause, longest_pause, Duration::ZERO);
        }
    }

    /// How long there is nothing to do.
    fn sleep(&self) -> Duration {
        let now = Instant::now();
        let disk = self.outbox.is_unwritten().then(|| self.disk.left(now));
        let waits = [self.schedule.until_next(&self.outbox, now), disk, Some(LONGEST_SLEEP)];
        waits.into_iter().flatten().min().unwrap_or(LONGEST_SLEEP)
    }

    /// Says what went wrong, once until it goes well again.
    fn heed<T>(&mut self, what: &'static str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.faults.remove(what);
                Some(value)
            }
            Err(e) => {
                if self.faults.insert(what) {
                    self.shared.say(&format!("{e:#}"));
                }
                None
            }
        }
    }
}

fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    ensure!(bytes.len() as u64 <= MAX_PICTURE_BYTES, "{} is too large to be sent", path.display());
    Ok(bytes)
}
