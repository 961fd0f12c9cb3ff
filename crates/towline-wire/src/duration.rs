//! Durations as providers write them: `6m0s`, `1h2m3.5s`, `120ms`, and in prose.

use std::time::Duration;

use towline_core::decimal_seconds;

/// Words after which a wait is told.
const LEAD: [&str; 16] = [
    "try again in ",
    "try again after ",
    "retry in ",
    "retry after ",
    "retry-after: ",
    "please wait ",
    "reset after ",
    "resets in ",
    "reset in ",
    "available again in ",
    "retrying in ",
    "wait for ",
    "retry your request after ",
    "replenished in ",
    "expected available in ",
    "will reset after ",
];

/// A duration of the form `1h2m3.5s`: numbers with units from long to short; units are `d`, `h`, `m`, `s`, `ms`, `us`, `ns`.
///
/// A number without a unit, a sign, blanks and anything else is `None`.
pub(crate) fn go(text: &str) -> Option<Duration> {
    let (wait, rest) = leading(text)?;
    rest.is_empty().then_some(wait)
}

/// The wait that a text in lower case tells, if it tells one: the first, in a sentence that sets no condition.
pub(crate) fn prose(text: &str) -> Option<Duration> {
    let mut found: Option<(usize, Duration)> = None;
    for lead in LEAD {
        for (at, _) in text.match_indices(lead).take(4) {
            let wait = text.get(at + lead.len()..).and_then(spoken);
            if let Some(wait) = wait.filter(|_| !conditional(text, at))
                && found.is_none_or(|(first, _)| at < first)
            {
                found = Some((at, wait));
            }
        }
    }
    found.map(|(_, wait)| wait).or_else(|| later(text)).or_else(|| quoted(text))
}

/// `'estimated_time': 20.0`, as a proxy quotes it in no valid JSON.
fn quoted(text: &str) -> Option<Duration> {
    ["estimated_time", "resets_in_seconds", "retry_after"].iter().find_map(|key| {
        let after = text.get(text.find(key)? + key.len()..)?.trim_start_matches(['\'', '"', ':', '=', ' ', '\\']);
        decimal_seconds(number(after)?.0)
    })
}

/// `7m12s`, `1 seconds`, `20 min`, `2 hours and 5 minutes`; a bare number is none.
fn spoken(text: &str) -> Option<Duration> {
    let text = text.trim_start_matches("about ").trim_start_matches("at least ").trim_start_matches('~');
    if let Some(wait) = clock(text) {
        return Some(wait);
    }
    if let Some((wait, rest)) = leading(text)
        && rest.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric())
    {
        return Some(wait);
    }
    let (mut total, mut rest) = measured(text)?;
    while let Some((part, after)) = measured(rest.trim_start_matches([' ', ',']).trim_start_matches("and ")) {
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(total)
}

/// A number with a unit in words, and what follows it.
fn measured(text: &str) -> Option<(Duration, &str)> {
    let (digits, rest) = number(text)?;
    let rest = rest.trim_start();
    let (unit, rest) = rest.split_at_checked(rest.bytes().take_while(u8::is_ascii_alphabetic).count())?;
    let scale = match unit {
        "ms" | "millisecond" | "milliseconds" => return Some((decimal_seconds(digits)? / 1000, rest)),
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        _ => return None,
    };
    Some((decimal_seconds(digits)?.checked_mul(scale)?, rest))
}

/// "30 \u{79d2}\u{540e}": so many seconds or minutes later, in Chinese or Japanese.
fn later(text: &str) -> Option<Duration> {
    const LATER: [(&str, u32); 6] = [
        ("\u{79d2}\u{540e}", 1),
        ("\u{79d2}\u{5f8c}", 1),
        ("\u{79d2}\u{949f}\u{540e}", 1),
        ("\u{5206}\u{949f}\u{540e}", 60),
        ("\u{5206}\u{5f8c}", 60),
        ("\u{5c0f}\u{65f6}\u{540e}", 3600),
    ];
    LATER.iter().find_map(|(word, scale)| {
        let before = text.get(..text.find(word)?)?.trim_end();
        let digits = before.bytes().rev().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        decimal_seconds(before.get(before.len() - digits..)?)?.checked_mul(*scale)
    })
}

/// `01:23:45` or, with days, `5.03:23:11`, as API Management writes it.
fn clock(text: &str) -> Option<Duration> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (days, text) = match text.split_at_checked(digits(text))? {
        (days, rest) if rest.starts_with('.') => (days.parse::<u32>().ok()?, rest.get(1..)?),
        _ => (0, text),
    };
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b':').unwrap_or(text.len());
    let mut parts = text.get(..end)?.split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && minutes < 60 && seconds < 60).then(|| {
        Duration::from_secs(u64::from(days) * 86_400 + u64::from(hours) * 3600 + u64::from(minutes) * 60 + u64::from(seconds))
    })
}

/// Whether the sentence around `at` begins with an "if".
fn conditional(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let start = ["\n", ". ", "! ", "? ", "; "].iter().filter_map(|end| before.rfind(end).map(|i| i + end.len())).max();
    before.get(start.unwrap_or(0)..).is_some_and(|sentence| sentence.trim_start().starts_with("if "))
}

/// A leading number with at most one fraction, and what follows it.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let rest = text.get(whole..)?;
    let fraction = rest.strip_prefix('.').map_or(0, digits);
    let end = if fraction > 0 { whole + 1 + fraction } else { whole };
    (whole > 0).then(|| text.split_at_checked(end))?
}

/// The longest duration at the start of the text.
fn leading(text: &str) -> Option<(Duration, &str)> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut last = u64::MAX;
    while let Some((digits, after)) = number(rest) {
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters)?;
        let (nanos, part) = match unit {
            "d" => (86_400_000_000_000, decimal_seconds(digits)?.checked_mul(86_400)?),
            "h" => (3_600_000_000_000, decimal_seconds(digits)?.checked_mul(3600)?),
            "m" => (60_000_000_000, decimal_seconds(digits)?.checked_mul(60)?),
            "s" => (1_000_000_000, decimal_seconds(digits)?),
            "ms" => (1_000_000, decimal_seconds(digits)? / 1000),
            "us" => (1000, decimal_seconds(digits)? / 1_000_000),
            "ns" => (1, decimal_seconds(digits)? / 1_000_000_000),
            _ => return None,
        };
        if nanos >= last {
            return None;
        }
        last = nanos;
        total = total.checked_add(part)?;
        rest = after;
    }
    (last != u64::MAX).then_some((total, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        let secs = |text| go(text).map(|d| d.as_secs_f64());
        assert_eq!(secs("6m0s"), Some(360.0));
        assert_eq!(secs("1h2m3.5s"), Some(3723.5));
        assert_eq!(secs("120ms"), Some(0.12));
        assert_eq!(secs("45.837906927s"), Some(45.837_906_927));
        assert_eq!(secs("1d"), Some(86_400.0));
        for garbage in ["", "s", "5", "-5s", "5x", "5s5s", "5s6m", "1.s", "99999999999999999999h", "5 s", "1m2", "infs"] {
            assert_eq!(go(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_wait_is_found_in_prose() {
        let secs = |text| prose(text).map(|d| d.as_secs_f64());
        assert_eq!(secs("limit 3. please try again in 7m12s. visit x"), Some(432.0));
        assert_eq!(secs("please retry after 20 seconds."), Some(20.0));
        assert_eq!(secs("please try again after 1 seconds"), Some(1.0));
        assert_eq!(secs("please wait 4 seconds before retrying"), Some(4.0));
        assert_eq!(secs("try again in 20ms."), Some(0.02));
        assert_eq!(secs("error code: 503 - {'estimated_time': 20.0}"), Some(20.0));
        assert_eq!(secs("try again in 2 minutes"), Some(120.0));
        assert_eq!(secs("quota will be replenished in 01:02:03."), Some(3723.0));
        assert_eq!(secs("quota will be replenished in 2.01:02:03."), Some(176_523.0));
        assert_eq!(secs("your limit resets in ~9s."), Some(9.0));
        assert_eq!(secs("please wait 541 hours 28 minutes before"), Some(1_949_280.0));
        assert_eq!(secs("try again in 1 minute and 30 seconds."), Some(90.0));
        assert_eq!(secs("resets in 6hr 29min."), Some(23_340.0));
        assert_eq!(secs("retry in 5 minutes, 3 times"), Some(300.0));
        assert_eq!(secs("\u{8bf7} 30 \u{79d2}\u{540e}\u{91cd}\u{8bd5}"), Some(30.0));
        assert_eq!(secs("\u{8bf7}\u{5728}2\u{5206}\u{949f}\u{540e}\u{518d}\u{8bd5}"), Some(120.0));
        assert_eq!(secs("throttled. expected available in 1 second."), Some(1.0));
    }

    #[test]
    fn a_condition_a_date_and_a_vague_word_are_no_wait() {
        for text in [
            "if you fixed this, try again in 5 minutes",
            "done. if so, retry after 5 seconds",
            "try again in a moment",
            "wait for it",
            "retry after 2026-01-01",
            "reset at 5 seconds",
        ] {
            assert_eq!(prose(text), None, "{text:?}");
        }
    }
}
