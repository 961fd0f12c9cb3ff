use http::HeaderName;

use super::*;

fn limits(pairs: &[(&str, &str)]) -> Limits {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    read(&headers, httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap())
}

fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

#[test]
fn each_providers_names_are_read() {
    let openai = limits(&[
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "99"),
        ("x-ratelimit-reset-requests", "1m3s"),
    ]);
    assert_eq!(openai.requests, Bucket { limit: Some(100), remaining: Some(99), reset: secs(63) });
    let anthropic = limits(&[
        ("anthropic-ratelimit-input-tokens-remaining", "5"),
        ("anthropic-ratelimit-output-tokens-limit", "8000"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-21T12:00:30Z"),
        ("anthropic-ratelimit-unified-remaining", "7"),
        ("anthropic-priority-input-tokens-limit", "7"),
    ]);
    assert_eq!(
        (anthropic.input_tokens.remaining, anthropic.output_tokens.limit, anthropic.tokens.reset),
        (Some(5), Some(8000), secs(30))
    );
    assert_eq!(anthropic.requests, Bucket::default());
    let fireworks = limits(&[("x-ratelimit-limit-tokens-prompt", "60000"), ("x-ratelimit-limit-tokens-generated", "6000")]);
    assert_eq!((fireworks.input_tokens.limit, fireworks.output_tokens.limit), (Some(60_000), Some(6000)));
    let others =
        limits(&[("x-tokenlimit-limit", "9"), ("x-trial-endpoint-call-remaining", "3"), ("x-rate-limit-reset-tokens", "4")]);
    assert_eq!((others.tokens.limit, others.requests.remaining, others.tokens.reset), (Some(9), Some(3), secs(4)));
}

#[test]
fn what_is_not_about_requests_or_tokens_tells_nothing() {
    for name in [
        "x-ratelimit-limit-project-tokens",
        "x-ratelimit-limit-tokens_usage_based",
        "x-ratelimit-limit-input-images",
        "x-ratelimit-limit-input-characters-minute",
        "llm_provider-x-ratelimit-limit-requests",
        "x-ratelimit-used",
        "x-ratelimit",
    ] {
        assert_eq!(limits(&[(name, "5")]), Limits::default(), "{name}");
    }
}

#[test]
fn every_name_that_is_read_is_one_that_may_tell() {
    let names = ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "llm_provider-retry-after", "x-ratelimit-timeremaining"];
    for name in names {
        assert!(limits(&[(name, "5")]).retry_after.is_some(), "{name}");
    }
    let plain = [("content-type", "application/json"), ("x-request-id", "req-limit"), ("server", "limited")];
    assert!(!may_tell(&plain.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()));
}

#[test]
fn the_shortest_window_counts() {
    let told = limits(&[
        ("x-ratelimit-limit-requests-day", "1000"),
        ("x-ratelimit-remaining-requests-day", "999"),
        ("x-ratelimit-reset-requests-day", "3600.5"),
        ("x-ratelimit-limit-requests-minute", "30"),
        ("x-ratelimit-limit-req-10-second", "6"),
    ]);
    assert_eq!(told.requests, Bucket { limit: Some(6), ..Bucket::default() });
}

#[test]
fn a_reset_is_told_in_many_forms() {
    let reset = |value| limits(&[("x-ratelimit-reset", value)]).requests.reset;
    assert_eq!(reset("12"), secs(12));
    assert_eq!(reset("0.5"), Some(Duration::from_millis(500)));
    assert_eq!(reset("6m0s"), secs(360));
    assert_eq!(reset("1795262460"), secs(60), "Unix seconds");
    assert_eq!(reset("1795262460000"), secs(60), "Unix milliseconds");
    assert_eq!(reset("1700000000"), secs(0), "the past");
    assert_eq!(reset("2026-11-21T13:01:00+01:00"), secs(60));
    assert_eq!(reset("Sat, 21 Nov 2026 12:00:05 GMT"), secs(5));
    for garbage in ["", "-5", "NaN", "inf", "1e3", "soon", "5, 6", "99999999999999999999999999"] {
        assert_eq!(reset(garbage), None, "{garbage:?}");
    }
}

#[test]
fn azures_milliseconds_are_seen_by_their_period() {
    let told = limits(&[
        ("x-ratelimit-renewalperiod-requests", "60"),
        ("x-ratelimit-reset-requests", "500"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
        ("x-ratelimit-reset-tokens", "7"),
    ]);
    assert_eq!((told.requests.reset, told.tokens.reset), (Some(Duration::from_millis(500)), Some(Duration::from_millis(7))));
}

#[test]
fn the_ietf_fields_are_read() {
    let told = limits(&[
        ("ratelimit", "\"a\";r=8;t=1, \"b\";r=4998;t=69"),
        ("ratelimit-policy", "\"b\";q=10;w=10, \"a\";q=5000;w=86400"),
    ]);
    assert_eq!(told.requests, Bucket { limit: Some(10), remaining: Some(4998), reset: secs(69) });
    let hf = limits(&[("ratelimit", "\"api\";r=999;t=123"), ("ratelimit-policy", "\"fixed, window\";\"api\";q=1000;w=300")]);
    assert_eq!(hf.requests, Bucket { limit: Some(1000), remaining: Some(999), reset: secs(123) });
    let old = limits(&[("ratelimit", "limit=100, remaining=50, reset=5")]);
    assert_eq!(old.requests, Bucket { limit: Some(100), remaining: Some(50), reset: secs(5) });
    let list = limits(&[("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-remaining", "9")]);
    assert_eq!(list.requests, Bucket { limit: Some(10), remaining: Some(9), reset: None });
}

#[test]
fn counts_are_digits() {
    for garbage in ["", "-1", "+1", "1.5", "1e3", "NaN", "many", "1, 2", "99999999999999999999999999"] {
        assert_eq!(limits(&[("x-ratelimit-limit-requests", garbage)]), Limits::default(), "{garbage:?}");
    }
}

#[test]
fn the_wait_is_read_in_every_form() {
    let wait = |name, value| limits(&[(name, value)]).retry_after;
    assert_eq!(wait("retry-after", "20"), secs(20));
    assert_eq!(wait("retry-after", "30s"), secs(30));
    assert_eq!(wait("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
    assert_eq!(wait("llm_provider-retry-after", "9"), secs(9));
    assert_eq!(wait("x-ratelimit-timeremaining", "4"), secs(4));
    assert_eq!(wait("retry-after", "7, 60"), None);
}
