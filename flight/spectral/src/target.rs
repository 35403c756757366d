//! Target gases as data: a unit absorption spectrum at high resolution, joined to an instrument's bands on board.
//!
//! A new gas is an upload, not a release: [`Target::parse`] reads the same text format as the built-in methane.

use core::fmt;

/// Longest text that is parsed, bytes.
pub const MAX_TARGET_BYTES: usize = 1 << 20;
/// Most rows.
pub const MAX_ROWS: usize = 20_000;

/// How far from a band's centre its response is followed, in FWHM.
const REACH_FWHM: f64 = 1.5;

/// A gas to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    name: String,
    window_nm: [f64; 2],
    rows: Vec<Row>,
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
    /// Methane, in its window around 2.3 µm (built in; source and licence in `targets/ch4.csv`).
    pub fn ch4() -> Self {
        // The text is compiled in and a test parses it; a target without rows finds nothing.
        Self::parse(include_str!("../targets/ch4.csv")).unwrap_or_else(|_| Self {
            name: "CH4".to_owned(),
            window_nm: [2122.0, 2488.0],
            rows: Vec::new(),
        })
    }

    /// Reads a target: `#` lines are comments, of which `# name: NAME` and `# window_nm: FROM TO` count; then rows
    /// `wavelength_nm,absorption_per_ppm_m[,weight]` with rising wavelengths. One row of column names may stand
    /// before them. Without a window the whole spectrum is used.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > MAX_TARGET_BYTES {
            return Err(TargetError::TooLong { bytes: text.len() });
        }
        let (mut name, mut window) = (None, None);
        let mut rows: Vec<Row> = Vec::new();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim)) {
            if let Some(comment) = content.strip_prefix('#') {
                match comment.split_once(':').map(|(k, v)| (k.trim(), v.trim())) {
                    Some(("name", value)) => name = Some(checked_name(value, line)?),
                    Some(("window_nm", value)) => window = Some(checked_window(value, line)?),
                    _ => {}
                }
                continue;
            }
            let titles = rows.is_empty() && content.starts_with(|c: char| c.is_alphabetic());
            if content.is_empty() || titles {
                continue;
            }
            let row = checked_row(content, line)?;
            if rows.last().is_some_and(|last| last.wavelength_nm >= row.wavelength_nm) {
                return Err(TargetError::Row { line, why: "the wavelengths must rise" });
            }
            if rows.len() >= MAX_ROWS {
                return Err(TargetError::Row { line, why: "too many rows" });
            }
            rows.push(row);
        }
        let (Some(first), Some(last), true) = (rows.first(), rows.last(), rows.len() > 1) else {
            return Err(TargetError::Empty);
        };
        let window_nm = window.unwrap_or([first.wavelength_nm, last.wavelength_nm]);
        if !rows
            .iter()
            .any(|r| r.absorption > 0.0 && (window_nm[0]..=window_nm[1]).contains(&r.wavelength_nm))
        {
            return Err(TargetError::Empty);
        }
        Ok(Self { name: name.unwrap_or_else(|| "target".to_owned()), window_nm, rows })
    }

    /// The gas, as reports name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spectral window in which it is looked for, nm.
    pub fn window_nm(&self) -> [f64; 2] {
        self.window_nm
    }

    /// The unit absorption per ppm·m of one band: the mean over a Gaussian response of the given FWHM, weighted with
    /// the radiance where the target gives it. 0 where the target has no data.
    pub fn band_absorption(&self, centre_nm: f64, fwhm_nm: f64) -> f64 {
        let reach = fwhm_nm.max(0.0) * REACH_FWHM;
        let from = self.rows.partition_point(|r| r.wavelength_nm < centre_nm - reach);
        let near = self.rows.iter().skip(from).take_while(|r| r.wavelength_nm <= centre_nm + reach);
        let (mut sum, mut weights) = (0.0, 0.0);
        for row in near {
            let off = (row.wavelength_nm - centre_nm) / fwhm_nm;
            // 4 ln 2: the response is one half at half the FWHM.
            let weight = libm::exp(-4.0 * core::f64::consts::LN_2 * off * off) * row.weight;
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
            (Some(a), Some(b)) => {
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

fn checked_window(value: &str, line: usize) -> Result<[f64; 2], TargetError> {
    let numbers: Vec<f64> = value.split_whitespace().filter_map(|v| v.parse().ok()).collect();
    match numbers.as_slice() {
        &[from, to] if from >= 100.0 && from < to && to <= 100_000.0 => Ok([from, to]),
        _ => Err(TargetError::Row { line, why: "a window is two wavelengths in nm, the lower first" }),
    }
}

fn checked_row(content: &str, line: usize) -> Result<Row, TargetError> {
    let refuse = |why| Err(TargetError::Row { line, why });
    let Some(numbers) = content.split(',').map(|v| v.trim().parse::<f64>().ok()).collect::<Option<Vec<_>>>()
    else {
        return refuse("not a number");
    };
    let (wavelength_nm, absorption, weight) = match numbers.as_slice() {
        [wavelength, absorption] => (*wavelength, *absorption, 1.0),
        [wavelength, absorption, weight] => (*wavelength, *absorption, *weight),
        _ => return refuse("two or three values are needed"),
    };
    if !(100.0..=100_000.0).contains(&wavelength_nm) {
        return refuse("the wavelength must be 100 to 100000 nm");
    }
    if !(0.0..=1.0).contains(&absorption) {
        return refuse("the absorption per ppm m must be 0 to 1");
    }
    if !(weight > 0.0 && weight <= 1e9) {
        return refuse("the weight must be above 0 and at most 1e9");
    }
    Ok(Row { wavelength_nm, absorption, weight })
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
        assert_eq!((ch4.name(), ch4.window_nm()), ("CH4", [2122.0, 2488.0]));
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
        assert_eq!(line("# name: \u{1b}[2J"), 1);
        assert_eq!(Target::parse(""), Err(TargetError::Empty));
        assert_eq!(Target::parse("# window_nm: 2000 2100\n1000,0.1\n1001,0.1"), Err(TargetError::Empty));
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
