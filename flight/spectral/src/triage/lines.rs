//! Lines of a frame, ready to be measured: physical values of the looked-at bands, dead detectors patched, every pixel
//! that can't be used flagged. The same lines come out the same however they are asked for; nothing of the frame is kept.

use super::TriageError;
use super::kernels::all_sound;
use super::report::pixel;
use crate::cube::{Cube, ReadAt};
use crate::envi::DataType;
use crate::numeric::f32_of;

/// Bytes of values that are held at a time: they stay in a processor's second-level cache.
const BUFFER_BYTES: usize = 1 << 20;

/// A detector (band, sample) that gives no signal, and what it is patched from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dead {
    /// Place in a line: band × samples + sample, the band counted among the looked-at ones.
    pub(super) at: usize,
    /// Places of the nearest live detectors of the same sample, and the share of each.
    pub(super) sources: [(usize, f32); 2],
}

/// How the lines of a frame are read.
pub(super) struct Lines<'a, R> {
    cube: &'a Cube<R>,
    pub(super) bands: &'a [usize],
    pub(super) samples: usize,
    /// Gain and offset of each band, where they are not 1 and 0.
    scale: Option<Vec<(f32, f32)>>,
    ignore: Option<f32>,
    /// Stored value of a saturated sample.
    pub(super) full_scale: Option<f32>,
    pub(super) dead: Vec<Dead>,
    /// Samples of which too many detectors are dead.
    pub(super) dead_samples: Vec<usize>,
}

/// Some lines: values line by line, in a line band by band, in a band sample by sample; a flag for each pixel.
pub(super) struct Part<'a> {
    /// Number of the first line in the frame.
    pub(super) first: usize,
    pub(super) values: &'a [f32],
    pub(super) flags: &'a [u8],
    /// Lines without any data among them.
    pub(super) dropped: usize,
}

impl<'a, R: ReadAt> Lines<'a, R> {
    pub(super) fn new(cube: &'a Cube<R>, bands: &'a [usize]) -> Self {
        let header = cube.header();
        let scale: Vec<(f32, f32)> = bands
            .iter()
            .map(|&band| header.scale(band))
            .map(|(gain, offset)| (f32_of(gain), f32_of(offset)))
            .collect();
        let scaled = scale.iter().any(|(gain, offset)| (*gain - 1.0).abs() > 0.0 || offset.abs() > 0.0);
        Self {
            cube,
            bands,
            samples: header.samples,
            scale: scaled.then_some(scale),
            ignore: header.data_ignore_value.map(f32_of),
            full_scale: None,
            dead: Vec::new(),
            dead_samples: Vec::new(),
        }
    }

    /// Values of a line.
    pub(super) fn line_len(&self) -> usize {
        self.samples * self.bands.len()
    }

    /// Reads `count` lines from `first`, a few at a time, and hands them to `take`.
    pub(super) fn each(
        &self,
        first: usize,
        count: usize,
        mut take: impl FnMut(&Part<'_>),
    ) -> Result<(), TriageError> {
        let at_once = (BUFFER_BYTES / (self.line_len() * size_of::<f32>()).max(1)).max(1);
        let (mut values, mut flags) = (Vec::new(), Vec::new());
        let mut at = first;
        while at < first + count {
            let lines = at_once.min(first + count - at);
            self.cube.lines_f32(at, lines, self.bands, &mut values)?;
            flags.clear();
            flags.resize(lines * self.samples, 0);
            let mut dropped = 0;
            let rows = values.chunks_exact_mut(self.line_len()).zip(flags.chunks_exact_mut(self.samples));
            rows.for_each(|(line, flags)| dropped += usize::from(self.prepare(line, flags)));
            take(&Part { first: at, values: &values, flags: &flags, dropped });
            at += lines;
        }
        Ok(())
    }

    /// Makes a stored line fit to be measured; `true`: it holds no data.
    fn prepare(&self, line: &mut [f32], flags: &mut [u8]) -> bool {
        if is_dropped(line) {
            flags.fill(pixel::BAD);
            line.fill(0.0);
            return true;
        }
        for dead in &self.dead {
            let patched = dead
                .sources
                .iter()
                .fold(0.0, |sum, (from, share)| sum + line.get(*from).copied().unwrap_or(0.0) * share);
            if let Some(value) = line.get_mut(dead.at) {
                *value = patched;
            }
        }
        for &sample in &self.dead_samples {
            flags.get_mut(sample).into_iter().for_each(|flag| *flag |= pixel::BAD);
        }
        self.flag_full_scale(line, flags);
        self.flag_missing(line, flags);
        if let Some(scale) = &self.scale {
            for (row, (gain, offset)) in line.chunks_exact_mut(self.samples).zip(scale) {
                row.iter_mut().for_each(|value| *value = *value * gain + offset);
            }
        }
        self.cube.scale_columns(self.bands, line);
        false
    }

    fn flag_full_scale(&self, line: &[f32], flags: &mut [u8]) {
        let Some(full) = self.full_scale else { return };
        for row in line.chunks_exact(self.samples) {
            if row.iter().any(|value| *value >= full) {
                for (value, flag) in row.iter().zip(flags.iter_mut()) {
                    if value.to_bits() == full.to_bits() {
                        *flag |= pixel::SATURATED;
                    }
                }
            }
        }
    }

    /// Pixels with a value that is not finite or means "no data", or that are 0 in every band; such values become 0.
    fn flag_missing(&self, line: &mut [f32], flags: &mut [u8]) {
        let samples = self.samples;
        for row in line.chunks_exact_mut(samples) {
            if all_sound(row, self.ignore) {
                continue;
            }
            for (value, flag) in row.iter_mut().zip(flags.iter_mut()) {
                if !value.is_finite() || self.ignore.is_some_and(|i| i.to_bits() == value.to_bits()) {
                    *flag |= pixel::BAD;
                    *value = 0.0;
                }
            }
        }
        let is_zero = |value: &f32| value.to_bits() << 1 == 0;
        let Some(row) = line.get(..samples) else { return };
        for (sample, flag) in
            row.iter().zip(flags).enumerate().filter(|(_, (v, _))| is_zero(v)).map(|(s, (_, f))| (s, f))
        {
            if line.iter().skip(sample).step_by(samples).all(is_zero) {
                *flag |= pixel::BAD;
            }
        }
    }
}

/// A line that is one value throughout holds no data.
pub(super) fn is_dropped(line: &[f32]) -> bool {
    let mut values = line.iter();
    let Some(first) = values.next() else { return true };
    line.len() > 1 && values.all(|v| v.to_bits() == first.to_bits())
}

/// The full scale of the samples' type or of its converter that the greatest stored value does not exceed.
pub(super) fn full_scale(data_type: DataType, greatest: f32) -> Option<f32> {
    const FULL_SCALES: [f32; 8] = [255.0, 1023.0, 4095.0, 8191.0, 16383.0, 32767.0, 65535.0, 16_777_215.0];
    let fits = |scale: &&f32| **scale >= greatest && greatest * 2.0 > **scale;
    FULL_SCALES.iter().find(fits).copied().filter(|_| data_type.is_integer())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envi::Header;

    /// 4 lines × 3 bands × 5 samples of u16.
    fn cube(change: impl Fn(&mut Vec<u16>, &mut Header)) -> Cube<Vec<u8>> {
        let mut header = Header::new(5, 4, 3, DataType::U16);
        let mut values: Vec<u16> = (0..60_u16).map(|i| 100 + i * 7 % 31).collect();
        change(&mut values, &mut header);
        Cube::new(header, values.iter().flat_map(|v| v.to_le_bytes()).collect()).unwrap()
    }

    fn read(lines: &Lines<'_, Vec<u8>>) -> (Vec<f32>, Vec<u8>, usize) {
        let (mut values, mut flags, mut dropped) = (Vec::new(), Vec::new(), 0);
        let take = |part: &Part<'_>| {
            values.extend_from_slice(part.values);
            flags.extend_from_slice(part.flags);
            dropped += part.dropped;
        };
        lines.each(0, 4, take).unwrap();
        (values, flags, dropped)
    }

    #[test]
    fn clean_data_is_scaled_and_gets_no_flag() {
        let cube = cube(|_, header| {
            header.gains = Some(vec![0.5; 3]);
            header.offsets = Some(vec![1.0; 3]);
        });
        let (values, flags, dropped) = read(&Lines::new(&cube, &[0, 1, 2]));
        assert_eq!((flags, dropped), (vec![0; 20], 0));
        assert!((values[1] - (107.0 * 0.5 + 1.0)).abs() < 1e-6);
    }

    #[test]
    fn dropped_lines_missing_values_and_full_scale_are_flagged() {
        let cube = cube(|values, header| {
            values[15..30].fill(0);
            values[30] = 9;
            header.data_ignore_value = Some(9.0);
            for band in 0..3 {
                values[45 + 5 * band + 2] = 0;
            }
            values[49] = 4095;
        });
        let mut lines = Lines::new(&cube, &[0, 1, 2]);
        lines.full_scale = full_scale(DataType::U16, 4000.0);
        let (values, flags, dropped) = read(&lines);
        let (bad, full) = (pixel::BAD, pixel::SATURATED);
        assert_eq!(dropped, 1);
        assert_eq!(flags, [0, 0, 0, 0, 0, bad, bad, bad, bad, bad, bad, 0, 0, 0, 0, 0, 0, bad, 0, full]);
        assert!(values[30].abs() < f32::MIN_POSITIVE);
    }

    #[test]
    fn a_dead_detector_is_patched_from_its_neighbours() {
        let cube = cube(|values, _| values[6] = 0);
        let mut lines = Lines::new(&cube, &[0, 1, 2]);
        lines.dead = vec![Dead { at: 6, sources: [(1, 0.5), (11, 0.5)] }];
        lines.dead_samples = vec![4];
        let (values, flags, _) = read(&lines);
        assert!((values[6] - f32::midpoint(values[1], values[11])).abs() < 1e-4);
        assert_eq!(flags[..5], [0, 0, 0, 0, pixel::BAD]);
    }

    #[test]
    fn full_scale_is_that_of_the_type_or_the_converter() {
        assert_eq!(full_scale(DataType::U16, 4095.0), Some(4095.0));
        assert_eq!(full_scale(DataType::U16, 5000.0), Some(8191.0));
        assert_eq!(full_scale(DataType::U16, 300.0), None, "far from any");
        assert_eq!(full_scale(DataType::F32, 4095.0), None);
    }
}
