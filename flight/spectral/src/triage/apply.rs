//! The filter, put to every pixel: answer and brightness.

use super::TriageError;
use super::kernels::add_weighted;
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
