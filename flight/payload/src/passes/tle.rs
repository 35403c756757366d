//! Two-line element sets, with or without a line that names the satellite: fixed columns, each line with a checksum
//! (Space-Track, "Basic Description of the Two Line Element Set Format"; Hoots and Roehrich, Spacetrack Report No. 3).

use super::calendar::year_and_day_us;
use super::elements::{Elements, tidy_name};
use super::error::PlanError;

/// Characters of a line.
const LINE: usize = 69;

/// Reads one set.
pub(super) fn parse(text: &str) -> Result<Elements, PlanError> {
    let lines: Vec<(usize, &str)> = (1..)
        .zip(text.trim_start_matches('\u{feff}').lines())
        .map(|(number, line)| (number, line.trim_end()))
        .filter(|(_, line)| !line.is_empty())
        .take(4)
        .collect();
    let (name, first, second) = match lines.as_slice() {
        [first, second] => (None, first, second),
        [name, first, second] => (tidy_name(name.1.strip_prefix("0 ").unwrap_or(name.1)), first, second),
        lines => {
            let count = if lines.len() < 4 { "1 line" } else { "4 lines or more" };
            return Err(PlanError::whole(format!("{count}; one set of 2 lines, or 3 with a name, is taken")));
        }
    };
    let (first, second) = (Line::check(first, '1')?, Line::check(second, '2')?);
    if first.field("catalogue number", 3, 7)? != second.field("catalogue number", 3, 7)? {
        return Err(PlanError::on(Some(second.number), "catalogue number", "not that of the line before"));
    }
    let elements = Elements {
        name,
        epoch_unix_us: epoch(&first)?,
        inclination_deg: second.decimal("INCLINATION", 9, 16)?,
        raan_deg: second.decimal("RA_OF_ASC_NODE", 18, 25)?,
        eccentricity: second.fraction("ECCENTRICITY", 27, 33)?,
        perigee_deg: second.decimal("ARG_OF_PERICENTER", 35, 42)?,
        mean_anomaly_deg: second.decimal("MEAN_ANOMALY", 44, 51)?,
        mean_motion_per_day: second.decimal("MEAN_MOTION", 53, 63)?,
        bstar: first.exponential("BSTAR", 54, 61)?,
    };
    elements.checked(|field| Some(if field == "BSTAR" { first.number } else { second.number }))
}

/// The epoch: two digits of the year (57 to 99 are of the 20th century), and the day of the year with its fraction.
fn epoch(first: &Line<'_>) -> Result<u64, PlanError> {
    let year = first.whole("EPOCH", 19, 20)?;
    let year = if year < 57 { 2000 + year } else { 1900 + year };
    let day = first.decimal("EPOCH", 21, 32)?;
    year_and_day_us(year, day).ok_or_else(|| first.wrong("EPOCH", "no day of a year from 1970 to 2056"))
}

/// A line whose checksum is right.
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn check(&(number, text): &(usize, &'a str), starts: char) -> Result<Self, PlanError> {
        let line = Self { number, text };
        if !text.is_ascii() || text.len() != LINE || !text.starts_with([starts]) {
            let what = format!("must be {LINE} ASCII characters that start with {starts}");
            return Err(PlanError { line: Some(number), field: None, what });
        }
        let said = line.whole("checksum", LINE, LINE)?;
        let sum = text.bytes().take(LINE - 1).map(|b| match b {
            b'0'..=b'9' => u32::from(b - b'0'),
            b'-' => 1,
            _ => 0,
        });
        let sum = sum.sum::<u32>() % 10;
        if sum == said {
            return Ok(line);
        }
        Err(line.wrong("checksum", &format!("{said}, but the line adds up to {sum}: it is damaged")))
    }

    /// The columns `from` to `to`, from 1, as the format counts them.
    fn field(&self, name: &str, from: usize, to: usize) -> Result<&'a str, PlanError> {
        self.text.get(from.saturating_sub(1)..to).map(str::trim).ok_or_else(|| self.wrong(name, "missing"))
    }

    fn whole(&self, name: &str, from: usize, to: usize) -> Result<u32, PlanError> {
        let text = self.field(name, from, to)?;
        text.parse().map_err(|_| self.wrong(name, &format!("{text:?} is no whole number")))
    }

    fn decimal(&self, name: &str, from: usize, to: usize) -> Result<f64, PlanError> {
        self.number(name, self.field(name, from, to)?)
    }

    /// Digits behind a decimal point that isn't written.
    fn fraction(&self, name: &str, from: usize, to: usize) -> Result<f64, PlanError> {
        let digits = self.field(name, from, to)?;
        self.number(name, &format!("0.{digits}"))
    }

    /// ` 12345-3` is 0.12345e-3.
    fn exponential(&self, name: &str, from: usize, to: usize) -> Result<f64, PlanError> {
        let text = self.field(name, from, to)?;
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.trim_start_matches('+')), |t| ("-", t));
        let at = digits.rfind(['-', '+']).unwrap_or(digits.len());
        let (mantissa, exponent) = digits.split_at_checked(at).unwrap_or((digits, ""));
        let exponent = if exponent.is_empty() { "0" } else { exponent };
        self.number(name, &format!("{sign}0.{mantissa}e{exponent}"))
    }

    fn number(&self, name: &str, text: &str) -> Result<f64, PlanError> {
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| self.wrong(name, &format!("{text:?} is no number")))
    }

    fn wrong(&self, field: &str, what: &str) -> PlanError {
        PlanError::on(Some(self.number), field, what)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The International Space Station on 2020-07-12.
    pub(in crate::passes) const SAMPLE: &str = "\
1 25544U 98067A   20194.88612269 -.00002218  00000-0 -31515-4 0  9992\n\
2 25544  51.6461 221.2784 0001413  89.1723 280.4612 15.49507896236008\n";

    #[test]
    fn a_set_is_read_with_and_without_a_name() {
        let elements = parse(SAMPLE).unwrap();
        let expected = Elements {
            name: None,
            epoch_unix_us: 1_594_588_561_000_416,
            inclination_deg: 51.6461,
            raan_deg: 221.2784,
            eccentricity: 0.000_141_3,
            perigee_deg: 89.1723,
            mean_anomaly_deg: 280.4612,
            mean_motion_per_day: 15.495_078_96,
            bstar: -3.1515e-5,
        };
        assert_eq!(elements, expected);
        for name in ["ISS (ZARYA)", "0 ISS (ZARYA)"] {
            let named = parse(&format!("{name}   \r\n{}", SAMPLE.replace('\n', "\r\n"))).unwrap();
            assert_eq!(named, Elements { name: Some("ISS (ZARYA)".into()), ..expected.clone() });
        }
    }

    #[test]
    fn damage_is_found_and_named() {
        let of = |text: &str| parse(text).unwrap_err().to_string();
        let digit = of(&SAMPLE.replace("51.6461", "51.6471"));
        assert_eq!(digit, "line 2: checksum: 8, but the line adds up to 9: it is damaged");
        assert!(of(&SAMPLE.replacen("  9992", "  99", 1)).starts_with("line 1: must be 69 ASCII"));
        assert!(of(&SAMPLE.replace("2 25544", "3 25544")).starts_with("line 2: must be 69 ASCII"));
        let other = SAMPLE.replace("2 25544  51.6461", "2 25545  51.6451");
        assert_eq!(of(&other), "line 2: catalogue number: not that of the line before");
        assert!(of(&SAMPLE.repeat(2)).starts_with("4 lines or more; one set"));
        let slow = SAMPLE.replace("15.49507896236008", "05.49507896236007");
        let error = of(&slow);
        assert!(error.starts_with("line 2: MEAN_MOTION: 5.49507896 is out of range"), "{error}");
        let day = SAMPLE.replace("20194.88612269", "20394.88612260").replace("9992\n", "9995\n");
        let error = of(&day);
        assert!(error.starts_with("line 1: EPOCH: no day"), "{error}");
    }
}
