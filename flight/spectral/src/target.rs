//! Target gases as data: a unit absorption spectrum at high resolution, joined to an instrument's bands on board.
//!
//! A new gas is an upload, not a release: [`Target::parse`] reads the same text format as the built-in methane.

use core::fmt;

/// Longest text that is parsed, bytes.
pub const MAX_TARGET_BYTES: usize = 1 << 20;
/// Most rows.
pub const MAX_ROWS: usize = 20_000;
/// Most windows, and most columns of a curve of growth.
pub const MAX_LIST: usize = 16;

/// Without rows this near to each other there is a gap in the data, nm.
const GAP_NM: f64 = 10.0;
/// Columns at which depths are given for a target without a curve of growth, ppm·m.
const LINEAR_COLUMNS: [f64; 6] = [500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0];

/// How far from a band's centre its response is followed, in FWHM.
const REACH_FWHM: f64 = 1.5;

/// A gas to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    name: String,
    windows_nm: Vec<[f64; 2]>,
    molar_mass_g: Option<f64>,
    /// Columns of gas of the curve of growth, ppm·m, rising; the first is that of `Row::absorption`.
    columns_ppm_m: Vec<f64>,
    rows: Vec<Row>,
    /// Absorption per ppm·m of each row at each of the columns but the first, row by row.
    growth: Vec<f64>,
}

/// One high-resolution bin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    wavelength_nm: f64,
    /// Absorption per ppm·m.
    absorption: f64,
    weight: f64,
}

impl Target {
    /// Methane, in its windows around 1.65 and 2.3 µm (built in; source and licence in `targets/ch4.csv`).
    pub fn ch4() -> Self {
        // The text is compiled in and a test parses it; a target without rows finds nothing.
        Self::parse(include_str!("../targets/ch4.csv")).unwrap_or_else(|_| Self {
            name: "CH4".to_owned(),
            windows_nm: vec![[2122.0, 2488.0]],
            molar_mass_g: None,
            columns_ppm_m: LINEAR_COLUMNS.to_vec(),
            rows: Vec::new(),
            growth: Vec::new(),
        })
    }

    /// Reads a target. `#` lines are comments, of which these count:
    ///
    /// - `# name: NAME`
    /// - `# window_nm: FROM TO [FROM TO …]`: where it is looked for; the whole spectrum without it
    /// - `# molar_mass_g: M`, g/mol: without it no masses are given
    /// - `# columns_ppm_m: C1 C2 …`, rising: the curve of growth that further values of a row are for
    ///
    /// Then rows `wavelength_nm,absorption_per_ppm_m[,weight[,a2,a3,…]]` with rising wavelengths: `absorption` is that of
    /// a weak column (of C1), a2, a3, … are −ln(transmittance) ÷ column at C2, C3, …. One row of column names may stand
    /// before them.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > MAX_TARGET_BYTES {
            return Err(TargetError::TooLong { bytes: text.len() });
        }
        let mut target = Self {
            name: "target".to_owned(),
            windows_nm: Vec::new(),
            molar_mass_g: None,
            columns_ppm_m: Vec::new(),
            rows: Vec::new(),
            growth: Vec::new(),
        };
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim)) {
            let titles = target.rows.is_empty() && content.starts_with(|c: char| c.is_alphabetic());
            if let Some(comment) = content.strip_prefix('#') {
                target.take_comment(comment, line)?;
            } else if !content.is_empty() && !titles {
                target.take_row(content, line)?;
            }
        }
        let (Some(first), Some(last), true) =
            (target.rows.first(), target.rows.last(), target.rows.len() > 1)
        else {
            return Err(TargetError::Empty);
        };
        if target.windows_nm.is_empty() {
            target.windows_nm = vec![[first.wavelength_nm, last.wavelength_nm]];
        }
        let inside = |nm: f64| target.windows_nm.iter().any(|[from, to]| (*from..=*to).contains(&nm));
        if !target.rows.iter().any(|r| r.absorption > 0.0 && inside(r.wavelength_nm)) {
            return Err(TargetError::Empty);
        }
        Ok(target)
    }

    fn take_comment(&mut self, comment: &str, line: usize) -> Result<(), TargetError> {
        let refuse = |why| Err(TargetError::Row { line, why });
        let Some((key, value)) = comment.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            return Ok(());
        };
        let numbers =
            || value.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>().unwrap_or_default();
        match key {
            "name" => self.name = checked_name(value, line)?,
            "window_nm" => self.windows_nm = checked_windows(&numbers(), line)?,
            "molar_mass_g" => match numbers().as_slice() {
                &[mass] if (1.0..=1000.0).contains(&mass) => self.molar_mass_g = Some(mass),
                _ => return refuse("a molar mass is one number, 1 to 1000 g/mol"),
            },
            "columns_ppm_m" => {
                let columns = numbers();
                let sound = (1..=MAX_LIST).contains(&columns.len())
                    && columns.is_sorted_by(|a, b| a < b)
                    && columns.iter().all(|c| *c > 0.0 && *c <= 1e9);
                if !sound || !self.rows.is_empty() {
                    return refuse("columns are 1 to 16 rising numbers of ppm m, before the first row");
                }
                self.columns_ppm_m = columns;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_row(&mut self, content: &str, line: usize) -> Result<(), TargetError> {
        let (row, growth) = checked_row(content, self.columns_ppm_m.len().saturating_sub(1), line)?;
        if self.rows.last().is_some_and(|last| last.wavelength_nm >= row.wavelength_nm) {
            return Err(TargetError::Row { line, why: "the wavelengths must rise" });
        }
        if self.rows.len() >= MAX_ROWS {
            return Err(TargetError::Row { line, why: "too many rows" });
        }
        self.rows.push(row);
        self.growth.extend(growth);
        Ok(())
    }

    /// The gas, as reports name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spectral windows in which it is looked for, nm.
    pub fn windows_nm(&self) -> &[[f64; 2]] {
        &self.windows_nm
    }

    /// Its molar mass, g/mol, if it is known.
    pub fn molar_mass_g(&self) -> Option<f64> {
        self.molar_mass_g
    }

    /// The columns of gas, ppm·m, that [`Target::band_depths`] is for.
    pub fn columns_ppm_m(&self) -> &[f64] {
        if self.columns_ppm_m.is_empty() { &LINEAR_COLUMNS } else { &self.columns_ppm_m }
    }

    /// The optical depth of one band at each column of the curve of growth: −ln of the mean transmittance over the band.
    pub fn band_depths(&self, centre_nm: f64, fwhm_nm: f64) -> Vec<f64> {
        let extra = self.columns_ppm_m.len().saturating_sub(1);
        if extra == 0 {
            let k = self.band_absorption(centre_nm, fwhm_nm);
            return self.columns_ppm_m().iter().map(|c| k * c).collect();
        }
        let mut sums = vec![0.0; extra + 1];
        let mut weights = 0.0;
        for (at, row, weight) in self.in_band(centre_nm, fwhm_nm) {
            let growth = self.growth.get(at * extra..(at + 1) * extra).unwrap_or_default();
            let absorptions = core::iter::once(&row.absorption).chain(growth);
            for ((sum, column), k) in sums.iter_mut().zip(&self.columns_ppm_m).zip(absorptions) {
                *sum += weight * libm::exp(-k * column);
            }
            weights += weight;
        }
        if weights > 0.0 {
            return sums.iter().map(|s| -libm::log(s / weights)).collect();
        }
        let k = self.nearest(centre_nm);
        self.columns_ppm_m.iter().map(|c| k * c).collect()
    }

    /// Rows in reach of a band, their number and their weight: Gaussian response times the target's own.
    fn in_band(&self, centre_nm: f64, fwhm_nm: f64) -> impl Iterator<Item = (usize, &Row, f64)> {
        let reach = fwhm_nm.max(0.0) * REACH_FWHM;
        let from = self.rows.partition_point(|r| r.wavelength_nm < centre_nm - reach);
        let near = self.rows.iter().enumerate().skip(from);
        near.take_while(move |(_, r)| r.wavelength_nm <= centre_nm + reach).map(move |(at, row)| {
            let off = (row.wavelength_nm - centre_nm) / fwhm_nm;
            // 4 ln 2: the response is one half at half the FWHM.
            (at, row, libm::exp(-4.0 * core::f64::consts::LN_2 * off * off) * row.weight)
        })
    }

    /// The unit absorption per ppm·m of one band: the mean over a Gaussian response of the given FWHM, weighted with
    /// the radiance where the target gives it. 0 where the target has no data.
    pub fn band_absorption(&self, centre_nm: f64, fwhm_nm: f64) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (_, row, weight) in self.in_band(centre_nm, fwhm_nm) {
            sum += weight * row.absorption;
            weights += weight;
        }
        if weights > 0.0 { sum / weights } else { self.nearest(centre_nm) }
    }

    /// For bands narrower than the rows' spacing.
    fn nearest(&self, centre_nm: f64) -> f64 {
        let after = self.rows.partition_point(|r| r.wavelength_nm < centre_nm);
        let (before, after) = (after.checked_sub(1).and_then(|i| self.rows.get(i)), self.rows.get(after));
        match (before, after) {
            (Some(a), Some(b)) if b.wavelength_nm - a.wavelength_nm <= GAP_NM => {
                let share = (centre_nm - a.wavelength_nm) / (b.wavelength_nm - a.wavelength_nm);
                a.absorption + share * (b.absorption - a.absorption)
            }
            _ => 0.0,
        }
    }
}

fn checked_name(value: &str, line: usize) -> Result<String, TargetError> {
    let sound = !value.is_empty() && value.len() <= 32 && value.chars().all(|c| c.is_ascii_graphic());
    if sound {
        Ok(value.to_owned())
    } else {
        Err(TargetError::Row { line, why: "a name is 1 to 32 ASCII letters" })
    }
}

fn checked_windows(numbers: &[f64], line: usize) -> Result<Vec<[f64; 2]>, TargetError> {
    let (windows, rest) = numbers.as_chunks::<2>();
    let in_order = numbers.is_sorted_by(|a, b| a < b);
    let in_range = numbers.iter().all(|nm| (100.0..=100_000.0).contains(nm));
    if rest.is_empty() && in_order && in_range && (1..=MAX_LIST).contains(&windows.len()) {
        return Ok(windows.to_vec());
    }
    Err(TargetError::Row { line, why: "windows are pairs of wavelengths in nm, all rising" })
}

fn checked_row(content: &str, extra: usize, line: usize) -> Result<(Row, Vec<f64>), TargetError> {
    let refuse = |why| Err(TargetError::Row { line, why });
    let Some(numbers) = content.split(',').map(|v| v.trim().parse::<f64>().ok()).collect::<Option<Vec<_>>>()
    else {
        return refuse("not a number");
    };
    let (wavelength_nm, absorption, weight, growth) = match numbers.as_slice() {
        [wavelength, absorption] if extra == 0 => (*wavelength, *absorption, 1.0, &[][..]),
        [wavelength, absorption, weight, growth @ ..] if growth.len() == extra => {
            (*wavelength, *absorption, *weight, growth)
        }
        _ if extra == 0 => return refuse("two or three values are needed"),
        _ => return refuse("wavelength, absorption, weight and a value for each further column are needed"),
    };
    if !(100.0..=100_000.0).contains(&wavelength_nm) {
        return refuse("the wavelength must be 100 to 100000 nm");
    }
    if !core::iter::once(&absorption).chain(growth).all(|k| (0.0..=1.0).contains(k)) {
        return refuse("the absorption per ppm m must be 0 to 1");
    }
    if !(weight > 0.0 && weight <= 1e9) {
        return refuse("the weight must be above 0 and at most 1e9");
    }
    Ok((Row { wavelength_nm, absorption, weight }, growth.to_vec()))
}

/// Why a target was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// Longer than [`MAX_TARGET_BYTES`].
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// A line that cannot be used.
    Row {
        /// Line of the text, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Fewer than two rows, or no absorption in the window.
    Empty,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "target: {bytes} bytes of text, at most {MAX_TARGET_BYTES} are read")
            }
            Self::Row { line, why } => write!(f, "target, line {line}: {why}"),
            Self::Empty => write!(f, "target: fewer than two rows, or no absorption in the window"),
        }
    }
}

impl core::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn methane_absorbs_where_methane_absorbs() {
        let ch4 = Target::ch4();
        let strong = ch4.band_absorption(2370.0, 10.0);
        let weak = ch4.band_absorption(2130.0, 10.0);
        assert!(strong > 1e-5 && strong < 1e-4, "{strong}");
        assert!(weak < strong / 20.0, "{weak}");
        assert!(ch4.band_absorption(1650.0, 10.0) > 0.0);
        assert!(ch4.band_absorption(700.0, 10.0).abs() < 1e-30);
        assert_eq!((ch4.name(), ch4.windows_nm().len(), ch4.molar_mass_g()), ("CH4", 2, Some(16.043)));
    }

    #[test]
    fn a_band_is_the_mean_over_its_response() {
        let target = Target::parse("1000,0\n1001,0.5\n1002,0").unwrap();
        let half = target.band_absorption(1000.0, 2.0);
        let centre = target.band_absorption(1001.0, 2.0);
        // Responses 1, 1/2 and (two FWHM-halves away) 1/16; at the edge only one side exists.
        assert!((centre - 0.5 / (1.0 + 2.0 * 0.5)).abs() < 1e-12, "{centre}");
        assert!((half - 0.25 / (1.0 + 0.5 + 1.0 / 16.0)).abs() < 1e-12, "{half}");
        assert!((target.band_absorption(1000.5, 0.1) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn bad_targets_are_refused_with_the_line() {
        let line = |text: &str| match Target::parse(text) {
            Err(TargetError::Row { line, .. }) => line,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(line("# name: x\n1000,0.1\n1000,0.2"), 3);
        assert_eq!(line("1000,0.1\n1001,-1"), 2);
        assert_eq!(line("1000,0.1\nabc"), 2);
        assert_eq!(line("1000,NaN"), 1);
        assert_eq!(line("# window_nm: 5"), 1);
        assert_eq!(line("# window_nm: 1000 1100 1050 1200"), 1);
        assert_eq!(line("# molar_mass_g: heavy"), 1);
        assert_eq!(line("# columns_ppm_m: 2 1"), 1);
        assert_eq!(line("# columns_ppm_m: 1 2\n1000,0.1,1"), 2);
        assert_eq!(line("# name: \u{1b}[2J"), 1);
        assert_eq!(Target::parse(""), Err(TargetError::Empty));
        assert_eq!(Target::parse("# window_nm: 2000 2100\n1000,0.1\n1001,0.1"), Err(TargetError::Empty));
    }

    #[test]
    fn strong_columns_absorb_less_than_in_proportion() {
        let ch4 = Target::ch4();
        let (depths, columns) = (ch4.band_depths(2310.0, 7.0), ch4.columns_ppm_m());
        assert_eq!(depths.len(), columns.len());
        assert!(depths.is_sorted_by(|a, b| a < b), "{depths:?}");
        let per = |n: usize| depths[n] / columns[n];
        assert!((1..depths.len()).all(|n| per(n) < per(n - 1)), "{depths:?} at {columns:?}");
        assert!(ch4.band_depths(1900.0, 7.0).iter().all(|d| d.abs() < 1e-30), "between the windows");
        let linear = Target::parse("1000,0.001\n1001,0.001").unwrap();
        assert!((linear.band_depths(1000.0, 2.0)[1] - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "(#|name:|window_nm:|[0-9.,e-]{0,9}|\n| ){0,60}") {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(target.band_absorption(1000.0, 0.0).is_finite());
            }
        }
    }
}
