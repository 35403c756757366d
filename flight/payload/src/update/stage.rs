//! Makes an image of a delta, and puts it into a slot.
//!
//! The new image is made in a file beside the old one, which stays what it was, a good fallback or the very base of
//! the delta, until the new one is whole, synced, read back and has the digest that was signed. Only then the record says
//! that the slot is empty, the file takes the old one's place, and the record names it as staged. Wherever the power goes,
//! the launcher has what it had; what was made so far is gone on with at the beginning of a segment.

use core::fmt;
use std::io;

use passband_delta::{Delta, DeltaError, Nothing, Piece, Stored};
use passband_proto::release::ImageId;
use passband_proto::release::manifest::DeltaInfo;
use passband_proto::slot::Slot;
use redb::StorageBackend;
use sha2::{Digest, Sha256};

use super::file::Rest;
use crate::adapters::disk::{DatabaseFile, DiskFile};
use crate::adapters::slots::{SlotFault, Slots};

/// Bytes between two ticks.
const CHUNK_BYTES: usize = 64 << 10;

/// What is to be made of what.
#[derive(Debug)]
pub struct Work<'a> {
    /// The update file.
    pub file: &'a dyn DiskFile,
    /// Where the delta begins in it.
    pub from: u64,
    /// The delta, as the manifest has it.
    pub delta: DeltaInfo,
    /// Where its base is; none: it needs none.
    pub base: Option<Slot>,
    /// Where the image goes.
    pub slot: Slot,
    /// The image, as the manifest has it.
    pub image: ImageId,
    /// Its length, bytes.
    pub image_bytes: u32,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read or made.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// Called every 64 KiB and at each step; `false` stops the work, which another call goes on with.
pub type Tick<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Why it wasn't put into the slot. The slot is what it was, or empty.
#[derive(Debug)]
pub enum StageError {
    /// It was told to stop.
    Stopped,
    /// What failed, and how.
    Disk(&'static str, io::Error),
    /// The delta isn't the one that the manifest names.
    Delta,
    /// The base isn't the one that the manifest names.
    Base,
    /// The delta can't be applied.
    Apply(DeltaError),
    /// What came of it isn't the image that was signed.
    Result,
    /// The record.
    Record(SlotFault),
}

impl StageError {
    /// Whether another try may do better: the disk was at fault, not the file.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Stopped | Self::Disk(..) | Self::Record(SlotFault::Disk(_)) => true,
            Self::Apply(error) => matches!(error, DeltaError::Unreadable { .. }),
            Self::Delta | Self::Base | Self::Result | Self::Record(SlotFault::Refused(_)) => false,
        }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Disk(what, error) => write!(f, "{what}: {error}"),
            Self::Delta => f.write_str("its delta isn't the one that the manifest names"),
            Self::Base => f.write_str("the image it begins with isn't the one that the manifest names"),
            Self::Apply(error) => write!(f, "its delta: {error}"),
            Self::Result => f.write_str("what came of it isn't the image that was signed"),
            Self::Record(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for StageError {}

/// Makes the image and puts it into the slot; done before, or cut off before: goes on.
///
/// # Errors
/// [`StageError`].
pub fn stage(slots: &Slots, work: &Work<'_>, tick: &mut Tick<'_>) -> Result<(), StageError> {
    let record = slots.record();
    if record.held(work.slot).image == work.image {
        return Ok(());
    }
    let mut stager = Stager { slots, work, tick, done: 0 };
    if !stager.is_made()? {
        stager.check_sources()?;
        let resumed = stager.make(true)?;
        if !stager.is_made()? {
            // What a cut left of the segments before may not be what was written.
            if !resumed || {
                stager.make(false)?;
                !stager.is_made()?
            } {
                return Err(StageError::Result);
            }
        }
    }
    stager.put()
}

/// The SHA-256 of `of`, which is `what`; `went_on` hears of every 64 KiB, and may stop it.
///
/// # Errors
/// Those of the disk, or of `went_on`.
pub fn digest(
    of: &Rest<'_>,
    what: &'static str,
    went_on: &mut dyn FnMut(usize) -> Result<(), StageError>,
) -> Result<ImageId, StageError> {
    let (mut hash, mut at, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK_BYTES]);
    while at < of.bytes() {
        let left = usize::try_from(of.bytes().saturating_sub(at)).unwrap_or(CHUNK_BYTES);
        let part = chunk.get_mut(..left.min(CHUNK_BYTES)).unwrap_or_default();
        of.read_at(at, part).map_err(|error| StageError::Disk(what, error))?;
        hash.update(&*part);
        at = at.saturating_add(part.len() as u64);
        went_on(part.len())?;
    }
    Ok(ImageId(hash.finalize().into()))
}

struct Stager<'a, 'b> {
    slots: &'a Slots,
    work: &'a Work<'a>,
    tick: &'a mut Tick<'b>,
    done: u64,
}

impl Stager<'_, '_> {
    fn went_on(&mut self, bytes: usize) -> Result<(), StageError> {
        self.done = self.done.saturating_add(bytes as u64);
        let image = u64::from(self.work.image_bytes);
        let base = if self.work.base.is_some() { image } else { 0 };
        let of =
            u64::from(self.work.delta.bytes).saturating_add(base).saturating_add(image.saturating_mul(2));
        if (self.tick)(Progress { done: self.done.min(of), of }) { Ok(()) } else { Err(StageError::Stopped) }
    }

    fn digest(&mut self, of: &Rest<'_>, what: &'static str) -> Result<ImageId, StageError> {
        digest(of, what, &mut |bytes| self.went_on(bytes))
    }

    /// Delta and base are those that were signed.
    fn check_sources(&mut self) -> Result<(), StageError> {
        let delta = Rest { file: self.work.file, from: self.work.from };
        if delta.bytes() != u64::from(self.work.delta.bytes)
            || self.digest(&delta, "reading the delta")? != self.work.delta.digest
        {
            return Err(StageError::Delta);
        }
        let Some(slot) = self.work.base else { return Ok(()) };
        let base = self.base(slot)?;
        let whole = Rest { file: base.as_ref(), from: 0 };
        if self.digest(&whole, "reading the base")? == self.work.delta.base {
            Ok(())
        } else {
            Err(StageError::Base)
        }
    }

    fn base(&self, slot: Slot) -> Result<Box<dyn DiskFile>, StageError> {
        let opened = self.slots.disk().open(&self.slots.image(slot));
        opened.map_err(|error| StageError::Disk("opening the base", error))
    }

    /// Whether the file beside the slot, or in its place already, is the image.
    fn is_made(&mut self) -> Result<bool, StageError> {
        let Some(file) = self.made()? else { return Ok(false) };
        let whole = Rest { file: file.as_ref(), from: 0 };
        if whole.bytes() != u64::from(self.work.image_bytes) {
            return Ok(false);
        }
        // What is read is what the disk has, not what was written a moment ago.
        file.forget_cached();
        Ok(self.digest(&whole, "reading the image back")? == self.work.image)
    }

    fn made(&self) -> Result<Option<Box<dyn DiskFile>>, StageError> {
        for path in [self.slots.part(self.work.slot), self.slots.image(self.work.slot)] {
            match self.slots.disk().open(&path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StageError::Disk("opening the image", error)),
            }
        }
        Ok(None)
    }

    /// Applies the delta; with `resume` what is there of it is gone on with. Gives back whether anything was.
    fn make(&mut self, resume: bool) -> Result<bool, StageError> {
        let failed = |error| StageError::Disk("writing the image", error);
        let (disk, path) = (self.slots.disk(), self.slots.part(self.work.slot));
        let folder = path.parent().unwrap_or(&path);
        disk.make_folder(folder).map_err(failed)?;
        let part = disk.database(&path, true).map_err(failed)?;
        disk.sync_folder(folder).map_err(failed)?;
        disk.sync_folder(self.slots.root()).map_err(failed)?;
        let stored = Rest { file: self.work.file, from: self.work.from };
        let delta = Delta::read(&stored as &dyn Stored).map_err(StageError::Apply)?;
        if delta.result_bytes() != self.work.image_bytes {
            return Err(StageError::Result);
        }
        let opened = self.work.base.map(|slot| self.base(slot)).transpose()?;
        let whole = opened.as_deref().map(|file| Rest { file, from: 0 });
        // As what they have in common: the decoder is there once.
        let base: &dyn Stored = whole.as_ref().map_or(&Nothing, |whole| whole);
        let have = if resume { part.len().map_err(failed)? } else { 0 };
        let mut first = 0;
        let mut kept = 0;
        while first < delta.segments() {
            let segment = delta.segment(first).map_err(StageError::Apply)?;
            let end = u64::from(segment.at).saturating_add(u64::from(segment.len));
            if end > have {
                break;
            }
            (first, kept) = (first.saturating_add(1), end);
        }
        part.set_len(kept).map_err(failed)?;
        for number in first..delta.segments() {
            self.segment(&delta, number, base, &stored, &part)?;
            part.sync_data().map_err(failed)?;
        }
        part.sync_data().map_err(failed)?;
        Ok(first > 0)
    }

    fn segment(
        &mut self,
        delta: &Delta,
        number: u32,
        base: &dyn Stored,
        stored: &dyn Stored,
        part: &DatabaseFile,
    ) -> Result<(), StageError> {
        let mut run = delta.begin(number, base, stored).map_err(StageError::Apply)?;
        let (mut at, mut room) = (u64::from(run.segment().at), vec![0; CHUNK_BYTES]);
        loop {
            let piece = run.piece(base, stored, &mut room).map_err(StageError::Apply)?;
            let (Piece::More(bytes) | Piece::Done(bytes)) = piece;
            let made = room.get(..bytes).unwrap_or_default();
            part.write(at, made).map_err(|error| StageError::Disk("writing the image", error))?;
            at = at.saturating_add(bytes as u64);
            self.went_on(bytes)?;
            if matches!(piece, Piece::Done(_)) {
                return Ok(());
            }
        }
    }

    /// The slot takes the image that was made and proved.
    fn put(&mut self) -> Result<(), StageError> {
        let failed = |error| StageError::Disk("putting the image in its place", error);
        let (slots, slot, image) = (self.slots, self.work.slot, self.work.image);
        // From here on the launcher doesn't start what is in the slot.
        slots.change(|record| record.clear(slot).map(Some)).map_err(StageError::Record)?;
        let (part, place) = (slots.part(slot), slots.image(slot));
        match slots.disk().rename(&part, &place) {
            // Renamed before the power went.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(failed)?,
        }
        slots.disk().sync_folder(place.parent().unwrap_or(&place)).map_err(failed)?;
        slots.change(|record| record.stage(slot, image).map(Some)).map_err(StageError::Record)?;
        Ok(())
    }
}
