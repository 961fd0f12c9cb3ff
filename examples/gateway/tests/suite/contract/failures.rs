//! What a caller is told when nobody could answer.

use towline_testkit::{Dialect, MockProvider, ProviderError, Reply};

use crate::support::{Answer, Gateway, base_url, pair, provider, started};

const DIALECTS: [Dialect; 3] = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::OpenAiResponses];
const QUICK: &str = "backoff = { base = \"1ms\", max = \"2ms\" }";
/// Words of a provider, which must not be handed on where the gateway itself speaks.
const THEIRS: &str = "text-of-the-provider";

fn failed(dialect: Dialect, answer: &Answer) -> String {
    assert!(answer.status >= 429, "{}: {}", answer.status, answer.text());
    let told = answer.error(dialect).unwrap_or_else(|| panic!("{dialect:?}: {}", answer.text()));
    for secret in ["key-of-", THEIRS, "127.0.0.1"] {
        assert!(!answer.text().contains(secret) && !format!("{:?}", answer.headers).contains(secret), "{}", answer.text());
    }
    told
}

#[tokio::test]
async fn when_all_have_failed_each_one_tried_is_named_with_kinds_and_statuses() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let [a, b] = started().await;
            let unwell =
                |status| Reply::status(status).json(format!(r#"{{"error":{{"message":"{THEIRS}","type":"server_error"}}}}"#));
            a.otherwise(unwell(503));
            b.otherwise(unwell(500));
            let gateway = Gateway::start(&pair(dialect, [&a, &b], QUICK, "retries = 1")).await;
            let answer = gateway.ask(dialect, stream).await;
            let told = failed(dialect, &answer);
            for word in ["primary/model-a", "second/model-b", "overloaded", "503", "server_error", "500"] {
                assert!(told.contains(word), "{word} is missing: {told}");
            }
            assert_eq!((a.hits(), b.hits()), (2, 2));
            assert_eq!(answer.header("x-towline-attempts"), Some("4"));
            assert!(!gateway.complaints().contains("key-of-") && !gateway.complaints().contains(THEIRS));
        }
    }
}

#[tokio::test]
async fn what_never_answered_is_named_as_what_it_was() {
    let refused = MockProvider::refused().unwrap();
    let cut = MockProvider::start().await.unwrap();
    cut.otherwise(Reply::reset());
    let config = provider("primary", Dialect::Anthropic, &refused.url(""), "")
        + &provider("second", Dialect::Anthropic, &base_url(Dialect::Anthropic, &cut), "")
        + "[[models]]\nname = \"chat\"\n"
        + QUICK
        + "\ntargets = [{ provider = \"primary\", model = \"a\", retries = 0 }, { provider = \"second\", model = \"b\", retries = 0 }]\n";
    let gateway = Gateway::start(&config).await;
    let answer = gateway.ask(Dialect::Anthropic, false).await;
    let told = failed(Dialect::Anthropic, &answer);
    for word in ["primary/a", "connect", "second/b", "transport"] {
        assert!(told.contains(word), "{word} is missing: {told}");
    }
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn a_limit_that_all_have_reached_is_told_with_when_to_come_back() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.otherwise(Reply::error_of(dialect, ProviderError::RateLimited(Some(std::time::Duration::from_secs(40)))));
        b.otherwise(Reply::error_of(dialect, ProviderError::RateLimited(Some(std::time::Duration::from_secs(20)))));
        // Neither wait fits into the time of the call.
        let model = format!("{QUICK}\nmax_elapsed = \"10s\"");
        let gateway = Gateway::start(&pair(dialect, [&a, &b], &model, "")).await;
        let answer = gateway.ask(dialect, false).await;
        let told = failed(dialect, &answer);
        let after: u64 = answer.header("retry-after").unwrap_or_default().parse().unwrap_or_default();
        assert!(answer.status == 429 && (1..=40).contains(&after), "{} {after} {told}", answer.status);
        assert_eq!((a.hits(), b.hits()), (1, 1), "nobody is asked again before the time");
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_by_its_own_limit() {
    let [a, b] = started().await;
    a.otherwise(Reply::silence());
    b.otherwise(Reply::silence());
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "max_elapsed = \"300ms\"", "")).await;
    for stream in [false, true] {
        let answer = gateway.ask(Dialect::OpenAiChat, stream).await;
        let told = failed(Dialect::OpenAiChat, &answer);
        assert!(answer.status == 504 && told.contains("primary/model-a"), "{} {told}", answer.status);
    }
    assert_eq!((a.hits(), b.hits()), (2, 2), "the first one may take half of the time");
}

#[tokio::test]
async fn what_is_the_callers_own_mistake_passes_as_the_provider_says_it() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        a.otherwise(Reply::error_of(dialect, ProviderError::InvalidRequest));
        let gateway = Gateway::start(&pair(dialect, [&a, &b], QUICK, "")).await;
        let answer = gateway.ask(dialect, false).await;
        assert!(answer.status == 400 && answer.text().contains("equired"), "{}", answer.text());
        assert_eq!((a.hits(), b.hits()), (1, 0), "it would be one anywhere");
    }
}
