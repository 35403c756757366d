//! A file on its way up: what is kept of it, and the sender of its pieces.

use std::fmt;

use anyhow::{Context, Result};
use passband_proto::dict::{self, Packet, UploadKind};
use serde::{Deserialize, Serialize};

use super::entry::Told;
use super::pieces::{PieceSender, Progress};
use crate::station::hex;

/// What is kept of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it is told by: the first bytes of its SHA-256.
    pub id: [u8; 4],
    /// What it is.
    pub kind: UploadKind,
    /// What it is called on board.
    pub name: String,
    /// Bytes of a piece.
    pub piece: usize,
    /// When it was queued, ms since 1970-01-01 UTC.
    pub queued_unix_ms: u64,
    /// The number of the order that begins it.
    pub begin: u32,
    /// What the satellite said of that order.
    pub told: Option<Told>,
    /// The user data of the newest report, and when that was made, ms since 1970-01-01 UTC.
    pub report: Option<(u64, Vec<u8>)>,
    /// Whether all of it is known to be there.
    pub whole: bool,
    /// Whether it was taken back here.
    pub dropped: bool,
}

impl About {
    /// Whether something of it is to be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.whole && !self.dropped && !self.is_refused()
    }

    /// Whether the satellite won't have it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.is_final() && !told.is_good())
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, hex(&self.id))
    }
}

/// A file on its way.
#[derive(Debug)]
pub struct Upload {
    pub(super) about: About,
    pub(super) sender: PieceSender,
    /// How often its state was asked for since it was told.
    pub(super) asked: u32,
}

impl Upload {
    /// Takes up what is kept of one.
    ///
    /// # Errors
    /// It can't be sent like that, or the file is another one.
    pub fn new(about: About, content: Vec<u8>) -> Result<Self> {
        let mut sender = PieceSender::new(about.kind, &about.name, content, about.piece)?;
        anyhow::ensure!(sender.id() == about.id, "{about}: the file that is kept is another one");
        if let Some((unix_ms, data)) = &about.report {
            let report = dict::Upload::read(data).context("a report that is kept is none")?;
            sender.hear(&report, *unix_ms);
        }
        Ok(Self { about, sender, asked: 0 })
    }

    /// What is kept of it.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.sender.progress()
    }
}
