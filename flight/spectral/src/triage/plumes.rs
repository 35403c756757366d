//! Candidates: connected pixels that stand out together. Finds and measures them; whether one is a plume is decided
//! elsewhere.

use std::collections::BTreeMap;

use super::params::Params;
use super::report::BoundingBox;
use super::significance::Map;
use crate::numeric::f32_of;

/// A connected group of significant pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// Indices into the frame, line × samples + sample, rising.
    pub(super) pixels: Vec<usize>,
    pub(super) bbox: BoundingBox,
    /// Line and sample, weighted with the enhancement.
    pub(super) centroid: [f32; 2],
    pub(super) peak_ppm_m: f32,
    pub(super) mean_ppm_m: f32,
    /// Significance of the best pixel.
    pub(super) snr: f32,
    /// Sum of the significances: what the candidates are ordered by.
    pub(super) weight: f64,
    /// Its signal lies in one line or one sample: the shape of a fault of the instrument, not of a plume.
    pub(super) is_line: bool,
}

/// A candidate with more than this share of its signal in one line or one sample …
const LINE_SHARE: f64 = 0.7;
/// … and longer than this is the trace of a fault.
const LINE_LENGTH: usize = 6;

/// The candidates of a map, the strongest first, at most [`Params::max_candidates`].
pub(super) fn candidates(map: &Map, samples: usize, params: &Params) -> Vec<Candidate> {
    let samples = samples.max(1);
    let grows = |index: usize| map.sigmas.get(index).is_some_and(|s| *s >= params.grow_sigma);
    let mut taken = vec![false; map.sigmas.len()];
    let mut found = Vec::new();
    for start in 0..map.sigmas.len() {
        if taken.get(start).copied().unwrap_or(true) || !grows(start) {
            continue;
        }
        let pixels = connected(start, samples, &mut taken, grows);
        let is_seed = |p: &usize| map.sigmas.get(*p).is_some_and(|s| *s >= params.seed_sigma);
        if pixels.len() >= params.min_plume_pixels.max(1) && pixels.iter().any(is_seed) {
            found.push(measure(pixels, map, samples));
        }
    }
    // Ties are broken by place, so that the order is the same everywhere.
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.pixels.first().cmp(&b.pixels.first())));
    found.truncate(params.max_candidates.min(usize::from(u16::MAX)));
    found
}

/// All pixels reached from `start` over the eight neighbours.
fn connected(start: usize, samples: usize, taken: &mut [bool], grows: impl Fn(usize) -> bool) -> Vec<usize> {
    let lines = taken.len() / samples;
    let mut pixels = Vec::new();
    let mut open = vec![start];
    if let Some(first) = taken.get_mut(start) {
        *first = true;
    }
    while let Some(index) = open.pop() {
        pixels.push(index);
        let (line, sample) = (index / samples, index % samples);
        for l in line.saturating_sub(1)..(line + 2).min(lines) {
            for s in sample.saturating_sub(1)..(sample + 2).min(samples) {
                let next = l * samples + s;
                if let Some(flag) = taken.get_mut(next).filter(|f| !**f)
                    && grows(next)
                {
                    *flag = true;
                    open.push(next);
                }
            }
        }
    }
    pixels.sort_unstable();
    pixels
}

fn measure(pixels: Vec<usize>, map: &Map, samples: usize) -> Candidate {
    let index = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let mut bbox = BoundingBox { line0: u32::MAX, line1: 0, sample0: u32::MAX, sample1: 0 };
    let (mut peak, mut snr) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    let (mut sum, mut weight, mut line_sum, mut sample_sum) = (0.0, 0.0, 0.0, 0.0);
    for &pixel in &pixels {
        let (line, sample) = (pixel / samples, pixel % samples);
        bbox.line0 = bbox.line0.min(index(line));
        bbox.line1 = bbox.line1.max(index(line + 1));
        bbox.sample0 = bbox.sample0.min(index(sample));
        bbox.sample1 = bbox.sample1.max(index(sample + 1));
        let alpha = map.alpha_ppm_m.get(pixel).copied().unwrap_or(0.0);
        let sigmas = map.sigmas.get(pixel).copied().unwrap_or(0.0);
        peak = peak.max(alpha);
        snr = snr.max(sigmas);
        sum += f64::from(alpha);
        weight += f64::from(sigmas);
        line_sum += f64::from(alpha) * line as f64;
        sample_sum += f64::from(alpha) * sample as f64;
    }
    // Every pixel grew by a significance above 0, so its enhancement is above 0 and so is the sum.
    let centroid = [f32_of(line_sum / sum), f32_of(sample_sum / sum)];
    let mean_ppm_m = f32_of(sum / pixels.len() as f64);
    let is_line = is_line(&pixels, &map.sharp, samples);
    Candidate { pixels, bbox, centroid, peak_ppm_m: peak, mean_ppm_m, snr, weight, is_line }
}

/// Does most of the signal, not smoothed, lie in one line or in one sample?
fn is_line(pixels: &[usize], sharp: &[f32], samples: usize) -> bool {
    let (mut by_line, mut by_sample) = (BTreeMap::new(), BTreeMap::new());
    let mut total = 0.0;
    for &pixel in pixels {
        let signal = sharp.get(pixel).copied().map_or(0.0, f64::from).max(0.0);
        total += signal;
        *by_line.entry(pixel / samples).or_insert(0.0) += signal;
        *by_sample.entry(pixel % samples).or_insert(0.0) += signal;
    }
    let most = |sums: &BTreeMap<usize, f64>| sums.values().copied().fold(0.0, f64::max);
    let along_sample = most(&by_sample) > LINE_SHARE * total && by_line.len() > LINE_LENGTH;
    let along_line = most(&by_line) > LINE_SHARE * total && by_sample.len() > LINE_LENGTH;
    along_sample || along_line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: &[&str]) -> (Map, usize) {
        let value = |c: char| match c {
            '#' => 9.0,
            '+' => 3.0,
            '?' => f32::NAN,
            _ => 0.0,
        };
        let sigmas: Vec<f32> = rows.iter().flat_map(|r| r.chars().map(value)).collect();
        let alpha_ppm_m = sigmas.iter().map(|s| s * 100.0).collect();
        (Map { alpha_ppm_m, sharp: sigmas.clone(), sigmas }, rows[0].len())
    }

    #[test]
    fn connected_pixels_with_a_seed_are_one_candidate() {
        let (map, samples) = map(&[
            "..++....?.", //
            ".+##....+.", //
            "...+.+..++", //
            "....+...++", //
        ]);
        let found = candidates(&map, samples, &Params::default());
        assert_eq!(found.len(), 1, "the group on the right has no seed");
        assert_eq!(found[0].pixels, [2, 3, 11, 12, 13, 23, 25, 34]);
        assert_eq!(found[0].bbox, BoundingBox { line0: 0, line1: 4, sample0: 1, sample1: 6 });
        assert!((found[0].peak_ppm_m - 900.0).abs() < 1e-3 && (found[0].snr - 9.0).abs() < 1e-6);
        assert!(!found[0].is_line);
    }

    #[test]
    fn a_stripe_is_a_line() {
        let (map, samples) = map(&["..#..", "..#..", "..#..", "..##.", "..#..", "..#..", "..#..", "..#.."]);
        assert!(candidates(&map, samples, &Params::default())[0].is_line);
    }

    #[test]
    fn the_strongest_come_first_and_their_number_is_bounded() {
        let (map, samples) = map(&["###...####", "###...####"]);
        let mut params = Params::default();
        let found = candidates(&map, samples, &params);
        assert_eq!(found.iter().map(|c| c.pixels.len()).collect::<Vec<_>>(), [8, 6]);
        params.max_candidates = 1;
        assert_eq!(candidates(&map, samples, &params).len(), 1);
    }
}
