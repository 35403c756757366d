//! Dates, as text and as milliseconds since 1970-01-01 UTC.
//!
//! The calendar is the proleptic Gregorian one; the arithmetic is that of the days in 400-year eras (H. Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms", `days_from_civil` and `civil_from_days`).

const DAY_MS: i64 = 86_400_000;

/// A time as RFC 3339 writes it, such as `2026-11-29T03:04:05.678Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    // The year 9999 ends here: RFC 3339 has four digits for it.
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX).min(253_402_300_799_999);
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (s, ms) = (in_day / 1000, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

/// The time that a text names: `2026-11-29`, `2026-11-29T03:04`, `2026-11-29T03:04:05Z`, or ms since 1970.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is no time: write 2026-11-29, 2026-11-29T03:04:05Z or ms since 1970");
    if text.len() > 10 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| bad());
    }
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' ']).unwrap_or((text, "0:0:0"));
    let whole = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok());
    let mut parts = date.split('-');
    let date = [whole(parts.next()), whole(parts.next()), whole(parts.next())];
    let [Some(year @ 1970..=9999), Some(month @ 1..=12), Some(day @ 1..=31)] = date else {
        return Err(bad());
    };
    if civil(days(year, month, day)) != (year, month, day) {
        return Err(format!("'{text}' is no time: month {month} of {year} has no day {day}"));
    }
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (whole(parts.next()), whole(parts.next()));
    let (Some(hour @ 0..=23), Some(minute @ 0..=59)) = (hour, minute) else { return Err(bad()) };
    let second: f64 = parts.next().unwrap_or("0").parse().map_err(|_| bad())?;
    if !(0.0..=60.0).contains(&second) {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 60,000")]
    let in_minute = (second * 1000.0).round() as i64;
    let ms = days(year, month, day) * DAY_MS + (hour * 60 + minute) * 60_000 + in_minute;
    u64::try_from(ms).map_err(|_| bad())
}

/// The time that HTTP writes, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7: IMF-fixdate).
pub(crate) fn parse_http(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<_> = text.split_once(", ")?.1.split(' ').collect();
    let [day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3 + 1;
    parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(parse("2026-11-29T03:04:05.678Z").map(rfc3339).unwrap(), "2026-11-29T03:04:05.678Z");
        assert_eq!(parse("2000-03-01"), Ok(951_868_800_000));
        assert_eq!(parse("2000-03-01T01:02"), Ok(951_868_800_000 + 3_720_000));
        assert_eq!(parse("1700000000000"), Ok(1_700_000_000_000));
        for bad in ["", "yesterday", "2026-13-01", "2026-01-01T24:00", "1969-01-01"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for none in ["2026-02-31", "2026-02-29T10:00", "2026-04-31", "2100-02-29"] {
            assert!(parse(none).unwrap_err().contains("has no day"), "{none}");
        }
        assert_eq!(parse("2024-02-29").map(rfc3339).unwrap(), "2024-02-29T00:00:00.000Z");
        assert_eq!(parse_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_http("Sun, 06 Nov 1994 08:49:37"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..253_402_300_799_999_u64) {
            prop_assert_eq!(parse(&rfc3339(ms)), Ok(ms));
        }
    }
}
