//! The bytes of a simulated file: as seen, as safe, and what lies between.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::Dice;

const PAGE: usize = 4096;
/// What a disk writes whole or not at all, bytes.
const SECTOR: usize = 512;

/// Bytes that are cheap to copy; what was never written is zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
}

impl Pages {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, within, part) in spans(offset, out.len()) {
            let to = out.get_mut(part).unwrap_or_default();
            match self.pages.get(&page).and_then(|bytes| bytes.get(within..within + to.len())) {
                Some(from) => to.copy_from_slice(from),
                None => to.fill(0),
            }
        }
        Ok(())
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; usize::try_from(self.len).unwrap_or_default()];
        // It is as long as the file.
        let _ = self.read(0, &mut out);
        out
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.len = self.len.max(offset + bytes.len() as u64);
        for (page, within, part) in spans(offset, bytes.len()) {
            let from = bytes.get(part).unwrap_or_default();
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            if let Some(to) = Arc::make_mut(page).get_mut(within..within + from.len()) {
                to.copy_from_slice(from);
            }
        }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.retain(|page, _| page * (PAGE as u64) < len);
            let within = usize::try_from(len % PAGE as u64).unwrap_or_default();
            if let Some(last) = self.pages.get_mut(&(len / PAGE as u64)) {
                Arc::make_mut(last).iter_mut().skip(within).for_each(|byte| *byte = 0);
            }
        }
        self.len = len;
    }
}

/// Pages that a range covers: the page, where in it, and which part of the range.
fn spans(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, core::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= len {
            return None;
        }
        let place = offset + at as u64;
        let within = usize::try_from(place % PAGE as u64).unwrap_or_default();
        let part = at..len.min(at + PAGE - within);
        at = part.end;
        Some((place / PAGE as u64, within, part))
    })
}

#[derive(Debug, Clone)]
enum Unsafe {
    Write(u64, Arc<[u8]>),
    Length(u64),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    seen: Pages,
    safe: Pages,
    since: Vec<Unsafe>,
}

impl Contents {
    pub(super) fn seen(&self) -> &Pages {
        &self.seen
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.seen.write(offset, bytes);
        self.since.push(Unsafe::Write(offset, bytes.into()));
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.seen.set_len(len);
        self.since.push(Unsafe::Length(len));
    }

    /// Makes all safe, or throws away what isn't.
    pub(super) fn sync(&mut self, fails: bool) {
        if !fails && !self.since.is_empty() {
            for change in &self.since {
                match change {
                    Unsafe::Write(offset, bytes) => self.safe.write(*offset, bytes),
                    Unsafe::Length(len) => self.safe.set_len(*len),
                }
            }
        }
        self.since.clear();
    }

    /// The file as a power cut may leave it.
    pub(super) fn after_cut(&self, dice: &mut Dice) -> Self {
        let mut left = self.safe.clone();
        for change in &self.since {
            match change {
                Unsafe::Write(offset, bytes) => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let to_edge =
                            SECTOR - usize::try_from((offset + at as u64) % SECTOR as u64).unwrap_or(0);
                        let end = bytes.len().min(at + to_edge);
                        if dice.keeps() {
                            left.write(offset + at as u64, bytes.get(at..end).unwrap_or_default());
                        }
                        at = end;
                    }
                }
                Unsafe::Length(len) if dice.keeps() => left.set_len(*len),
                Unsafe::Length(_) => {}
            }
        }
        Self { seen: left.clone(), safe: left, since: Vec::new() }
    }

    pub(super) fn flip(&mut self, byte: u64, bit: u8) -> io::Result<()> {
        for pages in [&mut self.seen, &mut self.safe] {
            let mut one = [0];
            pages.read(byte, &mut one)?;
            pages.write(byte, &[one[0] ^ (1 << (bit % 8))]);
        }
        Ok(())
    }
}
