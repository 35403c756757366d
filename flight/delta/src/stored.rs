//! Where bytes are stored that are read by their place: a base, a delta. Never writes.

use std::io;

use crate::error::DeltaError;

/// Bytes that can be read from any place, such as a file.
pub trait Stored {
    /// How many bytes there are.
    fn bytes(&self) -> u64;

    /// Fills `out` with what stands from `at` on. Fails with [`io::ErrorKind::UnexpectedEof`] where that is more than
    /// there is.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Stored for [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let from = rest.and_then(|rest| rest.get(..out.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }
}

impl<S: Stored + ?Sized> Stored for &S {
    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, out)
    }
}

impl Stored for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.as_slice().bytes()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(at, out)
    }
}

/// No base.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Stored for Nothing {
    fn bytes(&self) -> u64 {
        0
    }

    fn read_at(&self, _at: u64, out: &mut [u8]) -> io::Result<()> {
        if out.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Reads, and says of what and where it could not.
pub(crate) fn read(
    what: &'static str,
    stored: &(impl Stored + ?Sized),
    at: u64,
    out: &mut [u8],
) -> Result<(), DeltaError> {
    stored.read_at(at, out).map_err(|error| DeltaError::Unreadable { what, at, kind: error.kind() })
}

/// Bytes that are read ahead.
const AHEAD_BYTES: usize = 4_096;

/// A stretch of what is stored, read ahead: asked for at rising places.
#[derive(Debug)]
pub(crate) struct Ahead {
    what: &'static str,
    buffer: Box<[u8]>,
    /// Where the buffer begins, and how much of it holds something.
    at: u64,
    held: usize,
}

impl Ahead {
    /// Memory that it takes.
    pub(crate) const MEMORY: u64 = AHEAD_BYTES as u64;

    /// Of `what`, for errors.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, buffer: vec![0; AHEAD_BYTES].into_boxed_slice(), at: 0, held: 0 }
    }

    /// Sees to it that what stands from `at` on, `len` bytes or up to `end`, is in memory.
    pub(crate) fn hold(
        &mut self,
        stored: &(impl Stored + ?Sized),
        at: u64,
        len: usize,
        end: u64,
    ) -> Result<(), DeltaError> {
        let wanted = end.saturating_sub(at).min(len.min(AHEAD_BYTES) as u64);
        if at >= self.at && at.saturating_add(wanted) <= self.at + self.held as u64 {
            return Ok(());
        }
        self.held = 0;
        let room = end.saturating_sub(at).min(AHEAD_BYTES as u64);
        let room = usize::try_from(room).unwrap_or(AHEAD_BYTES);
        let into = self.buffer.get_mut(..room).unwrap_or_default();
        read(self.what, stored, at, into)?;
        (self.at, self.held) = (at, room);
        Ok(())
    }

    /// What is held from `at` on, `N` bytes; `None` where it isn't.
    pub(crate) fn get<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.buffer.get(..self.held)?.get(from..)?.first_chunk().copied()
    }
}
