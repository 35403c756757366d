//! The state of a frame's pixels in few cells, for a picture of it.

use super::report::Overview;

/// Most cells.
const MOST_CELLS: usize = 1 << 20;

impl Overview {
    /// Of a frame of that size, nothing flagged yet.
    pub(super) fn new(samples: usize, lines: usize) -> Self {
        let mut join = 1;
        while samples.div_ceil(join).saturating_mul(lines.div_ceil(join)) > MOST_CELLS {
            join += 1;
        }
        let (columns, rows) = (samples.div_ceil(join), lines.div_ceil(join));
        Self { join, columns, flags: vec![0; columns.saturating_mul(rows)] }
    }

    /// Adds the flags of a line.
    pub(super) fn add(&mut self, line: usize, flags: &[u8]) {
        let from = line / self.join * self.columns;
        let cells = self.flags.get_mut(from..from + self.columns).unwrap_or_default();
        for (cell, flags) in cells.iter_mut().zip(flags.chunks(self.join)) {
            *cell |= flags.iter().fold(0, |all, f| all | f);
        }
    }

    /// All flags around a pixel.
    pub fn at(&self, line: usize, sample: usize) -> u8 {
        let join = self.join.max(1);
        self.flags.get(line / join * self.columns + sample / join).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_kept_pixel_by_pixel_and_large_ones_are_joined() {
        let mut small = Overview::new(3, 2);
        small.add(1, &[0, 4, 1]);
        assert_eq!((small.join, small.flags.as_slice()), (1, [0, 0, 0, 0, 4, 1].as_slice()));
        let mut large = Overview::new(4096, 8192);
        assert!(large.flags.len() <= MOST_CELLS && large.join == 6, "{}", large.join);
        large.add(8191, &[1; 4096]);
        assert_eq!((large.at(8191, 4095), large.at(0, 0)), (1, 0));
    }
}
