//! The forms in which a reset is told.

use std::time::{Duration, SystemTime};

use towline_core::decimal_seconds;

use crate::duration;

/// From here on a number is a Unix time in seconds, from a thousand times that on in milliseconds.
const EPOCH: Duration = Duration::from_secs(1_000_000_000);
const EPOCH_MILLIS: Duration = Duration::from_secs(1_000_000_000_000);

/// How long until a reset; zero if it has passed.
pub(super) fn reset(value: &str, millis: bool, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let until = |at: SystemTime| at.duration_since(now).unwrap_or_default();
    if let Some(number) = decimal_seconds(value) {
        return if number >= EPOCH_MILLIS {
            SystemTime::UNIX_EPOCH.checked_add(number / 1000).map(until)
        } else if number >= EPOCH {
            SystemTime::UNIX_EPOCH.checked_add(number).map(until)
        } else if millis {
            Some(number / 1000)
        } else {
            Some(number)
        };
    }
    duration::go(value).or_else(|| rfc3339(value).or_else(|| httpdate::parse_http_date(value).ok()).map(until))
}

/// `2026-11-21T05:10:29.5Z` or with an offset; strictly so, years from 1970 on.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't'])?;
    let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, b':', [2, 2, 2])?;
    let fraction = decimal_seconds(&format!("0.{fraction}"))?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let [hours, minutes] = numbers(offset, b':', [2, 2])?;
            let offset = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            if sign == "-" { -offset } else { offset }
        }
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970, with years that begin in March, so that a leap day is the last of its year.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 719_469;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))?.checked_add(fraction)
}

/// Numbers of exactly these widths.
fn numbers<const N: usize>(text: &str, separator: u8, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(char::from(separator));
    let mut found = [0; N];
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_agrees_with_the_http_date() {
        for (text, date) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2000-02-29T23:59:59Z", "Tue, 29 Feb 2000 23:59:59 GMT"),
            ("2026-11-21T05:10:29Z", "Sat, 21 Nov 2026 05:10:29 GMT"),
            ("2026-11-21T06:10:29+01:00", "Sat, 21 Nov 2026 05:10:29 GMT"),
            ("2026-03-01T00:00:00-00:30", "Sun, 01 Mar 2026 00:30:00 GMT"),
            ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(rfc3339(text), httpdate::parse_http_date(date).ok(), "{text}");
        }
        let whole = rfc3339("2026-11-21T05:10:29Z").unwrap();
        assert_eq!(rfc3339("2026-11-21t05:10:29.250z"), Some(whole + Duration::from_millis(250)));
    }

    #[test]
    fn garbage_is_no_time() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T05:10:29",
            "2026-11-21 05:10:29Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-1-1T0:0:0Z",
            "2026-01-01T00:00:00ZZ",
            "2026-01-01T00:00:00+1:00",
            "9999999-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "0000-01-01T00:00:00Z",
            "T",
            "TZ",
            "2026-01-01T00:00:00+\u{e9}0",
        ] {
            assert_eq!(rfc3339(text), None, "{text:?}");
        }
    }
}
