//! The derived tables in `ground-sim/data`, parsed once, and how they are joined to an instrument's bands.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};

use super::instrument::NoiseModel;

/// The tables that are compiled in.
static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables::parse().expect("the compiled-in tables are sound"));

/// All of them.
pub(super) struct Tables {
    /// Sun, and for four states path, transmittance, diffuse, albedo.
    pub(super) air: Table,
    /// Radiance, then transmittance at the columns of gas that the names give, ppm·m.
    pub(super) ch4: Table,
    noise: Vec<(NoiseModel, Table)>,
}

impl Tables {
    /// The compiled-in ones.
    pub(super) fn get() -> &'static Self {
        &TABLES
    }

    fn parse() -> Result<Self> {
        let noise = include_str!("../../data/noises.csv");
        Ok(Self {
            air: Table::parse(include_str!("../../data/atmospheres.csv")).context("atmospheres.csv")?,
            ch4: Table::parse(include_str!("../../data/ch4.csv")).context("ch4.csv")?,
            noise: NoiseModel::ALL
                .into_iter()
                .map(|model| Ok((model, Table::parse_of(noise, model.name()).context("noises.csv")?)))
                .collect::<Result<_>>()?,
        })
    }

    /// Noise: a, b, c at the channels of an instrument.
    pub(super) fn noise(&self, model: NoiseModel) -> &Table {
        let found = self.noise.iter().find(|(m, _)| *m == model);
        &found.expect("every model has its table").1
    }
}

/// A table: rising wavelengths and named columns.
pub(super) struct Table {
    pub(super) wavelengths_nm: Vec<f64>,
    pub(super) names: Vec<String>,
    /// One vector a column, without the wavelength.
    pub(super) columns: Vec<Vec<f64>>,
}

impl Table {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let titles = lines.next().context("no titles")?;
        Self::rows(titles, lines)
    }

    /// The rows that begin with `key`, a column before the wavelength.
    fn parse_of(text: &str, key: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let titles = lines.next().and_then(|t| t.split_once(',')).context("no titles")?.1;
        Self::rows(titles, lines.filter_map(|l| l.strip_prefix(key)?.strip_prefix(',')))
    }

    fn rows<'a>(titles: &str, lines: impl Iterator<Item = &'a str>) -> Result<Self> {
        let names: Vec<String> = titles.split(',').skip(1).map(str::to_owned).collect();
        let mut table = Self { wavelengths_nm: Vec::new(), columns: vec![Vec::new(); names.len()], names };
        for line in lines {
            let values: Vec<f64> =
                line.split(',').map(str::parse).collect::<Result<_, _>>().context(line.to_owned())?;
            ensure!(values.len() == table.names.len() + 1, "a row has {} values: {line}", values.len());
            table.wavelengths_nm.push(values[0]);
            table.columns.iter_mut().zip(&values[1..]).for_each(|(column, value)| column.push(*value));
        }
        ensure!(table.wavelengths_nm.len() > 1, "no rows");
        ensure!(table.wavelengths_nm.is_sorted_by(|a, b| a < b), "the wavelengths do not rise");
        Ok(table)
    }

    /// A column by its name.
    pub(super) fn column(&self, name: &str) -> Result<&[f64]> {
        let at = self.names.iter().position(|n| n == name).with_context(|| format!("no column {name}"))?;
        Ok(&self.columns[at])
    }

    /// The rows within a band's reach and their share of its Gaussian response, not normalised.
    pub(super) fn response(&self, centre: f64, fwhm: f64) -> Vec<(usize, f64)> {
        let from = self.wavelengths_nm.partition_point(|nm| *nm < centre - 1.5 * fwhm);
        let rows = self.wavelengths_nm.iter().enumerate().skip(from);
        rows.take_while(|(_, nm)| **nm <= centre + 1.5 * fwhm)
            .map(|(row, nm)| {
                let off = (nm - centre) / fwhm;
                (row, libm::exp(-4.0 * core::f64::consts::LN_2 * off * off))
            })
            .collect()
    }

    /// A column's mean over a Gaussian band on a table that is itself `resolution` nm wide: only what the band is
    /// wider than that is smoothed; interpolated where it is no wider.
    pub(super) fn smoothed(&self, column: &[f64], centre: f64, fwhm: f64, resolution: f64) -> f64 {
        let kernel = (fwhm * fwhm - resolution * resolution).max(0.0).sqrt();
        if kernel < 0.5 * resolution {
            return self.at(column, centre);
        }
        let (mut sum, mut total) = (0.0, 0.0);
        for (row, weight) in self.response(centre, kernel) {
            sum += weight * column[row];
            total += weight;
        }
        if total > 0.0 { sum / total } else { self.at(column, centre) }
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
