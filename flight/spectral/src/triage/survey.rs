//! A look at some lines of a segment before it is measured: which detectors are dead, what is bright and what is dark,
//! where the scale ends. Everything that later passes have to know beforehand.

use super::TriageError;
use super::kernels::{all_sound, widen};
use super::lines::{Dead, Lines, full_scale, is_dropped};
use super::params::Params;
use crate::cube::{Cube, ReadAt};
use crate::numeric::{f32_of, quantile};

/// Lines that are looked at.
const LINES: usize = 64;
/// Fewest lines in which a detector that never changes is called dead.
const DEAD_LINES: usize = 8;
/// A sample with more than this share of dead detectors is given up.
const DEAD_SHARE: f64 = 0.25;

/// What the survey found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Survey {
    pub(super) full_scale: Option<f32>,
    pub(super) dead: Vec<Dead>,
    pub(super) dead_samples: Vec<usize>,
    /// Share of the detectors that are dead.
    pub(super) dead_share: f64,
}

/// Looks at lines spread over `first..first + count`.
pub(super) fn survey<R: ReadAt>(
    cube: &Cube<R>,
    bands: &[usize],
    first: usize,
    count: usize,
) -> Result<Survey, TriageError> {
    let samples = cube.header().samples;
    let ignore = cube.header().data_ignore_value.map(f32_of);
    let step = count.div_ceil(LINES).max(1);
    let size = samples * bands.len();
    let mut low = vec![f32::INFINITY; size];
    let mut high = vec![f32::NEG_INFINITY; size];
    let mut missing = vec![0_u8; size];
    let mut sums = vec![(0.0_f64, 0.0_f64); bands.len()];
    let (mut line, mut seen, mut greatest) = (Vec::new(), 0_u8, 0.0_f32);
    for at in (first..first + count).step_by(step) {
        cube.lines_f32(at, 1, bands, &mut line)?;
        if is_dropped(&line) {
            continue;
        }
        seen = seen.saturating_add(1);
        let rows = line.chunks_exact(samples).zip(low.chunks_exact_mut(samples));
        let rows =
            rows.zip(high.chunks_exact_mut(samples)).zip(missing.chunks_exact_mut(samples)).zip(&mut sums);
        for ((((row, low), high), missing), sum) in rows {
            if all_sound(row, ignore) {
                widen(low, high, row, &mut sum.0);
                sum.1 += samples as f64;
                greatest = high.iter().fold(greatest, |most, v| if *v > most { *v } else { most });
                continue;
            }
            for (((value, low), high), missing) in row.iter().zip(low).zip(high.iter_mut()).zip(missing) {
                if !value.is_finite() || ignore.is_some_and(|i| i.to_bits() == value.to_bits()) {
                    *missing = missing.saturating_add(1);
                    continue;
                }
                *low = low.min(*value);
                *high = high.max(*value);
                sum.0 += f64::from(*value);
                sum.1 += 1.0;
            }
            greatest = high.iter().fold(greatest, |most, v| most.max(*v));
        }
    }
    let mut survey =
        Survey { full_scale: full_scale(cube.header().data_type, greatest), ..Survey::default() };
    if usize::from(seen) >= DEAD_LINES {
        let is_dead: Vec<bool> = low
            .iter()
            .zip(&high)
            .zip(&missing)
            .map(|((low, high), missing)| low.to_bits() == high.to_bits() || *missing > seen / 2)
            .collect();
        let dead = is_dead.iter().filter(|d| **d).count();
        // Where most never change it is not the detectors: the frame is made up, or of one colour.
        if dead * 2 <= size {
            survey.dead_share = dead as f64 / size.max(1) as f64;
            let means: Vec<f64> = sums.iter().map(|(sum, n)| sum / n.max(1.0)).collect();
            survey.patch(&is_dead, samples, &means);
        }
    }
    Ok(survey)
}

impl Survey {
    /// Says how each dead detector is patched: from its neighbours in wavelength, scaled with the mean spectrum.
    fn patch(&mut self, is_dead: &[bool], samples: usize, means: &[f64]) {
        let bands = means.len();
        for sample in 0..samples {
            let dead = |band: usize| is_dead.get(band * samples + sample).copied().unwrap_or(true);
            let here: Vec<usize> = (0..bands).filter(|&b| dead(b)).collect();
            if here.len() as f64 > DEAD_SHARE * bands as f64 {
                self.dead_samples.push(sample);
                continue;
            }
            for band in here {
                let below = (0..band).rev().find(|&b| !dead(b));
                let above = (band..bands).find(|&b| !dead(b));
                let (Some(from), Some(to)) = (below.or(above), above.or(below)) else { continue };
                let mean = |b: usize| means.get(b).copied().filter(|m| *m > 0.0).unwrap_or(1.0);
                let source = |from: usize| (from * samples + sample, f32_of(0.5 * mean(band) / mean(from)));
                self.dead.push(Dead { at: band * samples + sample, sources: [source(from), source(to)] });
            }
        }
    }

    /// Puts what was found into effect.
    pub(super) fn apply<R>(&self, lines: &mut Lines<'_, R>) {
        lines.full_scale = self.full_scale;
        lines.dead.clone_from(&self.dead);
        lines.dead_samples.clone_from(&self.dead_samples);
    }
}

/// Which of the bands are at the end of their scale in more than a few pixels of some lines: such a band says nothing about
/// the frame, and must not hide all of it.
pub(super) fn full_bands<R: ReadAt>(cube: &Cube<R>, bands: &[usize]) -> Result<Vec<bool>, TriageError> {
    /// Share of the samples.
    const FEW: f64 = 0.05;
    let (samples, lines) = (cube.header().samples, cube.header().lines);
    if !cube.header().data_type.is_integer() {
        return Ok(vec![false; bands.len()]);
    }
    let Some(full) = survey(cube, bands, 0, lines)?.full_scale else { return Ok(vec![false; bands.len()]) };
    let mut counts = vec![0_usize; bands.len()];
    let (mut line, mut seen) = (Vec::new(), 0);
    for at in (0..lines).step_by(lines.div_ceil(LINES).max(1)) {
        cube.lines_f32(at, 1, bands, &mut line)?;
        seen += samples;
        for (count, row) in counts.iter_mut().zip(line.chunks_exact(samples)) {
            *count += row.iter().filter(|v| v.to_bits() == full.to_bits()).count();
        }
    }
    Ok(counts.into_iter().map(|count| count as f64 > FEW * seen as f64).collect())
}

/// The signal below which a pixel is dark: a share of what most clear pixels of some lines stay below, over the bands read.
/// Not of their median: beside clouds most of the ground may lie in shadow.
pub(super) fn dark_below<R: ReadAt>(
    lines: &Lines<'_, R>,
    (first, count): (usize, usize),
    hidden: &dyn Fn(usize) -> bool,
    params: &Params,
) -> Result<f32, TriageError> {
    /// Pixels that stay below.
    const MOST: f64 = 0.8;
    let step = count.div_ceil(LINES).max(1);
    let mut signals = Vec::new();
    let samples = lines.samples;
    for at in (first..first + count).step_by(step) {
        lines.each(at, 1, |part| {
            let signal = signal(part.values, samples);
            let clear = signal.iter().zip(part.flags).enumerate();
            signals.extend(
                clear
                    .filter(|(s, (_, f))| **f == 0 && !hidden((at - first) * samples + s))
                    .map(|(_, (v, _))| *v),
            );
        })?;
    }
    Ok(quantile(&mut signals, MOST).map_or(0.0, |bright| (bright * params.dark_share).max(0.0)))
}

/// Sum of some of the window's bands for each pixel of a line.
pub(super) fn signal(line: &[f32], samples: usize) -> Vec<f32> {
    /// Bands that are added up.
    const BANDS: usize = 8;
    let mut sums = vec![0.0_f32; samples];
    let rows = line.chunks_exact(samples);
    let step = (rows.len() / BANDS).max(1);
    for row in rows.step_by(step) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envi::{DataType, Header};

    /// 40 lines × 8 bands × 6 samples.
    fn cube(change: impl Fn(usize, usize, usize, f32) -> f32) -> Cube<Vec<u8>> {
        let mut data = Vec::new();
        for line in 0..40 {
            for band in 0..8 {
                for sample in 0..6 {
                    let value = 100.0 + (band * 10 + (line * 7 + sample * 3) % 11) as f32;
                    data.extend(change(line, band, sample, value).to_le_bytes());
                }
            }
        }
        Cube::new(Header::new(6, 40, 8, DataType::F32), data).unwrap()
    }

    #[test]
    fn detectors_that_never_change_or_give_no_numbers_are_dead() {
        let bands: Vec<usize> = (0..8).collect();
        let cube = cube(|_, band, sample, value| match (band, sample) {
            (2, 1) => 7.0,
            (3, 1) => f32::NAN,
            (_, 4) if band < 3 => 0.0,
            _ => value,
        });
        let survey = survey(&cube, &bands, 0, 40).unwrap();
        assert_eq!(survey.dead.iter().map(|d| d.at).collect::<Vec<_>>(), [13, 19]);
        assert_eq!(survey.dead[0].sources.map(|(from, _)| from), [7, 25], "bands 1 and 4 of sample 1");
        assert_eq!(survey.dead_samples, [4]);
        assert!((survey.dead_share - 5.0 / 48.0).abs() < 1e-12);
    }

    #[test]
    fn a_made_up_frame_has_no_dead_detectors() {
        let bands: Vec<usize> = (0..8).collect();
        assert_eq!(survey(&cube(|_, _, _, _| 3.0), &bands, 0, 40).unwrap(), Survey::default());
    }
}
