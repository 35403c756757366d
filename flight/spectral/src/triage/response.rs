//! How the filter's answer falls behind the true column of gas, and back.
//!
//! The filter is linear; absorption is not: radiance falls with exp(−τ), and strong lines saturate, so that τ itself
//! grows more slowly than the column (the curve of growth, which the target's table holds). For ground of the mean
//! spectrum μ the answer to a column c is
//!
//! ```text
//! h(c) = fᵀ (μ ∘ (e^−τ(c) − 1)) / −fᵀ (k ∘ μ ∘ e^−τ(c))
//! ```
//!
//! the denominator being the sensitivity that the pixel then seems to have. The table of h is turned round by
//! interpolation.

use super::model::Gas;
use crate::numeric::f32_of;

/// Gas so thick that the filter hardly answers to more of it.
const LEAST_SENSITIVITY: f64 = 0.1;

/// Pairs of answer and true column, both rising.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    knots: Vec<(f32, f32)>,
}

impl Response {
    /// For a filter, the mean spectrum and the optical depth of each band at some rising columns.
    pub(super) fn new(filter: &[f64], spectrum: &[f64], gas: &Gas<'_>) -> Self {
        let mut knots = vec![(0.0_f32, 0.0_f32)];
        for (column, depths) in gas.depths {
            let (mut answer, mut sensitivity) = (0.0, 0.0);
            for (((f, mean), depth), k) in filter.iter().zip(spectrum).zip(depths).zip(gas.absorption) {
                let passed = libm::exp(-depth);
                answer += f * mean * (passed - 1.0);
                sensitivity -= f * k * mean * passed;
            }
            if sensitivity <= LEAST_SENSITIVITY {
                break;
            }
            let answer = f32_of(answer / sensitivity);
            // Once the answer no longer rises there is nothing left to be told.
            if !knots.last().is_some_and(|(last, _)| answer > *last) {
                break;
            }
            knots.push((answer, f32_of(*column)));
        }
        Self { knots }
    }

    /// The column that gives this answer, ppm·m. Answers below 0 are noise and pass as they are; beyond the table the
    /// last slope goes on.
    pub(super) fn column(&self, answer: f32) -> f32 {
        let after = self.knots.partition_point(|(a, _)| *a < answer);
        if after == 0 || self.knots.len() < 2 {
            return answer;
        }
        let to = after.min(self.knots.len() - 1);
        match (self.knots.get(to - 1), self.knots.get(to)) {
            (Some((a0, c0)), Some((a1, c1))) => c0 + (answer - a0) / (a1 - a0) * (c1 - c0),
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_comes_back_from_a_saturated_answer() {
        let k = [0.0, 2e-5, 5e-5, 1e-5];
        let spectrum = [5.0, 4.0, 3.0, 2.0];
        let filter = [0.0, -1.0 / (4.0 * 2e-5), 0.0, 0.0];
        let depth = |c: f64| k.iter().map(|k| k * c / (1.0 + c / 50_000.0)).collect::<Vec<f64>>();
        let table: Vec<(f64, Vec<f64>)> =
            [500.0, 1000.0, 2000.0, 4000.0, 8000.0].map(|c| (c, depth(c))).to_vec();
        let response = Response::new(&filter, &spectrum, &Gas { absorption: &k, depths: &table });
        for column in [100.0, 700.0, 3000.0, 6000.0] {
            let (mut answer, mut sensitivity) = (0.0, 0.0);
            for (((f, m), d), k) in filter.iter().zip(spectrum).zip(depth(column)).zip(k) {
                answer += f * m * (libm::exp(-d) - 1.0);
                sensitivity -= f * m * k * libm::exp(-d);
            }
            let back = response.column(f32_of(answer / sensitivity));
            assert!((f64::from(back) / column - 1.0).abs() < 0.03, "{column}: {answer} gives {back}");
        }
        assert!((response.column(-50.0) + 50.0).abs() < 1e-6);
        assert!(response.column(1e9).is_finite());
    }

    #[test]
    fn without_a_table_the_answer_is_the_column() {
        let response = Response::new(&[1.0], &[1.0], &Gas { absorption: &[1.0], depths: &[] });
        assert!((response.column(700.0) - 700.0).abs() < 1e-6);
    }
}
