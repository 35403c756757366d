//! Stations: where antennas are, from an uploaded list.
//!
//! ```toml
//! [[station]]
//! name = "Svalbard"
//! latitude_deg = 78.23          # geodetic, WGS 84, north positive
//! longitude_deg = 15.39         # east positive
//! altitude_m = 440              # above the ellipsoid; default 0
//! min_elevation_deg = 5         # default 5
//! rate_bps = 200_000_000        # default: the configured rate
//! ```

use core::ops::RangeInclusive;

use serde::Deserialize;
use toml::Spanned;

use super::error::PlanError;
use crate::downlink::{MAX_RATE_BPS, MIN_RATE_BPS};

/// Longest list that is read, bytes.
pub const MAX_STATIONS_BYTES: u64 = 64 * 1024;
/// Most stations.
pub const MAX_STATIONS: usize = 64;
/// Longest name of a station, bytes.
pub const MAX_NAME_BYTES: usize = 32;

/// An antenna on the ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// Its name, unique in the list.
    pub name: String,
    /// Geodetic latitude, WGS 84, −90 to 90 degrees.
    pub latitude_deg: f64,
    /// Longitude, −180 to 180 degrees, east positive.
    pub longitude_deg: f64,
    /// Height above the ellipsoid, m.
    pub altitude_m: f64,
    /// A pass begins and ends at this elevation above the horizon, 0 to 89 degrees.
    pub min_elevation_deg: f64,
    /// The rate that it takes, bit/s of UDP payload.
    pub rate_bps: Option<u64>,
}

/// Reads a list of stations, in its order.
///
/// # Errors
/// What can't be used, with its line and field.
pub fn parse_stations(text: &str) -> Result<Vec<Station>, PlanError> {
    let file: File = toml::from_str(text).map_err(|e| PlanError::toml(&e, text))?;
    if file.station.len() > MAX_STATIONS {
        let count = file.station.len();
        return Err(PlanError::whole(format!("{count} stations; at most {MAX_STATIONS} are taken")));
    }
    let mut stations: Vec<Station> = Vec::with_capacity(file.station.len());
    for raw in &file.station {
        let station = raw.check(text)?;
        if stations.iter().any(|other| other.name == station.name) {
            let what = format!("there is another station {:?}", station.name);
            return Err(PlanError::at(text, &raw.name.span(), "name", what));
        }
        stations.push(station);
    }
    Ok(stations)
}

/// A name for people, without control characters.
pub(super) fn check_name(text: &str, field: &'static str, name: &Spanned<String>) -> Result<(), PlanError> {
    let value = name.get_ref();
    if (1..=MAX_NAME_BYTES).contains(&value.len()) && !value.chars().any(char::is_control) {
        return Ok(());
    }
    let what = format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters");
    Err(PlanError::at(text, &name.span(), field, what))
}

/// A rate that the gate takes.
pub(super) fn check_rate(text: &str, rate: Option<&Spanned<u64>>) -> Result<(), PlanError> {
    match rate {
        Some(rate) => within(text, "rate_bps", rate, MIN_RATE_BPS..=MAX_RATE_BPS).map(drop),
        None => Ok(()),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    station: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    latitude_deg: Spanned<f64>,
    longitude_deg: Spanned<f64>,
    altitude_m: Option<Spanned<f64>>,
    min_elevation_deg: Option<Spanned<f64>>,
    rate_bps: Option<Spanned<u64>>,
}

impl Raw {
    fn check(&self, text: &str) -> Result<Station, PlanError> {
        check_name(text, "name", &self.name)?;
        check_rate(text, self.rate_bps.as_ref())?;
        let optional = |field, value: &Option<Spanned<f64>>, range, default| {
            value.as_ref().map_or(Ok(default), |value| within(text, field, value, range))
        };
        Ok(Station {
            name: self.name.get_ref().clone(),
            latitude_deg: within(text, "latitude_deg", &self.latitude_deg, -90.0..=90.0)?,
            longitude_deg: within(text, "longitude_deg", &self.longitude_deg, -180.0..=180.0)?,
            altitude_m: optional("altitude_m", &self.altitude_m, -500.0..=9_000.0, 0.0)?,
            min_elevation_deg: optional("min_elevation_deg", &self.min_elevation_deg, 0.0..=89.0, 5.0)?,
            rate_bps: self.rate_bps.as_ref().map(|rate| *rate.get_ref()),
        })
    }
}

fn within<T: PartialOrd + core::fmt::Display + Copy>(
    text: &str,
    field: &str,
    value: &Spanned<T>,
    range: RangeInclusive<T>,
) -> Result<T, PlanError> {
    if range.contains(value.get_ref()) {
        return Ok(*value.get_ref());
    }
    let what = format!("{} is out of range: must be {} to {}", value.get_ref(), range.start(), range.end());
    Err(PlanError::at(text, &value.span(), field, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_read_with_its_defaults() {
        let text = "[[station]]\nname = 'Svalbard'\nlatitude_deg = 78.23\nlongitude_deg = 15\n\
                    [[station]]\nname = 'b'\nlatitude_deg = -53\nlongitude_deg = -70.9\naltitude_m = 12.5\n\
                    min_elevation_deg = 10\nrate_bps = 1000\n";
        let stations = parse_stations(text).unwrap();
        let first = Station {
            name: "Svalbard".into(),
            latitude_deg: 78.23,
            longitude_deg: 15.0,
            altitude_m: 0.0,
            min_elevation_deg: 5.0,
            rate_bps: None,
        };
        assert_eq!(stations[0], first);
        assert_eq!((stations[1].min_elevation_deg, stations[1].rate_bps), (10.0, Some(1000)));
        assert_eq!(parse_stations("# none yet\n"), Ok(vec![]));
    }

    #[test]
    fn errors_name_line_and_field() {
        let station = |more: &str| {
            parse_stations(&format!("\n[[station]]\nlatitude_deg = 1\nlongitude_deg = 2\n{more}\n"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            station("name = 'a'\naltitude_m = 1e6"),
            "line 6: altitude_m: 1000000 is out of range: must be -500 to 9000"
        );
        assert_eq!(station("name = ''"), "line 5: name: a name has 1 to 32 bytes and no control characters");
        let nan = station("name = 'a'\nmin_elevation_deg = nan");
        assert!(nan.starts_with("line 6: min_elevation_deg: NaN is out of range"), "{nan}");
        let unknown = station("name = 'a'\nmask = 3");
        assert!(unknown.starts_with("line 6: mask: unknown field `mask`"), "{unknown}");
        assert!(station("name = 'a'\nrate_bps = 10").contains("must be 1000 to 10000000000"));
        let again = station("name = 'a'\n[[station]]\nname = 'a'\nlatitude_deg = 0\nlongitude_deg = 0");
        assert_eq!(again, "line 7: name: there is another station \"a\"");
        let missing = parse_stations("[[station]]\nname = 'a'\n").unwrap_err().to_string();
        assert!(missing.starts_with("line 1: ") && missing.contains("latitude_deg"), "{missing}");
        let many = "[[station]]\nname = 'a'\nlatitude_deg = 1\nlongitude_deg = 2\n".repeat(65);
        assert!(parse_stations(&many).unwrap_err().what.starts_with("65 stations"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", value in "[-0-9.e'naif]{0,12}") {
            let _any = parse_stations(&text);
            let _any = parse_stations(&format!("[[station]]\nname = {value}\nlatitude_deg = {value}\n"));
        }
    }
}
