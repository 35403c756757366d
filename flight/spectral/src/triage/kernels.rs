//! The inner loops: sums, inner products and the covariance, in `f32` lanes.
//!
//! Every result is the same on every machine and with every width of vectors: the number of lanes and the order of all
//! additions are fixed here, a product and its sum are rounded once (a fused multiply-add everywhere, IEEE 754-2019
//! section 5.4.1), and lanes are flushed to `f64` before `f32` runs out of digits. aarch64 has vectors and fused
//! multiply-add in the baseline. On x86-64 there is a version for AVX2 and FMA, chosen at run time; processors without them
//! (before 2013) get the same bits, much more slowly, from a library's function.
#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the caller's vectors")]

/// Lanes of an inner product.
pub(super) const LANES: usize = 8;
/// Pixels whose products are added in `f32` before they go to `f64`.
pub(super) const TILE: usize = 256;

/// Adds to the lower triangle of `out` (`bands × bands`, row by row) the products of a tile's values: `bands` rows of
/// [`TILE`] values each.
pub(super) fn add_products(tile: &[f32], bands: usize, out: &mut [f64]) {
    wide::add_products(tile, bands, out);
}

/// Is every value finite, and none the one that means "no data"?
pub(super) fn all_sound(values: &[f32], ignore: Option<f32>) -> bool {
    let mut wild = 0;
    // Without such a value: one that is not finite anyway.
    wide::find_wild(values, ignore.unwrap_or(f32::NAN).to_bits(), &mut wild);
    wild == 0
}

/// Widens the ranges `low[i]..=high[i]` by the values, and adds the values to `sum`. All values are finite.
pub(super) fn widen(low: &mut [f32], high: &mut [f32], values: &[f32], sum: &mut f64) {
    wide::widen(low, high, values, sum);
}

/// `sums[i] += values[i]` where `weights[i]` is not 0.
pub(super) fn add_where(sums: &mut [f32], values: &[f32], weights: &[f32]) {
    wide::add_where(sums, values, weights);
}

/// `out[i] += values[i] × weights[i]`.
pub(super) fn add_weighted(out: &mut [f32], values: &[f32], weights: &[f32]) {
    wide::add_weighted(out, values, weights);
}

/// `out[i] = Σ factors[n] × (pairs[n][0][i] + pairs[n][1][i])`, the first pair being one and the same row and counted
/// once. The rows are at least as long as `out`.
pub(super) fn add_pairs(out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]) {
    wide::add_pairs(out, pairs, factors);
}

#[inline(always)]
fn find_wild(values: &[f32], ignore: u32, wild: &mut u32) {
    /// The exponent's bits: all set in what is infinite or not a number.
    const EXPONENT: u32 = 0x7F80_0000;
    let is_wild = |bits: u32| u32::from(bits & EXPONENT == EXPONENT) | u32::from(bits == ignore);
    *wild = values.iter().fold(0, |any, v| any | is_wild(v.to_bits()));
}

#[inline(always)]
fn widen_all(low: &mut [f32], high: &mut [f32], values: &[f32], sum: &mut f64) {
    for ((low, high), value) in low.iter_mut().zip(high).zip(values) {
        *low = if *value < *low { *value } else { *low };
        *high = if *value > *high { *value } else { *high };
    }
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    *sum += lanes.iter().chain(rest).fold(0.0, |sum, v| sum + f64::from(*v));
}

#[inline(always)]
fn add_if(sums: &mut [f32], values: &[f32], weights: &[f32]) {
    for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
        *sum += if *weight == 0.0 { 0.0 } else { *value };
    }
}

#[inline(always)]
fn add_times(out: &mut [f32], values: &[f32], weights: &[f32]) {
    for ((out, value), weight) in out.iter_mut().zip(values).zip(weights) {
        *out = value.mul_add(*weight, *out);
    }
}

/// Chooses the version for this machine's vectors: calls of functions compiled for AVX2 and FMA are unsafe, and each is
/// behind the test that the processor has them.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions with target features are unsafe to call; see the module's words")]
mod wide {
    use super::super::vectors::{avx2, plain};

    macro_rules! choose {
        ($($name:ident => $fast:path, $slow:path, ($($argument:ident: $kind:ty),*);)*) => {
            $(pub(super) fn $name($($argument: $kind),*) {
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2($($argument: $kind),*) {
                    $fast($($argument),*);
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has AVX2 and FMA, which is all that the function is compiled for.
                    unsafe { with_avx2($($argument),*) }
                } else {
                    $slow($($argument),*);
                }
            })*
        };
    }
    choose! {
        add_products => avx2::add_products, plain::add_products, (tile: &[f32], bands: usize, out: &mut [f64]);
        add_pairs => avx2::add_pairs, plain::add_pairs, (out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]);
        find_wild => super::find_wild, super::find_wild, (values: &[f32], ignore: u32, wild: &mut u32);
        widen => super::widen_all, super::widen_all, (low: &mut [f32], high: &mut [f32], values: &[f32], sum: &mut f64);
        add_where => super::add_if, super::add_if, (sums: &mut [f32], values: &[f32], weights: &[f32]);
        add_weighted => super::add_times, super::add_times, (out: &mut [f32], values: &[f32], weights: &[f32]);
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[expect(
    unsafe_code,
    reason = "functions with target features are unsafe to call, even with those that all have"
)]
mod wide {
    use super::super::vectors::neon;
    pub(super) use super::{add_if as add_where, add_times as add_weighted, find_wild, widen_all as widen};

    pub(super) fn add_products(tile: &[f32], bands: usize, out: &mut [f64]) {
        // SAFETY: this is compiled for processors with these vectors alone.
        unsafe { neon::add_products(tile, bands, out) }
    }

    pub(super) fn add_pairs(out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]) {
        // SAFETY: as above.
        unsafe { neon::add_pairs(out, pairs, factors) }
    }
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
mod wide {
    pub(super) use super::super::vectors::plain::{add_pairs, add_products};
    pub(super) use super::{add_if as add_where, add_times as add_weighted, find_wild, widen_all as widen};
}

#[cfg(test)]
mod tests {
    use super::super::vectors::plain;
    use super::*;

    fn tile(bands: usize) -> Vec<f32> {
        (0..bands * TILE).map(|i| ((i * 7919) % 2003) as f32 * 1e-3 - 1.0).collect()
    }

    #[test]
    fn products_are_those_of_the_plain_sum_for_every_number_of_bands() {
        for bands in 1..=13 {
            let tile = tile(bands);
            let mut out = vec![0.0; bands * bands];
            add_products(&tile, bands, &mut out);
            for i in 0..bands {
                for j in 0..=i {
                    let pairs = tile[i * TILE..(i + 1) * TILE].iter().zip(&tile[j * TILE..(j + 1) * TILE]);
                    let plain: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                    assert!((out[i * bands + j] - plain).abs() < 1e-3, "{bands} {i} {j}");
                }
                assert!(
                    out[i * bands + i + 1..(i + 1) * bands].iter().all(|v| *v == 0.0),
                    "above the diagonal"
                );
            }
        }
    }

    #[test]
    fn the_version_for_this_machine_gives_the_bits_of_the_plain_one() {
        let tile = tile(11);
        let (mut wide, mut plain) = (vec![0.0; 121], vec![0.0; 121]);
        add_products(&tile, 11, &mut wide);
        plain::add_products(&tile, 11, &mut plain);
        assert_eq!(wide, plain);
        let (mut wide, mut plain) = (vec![0.5_f32; 100], vec![0.5_f32; 100]);
        add_weighted(&mut wide, &tile, &tile[300..]);
        add_times(&mut plain, &tile, &tile[300..]);
        assert_eq!(wide, plain);
        let pairs = [[&tile[0..], &tile[0..]], [&tile[7..], &tile[90..]], [&tile[301..], &tile[500..]]];
        add_pairs(&mut wide, &pairs, &[0.7, 0.2, -0.1]);
        plain::add_pairs(&mut plain, &pairs, &[0.7, 0.2, -0.1]);
        assert_eq!(wide, plain);
        let second = 0.7 * tile[1] + 0.2 * (tile[8] + tile[91]) - 0.1 * (tile[302] + tile[501]);
        assert!((wide[1] - second).abs() < 1e-6 && (wide[99] - wide[98]).abs() > 0.0, "{} {second}", wide[1]);
    }

    #[test]
    fn what_has_no_weight_adds_nothing_even_if_it_is_no_number() {
        let mut sums = [1.0, 1.0];
        add_where(&mut sums, &[f32::NAN, 2.0], &[0.0, 1.0]);
        assert_eq!(sums.map(f32::to_bits), [1.0_f32, 3.0].map(f32::to_bits));
    }
}
