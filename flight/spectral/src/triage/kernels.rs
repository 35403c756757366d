//! The inner loops: sums, inner products and the covariance, in `f32` lanes.
//!
//! Every result is the same on every machine and with every width of vectors: the number of lanes and the order of all
//! additions are fixed here, a product and its sum are rounded once (a fused multiply-add everywhere, IEEE 754-2019
//! section 5.4.1), and lanes are flushed to `f64` before `f32` runs out of digits. aarch64 has vectors and fused
//! multiply-add in the baseline. On x86-64 the same code is compiled once more for AVX2 and FMA and chosen at run time;
//! processors without them (before 2013) get the same bits, much more slowly, from a library's function.
#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the caller's vectors")]

/// Lanes of an inner product.
pub(super) const LANES: usize = 8;
/// Pixels whose products are added in `f32` before they go to `f64`.
pub(super) const TILE: usize = 256;
/// Rows and columns of the covariance that are worked out together: 12 accumulators fit the registers of AVX2 and NEON.
const BLOCK_ROWS: usize = 3;
const BLOCK_COLUMNS: usize = 4;

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
fn add_products_body(tile: &[f32], bands: usize, out: &mut [f64]) {
    let (rows, _) = tile.as_chunks::<TILE>();
    for first in (0..bands).step_by(BLOCK_ROWS) {
        let Some(left) = block::<BLOCK_ROWS>(rows, first, bands) else { return };
        for column in (0..(first + BLOCK_ROWS).min(bands)).step_by(BLOCK_COLUMNS) {
            let Some(right) = block::<BLOCK_COLUMNS>(rows, column, bands) else { return };
            for (j, products) in (column..).zip(block_products(left, right)) {
                for (i, product) in (first..bands).zip(products).filter(|(i, _)| *i >= j) {
                    out.get_mut(i * bands + j).into_iter().for_each(|sum| *sum += product);
                }
            }
        }
    }
}

/// `N` rows of a tile from one on; the last takes the place of those that are not there.
#[inline(always)]
fn block<const N: usize>(rows: &[[f32; TILE]], first: usize, bands: usize) -> Option<[&[f32; TILE]; N]> {
    let last = rows.get(bands - 1)?;
    Some(core::array::from_fn(|nth| rows.get((first + nth).min(bands - 1)).unwrap_or(last)))
}

/// All inner products between some rows and some columns, column by column: sums that never leave the registers.
#[inline(always)]
fn block_products<const R: usize, const C: usize>(
    rows: [&[f32; TILE]; R],
    columns: [&[f32; TILE]; C],
) -> [[f64; R]; C] {
    let rows = rows.map(|row| row.as_chunks::<LANES>().0);
    let columns = columns.map(|row| row.as_chunks::<LANES>().0);
    let mut sums = [[[0.0_f32; LANES]; R]; C];
    for at in 0..TILE / LANES {
        let lanes = |row: &[[f32; LANES]]| row.get(at).copied().unwrap_or_default();
        let x = rows.map(lanes);
        for (sums, column) in sums.iter_mut().zip(&columns) {
            // One column at a time: with all of them in registers there would be no room for the sums.
            let y = lanes(column);
            for (sums, x) in sums.iter_mut().zip(&x) {
                for ((sum, x), y) in sums.iter_mut().zip(x).zip(&y) {
                    *sum = x.mul_add(*y, *sum);
                }
            }
        }
    }
    sums.map(|column| column.map(sum_of))
}

/// The sum of the lanes, in pairs: no long chain of additions.
#[inline(always)]
fn sum_of(lanes: [f32; LANES]) -> f64 {
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes.map(f64::from);
    ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7))
}

#[inline(always)]
fn find_wild_body(values: &[f32], ignore: u32, wild: &mut u32) {
    /// The exponent's bits: all set in what is infinite or not a number.
    const EXPONENT: u32 = 0x7F80_0000;
    let is_wild = |bits: u32| u32::from(bits & EXPONENT == EXPONENT) | u32::from(bits == ignore);
    *wild = values.iter().fold(0, |any, v| any | is_wild(v.to_bits()));
}

#[inline(always)]
fn widen_body(low: &mut [f32], high: &mut [f32], values: &[f32], sum: &mut f64) {
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
fn add_where_body(sums: &mut [f32], values: &[f32], weights: &[f32]) {
    for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
        *sum += if *weight == 0.0 { 0.0 } else { *value };
    }
}

#[inline(always)]
fn add_weighted_body(out: &mut [f32], values: &[f32], weights: &[f32]) {
    for ((out, value), weight) in out.iter_mut().zip(values).zip(weights) {
        *out = value.mul_add(*weight, *out);
    }
}

#[inline(always)]
fn add_pairs_body(out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]) {
    /// Sums that are kept in registers together.
    const WIDTH: usize = 32;
    let (chunks, rest) = out.as_chunks_mut::<WIDTH>();
    let mut at = 0;
    for chunk in chunks {
        let mut sums = [0.0_f32; WIDTH];
        for (nth, ([a, b], factor)) in pairs.iter().zip(factors).enumerate() {
            let part = |row: &'_ [f32]| row.get(at..).and_then(|r| r.first_chunk::<WIDTH>()).copied();
            let (Some(a), Some(b)) = (part(a), part(b)) else { return };
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = factor.mul_add(if nth == 0 { a } else { a + b }, *sum);
            }
        }
        *chunk = sums;
        at += WIDTH;
    }
    for (at, out) in (at..).zip(rest) {
        let mut sum = 0.0;
        for (nth, ([a, b], factor)) in pairs.iter().zip(factors).enumerate() {
            let (Some(a), Some(b)) = (a.get(at), b.get(at)) else { return };
            sum = factor.mul_add(if nth == 0 { *a } else { a + b }, sum);
        }
        *out = sum;
    }
}

/// Chooses the version for this machine's vectors. The only `unsafe` of the crate: calls of functions compiled for
/// AVX2 and FMA, each behind the test that the processor has them.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions with target features are unsafe to call; see the module's words")]
mod wide {
    macro_rules! choose {
        ($($name:ident => $body:ident($($argument:ident: $kind:ty),*);)*) => {
            $(pub(super) fn $name($($argument: $kind),*) {
                #[target_feature(enable = "avx2,fma")]
                fn with_avx2($($argument: $kind),*) {
                    super::$body($($argument),*);
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has AVX2 and FMA, which is all that the function is compiled for.
                    unsafe { with_avx2($($argument),*) }
                } else {
                    super::$body($($argument),*);
                }
            })*
        };
    }
    choose! {
        add_products => add_products_body(tile: &[f32], bands: usize, out: &mut [f64]);
        find_wild => find_wild_body(values: &[f32], ignore: u32, wild: &mut u32);
        widen => widen_body(low: &mut [f32], high: &mut [f32], values: &[f32], sum: &mut f64);
        add_where => add_where_body(sums: &mut [f32], values: &[f32], weights: &[f32]);
        add_weighted => add_weighted_body(out: &mut [f32], values: &[f32], weights: &[f32]);
        add_pairs => add_pairs_body(out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    pub(super) use super::{
        add_pairs_body as add_pairs, add_products_body as add_products, add_weighted_body as add_weighted,
        add_where_body as add_where, find_wild_body as find_wild, widen_body as widen,
    };
}

#[cfg(test)]
mod tests {
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
        add_products_body(&tile, 11, &mut plain);
        assert_eq!(wide, plain);
        let (mut wide, mut plain) = (vec![0.5_f32; 100], vec![0.5_f32; 100]);
        add_weighted(&mut wide, &tile, &tile[300..]);
        add_weighted_body(&mut plain, &tile, &tile[300..]);
        assert_eq!(wide, plain);
    }

    #[test]
    fn what_has_no_weight_adds_nothing_even_if_it_is_no_number() {
        let mut sums = [1.0, 1.0];
        add_where(&mut sums, &[f32::NAN, 2.0], &[0.0, 1.0]);
        assert_eq!(sums.map(f32::to_bits), [1.0_f32, 3.0].map(f32::to_bits));
    }
}
