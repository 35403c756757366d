//! The derived tables in `ground-sim/data` and how they are joined to an instrument's bands.

use anyhow::{Context, Result, ensure};

/// A table: rising wavelengths and named columns.
pub(super) struct Table {
    pub(super) wavelengths_nm: Vec<f64>,
    pub(super) names: Vec<String>,
    /// One vector a column, without the wavelength.
    pub(super) columns: Vec<Vec<f64>>,
}

impl Table {
    /// Atmosphere and sun: path, sun, transmittance, albedo.
    pub(super) fn atmosphere() -> Result<Self> {
        Self::parse(include_str!("../../data/atmosphere.csv")).context("atmosphere.csv")
    }

    /// Noise: a, b.
    pub(super) fn noise() -> Result<Self> {
        Self::parse(include_str!("../../data/noise.csv")).context("noise.csv")
    }

    /// Reflectance of surfaces, one a column.
    pub(super) fn surfaces() -> Result<Self> {
        Self::parse(include_str!("../../data/surfaces.csv")).context("surfaces.csv")
    }

    /// Methane: radiance, then transmittance at the columns of gas that the names give, ppm·m.
    pub(super) fn ch4() -> Result<Self> {
        Self::parse(include_str!("../../data/ch4.csv")).context("ch4.csv")
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let titles = lines.next().context("no titles")?;
        let names: Vec<String> = titles.split(',').skip(1).map(str::to_owned).collect();
        let mut table = Self { wavelengths_nm: Vec::new(), columns: vec![Vec::new(); names.len()], names };
        for line in lines {
            let values: Vec<f64> =
                line.split(',').map(str::parse).collect::<Result<_, _>>().context(line.to_owned())?;
            ensure!(values.len() == table.names.len() + 1, "a row has {} values: {line}", values.len());
            table.wavelengths_nm.push(values[0]);
            table.columns.iter_mut().zip(&values[1..]).for_each(|(column, value)| column.push(*value));
        }
        ensure!(table.wavelengths_nm.is_sorted_by(|a, b| a < b), "the wavelengths do not rise");
        Ok(table)
    }

    /// A column by its name.
    pub(super) fn column(&self, name: &str) -> Result<&[f64]> {
        let at = self.names.iter().position(|n| n == name).with_context(|| format!("no column {name}"))?;
        Ok(&self.columns[at])
    }

    /// A column's mean over a Gaussian band, each row weighted with `weights` (all 1 without); `None` where the table
    /// has no rows in reach.
    pub(super) fn band_mean(
        &self,
        column: &[f64],
        weights: Option<&[f64]>,
        centre: f64,
        fwhm: f64,
    ) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0.0);
        for (row, &nm) in self.wavelengths_nm.iter().enumerate() {
            let off = (nm - centre) / fwhm;
            if off.abs() <= 1.5 {
                let weight =
                    libm::exp(-4.0 * core::f64::consts::LN_2 * off * off) * weights.map_or(1.0, |w| w[row]);
                sum += weight * column[row];
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }

    /// A column interpolated at a wavelength; its end values beyond its ends.
    pub(super) fn at(&self, column: &[f64], nm: f64) -> f64 {
        let after = self.wavelengths_nm.partition_point(|&w| w < nm);
        if after == 0 || after == column.len() {
            return column[after.min(column.len() - 1)];
        }
        let (from, to) = (self.wavelengths_nm[after - 1], self.wavelengths_nm[after]);
        let share = (nm - from) / (to - from);
        column[after - 1] * (1.0 - share) + column[after] * share
    }
}
