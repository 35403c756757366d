//! Contact windows: when a station listens, as the ground uploaded it.
//!
//! ```toml
//! [[window]]
//! station = "Svalbard"
//! aos = "2026-12-01T10:00:00Z"  # RFC 3339 in quotes or not, or seconds since 1970-01-01 UTC
//! los = 1796119680
//! rate_bps = 200_000_000        # default: the configured rate
//! ```

use core::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;
use toml::value::Datetime;

use super::calendar::{Zone, unix_us};
use super::error::PlanError;
use super::stations::{check_name, check_rate};
use crate::ordered;

/// Longest list that is read, bytes.
pub const MAX_WINDOWS_BYTES: u64 = 512 * 1024;
/// Most windows.
pub const MAX_WINDOWS: usize = 4096;
/// Longest window, ms: a day.
pub const MAX_WINDOW_MS: u64 = 86_400_000;
/// The last time that a number of seconds may say: the end of 2199.
const MAX_UNIX_S: f64 = 7_258_118_399.0;

/// A time in which a station listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The station's name.
    pub station: String,
    /// Its start, ms since 1970-01-01 UTC.
    pub aos_unix_ms: u64,
    /// Its end, ms since 1970-01-01 UTC; after the start.
    pub los_unix_ms: u64,
    /// The rate that the station takes, bit/s of UDP payload.
    pub rate_bps: Option<u64>,
}

/// Reads a list of windows; they come back sorted by their start, then their end, then their station. Those of
/// several stations may overlap.
///
/// # Errors
/// What can't be used, with its line and field.
pub fn parse_windows(text: &str) -> Result<Vec<Window>, PlanError> {
    let file: File = toml::from_str(text).map_err(|e| PlanError::toml(&e, text))?;
    if file.window.len() > MAX_WINDOWS {
        let count = file.window.len();
        return Err(PlanError::whole(format!("{count} windows; at most {MAX_WINDOWS} are taken")));
    }
    let mut windows = file.window.iter().map(|raw| raw.check(text)).collect::<Result<Vec<_>, _>>()?;
    ordered::sort_by(&mut windows, |a, b| {
        (a.aos_unix_ms, a.los_unix_ms, &a.station).cmp(&(b.aos_unix_ms, b.los_unix_ms, &b.station))
    });
    Ok(windows)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    window: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    station: Spanned<String>,
    aos: Spanned<Time>,
    los: Spanned<Time>,
    rate_bps: Option<Spanned<u64>>,
}

impl Raw {
    fn check(&self, text: &str) -> Result<Window, PlanError> {
        check_name(text, "station", &self.station)?;
        check_rate(text, self.rate_bps.as_ref())?;
        let (aos, los) = (self.aos.get_ref().unix_ms, self.los.get_ref().unix_ms);
        let long = los.checked_sub(aos).filter(|long| (1..=MAX_WINDOW_MS).contains(long));
        if long.is_none() {
            let what = format!("must be after aos, by at most {} s", MAX_WINDOW_MS / 1000);
            return Err(PlanError::at(text, &self.los.span(), "los", what));
        }
        Ok(Window {
            station: self.station.get_ref().clone(),
            aos_unix_ms: aos,
            los_unix_ms: los,
            rate_bps: self.rate_bps.as_ref().map(|rate| *rate.get_ref()),
        })
    }
}

/// A time in any of its forms.
struct Time {
    unix_ms: u64,
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a date like 2026-12-01T10:00:00Z with its zone, or seconds since 1970-01-01 UTC, up to 2199",
        )
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Time, E> {
        let known = u64::try_from(seconds).ok().filter(|s| *s as f64 <= MAX_UNIX_S);
        let seconds = known.ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))?;
        Ok(Time { unix_ms: seconds.saturating_mul(1000) })
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Time, E> {
        if !(0.0..=MAX_UNIX_S).contains(&seconds) {
            return Err(E::invalid_value(de::Unexpected::Float(seconds), &self));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked")]
        Ok(Time { unix_ms: libm::round(seconds * 1000.0) as u64 })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        let us = unix_us(text, Zone::Said);
        let us = us.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
        Ok(Time { unix_ms: us / 1000 })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Time, A::Error> {
        let date = Datetime::deserialize(MapAccessDeserializer::new(map))?;
        self.visit_str(&date.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(station: &str, aos: &str, los: &str) -> String {
        format!("[[window]]\nstation = '{station}'\naos = {aos}\nlos = {los}\n")
    }

    #[test]
    fn times_are_read_in_every_form_and_sorted() {
        let text = [
            window("late", "'2026-12-01T10:00:00Z'", "2026-12-01T11:08:00.5+01:00"),
            window("same", "1796119200", "1796119680.25"),
            window("early", "1796110000", "2026-12-01 07:30:00Z"),
        ]
        .concat();
        let windows = parse_windows(&(text + "rate_bps = 5000\n")).unwrap();
        let short: Vec<_> =
            windows.iter().map(|w| (w.station.as_str(), w.aos_unix_ms, w.los_unix_ms, w.rate_bps)).collect();
        assert_eq!(
            short,
            [
                ("early", 1_796_110_000_000, 1_796_110_200_000, Some(5000)),
                ("same", 1_796_119_200_000, 1_796_119_680_250, None),
                ("late", 1_796_119_200_000, 1_796_119_680_500, None),
            ]
        );
        assert_eq!(parse_windows(""), Ok(vec![]));
    }

    #[test]
    fn errors_name_line_and_field() {
        let of = |text: &str| parse_windows(text).unwrap_err().to_string();
        let los = of(&window("a", "1796119200", "1796119200"));
        assert_eq!(los, "line 4: los: must be after aos, by at most 86400 s");
        assert!(of(&window("a", "0", "86400.001")).starts_with("line 4: los: "));
        for bad in ["'2026-12-01T10:00:00'", "2026-12-01", "'soon'", "-1", "inf", "7258118400", "true", "{}"]
        {
            let error = of(&window("a", bad, "1796119200"));
            assert!(error.starts_with("line 3: aos: "), "{bad}: {error}");
        }
        assert!(of(&window("", "1", "2")).starts_with("line 2: station: a name has"));
        let rate = of(&(window("a", "1", "2") + "rate_bps = 1\n"));
        assert!(rate.starts_with("line 5: rate_bps: 1 is out of range"), "{rate}");
        assert!(of("window = 3\n").starts_with("line 1: window: invalid type"));
        assert!(of(&window("a", "1", "2").repeat(MAX_WINDOWS + 1)).starts_with("4097 windows"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", time in "[-0-9TZ:.+e' naif]{0,30}") {
            let _any = parse_windows(&text);
            if let Ok(windows) = parse_windows(&window("a", &time, &time)) {
                prop_assert!(windows.iter().all(|w| w.aos_unix_ms < w.los_unix_ms));
            }
            let _any = parse_windows(&window("a", &time, "1796119200"));
        }
    }
}
