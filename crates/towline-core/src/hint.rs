//! Reading `Retry-After` in its forms. The forms that only one provider knows are `towline-wire`'s.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use crate::failure::Hint;

impl Hint {
    /// Reads what response headers tell about time.
    ///
    /// In this order: `retry-after-ms` and `x-ms-retry-after-ms` where positive; `retry-after` as seconds, fractions and a trailing `s` allowed,
    /// or as an HTTP-date; `llm_provider-retry-after`, as which a proxy renames it. Of several headers of one name the longest wait counts,
    /// since too early is the costlier mistake. A date is read against the response's own `Date` header where there is one
    /// and against `now` elsewhere, so that a skewed clock does no harm; a date in the past is a wait of zero.
    /// Negative and empty values, `NaN`, `inf`, exponents and words tell nothing. Waits are not capped here.
    ///
    /// `x-should-retry` is `true` or `false`; anything else tells nothing.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Self {
        let millis = ["retry-after-ms", "x-ms-retry-after-ms"]
            .into_iter()
            .find_map(|name| longest(headers, name, |v| millis(v).filter(|d| !d.is_zero())));
        let now = headers.get(http::header::DATE).and_then(date).unwrap_or(now);
        let seconds =
            |name| longest(headers, name, |v| seconds(v).or_else(|| Some(date(v)?.duration_since(now).unwrap_or_default())));
        Self {
            retry_after: millis.or_else(|| seconds("retry-after")).or_else(|| seconds("llm_provider-retry-after")),
            should_retry: headers.get("x-should-retry").and_then(|v| match v.as_bytes() {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => None,
            }),
        }
    }
}

/// A non-negative decimal number of seconds: digits with at most one fraction, as in `20` or `1.5`; nothing else.
///
/// Returns `None` for signs, exponents, words, an empty string and numbers that no `Duration` holds.
#[must_use]
pub fn decimal_seconds(text: &str) -> Option<Duration> {
    let text = text.trim_matches([' ', '\t']);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    // Nanoseconds are enough: of more than nine digits the rest is dropped after rounding up, so as never to be early.
    let nanos: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    let more = fraction.bytes().skip(9).any(|b| b != b'0');
    Duration::new(whole.parse().ok()?, nanos).checked_add(Duration::from_nanos(u64::from(more)))
}

fn longest(headers: &HeaderMap, name: &str, read: impl Fn(&HeaderValue) -> Option<Duration>) -> Option<Duration> {
    headers.get_all(name).iter().filter_map(read).max()
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    decimal_seconds(text.strip_suffix('s').unwrap_or(text))
}

fn millis(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    let whole = text.split('.').next()?;
    // One reading serves both: seconds with the same digits, a thousandth of it, and rounded up to the nanosecond.
    let thousand = decimal_seconds(text)?;
    (whole.len() < 16).then(|| Duration::from_nanos(u64::try_from(thousand.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)))
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim_matches([' ', '\t'])).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn now() -> SystemTime {
        httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap()
    }

    fn hint(pairs: &[(&str, &str)]) -> Hint {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Hint::from_headers(&headers, now())
    }

    fn after(value: &str) -> Option<Duration> {
        hint(&[("retry-after", value)]).retry_after
    }

    #[test]
    fn seconds_with_and_without_a_fraction_are_read() {
        assert_eq!(after("0"), Some(Duration::ZERO));
        assert_eq!(after("20"), Some(Duration::from_secs(20)));
        assert_eq!(after("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("30s"), Some(Duration::from_secs(30)), "as some proxies write it");
        assert_eq!(after("45.837906927"), Some(Duration::new(45, 837_906_927)));
        assert_eq!(after("0.0000000001"), Some(Duration::from_nanos(1)), "rounded up, never early");
    }

    #[test]
    fn garbage_tells_nothing() {
        for value in [
            "",
            "s",
            "30m",
            "-3",
            "+3",
            "NaN",
            "inf",
            "1e9",
            "1.",
            ".5",
            "1.2.3",
            "soon",
            "99999999999999999999999",
            "3 4",
            "0x10",
        ] {
            assert_eq!(after(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_date_counts_from_the_date_header_and_never_into_the_past() {
        assert_eq!(after("Sat, 21 Nov 2026 12:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sat, 21 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        let skewed = [("retry-after", "Sat, 21 Nov 2026 13:00:30 GMT"), ("date", "Sat, 21 Nov 2026 13:00:00 GMT")];
        assert_eq!(hint(&skewed).retry_after, Some(Duration::from_secs(30)));
        assert_eq!(after("Saturday, 21-Nov-26 12:00:30 GMT"), Some(Duration::from_secs(30)), "RFC 850");
        assert_eq!(after("Sat Nov 21 12:00:30 2026"), Some(Duration::from_secs(30)), "asctime");
    }

    #[test]
    fn milliseconds_come_first_where_they_are_positive() {
        assert_eq!(hint(&[("retry-after-ms", "1500"), ("retry-after", "9")]).retry_after, Some(Duration::from_millis(1500)));
        assert_eq!(hint(&[("retry-after-ms", "0"), ("retry-after", "1")]).retry_after, Some(Duration::from_secs(1)));
        assert_eq!(hint(&[("x-ms-retry-after-ms", "0.5")]).retry_after, Some(Duration::from_micros(500)));
        assert_eq!(hint(&[("retry-after-ms", "-5")]).retry_after, None);
    }

    #[test]
    fn of_two_headers_the_longer_wait_counts() {
        assert_eq!(
            hint(&[("retry-after", "2"), ("retry-after", "5"), ("retry-after", "junk")]).retry_after,
            Some(Duration::from_secs(5))
        );
    }

    #[test]
    fn should_retry_is_true_or_false_and_nothing_else() {
        assert_eq!(hint(&[("x-should-retry", "true")]).should_retry, Some(true));
        assert_eq!(hint(&[("x-should-retry", "false")]).should_retry, Some(false));
        assert_eq!(hint(&[("x-should-retry", "maybe")]).should_retry, None);
    }
}
