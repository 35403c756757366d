//! The inner loops: sums, inner products and the covariance, in `f32` lanes.
//!
//! Every result is the same on every machine and with every width of vectors: the number of lanes and the order of all
//! additions are fixed here, products are rounded before they are added (no fused multiply-add), and lanes are flushed
//! to `f64` before `f32` runs out of digits. On x86-64 the same code is compiled once more for AVX2 and chosen at run
//! time; aarch64 has its vectors in the baseline.
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
#[expect(clippy::many_single_char_names, reason = "rows and columns of a block, as in the function below")]
fn add_products_body(tile: &[f32], bands: usize, out: &mut [f64]) {
    let rows = || tile.as_chunks::<TILE>().0;
    let blocks = (0..bands).step_by(BLOCK_ROWS);
    for first in blocks {
        let row = |nth: usize| rows().get((first + nth).min(bands - 1));
        let (Some(a), Some(b), Some(c)) = (row(0), row(1), row(2)) else { return };
        for column in (0..=(first + BLOCK_ROWS - 1).min(bands - 1)).step_by(BLOCK_COLUMNS) {
            let other = |nth: usize| rows().get((column + nth).min(bands - 1));
            let (Some(p), Some(q), Some(r), Some(s)) = (other(0), other(1), other(2), other(3)) else {
                return;
            };
            let products = block_products([a, b, c], [p, q, r, s]);
            for (i, products) in (first..bands).zip(products) {
                for (j, product) in (column..=i).zip(products) {
                    if let Some(sum) = out.get_mut(i * bands + j) {
                        *sum += product;
                    }
                }
            }
        }
    }
}

/// All inner products between three rows and four: twelve sums that never leave the registers.
#[inline(always)]
#[expect(
    clippy::many_single_char_names,
    reason = "a, b, c are the rows, p, q, r, s the columns: their products are ap, aq, …"
)]
fn block_products(
    rows: [&[f32; TILE]; BLOCK_ROWS],
    columns: [&[f32; TILE]; BLOCK_COLUMNS],
) -> [[f64; BLOCK_COLUMNS]; BLOCK_ROWS] {
    let [a, b, c] = rows.map(|row| row.as_chunks::<LANES>().0);
    let [p, q, r, s] = columns.map(|column| column.as_chunks::<LANES>().0);
    let zero = [0.0_f32; LANES];
    let (mut ap, mut aq, mut ar, mut as_) = (zero, zero, zero, zero);
    let (mut bp, mut bq, mut br, mut bs) = (zero, zero, zero, zero);
    let (mut cp, mut cq, mut cr, mut cs) = (zero, zero, zero, zero);
    for ((((((a, b), c), p), q), r), s) in a.iter().zip(b).zip(c).zip(p).zip(q).zip(r).zip(s) {
        add_lanes(&mut ap, a, p);
        add_lanes(&mut aq, a, q);
        add_lanes(&mut ar, a, r);
        add_lanes(&mut as_, a, s);
        add_lanes(&mut bp, b, p);
        add_lanes(&mut bq, b, q);
        add_lanes(&mut br, b, r);
        add_lanes(&mut bs, b, s);
        add_lanes(&mut cp, c, p);
        add_lanes(&mut cq, c, q);
        add_lanes(&mut cr, c, r);
        add_lanes(&mut cs, c, s);
    }
    [[ap, aq, ar, as_], [bp, bq, br, bs], [cp, cq, cr, cs]]
        .map(|row| row.map(|lanes| lanes.iter().fold(0.0, |sum, lane| sum + f64::from(*lane))))
}

#[inline(always)]
fn add_lanes(sums: &mut [f32; LANES], x: &[f32; LANES], y: &[f32; LANES]) {
    for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
        *sum += x * y;
    }
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
        *out += value * weight;
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
                *sum += factor * if nth == 0 { a } else { a + b };
            }
        }
        *chunk = sums;
        at += WIDTH;
    }
    for (at, out) in (at..).zip(rest) {
        let mut sum = 0.0;
        for (nth, ([a, b], factor)) in pairs.iter().zip(factors).enumerate() {
            let (Some(a), Some(b)) = (a.get(at), b.get(at)) else { return };
            sum += factor * if nth == 0 { *a } else { a + b };
        }
        *out = sum;
    }
}

/// Chooses the version for this machine's vectors. The only `unsafe` of the crate: calls of functions compiled for
/// AVX2, each behind the test that the processor has it.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions with target features are unsafe to call; see the module's words")]
mod wide {
    macro_rules! choose {
        ($($name:ident => $body:ident($($argument:ident: $kind:ty),*);)*) => {
            $(pub(super) fn $name($($argument: $kind),*) {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($argument: $kind),*) {
                    super::$body($($argument),*);
                }
                if std::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2, which is all that the function is compiled for.
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
