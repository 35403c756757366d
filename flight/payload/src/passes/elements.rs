//! Orbital elements for SGP4, from any of the texts in which they are handed around: a TLE of two or three lines, or
//! an OMM (CCSDS 502.0-B-3 section 4) as JSON or KVN.
//!
//! Only orbits of a period below 225 min are taken: beyond, SGP4 goes over to its deep space part (Hoots and
//! Roehrich, Spacetrack Report No. 3, 1980), whose work grows with the time since the epoch.

use core::ops::RangeInclusive;

use super::error::PlanError;
use super::{omm, predictor, tle};

/// Longest text of elements that is read, bytes.
pub const MAX_ELEMENTS_BYTES: u64 = 64 * 1024;
/// Mean motions that are taken, revolutions a day: from the limit of deep space to below any orbit.
const MEAN_MOTION: RangeInclusive<f64> = 6.4..=17.0;
/// The earth's gravity (WGS 84), km³/s².
const GM_KM3_S2: f64 = 398_600.441_8;
/// Its radius at the equator (WGS 84), km.
const EQUATOR_KM: f64 = 6_378.137;

/// Mean elements of an orbit, as SGP4 takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Elements {
    /// Name of the satellite, if the text has one.
    pub name: Option<String>,
    /// When they hold, µs since 1970-01-01 UTC.
    pub epoch_unix_us: u64,
    /// Inclination, 0 to 180 degrees.
    pub inclination_deg: f64,
    /// Right ascension of the ascending node, degrees.
    pub raan_deg: f64,
    /// Eccentricity, 0 to below 1.
    pub eccentricity: f64,
    /// Argument of perigee, degrees.
    pub perigee_deg: f64,
    /// Mean anomaly, degrees.
    pub mean_anomaly_deg: f64,
    /// Mean motion in Kozai's sense, 6.4 to 17 revolutions a day.
    pub mean_motion_per_day: f64,
    /// Drag term B*, 1 / Earth radii.
    pub bstar: f64,
}

impl Elements {
    /// Reads the elements of one satellite.
    ///
    /// # Errors
    /// What can't be used, with its line and field.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let start = text.trim_start_matches('\u{feff}').trim_start();
        if start.is_empty() {
            return Err(PlanError::whole("no elements in it"));
        }
        if start.starts_with(['{', '[']) {
            omm::parse_json(text)
        } else if text.lines().any(|line| line.starts_with("1 ")) {
            tle::parse(text)
        } else if text.lines().any(|line| line.contains('=')) {
            omm::parse_kvn(text)
        } else {
            Err(PlanError::whole("neither a TLE nor an OMM as JSON or KVN"))
        }
    }

    /// Checks every range, and that SGP4 finds an orbit in them; `line` says where a field, by its name in an OMM, stands.
    pub(super) fn checked(self, line: impl Fn(&str) -> Option<usize>) -> Result<Self, PlanError> {
        for (field, value, range) in [
            ("INCLINATION", self.inclination_deg, 0.0..=180.0),
            ("RA_OF_ASC_NODE", self.raan_deg, -360.0..=360.0),
            ("ECCENTRICITY", self.eccentricity, 0.0..=0.999_999_9),
            ("ARG_OF_PERICENTER", self.perigee_deg, -360.0..=360.0),
            ("MEAN_ANOMALY", self.mean_anomaly_deg, -360.0..=360.0),
            ("MEAN_MOTION", self.mean_motion_per_day, MEAN_MOTION),
            ("BSTAR", self.bstar, -10.0..=10.0),
        ] {
            if !range.contains(&value) {
                let what = format!("{value} is out of range: must be {} to {}", range.start(), range.end());
                return Err(PlanError::on(line(field), field, what));
            }
        }
        let perigee_km = self.perigee_km();
        if perigee_km < 0.0 {
            let what =
                format!("the orbit meets the ground: its perigee would be {:.0} km below it", -perigee_km);
            return Err(PlanError::on(line("ECCENTRICITY"), "ECCENTRICITY", what));
        }
        predictor::constants(&self)?;
        Ok(self)
    }

    /// Height of the perigee above the equator's radius, km, by Kepler's third law (WGS 84's constants).
    fn perigee_km(&self) -> f64 {
        let rad_s = self.mean_motion_per_day * core::f64::consts::TAU / 86_400.0;
        (GM_KM3_S2 / (rad_s * rad_s)).cbrt() * (1.0 - self.eccentricity) - EQUATOR_KM
    }
}

/// A name as it is kept: trimmed, without control characters, cut to a length for people; `None` without any.
pub(super) fn tidy_name(name: &str) -> Option<String> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(24).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_known_by_its_look() {
        let what = |text: &str| Elements::parse(text).unwrap_err().to_string();
        assert_eq!(what(" \n"), "no elements in it");
        assert_eq!(what("hello"), "neither a TLE nor an OMM as JSON or KVN");
        assert!(what("[]").contains("objects"));
        assert!(what("1 25544U").starts_with("1 line; one set of 2 lines"));
        assert!(what("1 25544U\n2 25544\n").starts_with("line 1: must be 69"));
        assert!(what("MEAN_MOTION = 15\n").contains("is missing"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,300}", lines in "([12] [-0-9 .]{60,70}\n){0,4}",
                          json in "[\\[{\"A-Z_:0-9.,e}\\]-]{0,120}") {
            for text in [text, lines, json] {
                let _any = Elements::parse(&text);
            }
        }

        #[test]
        fn tle_with_one_byte_changed_never_panics(at in 0_usize..142, byte in "\\PC") {
            let text = tle::tests::SAMPLE;
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                let _any = Elements::parse(&format!("{before}{byte}{after}"));
            }
        }
    }
}
