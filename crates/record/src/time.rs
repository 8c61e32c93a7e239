//! The date and time, as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, the last that the format has.
const LAST: u64 = 253_402_300_799;

/// The time now, in UTC, as RFC 3339 writes it: `2026-11-22T17:26:06Z`.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

/// The date now, in UTC: `2026-11-22`.
pub fn today() -> String {
    now().chars().take(10).collect()
}

/// A time that no file should hold, as of a clock that was never set, is the nearest that the format has.
fn rfc3339(time: SystemTime) -> String {
    let time = time.clamp(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Seconds since 1970 of a time as [`now`] writes it; `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(text).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
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
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
            assert_eq!(parse(text), Some(seconds));
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_written_all_the_same() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(LAST + 1)), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn other_text_is_no_time() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-+1-01T00:00:00Z", "äöüäöüäöüäöü"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
