//! The filter, put to every pixel: answer and brightness.

use super::TriageError;
use super::kernels::{add_scaled, add_weighted};
use super::lines::{Lines, Part};
use super::model::Model;
use super::parallel::in_order;
use super::statistics::JOB_LINES;
use crate::cube::ReadAt;

/// Least brightness relative to the mean that is divided by.
const LEAST_BRIGHTNESS: f32 = 0.05;

/// The filter's answer for some lines.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// α, ppm·m, linear; NaN where the pixel is flagged.
    pub(super) alpha: Vec<f32>,
    /// r, 1 for ground of the mean brightness.
    pub(super) brightness: Vec<f32>,
}

/// Filters `count` lines from `first`; pixels with a flag in `mask` (the segment's, from its first line) are left out.
pub(super) fn apply<R: ReadAt + Sync>(
    lines: &Lines<'_, R>,
    model: &Model,
    (first, count): (usize, usize),
    mask: &[u8],
    threads: usize,
) -> Result<Answer, TriageError> {
    let samples = lines.samples;
    let mut answer = Answer {
        alpha: Vec::with_capacity(count * samples),
        brightness: Vec::with_capacity(count * samples),
    };
    let mut failed = None;
    let work = |job: usize| {
        let from = job * JOB_LINES;
        let mut share = Answer::default();
        let done =
            lines.each(first + from, JOB_LINES.min(count - from), |part| share.add(part, model, samples));
        done.map(|()| share)
    };
    in_order(threads, count.div_ceil(JOB_LINES), work, |_, result| match result {
        Ok(share) => {
            answer.alpha.extend(share.alpha);
            answer.brightness.extend(share.brightness);
        }
        Err(error) => failed = failed.take().or(Some(error)),
    });
    for (alpha, flag) in answer.alpha.iter_mut().zip(mask) {
        if *flag != 0 {
            *alpha = f32::NAN;
        }
    }
    failed.map_or(Ok(answer), Err)
}

impl Answer {
    /// Adds the answer for some prepared lines.
    pub(super) fn add(&mut self, part: &Part<'_>, model: &Model, samples: usize) {
        let bands = model.spectrum.len();
        let mut scores = vec![0.0_f32; samples];
        let mut brightness = vec![0.0_f32; samples];
        for (line, flags) in part.values.chunks_exact(samples * bands).zip(part.flags.chunks_exact(samples)) {
            scores.fill(-model.offset);
            brightness.fill(0.0);
            let rows = line.chunks_exact(samples);
            let weights = model.weights.chunks_exact(samples).zip(model.brightness.chunks_exact(samples));
            for (row, (weight, bright)) in rows.zip(weights) {
                add_weighted(&mut scores, row, weight);
                add_weighted(&mut brightness, row, bright);
            }
            let pixels = scores.iter().zip(&brightness).zip(flags);
            self.alpha.extend(pixels.map(|((score, bright), flag)| {
                if *flag == 0 { score / bright.max(LEAST_BRIGHTNESS) } else { f32::NAN }
            }));
            self.brightness.extend_from_slice(&brightness);
        }
    }
}

/// Convolves the rows of a map with a symmetric kernel (its middle first), then the columns; what lies outside is 0.
pub(super) fn convolve(map: &[f32], samples: usize, kernel: &[f32], threads: usize) -> Vec<f32> {
    let mut across = vec![0.0_f32; map.len()];
    super::parallel::rows(threads, &mut across, samples, |row, out| {
        let line = map.get(row * samples..).unwrap_or_default();
        let line = line.get(..out.len()).unwrap_or_default();
        for (shift, weight) in kernel.iter().enumerate() {
            add_scaled(out.get_mut(shift..).unwrap_or_default(), line, *weight);
            if shift > 0 {
                add_scaled(out, line.get(shift..).unwrap_or_default(), *weight);
            }
        }
    });
    let mut out = vec![0.0_f32; map.len()];
    let across: &[f32] = &across;
    super::parallel::rows(threads, &mut out, samples, |row, out| {
        let line = |at: usize| across.get(at * samples..(at + 1) * samples).unwrap_or_default();
        for (shift, weight) in kernel.iter().enumerate() {
            add_scaled(out, line(row + shift), *weight);
            if let Some(above) = row.checked_sub(shift).filter(|_| shift > 0) {
                add_scaled(out, line(above), *weight);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_becomes_the_kernel_and_edges_lose_what_lies_outside() {
        let mut map = vec![0.0; 35];
        map[2 * 7 + 3] = 1.0;
        let out = convolve(&map, 7, &[0.5, 0.25], 1);
        assert!(
            (out[17] - 0.25).abs() < 1e-7 && (out[16] - 0.125).abs() < 1e-7 && (out[9] - 0.0625).abs() < 1e-7
        );
        assert!((out.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut corner = vec![0.0; 35];
        corner[0] = 1.0;
        assert!((convolve(&corner, 7, &[0.5, 0.25], 2).iter().sum::<f32>() - 0.5625).abs() < 1e-6);
    }
}
