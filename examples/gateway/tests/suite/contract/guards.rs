//! Limits and circuits of a provider.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use towline_testkit::{Answer, Dialect, MockProvider, ProviderError, Reply};

use crate::support::{Gateway, base_url, provider, started};

const CHAT: Dialect = Dialect::OpenAiChat;

/// A provider with lines of its own, and one behind it.
fn guarded(first: &MockProvider, guard: &str, second: &MockProvider) -> String {
    provider("one", CHAT, &base_url(CHAT, first), guard)
        + &provider("two", CHAT, &base_url(CHAT, second), "")
        + "[[models]]\nname = \"chat\"\nmax_elapsed = \"20s\"\nbackoff = { base = \"1ms\", max = \"2ms\" }\n"
        + "targets = [{ provider = \"one\", model = \"m\", retries = 0 }, { provider = \"two\", model = \"n\", retries = 0 }]\n"
}

/// So many calls at once, counted by who answered.
async fn answered(gateway: &Arc<Gateway>, calls: usize) -> BTreeMap<String, usize> {
    let mut all = JoinSet::new();
    for _ in 0..calls {
        let gateway = Arc::clone(gateway);
        all.spawn(async move { gateway.ask(CHAT, false).await });
    }
    let mut by_target = BTreeMap::new();
    for answer in all.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        *by_target.entry(answer.header("x-towline-target").unwrap().to_owned()).or_default() += 1;
    }
    by_target
}

#[tokio::test]
async fn a_provider_gets_no_more_requests_than_its_limit_and_the_next_one_has_the_rest() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    // One in 60 s, beyond the burst: longer than a call may wait.
    let gateway = Arc::new(Gateway::start(&guarded(&a, "requests_per_minute = 1\nburst = 3", &b)).await);
    let by_target = answered(&gateway, 10).await;
    assert_eq!((by_target.get("one/m"), by_target.get("two/n")), (Some(&3), Some(&7)));
    assert_eq!((a.hits(), b.hits()), (3, 7));
}

#[tokio::test]
async fn without_a_burst_the_requests_of_a_second_pass_at_once() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    let gateway = Arc::new(Gateway::start(&guarded(&a, "requests_per_minute = 1", &b)).await);
    assert_eq!(answered(&gateway, 4).await.get("one/m"), Some(&1));
}

#[tokio::test]
async fn two_models_of_one_provider_share_its_limit() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    let config = guarded(&a, "requests_per_minute = 1\nburst = 2", &b);
    let other = "[[models]]\nname = \"other\"\nmax_elapsed = \"5s\"\ntargets = [{ provider = \"one\", model = \"o\" }]\n";
    let gateway = Arc::new(Gateway::start(&(config + other)).await);
    assert_eq!(answered(&gateway, 2).await.get("one/m"), Some(&2));
    let answer = gateway.post("/v1/chat/completions", r#"{"model":"other","messages":[]}"#).await;
    assert_eq!((answer.status, a.hits()), (429, 2), "{}", answer.text());
    assert!(answer.header("retry-after").is_some() && answer.text().contains("limited_locally"), "{}", answer.text());
}

/// One request a minute passes to each provider of a model with this preset.
async fn limited(preset: &str, [one, two]: [&MockProvider; 2]) -> Arc<Gateway> {
    let guard = "requests_per_minute = 1\nburst = 1";
    let config = provider("one", CHAT, &base_url(CHAT, one), guard)
        + &provider("two", CHAT, &base_url(CHAT, two), guard)
        + &format!("[[models]]\nname = \"chat\"\npreset = \"{preset}\"\n")
        + "targets = [{ provider = \"one\", model = \"m\" }, { provider = \"two\", model = \"n\" }]\n";
    Arc::new(Gateway::start(&config).await)
}

#[tokio::test]
async fn a_preset_says_who_waits_in_line_for_a_limit() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    let chat = limited("chat", [&a, &b]).await;
    assert_eq!(answered(&chat, 2).await.len(), 2);
    assert_eq!(chat.ask(CHAT, false).await.header("x-towline-degraded"), Some("true"), "nobody waits for a minute");

    let batch = limited("batch", [&a, &b]).await;
    assert_eq!(answered(&batch, 2).await.len(), 2);
    let waits = tokio::spawn({
        let batch = Arc::clone(&batch);
        async move { batch.ask(CHAT, false).await }
    });
    let in_line = async {
        // In front of the first, which has room again the soonest.
        while batch.get("/status").await.json()["queues"]["one"] != 1 {}
    };
    timeout(Duration::from_secs(30), in_line).await.expect("it stands in line");
    assert!(!waits.is_finished());
    waits.abort();
}

#[tokio::test]
async fn tokens_are_counted_too() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    let gateway = Gateway::start(&guarded(&a, "tokens_per_minute = 1000", &b)).await;
    let ask = async |tokens: u32| {
        let body = format!(
            r#"{{"model":"chat","max_tokens":{tokens},"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "word ".repeat(1000)
        );
        gateway.post("/v1/chat/completions", body).await
    };
    // More than the whole limit: no wait would help.
    assert_eq!(ask(1000).await.header("x-towline-target"), Some("two/n"));
    assert_eq!((a.hits(), b.hits()), (0, 1));
}

#[tokio::test]
async fn a_circuit_opens_after_so_many_failures_and_is_closed_again_by_probes() {
    let [a, b] = started().await;
    a.otherwise(Reply::error_of(CHAT, ProviderError::Overloaded));
    b.speak(CHAT, Answer::counting(1));
    let breaker =
        r#"circuit_breaker = { failure_threshold = 3, window = "60s", open_for = "400ms", probes = 1, success_threshold = 2 }"#;
    let gateway = Gateway::start(&guarded(&a, breaker, &b)).await;
    for call in 1..=10 {
        let answer = gateway.ask(CHAT, false).await;
        assert_eq!(answer.header("x-towline-target"), Some("two/n"));
        // A machine that is very slow may see a probe.
        assert!(a.hits() <= call.min(4), "{} after {call} calls", a.hits());
    }
    assert!(a.hits() >= 3, "{}", a.hits());
    a.speak(CHAT, Answer::counting(1));
    let back = async {
        while gateway.ask(CHAT, false).await.header("x-towline-target") != Some("one/m") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), back).await.expect("the primary is asked again");
    for _ in 0..5 {
        assert_eq!(gateway.ask(CHAT, false).await.header("x-towline-target"), Some("one/m"));
    }
}

/// Connections are spread over threads, of which each has its own connections to providers.
#[tokio::test]
async fn a_circuit_that_one_connection_opened_is_open_for_all() {
    let [a, b] = started().await;
    a.otherwise(Reply::error_of(CHAT, ProviderError::ServerError));
    b.speak(CHAT, Answer::counting(1));
    let breaker = "circuit_breaker = { failure_threshold = 3, open_for = \"20s\" }";
    let gateway = Arc::new(Gateway::start(&guarded(&a, breaker, &b)).await);
    for _ in 0..3 {
        assert_eq!(gateway.ask(CHAT, false).await.header("x-towline-target"), Some("two/n"));
    }
    assert_eq!(answered(&gateway, 12).await.get("two/n"), Some(&12));
    assert_eq!((a.hits(), b.hits()), (3, 15));
}
