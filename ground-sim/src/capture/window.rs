//! A window that slides over a capture: look ahead as far as a bound, go on, never back.

use std::io::{self, Read};

use super::unpack::Unpacked;

/// Bytes asked of the source at once.
const CHUNK_BYTES: usize = 256 << 10;

pub(super) struct Window {
    source: Unpacked,
    buf: Vec<u8>,
    start: usize,
    offset: u64,
    ended: bool,
}

impl Window {
    pub(super) fn new(source: Unpacked) -> Self {
        Self { source, buf: Vec::new(), start: 0, offset: 0, ended: false }
    }

    /// What lies ahead: `bytes` of it or more, fewer only where the capture ends.
    pub(super) fn look(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.buf.len() - self.start < bytes && !self.ended {
            self.fill(bytes)?;
        }
        Ok(self.ahead())
    }

    /// What lies ahead as far as it has been read: what the last `look` gave.
    pub(super) fn ahead(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }

    /// Goes on by `bytes` of what lies ahead.
    pub(super) fn skip(&mut self, bytes: usize) {
        let step = bytes.min(self.buf.len() - self.start);
        self.start += step;
        self.offset += step as u64;
    }

    /// Where in the (unpacked) capture the window begins, bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes read of the source, before they were unpacked.
    pub(super) fn position(&self) -> u64 {
        self.source.position()
    }

    /// What was wrong with the compressed stream.
    pub(super) fn damage(&self) -> Option<&str> {
        self.source.damage()
    }

    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        self.buf.drain(..self.start);
        self.start = 0;
        let held = self.buf.len();
        self.buf.resize(held.max(bytes) + CHUNK_BYTES, 0);
        let read = loop {
            match self.source.read(self.buf.get_mut(held..).unwrap_or_default()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buf.truncate(held + read.as_ref().copied().unwrap_or(0));
        self.ended = read? == 0;
        Ok(())
    }
}
