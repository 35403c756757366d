//! A file on its way up: what is kept of it, and the sender of its pieces.

use std::fmt;

use anyhow::Result;
use passband_proto::dict::{self, Packet, Reason, UploadFate, UploadKind};
use serde::{Deserialize, Serialize};

use super::entry::Told;
use super::pieces::{PieceSender, Progress, is_late};
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
    /// Whether all of it is known to be there, and what became of it.
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

    /// What the satellite said becomes of it, and why if it isn't what was wanted; none: it said nothing yet.
    #[must_use]
    pub fn fate(&self) -> Option<(UploadFate, Reason)> {
        let (_, data) = self.report.as_ref()?;
        dict::Upload::read(data).map(|report| (report.fate, report.reason))
    }

    /// Whether it is where it is of use: an image waits there for its update.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let is_good = |(fate, _)| match fate {
            UploadFate::Taken => true,
            UploadFate::Waits => self.kind == UploadKind::Image,
            UploadFate::Coming | UploadFate::Refused => false,
        };
        self.whole && self.fate().is_some_and(is_good)
    }

    /// Whether a report, made at `unix_ms` by the board's clock, is of this upload: of what came up before there are
    /// reports, too, until this one's beginning was heard.
    pub(super) fn takes_report(&self, unix_ms: u64) -> bool {
        self.told.as_ref().is_some_and(|told| told.is_good() && !is_late(unix_ms, told.unix_ms))
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
        if about.told.as_ref().is_some_and(Told::is_good) {
            sender.hear_begun();
        }
        // One that can't be read is of another dictionary: it is told again.
        let report = about.report.as_ref().and_then(|(at, data)| Some((*at, dict::Upload::read(data)?)));
        if let Some((unix_ms, report)) = report {
            sender.hear(&report, unix_ms);
        }
        Ok(Self { about, sender, asked: 0 })
    }

    /// What is kept of it.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether pieces of it, or its beginning, are to be sent.
    pub(super) fn has_pieces(&self) -> bool {
        self.about.is_open() && !self.sender.progress().whole
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.sender.progress()
    }
}
