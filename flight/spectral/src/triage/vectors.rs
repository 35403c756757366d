//! The two loops in which most of the time goes, the covariance and the score's neighbourhoods, in vectors of eight
//! lanes: once in the vectors of AVX2 and FMA, once in those of aarch64, once in plain Rust. What compilers make of plain
//! lanes varies tenfold with how a crate is cut into units; these are told. All give the same bits (see
//! [`super::kernels`]): the number of lanes, the order of additions and the fused multiply-add are the same.

use super::kernels::{LANES, TILE};

/// Rows and columns of the covariance that are worked out together: twelve sums, three rows and a column fit the
/// sixteen registers of AVX2.
const BLOCK_ROWS: usize = 3;
const BLOCK_COLUMNS: usize = 4;
/// Vectors of sums that are kept in registers together.
const SUMS: usize = 4;

/// Writes the loops down for the vectors of a module that has `Vector`, `zero`, `splat`, `load`, `store`, `add` and
/// `multiply_add` (x × y + sum, rounded once), with the attributes that those have.
macro_rules! loops {
    ($(#[$features:meta])*) => {
        /// Adds to the lower triangle of `out` (`bands × bands`, row by row) the products of a tile's values: `bands` rows
        /// of [`TILE`] values each.
        $(#[$features])*
        pub(in super::super) fn add_products(tile: &[f32], bands: usize, out: &mut [f64]) {
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

        /// All inner products between some rows and some columns, column by column: sums that never leave the registers.
        $(#[$features])*
        #[inline]
        #[expect(clippy::indexing_slicing, reason = "arrays of R and C, indexed from 0 to R and C")]
        fn block_products<const R: usize, const C: usize>(
            rows: [&[f32; TILE]; R],
            columns: [&[f32; TILE]; C],
        ) -> [[f64; R]; C] {
            let mut sums = [[zero(); R]; C];
            for at in 0..TILE / LANES {
                let mut x = [zero(); R];
                for i in 0..R {
                    x[i] = load(lanes(rows[i], at));
                }
                for j in 0..C {
                    // One column at a time: with all of them in registers there would be no room for the sums.
                    let y = load(lanes(columns[j], at));
                    for i in 0..R {
                        sums[j][i] = multiply_add(x[i], y, sums[j][i]);
                    }
                }
            }
            let mut products = [[0.0; R]; C];
            for j in 0..C {
                for i in 0..R {
                    products[j][i] = total(store(sums[j][i]));
                }
            }
            products
        }

        /// `out[i] = Σ factors[n] × (pairs[n][0][i] + pairs[n][1][i])`, the first pair being one and the same row and
        /// counted once. The rows are at least as long as `out`.
        $(#[$features])*
        #[expect(clippy::indexing_slicing, reason = "arrays of SUMS, indexed from 0 to SUMS")]
        pub(in super::super) fn add_pairs(out: &mut [f32], pairs: &[[&[f32]; 2]], factors: &[f32]) {
            let (chunks, rest) = out.as_chunks_mut::<{ SUMS * LANES }>();
            let mut at = 0;
            for chunk in chunks {
                let mut sums = [zero(); SUMS];
                for (nth, ([a, b], factor)) in pairs.iter().zip(factors).enumerate() {
                    let (Some(a), Some(b)) = (part(a, at), part(b, at)) else { return };
                    let factor = splat(*factor);
                    for i in 0..SUMS {
                        let value = load(&a[i]);
                        let value = if nth == 0 { value } else { add(value, load(&b[i])) };
                        sums[i] = multiply_add(factor, value, sums[i]);
                    }
                }
                for (to, sum) in chunk.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
                    *to = store(sum);
                }
                at += SUMS * LANES;
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
    };
}

/// `N` rows of a tile from one on; the last takes the place of those that are not there.
#[inline]
fn block<const N: usize>(rows: &[[f32; TILE]], first: usize, bands: usize) -> Option<[&[f32; TILE]; N]> {
    let last = rows.get(bands.checked_sub(1)?)?;
    Some(core::array::from_fn(|nth| rows.get((first + nth).min(bands - 1)).unwrap_or(last)))
}

/// The lanes of a row from `at` × [`LANES`] on.
#[inline]
fn lanes(row: &[f32; TILE], at: usize) -> &[f32; LANES] {
    /// Never needed: `at` stays below [`TILE`] ÷ [`LANES`].
    const NOTHING: [f32; LANES] = [0.0; LANES];
    row.as_chunks::<LANES>().0.get(at).unwrap_or(&NOTHING)
}

/// The vectors of a row from a pixel on.
#[inline]
fn part(row: &[f32], at: usize) -> Option<&[[f32; LANES]; SUMS]> {
    row.get(at..)?.as_chunks::<LANES>().0.first_chunk::<SUMS>()
}

/// The sum of the lanes, in pairs: no long chain of additions.
#[inline]
fn total(lanes: [f32; LANES]) -> f64 {
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes;
    let pair = |a: f32, b: f32| f64::from(a) + f64::from(b);
    (pair(l0, l4) + pair(l2, l6)) + (pair(l1, l5) + pair(l3, l7))
}

/// For every machine.
#[cfg(any(test, not(all(target_arch = "aarch64", target_feature = "neon"))))]
pub(super) mod plain {
    use super::{BLOCK_COLUMNS, BLOCK_ROWS, LANES, SUMS, TILE, block, lanes, part, total};

    type Vector = [f32; LANES];

    fn zero() -> Vector {
        [0.0; LANES]
    }

    fn splat(value: f32) -> Vector {
        [value; LANES]
    }

    fn load(lanes: &[f32; LANES]) -> Vector {
        *lanes
    }

    fn store(vector: Vector) -> [f32; LANES] {
        vector
    }

    fn add(x: Vector, y: Vector) -> Vector {
        core::array::from_fn(|lane| {
            x.get(lane).copied().unwrap_or_default() + y.get(lane).copied().unwrap_or_default()
        })
    }

    fn multiply_add(x: Vector, y: Vector, mut sum: Vector) -> Vector {
        for ((sum, x), y) in sum.iter_mut().zip(x).zip(y) {
            *sum = x.mul_add(y, *sum);
        }
        sum
    }

    loops!();
}

/// For x86-64 with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use core::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use super::{BLOCK_COLUMNS, BLOCK_ROWS, LANES, SUMS, TILE, block, lanes, part, total};

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn zero() -> __m256 {
        _mm256_setzero_ps()
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn splat(value: f32) -> __m256 {
        _mm256_set1_ps(value)
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    #[expect(unsafe_code, reason = "loads go through pointers")]
    fn load(lanes: &[f32; LANES]) -> __m256 {
        // SAFETY: the eight floats that are read are those of the array; no alignment is asked for.
        unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    #[expect(unsafe_code, reason = "stores go through pointers")]
    fn store(vector: __m256) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the eight floats that are written are those of the array; no alignment is asked for.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), vector) };
        lanes
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn add(x: __m256, y: __m256) -> __m256 {
        _mm256_add_ps(x, y)
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn multiply_add(x: __m256, y: __m256, sum: __m256) -> __m256 {
        _mm256_fmadd_ps(x, y, sum)
    }

    loops!(#[target_feature(enable = "avx2,fma")]);
}

/// For aarch64, whose vectors every processor has: two of four lanes.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(super) mod neon {
    use core::arch::aarch64::{float32x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vst1q_f32};

    use super::{BLOCK_COLUMNS, BLOCK_ROWS, LANES, SUMS, TILE, block, lanes, part, total};

    type Vector = [float32x4_t; 2];

    #[target_feature(enable = "neon")]
    #[inline]
    fn zero() -> Vector {
        splat(0.0)
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn splat(value: f32) -> Vector {
        [vdupq_n_f32(value); 2]
    }

    #[target_feature(enable = "neon")]
    #[inline]
    #[expect(unsafe_code, reason = "loads go through pointers")]
    fn load(lanes: &[f32; LANES]) -> Vector {
        let first = lanes.as_ptr();
        // SAFETY: the eight floats that are read, four and four, are those of the array.
        unsafe { [vld1q_f32(first), vld1q_f32(first.add(LANES / 2))] }
    }

    #[target_feature(enable = "neon")]
    #[inline]
    #[expect(unsafe_code, reason = "stores go through pointers")]
    fn store(vector: Vector) -> [f32; LANES] {
        let mut halves = [[0.0; 4]; 2];
        for (half, vector) in halves.iter_mut().zip(vector) {
            // SAFETY: the four floats that are written are those of the array.
            unsafe { vst1q_f32(half.as_mut_ptr(), vector) };
        }
        let [[a, b, c, d], [e, f, g, h]] = halves;
        [a, b, c, d, e, f, g, h]
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn add([x0, x1]: Vector, [y0, y1]: Vector) -> Vector {
        [vaddq_f32(x0, y0), vaddq_f32(x1, y1)]
    }

    #[target_feature(enable = "neon")]
    #[inline]
    fn multiply_add([x0, x1]: Vector, [y0, y1]: Vector, [s0, s1]: Vector) -> Vector {
        [vfmaq_f32(s0, x0, y0), vfmaq_f32(s1, x1, y1)]
    }

    loops!(#[target_feature(enable = "neon")]);
}
