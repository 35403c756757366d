//! Quality of the stored samples: dropped lines, missing data, saturation, dead detectors, striping. Looks at values
//! as stored, before gain and offset; decides nothing about gas or cloud.

use super::block::Block;
use super::report::pixel;
use crate::envi::{DataType, Header};
use crate::numeric::{f32_of, quantile};

/// Fewest lines in which a detector that never changes is called dead.
const DEAD_LINES: usize = 8;
/// A column with more than this share of dead detectors is no longer patched.
const DEAD_SHARE: f64 = 0.25;
/// Fewest samples at full scale that make it saturation and not one value among many.
const SATURATED_SAMPLES: usize = 16;

/// What was counted in one block.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) dropped_lines: usize,
    pub(super) dead_detectors: usize,
    pub(super) detectors: usize,
    pub(super) striping: f64,
}

/// Flags the block's pixels in `mask` and patches dead detectors from their neighbours in wavelength.
pub(super) fn screen(block: &mut Block, header: &Header, mask: &mut [u8]) -> Counts {
    let mut counts = Counts { detectors: block.bands * block.samples, ..Counts::default() };
    let ignore = header.data_ignore_value.map(f32_of);
    for (line, flags) in block.lines().zip(mask.chunks_exact_mut(block.samples)) {
        if is_dropped(line) {
            counts.dropped_lines += 1;
            flags.fill(pixel::BAD);
        } else {
            missing(line, block.samples, ignore, flags);
        }
    }
    saturated(block, header.data_type, mask);
    let dead = dead_detectors(block, mask);
    counts.dead_detectors = dead.iter().flatten().filter(|&&d| d).count();
    if counts.dead_detectors * 2 > counts.detectors {
        // Not the detectors: the frame is made up, or of one colour.
        counts.dead_detectors = 0;
    } else if counts.dead_detectors > 0 {
        patch(block, &dead, mask);
    }
    counts.striping = striping(block, mask);
    counts
}

/// A line that is one value throughout holds no data.
fn is_dropped(line: &[f32]) -> bool {
    let mut values = line.iter();
    let Some(first) = values.next() else { return true };
    line.len() > 1 && values.all(|v| v.to_bits() == first.to_bits())
}

/// Pixels with a value that is not finite or means "no data", or that are 0 in every band.
fn missing(line: &[f32], samples: usize, ignore: Option<f32>, flags: &mut [u8]) {
    let mut all_zero = vec![true; samples];
    for row in line.chunks_exact(samples) {
        for ((value, flag), zero) in row.iter().zip(flags.iter_mut()).zip(all_zero.iter_mut()) {
            if !value.is_finite() || ignore.is_some_and(|i| i.to_bits() == value.to_bits()) {
                *flag |= pixel::BAD;
            }
            *zero &= value.to_bits() << 1 == 0;
        }
    }
    for (flag, zero) in flags.iter_mut().zip(all_zero) {
        if zero {
            *flag |= pixel::BAD;
        }
    }
}

/// Pixels at full scale: the greatest value is one that ends a range of bits, and many samples have it.
fn saturated(block: &Block, data_type: DataType, mask: &mut [u8]) {
    const FULL_SCALES: [f32; 7] = [255.0, 1023.0, 4095.0, 8191.0, 16383.0, 32767.0, 65535.0];
    if !data_type.is_integer() {
        return;
    }
    let mut greatest = f32::NEG_INFINITY;
    let mut count = 0_usize;
    for (line, flags) in block.lines().zip(mask.chunks_exact(block.samples)) {
        for row in line.chunks_exact(block.samples) {
            for (&value, _) in row.iter().zip(flags).filter(|(_, flag)| **flag & pixel::BAD == 0) {
                if value > greatest {
                    (greatest, count) = (value, 1);
                } else if value.to_bits() == greatest.to_bits() {
                    count += 1;
                }
            }
        }
    }
    if count < SATURATED_SAMPLES || !FULL_SCALES.iter().any(|s| s.to_bits() == greatest.to_bits()) {
        return;
    }
    for (line, flags) in block.lines().zip(mask.chunks_exact_mut(block.samples)) {
        for row in line.chunks_exact(block.samples) {
            for (value, flag) in row.iter().zip(flags.iter_mut()) {
                if value.to_bits() == greatest.to_bits() {
                    *flag |= pixel::SATURATED;
                }
            }
        }
    }
}

/// For each band and column: does its value never change over the lines that hold data?
fn dead_detectors(block: &Block, mask: &[u8]) -> Vec<Vec<bool>> {
    let mut lowest = vec![f32::INFINITY; block.samples * block.bands];
    let mut highest = vec![f32::NEG_INFINITY; block.samples * block.bands];
    let mut lines = 0;
    for (line, flags) in block.lines().zip(mask.chunks_exact(block.samples)) {
        if flags.iter().all(|f| f & pixel::BAD != 0) {
            continue;
        }
        lines += 1;
        let flags = flags.iter().cycle();
        for (((value, low), high), flag) in line.iter().zip(&mut lowest).zip(&mut highest).zip(flags) {
            if flag & (pixel::BAD | pixel::SATURATED) == 0 {
                *low = low.min(*value);
                *high = high.max(*value);
            }
        }
    }
    let never_changes = |(low, high): (&f32, &f32)| lines >= DEAD_LINES && low.to_bits() == high.to_bits();
    lowest
        .chunks_exact(block.samples)
        .zip(highest.chunks_exact(block.samples))
        .map(|(low, high)| low.iter().zip(high).map(never_changes).collect())
        .collect()
}

/// Replaces a dead detector's values by its spectral neighbours', scaled with the frame's mean spectrum; columns with
/// too many dead ones become bad.
fn patch(block: &mut Block, dead: &[Vec<bool>], mask: &mut [u8]) {
    let (samples, bands) = (block.samples, block.bands);
    let means = band_means(block, mask, dead);
    for sample in 0..samples {
        let is_dead = |band: usize| dead.get(band).and_then(|row| row.get(sample)).copied().unwrap_or(true);
        let dead_here: Vec<usize> = (0..bands).filter(|&b| is_dead(b)).collect();
        if dead_here.is_empty() {
            continue;
        }
        if dead_here.len() as f64 > DEAD_SHARE * bands as f64 {
            mask.iter_mut().skip(sample).step_by(samples).for_each(|flag| *flag |= pixel::BAD);
            continue;
        }
        for &band in &dead_here {
            let sources: Vec<usize> =
                [(0..band).rev().find(|&b| !is_dead(b)), (band..bands).find(|&b| !is_dead(b))]
                    .into_iter()
                    .flatten()
                    .collect();
            let mean = |b: usize| means.get(b).copied().filter(|m| *m > 0.0).unwrap_or(1.0);
            for line in block.lines_mut() {
                let at = |b: usize| line.get(b * samples + sample).copied().map_or(0.0, f64::from) / mean(b);
                let estimate = sources.iter().map(|&b| at(b)).sum::<f64>() / sources.len().max(1) as f64;
                if let Some(value) = line.get_mut(band * samples + sample) {
                    *value = f32_of(estimate * mean(band));
                }
            }
        }
    }
}

/// The mean of each band over what is neither bad nor dead.
fn band_means(block: &Block, mask: &[u8], dead: &[Vec<bool>]) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); block.bands];
    for (line, flags) in block.lines().zip(mask.chunks_exact(block.samples)) {
        for ((row, dead), (sum, count)) in line.chunks_exact(block.samples).zip(dead).zip(&mut sums) {
            for ((value, flag), dead) in row.iter().zip(flags).zip(dead) {
                if flag & pixel::BAD == 0 && !dead {
                    *sum += f64::from(*value);
                    *count += 1.0;
                }
            }
        }
    }
    sums.into_iter().map(|(sum, count)| if count > 0.0 { sum / count } else { 0.0 }).collect()
}

/// Median over columns and bands of how far a column's mean is from the mean of its two neighbours, relative to the
/// signal.
fn striping(block: &Block, mask: &[u8]) -> f64 {
    let mut sums = vec![0.0_f64; block.samples * block.bands];
    let mut counts = vec![0.0_f64; block.samples];
    for (line, flags) in block.lines().zip(mask.chunks_exact(block.samples)) {
        for (count, flag) in counts.iter_mut().zip(flags) {
            *count += f64::from(u8::from(flag & pixel::BAD == 0));
        }
        for ((sum, value), flag) in sums.iter_mut().zip(line).zip(flags.iter().cycle()) {
            if flag & pixel::BAD == 0 {
                *sum += f64::from(*value);
            }
        }
    }
    let mut jumps = Vec::new();
    for row in sums.chunks_exact(block.samples) {
        let means: Vec<f64> =
            row.iter().zip(&counts).map(|(s, n)| if *n > 0.0 { s / n } else { f64::NAN }).collect();
        for three in means.windows(3) {
            if let &[left, here, right] = three {
                let expected = f64::midpoint(left, right);
                jumps.push(f32_of(((here - expected) / expected).abs()));
            }
        }
    }
    quantile(&mut jumps, 0.5).map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 lines × 4 bands × 6 samples of smoothly varying values.
    fn block() -> Block {
        let value = |line: usize, band: usize, sample: usize| {
            f32::from(u16::try_from(1000 + line * 37 + band * 100 + (sample * line) % 7).unwrap())
        };
        let values =
            (0..10).flat_map(|l| (0..4).flat_map(move |b| (0..6).map(move |s| value(l, b, s)))).collect();
        Block { samples: 6, bands: 4, values }
    }

    fn header() -> Header {
        Header::new(6, 10, 4, DataType::U16)
    }

    #[test]
    fn clean_data_gets_no_flag() {
        let mut mask = vec![0; 60];
        let mut screened = block();
        let counts = screen(&mut screened, &header(), &mut mask);
        assert_eq!(mask, vec![0; 60]);
        assert_eq!((counts.dropped_lines, counts.dead_detectors), (0, 0));
        assert_eq!(screened, block());
    }

    #[test]
    fn dropped_lines_missing_values_and_saturation_are_flagged() {
        let mut block = block();
        let mut header = header();
        header.data_ignore_value = Some(7.0);
        block.lines_mut().nth(3).unwrap().fill(0.0);
        block.lines_mut().nth(5).unwrap()[2] = f32::NAN;
        block.lines_mut().nth(6).unwrap()[6 + 4] = 7.0;
        for row in block.lines_mut().nth(8).unwrap().chunks_exact_mut(6) {
            row[..5].fill(65535.0);
        }
        let mut mask = vec![0; 60];
        let counts = screen(&mut block, &header, &mut mask);
        assert_eq!(counts.dropped_lines, 1);
        assert_eq!(mask[18..24], [pixel::BAD; 6]);
        assert_eq!((mask[5 * 6 + 2], mask[6 * 6 + 4]), (pixel::BAD, pixel::BAD));
        assert_eq!(mask[48..54], [pixel::SATURATED, 8, 8, 8, 8, 0]);
        assert_eq!(mask.iter().filter(|&&f| f != 0).count(), 6 + 2 + 5);
    }

    #[test]
    fn a_dead_detector_is_patched_and_a_dead_column_is_bad() {
        let mut block = block();
        let truth = block.clone();
        for line in block.lines_mut() {
            line[2 * 6 + 1] = 42.0;
            line[4] = 1.0;
            line[6 + 4] = 1.0;
        }
        let mut mask = vec![0; 60];
        let counts = screen(&mut block, &header(), &mut mask);
        assert_eq!(counts.dead_detectors, 3);
        for (got, want) in block.lines().zip(truth.lines()) {
            assert!((got[13] / want[13] - 1.0).abs() < 0.05, "{} {}", got[13], want[13]);
        }
        assert!(mask.iter().skip(4).step_by(6).all(|&f| f == pixel::BAD));
    }

    #[test]
    fn striping_is_measured_relative_to_the_signal() {
        let mut striped = block();
        for row in striped.values.chunks_exact_mut(6) {
            row.iter_mut().step_by(2).for_each(|v| *v *= 1.02);
        }
        let quiet = striping(&block(), &[0; 60]);
        let loud = striping(&striped, &[0; 60]);
        assert!(quiet < 0.003 && (loud - 0.02).abs() < 0.004, "{quiet} {loud}");
    }
}
