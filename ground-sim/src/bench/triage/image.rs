//! Maps of `lines × samples` pixels: smoothing, and what a threshold leaves. Pure; nothing here knows whose map it is.

/// Standard deviation of the smoothing that every peer's map gets before its pixels are ranked, pixels.
pub const SMOOTHING_PX: f64 = 1.2;
/// How far the Gaussian reaches, in standard deviations, as in `scipy.ndimage.gaussian_filter`.
const REACH: f64 = 4.0;

/// A Gaussian mean over the pixels that may be used and hold a number; NaN where there is none in reach.
pub fn smoothed(map: &[f32], samples: usize, usable: &[bool], sigma_px: f64) -> Vec<f32> {
    let kernel = kernel(sigma_px);
    let use_it = |at: usize| usable[at] && map[at].is_finite();
    let values: Vec<f64> =
        (0..map.len()).map(|at| if use_it(at) { f64::from(map[at]) } else { 0.0 }).collect();
    let weights: Vec<f64> = (0..map.len()).map(|at| f64::from(u8::from(use_it(at)))).collect();
    let (values, weights) = (blurred(&values, samples, &kernel), blurred(&weights, samples, &kernel));
    #[expect(clippy::cast_possible_truncation, reason = "maps are f32")]
    values.iter().zip(weights).map(|(v, w)| if w > 1e-9 { (v / w) as f32 } else { f32::NAN }).collect()
}

/// The half of the kernel from its middle outwards.
fn kernel(sigma_px: f64) -> Vec<f64> {
    let reach = (0..).take_while(|n| f64::from(*n) <= REACH * sigma_px + 0.5);
    reach.map(|n| libm::exp(-f64::from(n) * f64::from(n) / (2.0 * sigma_px * sigma_px))).collect()
}

/// Along the lines, then along the samples; nothing beyond the edges.
fn blurred(map: &[f64], samples: usize, kernel: &[f64]) -> Vec<f64> {
    let across = along(map, kernel, 1, |at| at % samples, samples);
    along(&across, kernel, samples, |at| at / samples, map.len() / samples)
}

fn along(
    map: &[f64],
    kernel: &[f64],
    step: usize,
    place: impl Fn(usize) -> usize,
    length: usize,
) -> Vec<f64> {
    let at_pixel = |at: usize| {
        let here = place(at);
        let mut sum = kernel[0] * map[at];
        for (off, weight) in kernel.iter().enumerate().skip(1) {
            if off <= here {
                sum += weight * map[at - off * step];
            }
            if here + off < length {
                sum += weight * map[at + off * step];
            }
        }
        sum
    };
    (0..map.len()).map(at_pixel).collect()
}

/// What is left of a set of pixels after an erosion and a dilation with a cross of five: all that no cross inside the
/// set covers goes. Beyond the edge there is nothing of the set.
pub fn opened(set: &[bool], samples: usize) -> Vec<bool> {
    let eroded: Vec<bool> = (0..set.len())
        .map(|at| set[at] && cross(at, samples, set.len()).iter().all(|n| n.is_some_and(|n| set[n])))
        .collect();
    (0..set.len())
        .map(|at| eroded[at] || cross(at, samples, set.len()).iter().flatten().any(|&n| eroded[n]))
        .collect()
}

/// A set and all neighbours of its pixels, over edges and corners.
pub fn grown(set: &[bool], samples: usize) -> Vec<bool> {
    (0..set.len()).map(|at| set[at] || around(at, samples, set.len()).any(|near| set[near])).collect()
}

/// The four neighbours.
fn cross(at: usize, samples: usize, pixels: usize) -> [Option<usize>; 4] {
    [
        (at >= samples).then(|| at - samples),
        (at + samples < pixels).then(|| at + samples),
        (!at.is_multiple_of(samples)).then(|| at - 1),
        (!(at + 1).is_multiple_of(samples)).then(|| at + 1),
    ]
}

/// The sizes of the connected parts of a set, neighbours over edges and corners.
pub fn part_sizes(set: &[bool], samples: usize) -> Vec<usize> {
    let mut left = set.to_vec();
    let (mut sizes, mut stack) = (Vec::new(), Vec::new());
    for start in 0..left.len() {
        if !core::mem::take(&mut left[start]) {
            continue;
        }
        stack.push(start);
        let mut size = 0;
        while let Some(at) = stack.pop() {
            size += 1;
            for next in around(at, samples, set.len()) {
                if core::mem::take(&mut left[next]) {
                    stack.push(next);
                }
            }
        }
        sizes.push(size);
    }
    sizes
}

/// The up to eight neighbours.
fn around(at: usize, samples: usize, pixels: usize) -> impl Iterator<Item = usize> {
    let (line, sample, lines) = (at / samples, at % samples, pixels / samples);
    let rows = line.saturating_sub(1)..(line + 2).min(lines);
    let columns = move || sample.saturating_sub(1)..(sample + 2).min(samples);
    rows.flat_map(move |l| columns().map(move |s| l * samples + s)).filter(move |&n| n != at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> (Vec<bool>, usize) {
        let lines: Vec<_> = text.split_whitespace().collect();
        (lines.iter().flat_map(|l| l.chars().map(|c| c == '#')).collect(), lines[0].len())
    }

    #[test]
    fn smoothing_keeps_what_is_level_and_leaves_out_what_may_not_be_used() {
        let mut map = vec![3.0; 15 * 11];
        let mut usable = vec![true; map.len()];
        map[40] = 1e9;
        usable[40] = false;
        map[77] = f32::NAN;
        assert!(smoothed(&map, 15, &usable, 1.2).iter().all(|v| (v - 3.0).abs() < 1e-5));
        let nothing = smoothed(&[f32::NAN; 4], 2, &[true; 4], 1.2);
        assert!(nothing.iter().all(|v| v.is_nan()));
    }

    #[test]
    fn smoothing_spreads_a_point_as_a_gaussian() {
        let mut map = vec![0.0; 21 * 21];
        map[10 * 21 + 10] = 1.0;
        let out = smoothed(&map, 21, &vec![true; map.len()], 1.2);
        let sum: f32 = out.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        // scipy.ndimage.gaussian_filter of the same point.
        assert!((out[10 * 21 + 10] - 0.110_53).abs() < 2e-4, "{}", out[10 * 21 + 10]);
        assert!((out[10 * 21 + 11] / out[10 * 21 + 10] - 0.706_65).abs() < 1e-3);
        assert_eq!(out[9 * 21 + 10].to_bits(), out[11 * 21 + 10].to_bits());
    }

    #[test]
    fn opening_takes_thin_things_away() {
        let (drawn, samples) = set("........ ..#..... .###...# ..#....# .....### ........");
        let (expected, _) = set("........ ..#..... .###.... ..#..... ........ ........");
        assert_eq!(opened(&drawn, samples), expected);
        let (full, samples) = set("### ### ###");
        assert_eq!(opened(&full, samples).iter().filter(|s| **s).count(), 5, "nothing beyond the edge");
    }

    #[test]
    fn growing_adds_neighbours_but_none_over_the_edge() {
        let (drawn, samples) = set("..... ....# .....");
        assert_eq!(grown(&drawn, samples), set("...## ...## ...##").0);
    }

    #[test]
    fn parts_are_joined_over_corners_but_not_over_the_edge_of_a_line() {
        let (drawn, samples) = set("#..# .#.# #..#");
        let mut sizes = part_sizes(&drawn, samples);
        sizes.sort_unstable();
        assert_eq!(sizes, [3, 3]);
        let (edges, samples) = set("...# #...");
        assert_eq!(part_sizes(&edges, samples), [1, 1]);
    }
}
