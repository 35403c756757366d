//! Symmetric positive definite systems of some dozens of unknowns, f64, in a fixed order of operations.

/// The lower factor L of A = L Lᵀ; row i holds its i + 1 entries, the diagonal last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

impl Cholesky {
    /// Factors the matrix given by its rows (only the lower triangle is read); `None` if it is not positive definite
    /// to working precision.
    pub(super) fn new<'a>(matrix: impl Iterator<Item = &'a [f64]>) -> Option<Self> {
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for source in matrix {
            let mut row: Vec<f64> = Vec::with_capacity(rows.len() + 1);
            for (done, &a) in rows.iter().zip(source) {
                let value = (a - dot(&row, done)) / done.last()?;
                row.push(value);
            }
            let diagonal = *source.get(row.len())?;
            let pivot = diagonal - dot(&row, &row);
            if !pivot.is_finite() || pivot <= diagonal * 1e-13 || pivot <= 0.0 {
                return None;
            }
            row.push(pivot.sqrt());
            rows.push(row);
        }
        Some(Self { rows })
    }

    /// L⁻¹ b: white noise if b has the covariance A.
    pub(super) fn whiten(&self, b: &[f64]) -> Vec<f64> {
        let mut out: Vec<f64> = Vec::with_capacity(b.len());
        for (row, &value) in self.rows.iter().zip(b) {
            let diagonal = row.last().copied().unwrap_or(1.0);
            let value = (value - dot(&out, row)) / diagonal;
            out.push(value);
        }
        out
    }

    /// The diagonal of A⁻¹.
    pub(super) fn inverse_diagonal(&self) -> Vec<f64> {
        let size = self.rows.len();
        // (A⁻¹)ᵢᵢ = |L⁻¹ eᵢ|².
        let of = |i: usize| {
            let unit: Vec<f64> = (0..size).map(|j| f64::from(u8::from(i == j))).collect();
            let white = self.whiten(&unit);
            dot(&white, &white)
        };
        (0..size).map(of).collect()
    }

    /// A⁻¹ b.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut out = self.whiten(b);
        for (i, row) in self.rows.iter().enumerate().rev() {
            let (before, from) = out.split_at_mut(i);
            if let (Some(x), Some(diagonal)) = (from.first_mut(), row.last()) {
                *x /= diagonal;
                for (b, l) in before.iter_mut().zip(row) {
                    *b -= l * *x;
                }
            }
        }
        out
    }
}

/// The product of the two, as far as the shorter goes.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + x * y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_known_system() {
        let matrix = [[4.0, 0.0, 0.0], [2.0, 3.0, 0.0], [1.0, 0.5, 2.0]];
        let factor = Cholesky::new(matrix.iter().map(<[f64; 3]>::as_slice)).unwrap();
        // The symmetric matrix times (1, -2, 3).
        let b = [4.0 - 4.0 + 3.0, 2.0 - 6.0 + 1.5, 1.0 - 1.0 + 6.0];
        for (x, expected) in factor.solve(&b).iter().zip([1.0, -2.0, 3.0]) {
            assert!((x - expected).abs() < 1e-12, "{x} {expected}");
        }
        for (i, inverse) in factor.inverse_diagonal().into_iter().enumerate() {
            let unit: Vec<f64> = (0..3).map(|j| f64::from(u8::from(i == j))).collect();
            assert!((inverse - factor.solve(&unit)[i]).abs() < 1e-12);
        }
        let white = factor.whiten(&b);
        assert!((dot(&white, &white) - dot(&factor.solve(&b), &b)).abs() < 1e-12);
    }

    #[test]
    fn refuses_what_is_not_positive_definite() {
        for matrix in [[[1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [[f64::NAN, 0.0], [0.0, 1.0]]] {
            assert_eq!(Cholesky::new(matrix.iter().map(<[f64; 2]>::as_slice)), None);
        }
    }
}
