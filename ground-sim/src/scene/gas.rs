//! Methane: how much of the light a column takes, and what a column weighs.
//!
//! The table states the transmittance of 1 nm bins at six columns, from a line-by-line radiance model (MAG1C), so that
//! saturation of the lines is in it. A band's transmittance is the mean over its response, weighted with the radiance.

use super::fields::f32_of;
use super::tables::Tables;

/// kg of methane on 1 m² in a column of 1 ppm·m: M·p/(R·T)·10⁻⁶ with M = 0.0160425 kg/mol, p = 101,325 Pa,
/// R = 8.314463 J/(mol·K) and T = 298.15 K (1 atm, 25 °C: 6.557 × 10⁻⁷).
pub const KG_M2_PER_PPM_M: f64 = 0.016_042_5 * 101_325.0 / (8.314_463 * 298.15) * 1e-6;

/// Columns of the table, ppm·m; the first is none.
pub(super) const NODES_PPM_M: [f64; 7] = [0.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0];
/// Width of the table's bins, centred at half nanometres.
const BIN_NM: f64 = 1.0;
const LAST: usize = NODES_PPM_M.len() - 1;

/// A band's curve of growth: optical depth per ppm·m at the nodes, and the power by which the depth grows beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    per_ppm_m: [f32; NODES_PPM_M.len()],
    power: f32,
}

impl Growth {
    /// Of a Gaussian band. What of its response lies outside the table sees no gas.
    pub(super) fn of_band(centre_nm: f64, fwhm_nm: f64) -> Self {
        let table = &Tables::get().ch4;
        let weights = &table.columns[0];
        let mut response = table.response(centre_nm, fwhm_nm);
        let mut covered = response.iter().map(|(_, w)| w).sum::<f64>() / whole(centre_nm, fwhm_nm);
        if response.is_empty() {
            // A band narrower than the bins: the nearest one, unless the table has its gap here.
            let after = table.wavelengths_nm.partition_point(|nm| *nm < centre_nm);
            let near = [after.saturating_sub(1), after.min(table.wavelengths_nm.len() - 1)];
            let off = |row: &usize| (table.wavelengths_nm[*row] - centre_nm).abs();
            response.extend(near.into_iter().find(|row| off(row) <= BIN_NM / 2.0).map(|row| (row, 1.0)));
            covered = 1.0;
        }
        let total: f64 = response.iter().map(|(row, w)| w * weights[*row]).sum();
        let mut depths = [0.0; NODES_PPM_M.len()];
        for (node, depth) in depths.iter_mut().enumerate().skip(1) {
            let column = &table.columns[node];
            let taken: f64 = response.iter().map(|(row, w)| w * weights[*row] * (1.0 - column[*row])).sum();
            if total > 0.0 {
                *depth = -libm::log((1.0 - covered.min(1.0) * taken / total).clamp(1e-9, 1.0));
            }
        }
        Self::of_depths(&depths)
    }

    fn of_depths(depths: &[f64; NODES_PPM_M.len()]) -> Self {
        let mut per = [0.0; NODES_PPM_M.len()];
        for node in 1..=LAST {
            per[node] = depths[node] / NODES_PPM_M[node];
        }
        // Carried on in a straight line to no column at all.
        per[0] = (2.0 * per[1] - per[2]).clamp(per[1], 1.2 * per[1]);
        let ratio = if depths[LAST - 1] > 0.0 { depths[LAST] / depths[LAST - 1] } else { 2.0 };
        let power = (libm::log2(ratio)).clamp(0.5, 1.0);
        Self { per_ppm_m: per.map(f32_of), power: f32_of(power) }
    }

    pub(super) fn between(from: &Self, to: &Self, share: f32) -> Self {
        let mut out = *from;
        for (value, other) in out.per_ppm_m.iter_mut().zip(&to.per_ppm_m) {
            *value += (other - *value) * share;
        }
        out.power += (to.power - out.power) * share;
        out
    }

    /// Does the band see the gas at all?
    pub(super) fn absorbs(&self) -> bool {
        self.per_ppm_m[1] > 0.0 || self.per_ppm_m[LAST] > 0.0
    }

    /// Transmittance of a column.
    pub(super) fn transmittance(&self, column: &Column) -> f32 {
        let (from, to) = (self.per_ppm_m[column.node], self.per_ppm_m[column.node + 1]);
        let per = from + (to - from) * column.share;
        let depth = if column.beyond > 1.0 {
            self.per_ppm_m[LAST] * f32_of(NODES_PPM_M[LAST]) * libm::powf(column.beyond, self.power)
        } else {
            per * column.ppm_m
        };
        libm::expf(-depth)
    }
}

/// The sum of a band's response over a table of bins without end.
fn whole(centre_nm: f64, fwhm_nm: f64) -> f64 {
    let first = (centre_nm - 1.5 * fwhm_nm - BIN_NM / 2.0).ceil() + BIN_NM / 2.0;
    let count = super::fields::index_of((centre_nm + 1.5 * fwhm_nm - first) / BIN_NM) + 1;
    let weight = |n: usize| {
        let off = (first + BIN_NM * n as f64 - centre_nm) / fwhm_nm;
        libm::exp(-4.0 * core::f64::consts::LN_2 * off * off)
    };
    (0..count).map(weight).sum::<f64>().max(1e-9)
}

/// A column of gas and its place among the nodes, the same for every band.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) ppm_m: f32,
    node: usize,
    share: f32,
    /// How many times the last node, where it is more.
    beyond: f32,
}

impl Column {
    pub(super) fn new(ppm_m: f64) -> Self {
        let node = NODES_PPM_M.partition_point(|n| *n <= ppm_m).clamp(1, LAST) - 1;
        let share = (ppm_m - NODES_PPM_M[node]) / (NODES_PPM_M[node + 1] - NODES_PPM_M[node]);
        Self {
            ppm_m: f32_of(ppm_m),
            node,
            share: f32_of(share.clamp(0.0, 1.0)),
            beyond: f32_of(ppm_m / NODES_PPM_M[LAST]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nm: f64, fwhm: f64, ppm_m: f64) -> f64 {
        f64::from(Growth::of_band(nm, fwhm).transmittance(&Column::new(ppm_m)))
    }

    #[test]
    fn transmittance_falls_with_the_column_and_ever_more_slowly() {
        for (nm, fwhm) in [(1666.0, 7.0), (2300.0, 5.5), (2350.0, 10.0), (2370.0, 1.0), (2360.0, 0.4)] {
            let columns: Vec<f64> = (0..130).map(|n| 500.0 * f64::from(n)).collect();
            let taus: Vec<f64> = columns.iter().map(|c| at(nm, fwhm, *c)).collect();
            assert!((taus[0] - 1.0).abs() < 1e-7);
            assert!(taus.windows(2).all(|w| w[1] < w[0] && w[1] > 0.0), "{nm}");
            // Depth per ppm m never grows by more than the table's rounding.
            let per = |n: usize| -libm::log(taus[n]) / columns[n];
            assert!(per(1) > per(16) && per(16) > per(60) && per(60) > per(120), "{nm}");
        }
        assert!((at(900.0, 7.0, 16_000.0) - 1.0).abs() < 1e-9, "no methane at 900 nm");
        // A band half outside the table takes half as much as what is inside alone would.
        assert!(at(1600.0, 60.0, 16_000.0) > at(1625.0, 10.0, 16_000.0));
        assert!((at(1950.0, 1.0, 16_000.0) - 1.0).abs() < 1e-9, "the table has a gap here");
    }

    #[test]
    fn the_curve_of_growth_is_the_tables() {
        let table = &Tables::get().ch4;
        let (centre, fwhm) = (2310.0, 8.0);
        let response = table.response(centre, fwhm);
        for (node, ppm_m) in NODES_PPM_M.iter().enumerate().skip(1) {
            let (mut sum, mut total) = (0.0, 0.0);
            for (row, weight) in &response {
                let weight = weight * table.columns[0][*row];
                sum += weight * table.columns[node][*row];
                total += weight;
            }
            assert!((at(centre, fwhm, *ppm_m) - sum / total).abs() < 2e-6, "{ppm_m}");
        }
        // Between the nodes: within a hundredth of the depth between its neighbours' chords.
        let depth = |c: f64| -libm::log(at(centre, fwhm, c));
        assert!(depth(3000.0) > 0.5 * (depth(2000.0) + depth(4000.0)), "concave");
        assert!(depth(250.0) < 0.53 * depth(500.0) && depth(250.0) > 0.499 * depth(500.0));
    }

    #[test]
    fn a_ppm_m_weighs_what_the_gas_law_says() {
        assert!((KG_M2_PER_PPM_M - 6.557e-7).abs() < 1e-10, "{KG_M2_PER_PPM_M}");
    }
}
