//! Reading back what is sealed in the vault: a bundle's content, and a whole frame out of its cube's bundles.
//!
//! For repairs only: what goes down is never opened.

mod seals;

pub use seals::{Seals, check_seals, forget_cached, is_fault_of_medium};

use core::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use passband_proto::bundle::{Head, Manifest, Opener};
use passband_proto::ids::BundleId;
use passband_proto::keys::EpochKey;
use passband_spectral::cube::ReadAt;
use passband_spectral::envi::{Header, Interleave};

use super::disk::DiskFile;
use super::spool::parse_header;
use super::vault::Vault;
use crate::ordered;
use crate::store::{BundleRecord, StoreError};

/// A bundle whose content can be read at any place.
pub struct SealedBundle<'a> {
    vault: &'a Vault,
    record: &'a BundleRecord,
    file: Box<dyn DiskFile>,
    opener: Opener,
    manifest: Manifest,
    /// The content, if it stands in the head.
    inline: Option<Vec<u8>>,
}

/// The block that was opened last, of any bundle.
#[derive(Default)]
struct LastBlock(Mutex<Option<(BundleId, u32, Vec<u8>)>>);

impl<'a> SealedBundle<'a> {
    /// Opens a bundle that was sealed under `key`.
    ///
    /// # Errors
    /// Its head can't be read, or doesn't open.
    pub fn open(vault: &'a Vault, key: &EpochKey, record: &'a BundleRecord) -> Result<Self, OpenFault> {
        let file = vault.read(&record.id).map_err(|e| OpenFault::of(&e))?;
        let opener = Opener::new(key, &record.id, record.geometry.block_count);
        let mut head = vec![0; record.geometry.head_bytes as usize];
        vault
            .read_block(&record.id, file.as_ref(), &record.geometry, (0, 0), &mut head)
            .map_err(|e| OpenFault::of(&e))?;
        let Head { manifest, content, .. } =
            opener.open_head(head).map_err(|e| OpenFault::Damaged(format!("bundle {}: {e}", record.id)))?;
        Ok(Self { vault, record, file, opener, manifest, inline: content })
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its content, if that stands in the head; else nothing.
    pub fn content(&self) -> &[u8] {
        self.inline.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.manifest.label(name)
    }

    /// Where a file begins in the content, and its size, bytes.
    fn place_of(&self, nth: usize) -> Option<(u64, u64)> {
        let before = self.manifest.files.get(..nth)?.iter().map(|file| file.bytes).sum();
        Some((before, self.manifest.files.get(nth)?.bytes))
    }

    /// Fills `out` with the content from `offset` on.
    fn read(&self, offset: u64, out: &mut [u8], last: &LastBlock) -> io::Result<()> {
        if let Some(content) = &self.inline {
            return content.read_at(offset, out);
        }
        let segment = u64::from(self.manifest.segment_bytes.max(1));
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let block = u32::try_from(at / segment).map_err(io::Error::other)?.saturating_add(1);
            let within = at % segment;
            let part = usize::try_from(segment - within).unwrap_or(usize::MAX).min(rest.len());
            let (now, after) = rest.split_at_mut(part);
            self.read_block(block, within, now, last)?;
            at = at.saturating_add(part as u64);
            rest = after;
        }
        Ok(())
    }

    fn read_block(&self, block: u32, within: u64, out: &mut [u8], last: &LastBlock) -> io::Result<()> {
        let mut last = last.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match last.take() {
            Some((id, number, bytes)) if (id, number) == (self.record.id, block) => bytes,
            _ => self.open_block(block)?,
        };
        let read = bytes.read_at(within, out);
        *last = Some((self.record.id, block, bytes));
        read
    }

    fn open_block(&self, block: u32) -> io::Result<Vec<u8>> {
        let geometry = &self.record.geometry;
        let bytes = geometry.block_bytes(block).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut sealed = vec![0; bytes as usize];
        self.vault
            .read_block(&self.record.id, self.file.as_ref(), geometry, (block, 0), &mut sealed)
            .map_err(|e| io::Error::new(kind(&e), e.to_string()))?;
        self.opener.open(block, &mut sealed).map_err(|e| {
            io::Error::new(io::ErrorKind::InvalidData, format!("bundle {}: {e}", self.record.id))
        })?;
        Ok(sealed)
    }
}

/// Why what is sealed could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFault {
    /// Something isn't there, or isn't what was sealed.
    Damaged(String),
    /// It can't be read at present: that says nothing of what it is.
    Unreadable(String),
}

impl OpenFault {
    fn of(error: &StoreError) -> Self {
        Self::of_kind(kind(error), error.to_string())
    }

    fn of_kind(kind: io::ErrorKind, why: String) -> Self {
        match kind {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Self::Damaged(why)
            }
            _ => Self::Unreadable(why),
        }
    }
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(why) | Self::Unreadable(why)) = self;
        f.write_str(why)
    }
}

fn kind(error: &StoreError) -> io::ErrorKind {
    if let StoreError::File { source, .. } = error { source.kind() } else { io::ErrorKind::Other }
}

/// A frame read out of the bundles of its cube: its data file, byte for byte.
pub struct SealedFrame<'a> {
    header_text: Vec<u8>,
    header: Header,
    data_name: String,
    parts: Vec<FramePart<'a>>,
    last: LastBlock,
}

struct FramePart<'a> {
    bundle: SealedBundle<'a>,
    /// Where its data begins in the content.
    data: u64,
    lines: core::ops::Range<u64>,
}

impl<'a> SealedFrame<'a> {
    /// Puts a frame together from all the bundles of its cube, in any order.
    ///
    /// # Errors
    /// Some are missing, what they hold doesn't fit together, or it can't be read.
    pub fn new(bundles: Vec<SealedBundle<'a>>) -> Result<Self, OpenFault> {
        let damaged = |why: &str| OpenFault::Damaged(why.to_owned());
        let parts: Result<Vec<_>, _> = bundles.into_iter().map(FramePart::new).collect();
        let mut parts = parts.map_err(OpenFault::Damaged)?;
        ordered::sort_by_key(&mut parts, |part| part.lines.start);
        let first = parts.first().ok_or_else(|| damaged("none of its cube is there"))?;
        let (at, bytes) = first.bundle.place_of(0).ok_or_else(|| damaged("a cube without files"))?;
        let last = LastBlock::default();
        let bytes = usize::try_from(bytes).map_err(|e| OpenFault::Damaged(e.to_string()))?;
        let mut header_text = vec![0; bytes];
        let read = first.bundle.read(at, &mut header_text, &last);
        read.map_err(|e| OpenFault::of_kind(e.kind(), e.to_string()))?;
        let data_name = first.bundle.label("data-file").unwrap_or_default().to_owned();
        let header = parse_header(&header_text).map_err(OpenFault::Damaged)?;
        check_lines(&parts, header.lines as u64).map_err(OpenFault::Damaged)?;
        Ok(Self { header_text, header, data_name, parts, last })
    }

    /// The header as it came, and what it says.
    pub fn header(&self) -> (&[u8], &Header) {
        (&self.header_text, &self.header)
    }

    /// Name of the header.
    pub fn header_name(&self) -> &str {
        let files = self.parts.first().map(|part| part.bundle.manifest.files.as_slice());
        files.and_then(|files| files.first()).map_or("", |file| &file.name)
    }

    /// Name of the data file.
    pub fn data_name(&self) -> &str {
        &self.data_name
    }

    /// Where bytes of the data lie: the part, where in its data, and how many follow each other there.
    fn locate(&self, offset: u64) -> Option<(&FramePart<'a>, u64, u64)> {
        let Header { samples, lines, bands, data_type, .. } = self.header;
        let [samples, lines, bands] = [samples, lines, bands].map(|n| n as u64);
        let row = samples * data_type.bytes() as u64;
        let find = |line: u64| self.parts.iter().find(|part| part.lines.contains(&line));
        match self.header.interleave {
            Interleave::Bil | Interleave::Bip => {
                let line_bytes = row * bands;
                let part = find(offset / line_bytes)?;
                let at = offset.checked_sub(part.lines.start * line_bytes)?;
                Some((part, at, (part.lines.end * line_bytes).checked_sub(offset)?))
            }
            Interleave::Bsq => {
                let (band, in_band) = (offset / (row * lines), offset % (row * lines));
                let part = find(in_band / row)?;
                let own_lines = part.lines.end - part.lines.start;
                let at = band * own_lines * row + in_band.checked_sub(part.lines.start * row)?;
                Some((part, at, (part.lines.end * row).checked_sub(in_band)?))
            }
        }
    }
}

/// Whether parts, by their first line, are all of a frame of so many lines.
fn check_lines(parts: &[FramePart<'_>], lines: u64) -> Result<(), String> {
    let mut next = 0;
    for part in parts {
        if part.lines.start != next {
            return Err(format!("lines {next} to {} of its cube are missing", part.lines.start));
        }
        next = part.lines.end;
    }
    if next == lines { Ok(()) } else { Err(format!("lines from {next} on of its cube are missing")) }
}

impl<'a> FramePart<'a> {
    fn new(bundle: SealedBundle<'a>) -> Result<Self, String> {
        let last = bundle.manifest.files.len().saturating_sub(1);
        let (data, _) = bundle.place_of(last).ok_or("a cube without files")?;
        let lines = bundle.label("lines").and_then(|text| {
            let (from, to) = text.split_once("..")?;
            Some(from.parse().ok()?..to.parse().ok()?)
        });
        let lines = lines.ok_or_else(|| format!("bundle {} says nothing of its lines", bundle.record.id))?;
        Ok(Self { bundle, data, lines })
    }
}

impl ReadAt for SealedFrame<'_> {
    fn size(&self) -> u64 {
        self.header.data_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // What stands before the samples of a frame that isn't cut is of no interest to anybody here.
        let lead = self.header.header_offset;
        let whole =
            self.parts.len() == 1 && self.parts.iter().all(|part| part.bundle.label("part") == Some("1/1"));
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let found = at.checked_sub(lead).and_then(|at| self.locate(at));
            let (part, within, run) = found.ok_or(io::ErrorKind::UnexpectedEof)?;
            let part_bytes = usize::try_from(run).unwrap_or(usize::MAX).min(rest.len());
            let (now, after) = rest.split_at_mut(part_bytes);
            let skip = if whole { lead } else { 0 };
            part.bundle.read(part.data + skip + within, now, &self.last)?;
            at = at.saturating_add(part_bytes as u64);
            rest = after;
        }
        Ok(())
    }
}
