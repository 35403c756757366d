//! Where commands that give orders hear telemetry: options, and what is heard beside a process that has some of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;

use super::super::optional_keys;
use crate::telemetry::feed::Source;
use crate::telemetry::{Feed, Heard, Proof, TagKeys};

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
        if feed.sources() == 0 {
            tracing::warn!(
                "no answer can be heard: name where telemetry comes from with --telemetry, --stream or --connect"
            );
        }
        Ok(feed)
    }

    /// Opens those that no other process has; the rest is for when that one has ended.
    ///
    /// # Errors
    /// None is named, none can be opened, or the keys can't be read.
    pub fn open_free(&self) -> Result<(Feed, Vec<Source>)> {
        let mut feed = self.open_none()?;
        let (mut taken, mut last) = (Vec::new(), None);
        for source in self.sources() {
            if let Err(e) = feed.add(&source) {
                last = Some(e);
                taken.push(source);
            }
        }
        match last {
            Some(e) if feed.sources() == 0 => Err(e.context("telemetry")),
            _ => Ok((feed, taken)),
        }
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
    /// What can be heard now.
    pub feed: Feed,
    /// Sources that the other process has.
    taken: Vec<Source>,
}

impl Ears {
    /// Opens them.
    ///
    /// # Errors
    /// Those of [`TelemetryArgs::open_free`].
    pub fn open(args: &TelemetryArgs) -> Result<Self> {
        let (feed, taken) = args.open_free()?;
        Ok(Self { feed, taken })
    }

    /// All of them, once the other process has ended.
    pub(super) fn all(mut self) -> Feed {
        for source in &self.taken {
            if let Err(e) = self.feed.add(source) {
                tracing::warn!("telemetry: {e:#}");
            }
        }
        self.feed
    }
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
