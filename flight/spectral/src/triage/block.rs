//! A block of lines of the looked-at bands, with the shape that every stage walks: line by line, in a line band by
//! band, in a band sample by sample.

use super::TriageError;
use crate::cube::{Cube, ReadAt};

/// Values of some bands of some lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) samples: usize,
    pub(super) bands: usize,
    pub(super) values: Vec<f32>,
}

impl Block {
    /// Reads the lines as stored.
    pub(super) fn read<R: ReadAt>(
        cube: &Cube<R>,
        first: usize,
        count: usize,
        bands: &[usize],
    ) -> Result<Self, TriageError> {
        let mut values = Vec::new();
        cube.lines_f32(first, count, bands, &mut values)?;
        Ok(Self { samples: cube.header().samples, bands: bands.len(), values })
    }

    /// Each line as its rows, one a band.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.line_len())
    }

    /// As [`Block::lines`], to change.
    pub(super) fn lines_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let len = self.line_len();
        self.values.chunks_exact_mut(len)
    }

    fn line_len(&self) -> usize {
        (self.samples * self.bands).max(1)
    }
}
