//! Dates as texts and as numbers: RFC 3339, the two calendar forms of CCSDS 301.0-B-4 section 3.5, and the year
//! and day of element sets. Proleptic Gregorian calendar, UTC without leap seconds, as Unix counts.

/// The years that anything here may speak of.
const YEARS: core::ops::RangeInclusive<u32> = 1970..=2199;
const US_PER_DAY: u64 = 86_400_000_000;

/// Whether a date has to say its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// It has to, as in RFC 3339: `Z`, or hours and minutes east of UTC.
    Said,
    /// It is UTC, and may say `Z`.
    Utc,
}

/// A date and time, µs since 1970-01-01 UTC: `2026-12-01T10:00:00.5Z`, or with the day of the year
/// `2026-335T10:00:00.5`; digits beyond the microsecond are cut off. `None` if it is none, or out of range.
pub(super) fn unix_us(text: &str, zone: Zone) -> Option<u64> {
    let (date, rest) = text.trim().split_once(['T', 't', ' '])?;
    let (time, east_min) = split_zone(rest, zone)?;
    let day_us = time_of_day_us(time)?;
    let local = days_of(date)?.checked_mul(US_PER_DAY)?.checked_add(day_us)?;
    local.checked_add_signed(east_min.checked_mul(-60_000_000)?)
}

/// A year and the day in it, from 1.0 at the start of 1 January, µs since 1970-01-01 UTC.
pub(super) fn year_and_day_us(year: u32, day: f64) -> Option<u64> {
    if !(1.0..367.0).contains(&day) {
        return None;
    }
    let us = (day - 1.0) * US_PER_DAY as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 366 days of µs")]
    days_before(year, 1, 1)?.checked_mul(US_PER_DAY)?.checked_add(libm::round(us) as u64)
}

/// Splits the zone off: the time, and minutes east of UTC.
fn split_zone(text: &str, zone: Zone) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    match (text.rfind(['+', '-']), zone) {
        (None, Zone::Utc) => Some((text, 0)),
        (Some(at), Zone::Said) => {
            let (time, offset) = text.split_at_checked(at)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let east = i64::from(digits(hours, 2, 0..=23)? * 60 + digits(minutes, 2, 0..=59)?);
            Some((time, if offset.starts_with('-') { -east } else { east }))
        }
        _ => None,
    }
}

/// `hh:mm:ss` with any digits of a second behind it; a leap second counts as the first of the next minute.
fn time_of_day_us(time: &str) -> Option<u64> {
    let mut parts = time.splitn(3, ':');
    let hours = digits(parts.next()?, 2, 0..=23)?;
    let minutes = digits(parts.next()?, 2, 0..=59)?;
    let (whole, fraction) = parts.next().map(|s| s.split_once('.').unwrap_or((s, "0")))?;
    let seconds = digits(whole, 2, 0..=60)?;
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros = fraction.bytes().chain(core::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0_u64, |all, digit| all * 10 + u64::from(digit.saturating_sub(b'0')));
    Some((u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds)) * 1_000_000 + micros)
}

/// Days from 1970-01-01 to `YYYY-MM-DD` or `YYYY-DDD`.
fn days_of(date: &str) -> Option<u64> {
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4, YEARS)?;
    let second = parts.next()?;
    if let Some(day) = parts.next() {
        let month = digits(second, 2, 1..=12)?;
        return days_before(year, month, digits(day, 2, 1..=length(year, month))?);
    }
    let last = if is_leap(year) { 366 } else { 365 };
    days_before(year, 1, 1)?.checked_add(u64::from(digits(second, 3, 1..=last)?) - 1)
}

/// Days from 1970-01-01 to a date, by the rule of 146,097 days in 400 years, counted from 1 March of year 0 so that
/// leap days come last in their year.
fn days_before(year: u32, month: u32, day: u32) -> Option<u64> {
    if !YEARS.contains(&year) {
        return None;
    }
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day;
    u64::from(days).checked_sub(719_469)
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn length(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize, range: core::ops::RangeInclusive<u32>) -> Option<u32> {
    let sound = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| sound && range.contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::date;
    use proptest::prelude::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, zone, us) in [
            ("1970-01-01T00:00:00Z", Zone::Said, Some(0)),
            ("2000-02-29t00:00:00z", Zone::Said, Some(951_782_400_000_000)),
            ("2100-03-01 00:00:00.25+00:00", Zone::Said, Some(4_107_542_400_250_000)),
            ("2026-12-01T10:00:00-01:30", Zone::Said, Some(1_796_124_600_000_000)),
            ("2020-07-12T21:16:01.000416", Zone::Utc, Some(1_594_588_561_000_416)),
            ("2020-194T21:16:01.0004169", Zone::Utc, Some(1_594_588_561_000_416)),
            ("2016-12-31T23:59:60Z", Zone::Said, Some(1_483_228_800_000_000)),
            ("2026-12-01T10:00:00", Zone::Said, None),
            ("2026-12-01T10:00:00+01:00", Zone::Utc, None),
            ("2100-02-29T00:00:00Z", Zone::Said, None),
            ("2026-366T00:00:00Z", Zone::Said, None),
            ("2026-13-01T00:00:00Z", Zone::Said, None),
            ("1970-01-01T00:00:00+00:01", Zone::Said, None),
            ("2026-12-01T24:00:00Z", Zone::Said, None),
            ("2026-12-01T10:00:00.Z", Zone::Said, None),
            ("2026-12-01T10:00Z", Zone::Said, None),
            ("+026-12-01T10:00:00Z", Zone::Said, None),
            ("2026-12-01", Zone::Utc, None),
        ] {
            assert_eq!(unix_us(text, zone), us, "{text}");
        }
        assert_eq!(year_and_day_us(2020, 194.886_122_69), Some(1_594_588_561_000_416));
        assert_eq!([year_and_day_us(2020, 0.9), year_and_day_us(2020, f64::NAN)], [None, None]);
        assert_eq!([year_and_day_us(1957, 1.0), year_and_day_us(2200, 1.0)], [None, None]);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(unix_s in 0_u64..7_258_118_400) {
            prop_assert_eq!(unix_us(&date(unix_s * 1000), Zone::Said), Some(unix_s * 1_000_000));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", dates in "[0-9TtZ:.+ -]{0,30}") {
            for zone in [Zone::Said, Zone::Utc] {
                let _any = (unix_us(&text, zone), unix_us(&dates, zone));
            }
        }
    }
}
