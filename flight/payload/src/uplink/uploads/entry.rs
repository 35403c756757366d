//! An upload that is known, and how it is told.

use std::path::PathBuf;

use passband_proto::dict::{FixedText, Reason, Upload, UploadFate, UploadKind};
use serde::Serialize;

use super::about::{About, UploadId};
use super::pieces::{MAX_GAPS, Pieces};
use crate::command::hex;

/// A file that came up whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Which.
    pub id: UploadId,
    /// What it is.
    pub kind: UploadKind,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The first bytes of its SHA-256, hexadecimal.
    pub id: String,
    /// What it is.
    pub kind: UploadKind,
    /// What it is called.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u32,
    /// The share of its pieces that is there, %; 100 only if all are.
    pub percent: u8,
    /// Whether somebody has taken it, or refused it.
    pub taken: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) about: About,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    Receiving(Pieces),
    /// Where it is, and why it could not be taken yet.
    Whole(PathBuf, Reason),
    Taken,
    /// Nothing of it is kept any more.
    Refused(Reason),
}

impl Entry {
    /// Whether somebody has taken or refused it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Taken | Stage::Refused(_))
    }

    /// What is missing of it.
    pub(super) fn packet(&self) -> Upload {
        let about = &self.about;
        let (missing, gaps) = match &self.stage {
            Stage::Receiving(pieces) => (pieces.missing(), pieces.gaps()),
            Stage::Whole(..) | Stage::Taken | Stage::Refused(_) => (0, [0; 4 * MAX_GAPS]),
        };
        let (fate, reason) = match &self.stage {
            Stage::Receiving(_) => (UploadFate::Coming, Reason::None),
            Stage::Whole(_, why) => (UploadFate::Waits, *why),
            Stage::Taken => (UploadFate::Taken, Reason::None),
            Stage::Refused(why) => (UploadFate::Refused, *why),
        };
        Upload {
            id: about.id,
            kind: about.kind,
            name: FixedText::cut(&about.name),
            size: about.size,
            piece: about.piece,
            pieces: about.pieces(),
            missing,
            fate,
            reason,
            gaps,
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        let percent = match &self.stage {
            Stage::Receiving(pieces) => pieces.percent(),
            Stage::Whole(..) | Stage::Taken | Stage::Refused(_) => 100,
        };
        Progress {
            id: hex(&self.about.id),
            kind: self.about.kind,
            name: self.about.name.clone(),
            bytes: self.about.size,
            percent,
            taken: matches!(self.stage, Stage::Taken | Stage::Refused(_)),
        }
    }
}
