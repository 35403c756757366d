//! Where commands that give orders hear telemetry: options, and what is heard beside a process that has some of it.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::super::optional_keys;
use crate::telemetry::feed::{Source, is_taken};
use crate::telemetry::{Feed, Heard, Proof, TagKeys};

/// A silence after telemetry that is told.
const SILENCE: Duration = Duration::from_secs(90);

/// Where telemetry comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct TelemetryArgs {
    /// Take telemetry from datagrams to this address.
    #[arg(long, value_name = "ADDR:PORT")]
    pub telemetry: Vec<SocketAddr>,
    /// Take telemetry from a file that may grow.
    #[arg(long, value_name = "FILE")]
    pub stream: Vec<PathBuf>,
    /// Take telemetry from a TCP server.
    #[arg(long, value_name = "ADDR:PORT")]
    pub connect: Vec<SocketAddr>,
    /// The key file of bundles and telemetry: only packets whose tag holds are believed. Without it anyone who reaches
    /// the telemetry can have an order believed done.
    #[arg(long, value_name = "FILE")]
    pub telemetry_keys: Option<PathBuf>,
}

impl TelemetryArgs {
    /// All sources that are named.
    pub fn sources(&self) -> Vec<Source> {
        let files = self.stream.iter().cloned().map(Source::File);
        let udp = self.telemetry.iter().copied().map(Source::Udp);
        udp.chain(files).chain(self.connect.iter().copied().map(Source::Tcp)).collect()
    }

    /// Opens them.
    ///
    /// # Errors
    /// One can't be opened, or the keys can't be read.
    pub fn open(&self) -> Result<Feed> {
        let mut feed = self.open_none()?;
        self.sources().iter().try_for_each(|source| feed.add(source))?;
        warn_if_deaf(&feed);
        Ok(feed)
    }

    /// Opens those that can be had when this process takes the outbox over; the others as soon as they are let go.
    ///
    /// # Errors
    /// One can't be opened, and no other process has it; or the keys can't be read.
    pub fn open_when_free(&self) -> Result<Feed> {
        let mut feed = self.open_none()?;
        add_all(&mut feed, &self.sources())?;
        warn_if_deaf(&feed);
        Ok(feed)
    }

    /// Whether all of it can be had, without taking it: what another process has is for it to let go. A TCP server isn't asked.
    ///
    /// # Errors
    /// The keys can't be read, or a source can't be opened though no other process has it.
    pub fn check(&self) -> Result<()> {
        optional_keys(self.telemetry_keys.as_deref())?;
        for address in &self.telemetry {
            let bound = UdpSocket::bind(address).with_context(|| format!("listening on {address}"));
            if let Some(e) = bound.err().filter(|e| !is_taken(e)) {
                return Err(e.context("telemetry"));
            }
        }
        for path in &self.stream {
            File::open(path).with_context(|| format!("telemetry: opening {}", path.display()))?;
        }
        Ok(())
    }

    /// Whether it is said where telemetry comes from: who joins others to it must not be deaf.
    ///
    /// # Errors
    /// It isn't.
    pub fn ensure_any(&self) -> Result<()> {
        ensure!(
            !self.sources().is_empty(),
            "no telemetry can be heard: say where it comes from with --telemetry, --stream or --connect (beside another process \
             that works the outbox, what that one is told to --forward to)"
        );
        Ok(())
    }

    fn open_none(&self) -> Result<Feed> {
        if !self.sources().is_empty() && self.telemetry_keys.is_none() {
            tracing::warn!(
                "telemetry is believed whoever sent it, since no --telemetry-keys are given: an order may be told as done that was not"
            );
        }
        let file = self.telemetry_keys.as_deref();
        Feed::open(&[], TagKeys::new(&optional_keys(file)?, file))
    }
}

/// What telemetry is heard with beside a process that works the outbox.
#[derive(Debug)]
pub struct Ears {
    feed: Feed,
    /// Sources that another process has.
    taken: Vec<Source>,
    /// When something came last, unless it was said since that nothing comes any more.
    heard: Option<Instant>,
}

impl Ears {
    /// Opens the sources that no other process has; the rest is for when that one has ended: until then they are left alone,
    /// so that it can be started anew.
    ///
    /// # Errors
    /// One can't be opened, and no other process has it; others have all of them; or the keys can't be read.
    pub fn open(args: &TelemetryArgs) -> Result<Self> {
        let mut feed = args.open_none()?;
        let mut taken = Vec::new();
        for source in args.sources() {
            match feed.add(&source) {
                Err(e) if is_taken(&e) => taken.push((source, e)),
                added => added.context("telemetry")?,
            }
        }
        match taken.pop() {
            Some((_, e)) if feed.sources() == 0 => return Err(e.context("telemetry")),
            last => taken.extend(last),
        }
        let taken: Vec<_> = taken.into_iter().map(|(source, _)| source).collect();
        if !taken.is_empty() {
            tracing::warn!(
                "another process has {}: until it ends telemetry is heard from the others alone",
                words(&taken)
            );
        }
        Ok(Self { feed, taken, heard: None })
    }

    /// The next packet; none if none comes in this time. Says so when packets came and come no more.
    pub fn next(&mut self, patience: Duration) -> Option<Heard> {
        let heard = self.feed.next(patience);
        if heard.is_some() {
            self.heard = Some(Instant::now());
        } else if self.is_silent(Instant::now()) {
            tracing::warn!(
                "telemetry came, and none for {} s: the contact is over, or who hands it on (`uplink run --forward`) has ended",
                SILENCE.as_secs()
            );
        }
        heard
    }

    /// Whether nothing comes any more: once after something came.
    fn is_silent(&mut self, now: Instant) -> bool {
        self.heard.take_if(|heard| now.saturating_duration_since(*heard) >= SILENCE).is_some()
    }

    /// How many sources are heard.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.feed.sources()
    }

    /// All of them, once the process that worked the outbox has ended; what is still taken as soon as it is let go.
    ///
    /// # Errors
    /// One can't be opened, and no other process has it.
    pub(super) fn all(mut self) -> Result<Feed> {
        add_all(&mut self.feed, &self.taken)?;
        Ok(self.feed)
    }
}

/// Adds sources as soon as they can be had, and says from where telemetry is heard by whoever has taken an outbox over.
fn add_all(feed: &mut Feed, sources: &[Source]) -> Result<()> {
    for source in sources {
        feed.add_when_free(source).context("telemetry")?;
    }
    if !feed.taken().is_empty() {
        tracing::warn!("another process still has {}: it is tried each second", words(feed.taken()));
    }
    tracing::warn!(
        "what the process before handed on with --forward comes no more, neither here nor elsewhere"
    );
    Ok(())
}

fn warn_if_deaf(feed: &Feed) {
    if feed.sources() == 0 && feed.taken().is_empty() {
        tracing::warn!(
            "no answer can be heard: name where telemetry comes from with --telemetry, --stream or --connect"
        );
    }
}

fn words(sources: &[Source]) -> String {
    sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a packet is to be handed on: never a forged one, and if so asked only one whose tag holds.
#[must_use]
pub fn believed(heard: &Heard, verified_only: bool) -> bool {
    match heard.proof {
        Proof::Verified => true,
        Proof::Unverified => !verified_only,
        Proof::Forged => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_process_has_counts_as_taken_and_silence_is_told_once() {
        let spare = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let held = spare();
        let [free, other] = [(); 2].map(|()| spare().local_addr().unwrap());
        let open = |telemetry: &[SocketAddr]| {
            Ears::open(&TelemetryArgs { telemetry: telemetry.to_vec(), ..TelemetryArgs::default() })
        };
        let held_at = held.local_addr().unwrap();
        let error = format!("{:#}", open(&[held_at]).unwrap_err());
        assert!(error.contains("in use"), "{error}");
        // An address of nobody's here (RFC 5737).
        let typo = "192.0.2.1:47020".parse().unwrap();
        let error = format!("{:#}", open(&[free, typo]).unwrap_err());
        assert!(error.contains("192.0.2.1"), "{error}");
        let mut ears = open(&[held_at, other]).unwrap();
        assert_eq!((ears.sources(), ears.taken.len()), (1, 1));
        let now = Instant::now();
        assert!(!ears.is_silent(now), "nothing came yet");
        ears.heard = Some(now);
        assert!(!ears.is_silent(now + SILENCE / 2) && ears.is_silent(now + SILENCE));
        assert!(!ears.is_silent(now + 2 * SILENCE), "told once");
    }
}
