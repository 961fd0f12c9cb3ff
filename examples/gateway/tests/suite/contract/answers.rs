//! The headers of a reply.

use std::collections::BTreeSet;

use towline_testkit::{Answer, Dialect, ProviderError, Reply};

use crate::support::{Gateway, base_url, pair, path, provider, question, started};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::Anthropic];

#[tokio::test]
async fn a_reply_names_the_target_that_answered_and_the_attempts() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let [a, b] = started().await;
            a.speak(dialect, Answer::counting(3));
            let gateway = Gateway::start(&pair(dialect, [&a, &b], "", "")).await;
            let answer = gateway.ask(dialect, stream).await;
            assert_eq!(answer.header("x-towline-target"), Some("primary/model-a"));
            assert_eq!(answer.header("x-towline-attempts"), Some("1"));
            assert_eq!((answer.header("x-towline-fallback"), answer.header("x-towline-degraded")), (None, None));
        }
    }
}

#[tokio::test]
async fn a_reply_of_another_target_says_so() {
    for dialect in DIALECTS {
        for stream in [false, true] {
            let [a, b] = started().await;
            a.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
            b.speak(dialect, Answer::counting(3).model("model-b"));
            let gateway = Gateway::start(&pair(dialect, [&a, &b], "", "retries = 0")).await;
            let answer = gateway.ask(dialect, stream).await;
            assert_eq!((answer.status, answer.header("x-towline-target")), (200, Some("second/model-b")));
            assert_eq!((answer.header("x-towline-attempts"), answer.header("x-towline-fallback")), (Some("2"), Some("true")));
            assert!(answer.text().contains("model-b"), "the reply names the model that answered");
        }
    }
}

#[tokio::test]
async fn an_attempt_that_was_kept_back_here_is_not_counted_and_the_trail_shows_it() {
    for dialect in DIALECTS {
        let [a, b] = started().await;
        let breaker = "circuit_breaker = { failure_threshold = 1, open_for = \"60s\" }";
        let config = provider("primary", dialect, &base_url(dialect, &a), breaker)
            + &provider("second", dialect, &base_url(dialect, &b), breaker)
            + "[[models]]\nname = \"chat\"\n"
            + "targets = [{ provider = \"primary\", model = \"m\" }, { provider = \"second\", model = \"m\" }]\n";
        a.otherwise(Reply::error_of(dialect, ProviderError::ServerError));
        b.speak(dialect, Answer::counting(3));
        let gateway = Gateway::start(&config).await;
        // The first call opens the circuit of the primary, the third that of the second.
        for (sent, hits) in [("2", (1, 1)), ("1", (1, 2)), ("1", (1, 3)), ("0", (1, 3))] {
            if hits.1 == 3 {
                b.otherwise(Reply::error_of(dialect, ProviderError::ServerError));
            }
            let answer = gateway.ask(dialect, false).await;
            assert_eq!((answer.header("x-towline-attempts"), (a.hits(), b.hits())), (Some(sent), hits), "{}", answer.text());
        }
        let recent = gateway.get("/status").await.json()["recent"][0]["attempts"].to_string();
        assert!(recent.contains("primary/m: circuit_open") && recent.contains("second/m: circuit_open"), "{recent}");
    }
}

#[tokio::test]
async fn each_request_has_an_id_of_its_own_or_the_one_that_the_caller_gave_it() {
    let [a, b] = started().await;
    a.speak(Dialect::OpenAiChat, Answer::counting(1));
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        ids.insert(gateway.ask(Dialect::OpenAiChat, false).await.header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 5, "{ids:?}");
    let own = [("x-request-id", "0b7e5f0c-1f3c")];
    let body = question(Dialect::OpenAiChat, false);
    let answer = gateway.post_with(path(Dialect::OpenAiChat), &own, &body).await;
    assert_eq!(answer.header("x-request-id"), Some("0b7e5f0c-1f3c"));
    // One that would spoil a log is replaced.
    let long = "x".repeat(5000);
    for bad in ["", "two words", &long] {
        let answer = gateway.post_with(path(Dialect::OpenAiChat), &[("x-request-id", bad)], &body).await;
        assert_ne!(answer.header("x-request-id"), Some(bad));
        assert!(!answer.header("x-request-id").unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_answer_passes_as_the_provider_wrote_it() {
    let [a, b] = started().await;
    let body = r#"{"id":"1",  "choices":[{"message":{"content":"é"},"finish_reason":"stop"}], "unknown-field":[1e400]}"#;
    a.otherwise(Reply::ok().header("x-of-the-provider", "7").json(body));
    let gateway = Gateway::start(&pair(Dialect::OpenAiChat, [&a, &b], "", "")).await;
    let answer = gateway.ask(Dialect::OpenAiChat, false).await;
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-of-the-provider")), (200, body, Some("7")));
}
