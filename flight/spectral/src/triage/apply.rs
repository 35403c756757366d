//! The filter, put to every pixel: answer and brightness.

use super::TriageError;
use super::kernels::{add_pairs, add_weighted};
use super::lines::{Lines, Part};
use super::model::Model;
use super::parallel::in_order;
use super::report::pixel;
use super::statistics::JOB_LINES;
use crate::cube::ReadAt;

/// Least brightness relative to the mean that is divided by.
const LEAST_BRIGHTNESS: f32 = 0.05;
/// Sensitivity over brightness is 1 for ground of the mean colour, and this at least and at most.
const SENSITIVITY: [f32; 2] = [0.4, 2.5];

/// The filter's answer for some lines.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// α, ppm·m, linear; NaN where the pixel is flagged.
    pub(super) alpha: Vec<f32>,
    /// r, 1 for ground of the mean brightness.
    pub(super) brightness: Vec<f32>,
}

/// Filters `count` lines from `first`; pixels that `mask` (the segment's, from its first line) says are hidden or bad are
/// left out. Over dark ground there is an answer, of little worth.
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
        if *flag & !pixel::DARK != 0 {
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
        let mut sensitivity = vec![0.0_f32; samples];
        for (line, flags) in part.values.chunks_exact(samples * bands).zip(part.flags.chunks_exact(samples)) {
            scores.fill(-model.offset);
            brightness.fill(0.0);
            sensitivity.fill(0.0);
            let rows = line.chunks_exact(samples);
            let weights = of_band(&model.weights, samples)
                .zip(of_band(&model.brightness, samples))
                .zip(of_band(&model.sensitivity, samples));
            for (row, ((weight, bright), sensitive)) in rows.zip(weights) {
                add_weighted(&mut scores, row, weight);
                add_weighted(&mut brightness, row, bright);
                add_weighted(&mut sensitivity, row, sensitive);
            }
            let pixels = scores.iter().zip(&brightness).zip(&sensitivity).zip(flags);
            self.alpha.extend(pixels.map(|(((score, bright), sensitive), flag)| {
                let bright = bright.max(LEAST_BRIGHTNESS);
                let [least, most] = SENSITIVITY;
                if *flag == 0 { score / sensitive.clamp(least * bright, most * bright) } else { f32::NAN }
            }));
            self.brightness.extend_from_slice(&brightness);
        }
    }
}

/// What there is of each band, sample by sample.
fn of_band(values: &[f32], samples: usize) -> std::slice::ChunksExact<'_, f32> {
    values.chunks_exact(samples)
}

/// Convolves a map with a symmetric kernel (its middle first), across and along; what lies outside is 0.
pub(super) fn convolve(map: &[f32], samples: usize, kernel: &[f32], threads: usize) -> Vec<f32> {
    let reach = kernel.len().saturating_sub(1);
    let mut across = vec![0.0_f32; map.len()];
    super::parallel::rows(threads, &mut across, samples, |row, out| {
        let line = map.get(row * samples..(row + 1) * samples).unwrap_or_default();
        let mut padded = vec![0.0_f32; samples + 2 * reach];
        padded.iter_mut().skip(reach).zip(line).for_each(|(to, from)| *to = *from);
        let padded: &[f32] = &padded;
        let shifted = |by: usize| padded.get(by..).unwrap_or_default();
        let pairs: Vec<[&[f32]; 2]> = (0..=reach).map(|s| [shifted(reach - s), shifted(reach + s)]).collect();
        add_pairs(out, &pairs, kernel);
    });
    let mut out = vec![0.0_f32; map.len()];
    let (across, nothing): (&[f32], Vec<f32>) = (&across, vec![0.0; samples]);
    super::parallel::rows(threads, &mut out, samples, |row, out| {
        let line = |at: Option<usize>| {
            at.and_then(|at| across.get(at * samples..(at + 1) * samples)).unwrap_or(&nothing)
        };
        let pairs: Vec<[&[f32]; 2]> =
            (0..=reach).map(|s| [line(row.checked_sub(s)), line(Some(row + s))]).collect();
        add_pairs(out, &pairs, kernel);
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
