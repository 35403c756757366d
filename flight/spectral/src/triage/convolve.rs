//! Smooths a map: a symmetric kernel, across and along.

use super::kernels::add_pairs;
use super::parallel::rows;

/// Convolves a map with a symmetric kernel (its middle first), across and along; what lies outside is 0.
pub(super) fn convolve(map: &[f32], samples: usize, kernel: &[f32], threads: usize) -> Vec<f32> {
    let reach = kernel.len().saturating_sub(1);
    let mut across = vec![0.0_f32; map.len()];
    rows(threads, &mut across, samples, |row, out| {
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
    rows(threads, &mut out, samples, |row, out| {
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
