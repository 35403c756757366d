//! Times and spans as a plan writes them: UTC dates of RFC 3339, and spans like `1h30min`.
//!
//! UTC without leap seconds, as Unix counts; the proleptic Gregorian calendar.

use super::{MAX_SPAN_MS, TIMES_UNIX_MS};

const MS_PER_DAY: u64 = 86_400_000;
/// Days from 1 March of year 0 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// The units of a span, ms, the longest first.
const UNITS: [(&str, u64); 5] =
    [("d", MS_PER_DAY), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// A time, ms since 1970-01-01 UTC: `2026-12-01T10:00:00Z`, seconds and their fraction (3 digits) may be left out.
pub(super) fn parse_utc(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let days = parse_date(date)?;
    let mut parts = time.splitn(3, ':');
    let hours = digits(parts.next()?, 2, 23)?;
    let minutes = digits(parts.next()?, 2, 59)?;
    let (seconds, fraction) = parts.next().map_or(("00", "000"), |s| s.split_once('.').unwrap_or((s, "000")));
    let seconds = digits(seconds, 2, 59)?;
    let ms = digits(fraction, 3, 999)?;
    let unix_ms = days * MS_PER_DAY + ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms;
    TIMES_UNIX_MS.contains(&unix_ms).then_some(unix_ms)
}

/// A time as [`parse_utc`] reads it.
pub fn show_utc(unix_ms: u64) -> String {
    let (year, month, day) = date_of(unix_ms / MS_PER_DAY);
    let (s, ms) = (unix_ms % MS_PER_DAY / 1_000, unix_ms % 1_000);
    let (hours, minutes, seconds) = (s / 3_600, s / 60 % 60, s % 60);
    let whole = format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}");
    if ms == 0 { format!("{whole}Z") } else { format!("{whole}.{ms:03}Z") }
}

/// A span, ms: whole numbers with units from `d` to `ms`, one behind the other.
pub(super) fn parse_span(text: &str) -> Option<u32> {
    let (mut rest, mut all, mut from) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(end)?;
        let unit_end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(unit_end)?;
        let place = UNITS.iter().position(|(name, _)| *name == unit).filter(|place| *place >= from)?;
        let ms = number.parse::<u32>().ok()?;
        all = all.checked_add(u64::from(ms).checked_mul(UNITS.get(place)?.1)?)?;
        (rest, from) = (next, place + 1);
    }
    u32::try_from(all).ok().filter(|ms| !text.is_empty() && *ms <= MAX_SPAN_MS)
}

/// A span as a plan writes it.
pub fn show_span(ms: u32) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (mut left, mut out) = (u64::from(ms), Vec::new());
    for (unit, unit_ms) in UNITS {
        if left >= unit_ms {
            out.push(format!("{}{unit}", left / unit_ms));
            left %= unit_ms;
        }
    }
    out.concat()
}

/// Days from 1970-01-01 to `YYYY-MM-DD`; `None` if there is no such day.
fn parse_date(date: &str) -> Option<u64> {
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4, 9999).filter(|year| *year >= 1970)?;
    let month = digits(parts.next()?, 2, 12).filter(|month| *month >= 1)?;
    let day = digits(parts.next()?, 2, 31).filter(|day| *day >= 1)?;
    // Counted from 1 March, so that leap days come last in their year.
    let (counted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        counted * 365 + counted / 4 - counted / 100 + counted / 400 + (153 * from_march + 2) / 5 + day - 1;
    let days = days.checked_sub(DAYS_TO_1970)?;
    (date_of(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a day since 1970-01-01, by the rule of 146,097 days in 400 years.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize, most: u64) -> Option<u64> {
    let sound = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| sound && *n <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        for (text, unix_ms) in [
            ("2000-01-01T00:00:00Z", 946_684_800_000),
            ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
            ("2026-12-01T10:00:00Z", 1_796_119_200_000),
        ] {
            assert_eq!((parse_utc(text), show_utc(unix_ms)), (Some(unix_ms), text.to_owned()));
        }
        assert_eq!(parse_utc("2026-12-01T10:00Z"), Some(1_796_119_200_000));
        for bad in [
            "2026-12-01T10:00:00",
            "2026-02-29T10:00Z",
            "2026-13-01T10:00Z",
            "1999-12-31T23:59:59Z",
            "2200-01-01T00:00Z",
            "2026-12-01T24:00Z",
            "2026-12-01 10:00Z",
            "2026-12-01T10:00:00.5Z",
            "2026-12-01T10Z",
            "2026-12-00T10:00Z",
            "",
        ] {
            assert_eq!(parse_utc(bad), None, "{bad}");
        }
    }

    #[test]
    fn known_spans() {
        for (text, ms) in
            [("0s", 0), ("10s", 10_000), ("1h30min", 5_400_000), ("30d", MAX_SPAN_MS), ("5ms", 5)]
        {
            assert_eq!((parse_span(text), show_span(ms)), (Some(ms), text.to_owned()));
        }
        assert_eq!(parse_span("90min"), Some(5_400_000));
        for bad in ["", "10", "s", "10 s", "1s1h", "1s1s", "31d", "1.5s", "-1s", "99999999999s"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn all_come_back(unix_ms in TIMES_UNIX_MS, ms in 0..=MAX_SPAN_MS, junk in "[0-9TZdhmins:.-]{0,24}") {
            prop_assert_eq!(parse_utc(&show_utc(unix_ms)), Some(unix_ms));
            prop_assert_eq!(parse_span(&show_span(ms)), Some(ms));
            let _any = (parse_utc(&junk), parse_span(&junk));
        }
    }
}
