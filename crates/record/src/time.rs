//! The date and time, as text.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// The time now, in UTC, as RFC 3339 writes it: `2026-11-22T17:26:06Z`.
pub fn now() -> String {
    rfc3339(unix_seconds())
}

/// The date now, in UTC: `2026-11-22`.
pub fn today() -> String {
    now().chars().take(10).collect()
}

/// Seconds since 1970; a clock set before that counts as 0.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of a time as [`now`] writes it; `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u64>().ok())?
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let sane = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    let days = sane.then(|| (1970..year).map(year_days).sum::<u64>())?;
    let days = days + (1..month).map(|m| month_days(year, m)).sum::<u64>() + day - 1;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // date -u -d @N +%FT%TZ
    #[test]
    fn known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(parse(text), Some(seconds));
        }
    }

    #[test]
    fn other_text_is_no_time() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-+1-01T00:00:00Z", "äöüäöüäöüäöü"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
