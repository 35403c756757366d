//! A rectangle cut out of a cube, in the layout of the cube: sample for sample as stored.

use core::ops::Range;

use super::{Cube, CubeError, ReadAt};
use crate::envi::{Header, Interleave};

/// Largest cut-out that is made at once, bytes.
pub const MAX_CUT_BYTES: usize = 1 << 30;

/// A rectangle of a cube: all its bands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Lines, from 0.
    pub lines: Range<usize>,
    /// Samples, from 0.
    pub samples: Range<usize>,
}

impl Cut {
    /// Whole lines.
    pub fn lines(header: &Header, lines: Range<usize>) -> Self {
        Self { lines, samples: 0..header.samples }
    }

    /// Its size in a cube with this header, bytes; `None` if it is empty, reaches beyond the cube or is larger than
    /// [`MAX_CUT_BYTES`].
    pub fn bytes(&self, header: &Header) -> Option<usize> {
        let inside = |range: &Range<usize>, all| range.start < range.end && range.end <= all;
        if !inside(&self.lines, header.lines) || !inside(&self.samples, header.samples) {
            return None;
        }
        let pixels = self.lines.len().checked_mul(self.samples.len())?;
        let bytes = pixels.checked_mul(header.bands)?.checked_mul(header.data_type.bytes())?;
        (bytes <= MAX_CUT_BYTES).then_some(bytes)
    }
}

impl<R: ReadAt> Cube<R> {
    /// Replaces what `out` held by the bytes of `cut`: as stored, in the cube's interleave and byte order, without a
    /// header offset.
    pub fn cut(&self, cut: &Cut, out: &mut Vec<u8>) -> Result<(), CubeError> {
        let bytes = cut.bytes(&self.header).ok_or(CubeError::Cut)?;
        out.resize(bytes, 0);
        let (runs, run_bytes) = Runs::of(&self.header, cut);
        let mut places = out.chunks_exact_mut(run_bytes.max(1));
        for outer in runs.outer.clone() {
            for inner in 0..runs.inner {
                let Some(place) = places.next() else { return Ok(()) };
                let offset = runs.start + outer * runs.outer_bytes + inner * runs.inner_bytes;
                self.fill(offset, place)?;
            }
        }
        Ok(())
    }
}

/// Where the bytes of a cut-out lie: `outer` × `inner` pieces of equal size.
struct Runs {
    start: u64,
    outer: Range<u64>,
    outer_bytes: u64,
    inner: u64,
    inner_bytes: u64,
}

impl Runs {
    /// The pieces, and the size of each, bytes. The cut-out must lie in the cube.
    fn of(header: &Header, cut: &Cut) -> (Self, usize) {
        let Header { samples, lines, bands, data_type, header_offset, .. } = *header;
        let [width, samples, lines, bands] = [data_type.bytes(), samples, lines, bands].map(|n| n as u64);
        let [first, count] = [cut.lines.start, cut.lines.len()].map(|n| n as u64);
        let [left, across] = [cut.samples.start, cut.samples.len()].map(|n| n as u64);
        let whole = across == samples;
        let line_bytes = samples * bands * width;
        let row_bytes = samples * width;
        let start = header_offset;
        let none = Self { start, outer: 0..1, outer_bytes: 0, inner: 1, inner_bytes: 0 };
        let (runs, run_bytes) = match header.interleave {
            Interleave::Bil | Interleave::Bip if whole => {
                (Self { start: start + first * line_bytes, ..none }, count * line_bytes)
            }
            Interleave::Bil => {
                let start = start + first * line_bytes + left * width;
                let runs = Self { outer_bytes: line_bytes, inner: bands, inner_bytes: row_bytes, ..none };
                (Self { start, outer: 0..count, ..runs }, across * width)
            }
            Interleave::Bip => {
                let start = start + first * line_bytes + left * bands * width;
                (Self { start, outer: 0..count, outer_bytes: line_bytes, ..none }, across * bands * width)
            }
            Interleave::Bsq if whole => {
                let start = start + first * row_bytes;
                (Self { start, outer: 0..bands, outer_bytes: lines * row_bytes, ..none }, count * row_bytes)
            }
            Interleave::Bsq => {
                let start = start + first * row_bytes + left * width;
                let runs = Self { inner: count, inner_bytes: row_bytes, ..none };
                (Self { start, outer: 0..bands, outer_bytes: lines * row_bytes, ..runs }, across * width)
            }
        };
        (runs, usize::try_from(run_bytes).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envi::DataType;

    /// A cube of 4 lines, 5 samples and 3 bands whose every value tells where it is.
    fn cube(interleave: Interleave, header_offset: u64) -> Cube<Vec<u8>> {
        let mut header = Header::new(5, 4, 3, DataType::U16);
        (header.interleave, header.header_offset) = (interleave, header_offset);
        let value = |l: u16, s: u16, b: u16| (l * 100 + s * 10 + b).to_le_bytes();
        let mut data = vec![0xEE; usize::try_from(header_offset).unwrap()];
        let [lines, samples, bands] = [0..4, 0..5, 0..3_u16];
        match interleave {
            Interleave::Bil => lines.for_each(|l| {
                bands.clone().for_each(|b| samples.clone().for_each(|s| data.extend(value(l, s, b))));
            }),
            Interleave::Bip => lines.for_each(|l| {
                samples.clone().for_each(|s| bands.clone().for_each(|b| data.extend(value(l, s, b))));
            }),
            Interleave::Bsq => bands.for_each(|b| {
                lines.clone().for_each(|l| samples.clone().for_each(|s| data.extend(value(l, s, b))));
            }),
        }
        Cube::new(header, data).unwrap()
    }

    #[test]
    fn every_rectangle_of_every_layout_has_the_right_values() {
        for interleave in Interleave::ALL {
            let whole = cube(interleave, 7);
            let ranges = |n: usize| (0..n).flat_map(move |a| (a + 1..=n).map(move |b| a..b));
            for lines in ranges(4) {
                for samples in ranges(5) {
                    let cut = Cut { lines: lines.clone(), samples: samples.clone() };
                    let mut out = vec![9; 3];
                    whole.cut(&cut, &mut out).unwrap();
                    let mut header = Header::new(samples.len(), lines.len(), 3, DataType::U16);
                    header.interleave = interleave;
                    let part = Cube::new(header, out).unwrap();
                    let (mut got, mut of_whole) = (Vec::new(), Vec::new());
                    part.lines_f32(0, lines.len(), &[0, 1, 2], &mut got).unwrap();
                    whole.lines_f32(lines.start, lines.len(), &[0, 1, 2], &mut of_whole).unwrap();
                    let expected: Vec<f32> =
                        of_whole.chunks_exact(5).flat_map(|row| row[samples.clone()].to_vec()).collect();
                    assert_eq!(got, expected, "{interleave:?} {cut:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_in_the_cube_is_refused() {
        let whole = cube(Interleave::Bil, 0);
        for (lines, samples) in [(0..5, 0..5), (2..2, 0..5), (0..4, 4..6), (4..5, 0..1)] {
            assert!(matches!(whole.cut(&Cut { lines, samples }, &mut Vec::new()), Err(CubeError::Cut)));
        }
        let huge = Header::new(1 << 20, 1 << 20, 300, DataType::F64);
        assert_eq!(Cut::lines(&huge, 0..1 << 20).bytes(&huge), None);
    }
}
