//! An upload that is known, and how it is told.

use std::path::PathBuf;

use passband_proto::dict::{FixedText, Upload, UploadKind};
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
    /// Whether somebody has taken it.
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
    Whole(PathBuf),
    Taken,
}

impl Entry {
    /// What is missing of it.
    pub(super) fn packet(&self) -> Upload {
        let about = &self.about;
        let (missing, gaps) = match &self.stage {
            Stage::Receiving(pieces) => (pieces.missing(), pieces.gaps()),
            Stage::Whole(_) | Stage::Taken => (0, [0; 4 * MAX_GAPS]),
        };
        Upload {
            id: about.id,
            kind: about.kind,
            name: FixedText::cut(&about.name),
            size: about.size,
            piece: about.piece,
            pieces: about.pieces(),
            missing,
            gaps,
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        let percent = match &self.stage {
            Stage::Receiving(pieces) => pieces.percent(),
            Stage::Whole(_) | Stage::Taken => 100,
        };
        Progress {
            id: hex(&self.about.id),
            kind: self.about.kind,
            name: self.about.name.clone(),
            bytes: self.about.size,
            percent,
            taken: matches!(self.stage, Stage::Taken),
        }
    }
}
