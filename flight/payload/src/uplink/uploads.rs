//! What comes up in pieces: plans, scripts, files, images; any order, any losses, any number of passes.
//!
//! An upload is begun by an order that says what it is; its pieces are orders, too, so all of it is authenticated before
//! it comes here. A piece is written in its place in a file of full size beside a table with a CRC-32C for each, and
//! synced before it counts:
//!
//! ```text
//! content, size bytes | CRC-32C of each piece, u32 BE; 0: it isn't there
//! ```
//!
//! A piece is there if its CRC is right, so neither of the two has to reach the disk first: power that goes costs at most
//! the piece that is being written, and nothing that is damaged ever counts. The CRC covers the id and the piece's number,
//! so no piece counts in another's place. What is whole is proved by its SHA-256.
//!
//! Where the gaps are is told in one packet of fixed size ([`Uploads::report`]). Never decides what is done with a file that
//! is whole: whoever takes it calls [`Uploads::taken`].

mod about;
mod entry;
mod error;
mod open;
mod parts;
mod pieces;
mod scan;

pub use about::{About, UploadId};
pub use entry::{Complete, Progress};
pub use error::UploadError;
pub use parts::{Content, Parts};
pub use pieces::{MAX_GAPS, MAX_PIECES, Pieces};

use passband_proto::dict::{EventCode, Reason, Upload};
use serde::Serialize;

use self::entry::{Entry, Stage};
use self::scan::scan;
use crate::telemetry::Report;

/// Most uploads at the same time, and most that are remembered once they were taken.
pub const MAX_UPLOADS: usize = 8;

/// Uploads, and where they are kept.
#[derive(Debug)]
pub struct Uploads<P> {
    parts: P,
    /// What all of them together may take, bytes.
    most_bytes: u64,
    /// By when they were begun.
    entries: Vec<Entry>,
    counts: Counts,
}

/// What came, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pieces that were written.
    pub kept: u64,
    /// Pieces that were there.
    pub repeated: u64,
    /// Pieces of nothing that was begun.
    pub unknown: u64,
    /// Pieces that don't fit what was begun.
    pub odd: u64,
}

/// What came of the beginning of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It waits for its pieces.
    New,
    /// It was begun before, just so, and comes up or is whole.
    Again,
    /// It waits for its pieces, and others are forgotten: it was cut otherwise before, or one of its name was coming up.
    Replaced,
}

/// What came of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It is on the disk.
    Kept,
    /// It was there.
    Repeated,
    /// All are there, and the file is what it was said to be.
    Complete(Complete),
    /// All were there and some had to be thrown away; an event to be told.
    Spoilt(Report),
}

impl<P: Parts> Uploads<P> {
    /// Begins an upload. The same again changes nothing while it comes up or waits to be taken; one that was taken comes up
    /// anew; one cut otherwise, or another of the kind and name that is still
    /// coming up, is forgotten for it.
    ///
    /// # Errors
    /// It can't be one, there are too many, or those of the disk.
    pub fn begin(&mut self, about: About) -> Result<Begun, UploadError> {
        about.check()?;
        let same = |entry: &Entry| entry.about.says_the_same(&about) && !entry.is_over();
        if self.entries.iter().any(same) {
            return Ok(Begun::Again);
        }
        let replaces = |entry: &Entry| {
            let named = entry.about.kind == about.kind && entry.about.name == about.name;
            entry.about.id == about.id || (named && matches!(entry.stage, Stage::Receiving(_)))
        };
        let replaced: Vec<_> = self.entries.iter().filter(|e| replaces(e)).map(|e| e.about.id).collect();
        self.check_room(&about, &replaced)?;
        for id in &replaced {
            self.forget(*id)?;
        }
        let number = self.entries.iter().map(|entry| entry.about.number).max().unwrap_or_default();
        let about = About { number: number.saturating_add(1), ..about };
        self.parts.make(about.id, &about.encode(), about.part_bytes()).map_err(UploadError::Disk)?;
        let pieces = Pieces::none(about.pieces());
        self.entries.push(Entry { about, stage: Stage::Receiving(pieces) });
        Ok(if replaced.is_empty() { Begun::New } else { Begun::Replaced })
    }

    /// Takes a piece, from 0.
    ///
    /// # Errors
    /// Nothing of this id was begun, it is no piece of it, or those of the disk: then it doesn't count.
    pub fn piece(&mut self, id: UploadId, index: u32, bytes: &[u8]) -> Result<Piece, UploadError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.about.id == id) else {
            self.counts.unknown = self.counts.unknown.saturating_add(1);
            return Err(UploadError::NotBegun(id));
        };
        let Some(place) = entry.about.place(index).filter(|place| place.bytes == bytes.len()) else {
            self.counts.odd = self.counts.odd.saturating_add(1);
            return Err(UploadError::NoPiece { id, index, bytes: bytes.len() });
        };
        let Stage::Receiving(pieces) = &mut entry.stage else { return Ok(self.repeated()) };
        if !pieces.has(index) {
            let crc = entry.about.piece_crc(index, bytes).to_be_bytes();
            let parts = [(place.offset, bytes), (place.crc_offset, &crc)];
            self.parts.write(id, parts).map_err(UploadError::Disk)?;
            pieces.add(index);
            self.counts.kept = self.counts.kept.saturating_add(1);
        } else if pieces.missing() > 0 {
            return Ok(self.repeated());
        }
        if pieces.missing() > 0 { Ok(Piece::Kept) } else { self.prove(id) }
    }

    /// Forgets an upload, whole or not; whether there was one.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn drop_upload(&mut self, id: UploadId) -> Result<bool, UploadError> {
        if self.entries.iter().all(|entry| entry.about.id != id) {
            return Ok(false);
        }
        self.forget(id).map(|()| true)
    }

    /// Files that are whole and that nobody has taken: those of before the start among them.
    pub fn complete(&self) -> Vec<Complete> {
        let whole = self.entries.iter().filter_map(|entry| match &entry.stage {
            Stage::Whole(path, _) => Some(entry.about.complete(path.clone())),
            Stage::Receiving(_) | Stage::Taken | Stage::Refused(_) => None,
        });
        whole.collect()
    }

    /// Says that a file was moved away or used: it is removed if it is there still, and that it came up is remembered.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn taken(&mut self, id: UploadId) -> Result<(), UploadError> {
        let entry = self.entries.iter_mut().find(|entry| entry.about.id == id);
        let Some(entry) = entry.filter(|entry| matches!(entry.stage, Stage::Whole(..))) else {
            return Ok(());
        };
        self.parts.take(id).map_err(UploadError::Disk)?;
        entry.stage = Stage::Taken;
        self.forget_surplus()
    }

    /// Says that a file is whole and can't be used now: it is kept.
    pub fn waits(&mut self, id: UploadId, why: Reason) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.about.id == id)
            && let Stage::Whole(_, reason) = &mut entry.stage
        {
            *reason = why;
        }
    }

    /// Says that a file can't be used: it is removed, and why is told until the next start.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn refused(&mut self, id: UploadId, why: Reason) -> Result<(), UploadError> {
        let entry = self.entries.iter_mut().find(|entry| entry.about.id == id);
        let Some(entry) = entry.filter(|entry| matches!(entry.stage, Stage::Whole(..))) else {
            return Ok(());
        };
        self.parts.remove(id).map_err(UploadError::Disk)?;
        entry.stage = Stage::Refused(why);
        self.forget_surplus()
    }

    /// Who is over is remembered for a while.
    fn forget_surplus(&mut self) -> Result<(), UploadError> {
        let over = self.entries.iter().filter(|entry| entry.is_over());
        let oldest = over.clone().next().map(|entry| entry.about.id);
        match oldest.filter(|_| over.count() > MAX_UPLOADS) {
            Some(oldest) => self.forget(oldest),
            None => Ok(()),
        }
    }

    /// What is missing of an upload, as a packet: see [`Pieces::gaps`] for what it says of more gaps than it holds.
    pub fn report(&self, id: UploadId) -> Option<Upload> {
        self.entries.iter().find(|entry| entry.about.id == id).map(Entry::packet)
    }

    /// What is missing of each.
    pub fn reports(&self) -> Vec<Upload> {
        self.entries.iter().map(Entry::packet).collect()
    }

    /// How far each is.
    pub fn progress(&self) -> Vec<Progress> {
        self.entries.iter().map(Entry::progress).collect()
    }

    /// What came.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn repeated(&mut self) -> Piece {
        self.counts.repeated = self.counts.repeated.saturating_add(1);
        Piece::Repeated
    }

    fn check_room(&self, about: &About, replaced: &[UploadId]) -> Result<(), UploadError> {
        let stays = |entry: &&Entry| !replaced.contains(&entry.about.id) && !entry.is_over();
        if self.entries.iter().filter(stays).count() >= MAX_UPLOADS {
            return Err(UploadError::TooMany);
        }
        let used: u64 = self.entries.iter().filter(stays).map(|entry| entry.about.part_bytes()).sum();
        let free = self.parts.free_bytes().unwrap_or(u64::MAX).min(self.most_bytes.saturating_sub(used));
        let wanted = about.part_bytes();
        if wanted > free { Err(UploadError::NoRoom { wanted, free }) } else { Ok(()) }
    }

    fn forget(&mut self, id: UploadId) -> Result<(), UploadError> {
        self.parts.remove(id).map_err(UploadError::Disk)?;
        self.entries.retain(|entry| entry.about.id != id);
        Ok(())
    }

    /// All pieces are there: is it what it was said to be?
    fn prove(&mut self, id: UploadId) -> Result<Piece, UploadError> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.about.id == id) else {
            return Err(UploadError::NotBegun(id));
        };
        let about = &entry.about;
        let found = scan(&mut self.parts, about);
        if found.sha256 == about.sha256 {
            let path = self.parts.finish(id, about.size.into()).map_err(UploadError::Disk)?;
            entry.stage = Stage::Whole(path.clone(), Reason::None);
            return Ok(Piece::Complete(entry.about.complete(path)));
        }
        let damaged = found.pieces.missing();
        let what = if damaged > 0 {
            entry.stage = Stage::Receiving(found.pieces);
            format!("{damaged} pieces are damaged on the disk and wanted again")
        } else {
            self.parts.make(id, &about.encode(), about.part_bytes()).map_err(UploadError::Disk)?;
            entry.stage = Stage::Receiving(Pieces::none(entry.about.pieces()));
            "it is another file than was announced, and all pieces are wanted again".to_owned()
        };
        Ok(Piece::Spoilt(Report::error(EventCode::UploadFailed, format!("{}: {what}", entry.about))))
    }
}
