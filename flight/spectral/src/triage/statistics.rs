//! The statistics of a segment's clear ground: the mean of each detector over all of its lines, and a sample of spectra
//! for everything of second order.
//!
//! A sample of some ten thousand spectra is enough for a covariance of a hundred bands (Reed, Mallett and Brennan 1974:
//! the loss of signal to noise is about bands ÷ spectra), it fits into memory, and so the robust passes need not read
//! the frame again.

use super::TriageError;
use super::kernels::add_where;
use super::lines::Lines;
use super::parallel::in_order;
use super::params::Params;
use super::report::pixel;
use super::survey::signal;
use crate::cube::ReadAt;

/// Lines of one job: fixed, so that sums are cut the same whatever the number of threads.
pub(super) const JOB_LINES: usize = 32;

/// What was gathered.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// Clear pixels of each sample.
    pub(super) counts: Vec<f64>,
    /// Sums over clear pixels: band by band, in a band sample by sample.
    pub(super) sums: Vec<f64>,
    /// Spectra of some clear pixels, one after the other, and the sample each is from.
    pub(super) spectra: Vec<f32>,
    pub(super) columns: Vec<usize>,
    pub(super) dropped: usize,
}

/// One job's share.
struct Share {
    flags: Vec<u8>,
    counts: Vec<f32>,
    sums: Vec<f32>,
    spectra: Vec<f32>,
    columns: Vec<usize>,
    dropped: usize,
}

/// Which pixels of a segment are in the sample: every `every`-th, shifted from line to line so that all columns have
/// their share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    every: usize,
    shift: usize,
}

impl Lattice {
    pub(super) fn new(pixels: usize, bands: usize, params: &Params) -> Self {
        let most =
            (params.sample_bytes / size_of::<f32>() / bands.max(1)).clamp(1, params.sample_spectra.max(1));
        let every = pixels.div_ceil(most).max(1);
        // Near the golden section, and without a common divisor.
        let mut shift = (every * 5 / 8).max(1);
        while gcd(shift, every) != 1 {
            shift += 1;
        }
        Self { every, shift }
    }

    fn holds(self, line: usize, sample: usize) -> bool {
        (sample + line * self.shift).is_multiple_of(self.every)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Gathers the statistics of `count` lines from `first` and adds to `mask`, which holds their clouds already, what else
/// hides the ground.
pub(super) fn gather<R: ReadAt + Sync>(
    lines: &Lines<'_, R>,
    (first, count): (usize, usize),
    dark_below: f32,
    mask: &mut [u8],
    params: &Params,
) -> Result<Statistics, TriageError> {
    let samples = lines.samples;
    let lattice = Lattice::new(count * samples, lines.bands.len(), params);
    let mut total =
        Statistics { counts: vec![0.0; samples], sums: vec![0.0; lines.line_len()], ..Statistics::default() };
    let mut failed = None;
    let before = mask.to_vec();
    let work = |job: usize| {
        let from = job * JOB_LINES;
        let to = count.min(from + JOB_LINES);
        let hidden = before.get(from * samples..to * samples).unwrap_or_default();
        share(lines, first, from..to, hidden, dark_below, lattice)
    };
    in_order(params.threads, count.div_ceil(JOB_LINES), work, |job, result| match result {
        Ok(share) => {
            let mask = mask.iter_mut().skip(job * JOB_LINES * samples);
            mask.zip(&share.flags).for_each(|(flag, new)| *flag |= new);
            total.add(share);
        }
        Err(error) => failed = failed.take().or(Some(error)),
    });
    failed.map_or(Ok(total), Err)
}

fn share<R: ReadAt>(
    lines: &Lines<'_, R>,
    first: usize,
    range: std::ops::Range<usize>,
    hidden: &[u8],
    dark_below: f32,
    lattice: Lattice,
) -> Result<Share, TriageError> {
    let samples = lines.samples;
    let mut share = Share {
        flags: Vec::with_capacity(hidden.len()),
        counts: vec![0.0; samples],
        sums: vec![0.0; lines.line_len()],
        spectra: Vec::new(),
        columns: Vec::new(),
        dropped: 0,
    };
    let mut clear = vec![0.0_f32; samples];
    lines.each(first + range.start, range.len(), |part| {
        share.dropped += part.dropped;
        let rows = part.values.chunks_exact(lines.line_len()).zip(part.flags.chunks_exact(samples));
        for (at, (line, flags)) in (part.first - first..).zip(rows) {
            let from = share.flags.len();
            let signal = signal(line, samples);
            let hidden = hidden.get(from..from + samples).unwrap_or_default();
            for (((flag, signal), hidden), clear) in flags.iter().zip(signal).zip(hidden).zip(&mut clear) {
                let dark = if signal <= dark_below { pixel::DARK } else { 0 };
                let seen = flag | hidden;
                let flag = if seen == 0 { dark } else { *flag };
                share.flags.push(flag);
                *clear = if seen | dark == 0 { 1.0 } else { 0.0 };
            }
            for (count, clear) in share.counts.iter_mut().zip(&clear) {
                *count += clear;
            }
            for (sums, row) in share.sums.chunks_exact_mut(samples).zip(line.chunks_exact(samples)) {
                add_where(sums, row, &clear);
            }
            for (sample, _) in clear.iter().enumerate().filter(|(s, c)| **c > 0.0 && lattice.holds(at, *s)) {
                share.spectra.extend(line.iter().skip(sample).step_by(samples));
                share.columns.push(sample);
            }
        }
    })?;
    Ok(share)
}

impl Statistics {
    fn add(&mut self, share: Share) {
        self.counts.iter_mut().zip(share.counts).for_each(|(sum, n)| *sum += f64::from(n));
        self.sums.iter_mut().zip(share.sums).for_each(|(sum, v)| *sum += f64::from(v));
        self.spectra.extend(share.spectra);
        self.columns.extend(share.columns);
        self.dropped += share.dropped;
    }

    /// Median over columns and bands of how far a column's mean is from the mean of its two neighbours, relative to the
    /// signal.
    pub(super) fn striping(&self) -> f64 {
        let samples = self.counts.len().max(1);
        let mut jumps = Vec::new();
        for row in self.sums.chunks_exact(samples) {
            let mean = |(sum, n): (&f64, &f64)| if *n > 0.0 { sum / n } else { f64::NAN };
            let means: Vec<f64> = row.iter().zip(&self.counts).map(mean).collect();
            for three in means.windows(3) {
                if let &[left, here, right] = three {
                    let expected = f64::midpoint(left, right);
                    jumps.push(crate::numeric::f32_of(((here - expected) / expected).abs()));
                }
            }
        }
        crate::numeric::quantile(&mut jumps, 0.5).map_or(0.0, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_its_size_and_something_of_every_column() {
        let params = Params { sample_bytes: 4 * 10 * 500, ..Params::default() };
        for (lines, samples) in [(100, 100), (33, 1024), (500, 64), (7, 3)] {
            let lattice = Lattice::new(lines * samples, 10, &params);
            let mut by_column = vec![0; samples];
            for line in 0..lines {
                for (sample, n) in by_column.iter_mut().enumerate() {
                    *n += usize::from(lattice.holds(line, sample));
                }
            }
            let total: usize = by_column.iter().sum();
            assert!(total <= 505 && total * 3 > (lines * samples).min(500), "{lines} {samples}: {total}");
            let empty = by_column.iter().filter(|n| **n == 0).count();
            assert!(empty * 2 <= samples.saturating_sub(500).max(1) * 2 + samples / 4, "{samples}: {empty}");
        }
    }
}
