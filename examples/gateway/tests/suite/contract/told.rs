//! What the gateway tells of itself: `/metrics` and `/status`.

use std::collections::BTreeMap;

use towline_testkit::{Answer, Dialect, ProviderError, Reply};

use crate::support::{self, Gateway, base_url, provider, started};

const CHAT: Dialect = Dialect::OpenAiChat;

/// All samples, by name with labels, of a text that must be Prometheus' format line by line.
fn samples(answer: &support::Answer) -> BTreeMap<String, f64> {
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{:?}", answer.headers);
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    for line in answer.text().lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix('#') {
            let words: Vec<_> = comment.split_whitespace().collect();
            assert!(matches!(words[..], ["HELP" | "TYPE", _, ..]), "{line}");
            if let ["TYPE", name, kind] = words[..] {
                assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let bare = name.split('{').next().unwrap();
        assert!(
            bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.contains('{') == name.ends_with('}'),
            "{line}"
        );
        let known = |name: &str| types.contains_key(name);
        let of_many = ["_bucket", "_sum", "_count"].iter().any(|end| bare.strip_suffix(end).is_some_and(known));
        assert!(known(bare) || of_many, "{line} has no type");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} comes twice");
    }
    samples
}

/// The sum over all labels that hold these words.
fn sum(samples: &BTreeMap<String, f64>, name: &str, words: &[&str]) -> f64 {
    let of = |key: &&String| key.split('{').next() == Some(name) && words.iter().all(|word| key.contains(word));
    samples.keys().filter(of).map(|key| samples[key]).sum()
}

/// Two failures open the circuit of `one`.
fn config(a: &towline_testkit::MockProvider, b: &towline_testkit::MockProvider) -> String {
    let guard = "requests_per_minute = 600\nburst = 50\ncircuit_breaker = { failure_threshold = 2, window = \"60s\", open_for = \"60s\" }";
    provider("one", CHAT, &base_url(CHAT, a), guard)
        + &provider("two", CHAT, &base_url(CHAT, b), "")
        + "[[models]]\nname = \"chat\"\nbackoff = { base = \"1ms\", max = \"2ms\" }\n"
        + "targets = [{ provider = \"one\", model = \"m\", retries = 1 }, { provider = \"two\", model = \"n\" }]\n"
}

#[tokio::test]
async fn metrics_are_prometheus_and_count_attempts_retries_fallbacks_and_circuits() {
    let [a, b] = started().await;
    a.speak(CHAT, Answer::counting(1));
    b.speak(CHAT, Answer::counting(1));
    let gateway = Gateway::start(&config(&a, &b)).await;
    gateway.ask(CHAT, false).await;
    gateway.ask(CHAT, true).await;
    let before = samples(&gateway.get("/metrics").await);
    assert_eq!(sum(&before, "towline_attempts_total", &["one/m"]), 2.0, "{before:?}");
    assert_eq!(sum(&before, "towline_retries_total", &[]) + sum(&before, "towline_fallbacks_total", &[]), 0.0);

    a.otherwise(Reply::error_of(CHAT, ProviderError::Overloaded));
    assert_eq!(gateway.ask(CHAT, false).await.header("x-towline-target"), Some("two/n"));
    let text = gateway.get("/metrics").await;
    let after = samples(&text);
    assert_eq!(sum(&after, "towline_attempts_total", &["one/m"]), 4.0, "{after:?}");
    assert_eq!(sum(&after, "towline_attempts_total", &["one/m", "overloaded"]), 2.0, "{after:?}");
    assert_eq!(sum(&after, "towline_attempts_total", &["two/n"]), 1.0);
    assert_eq!(sum(&after, "towline_retries_total", &["one/m"]), 1.0, "{after:?}");
    assert_eq!(sum(&after, "towline_fallbacks_total", &[]), 1.0, "{after:?}");
    assert!(after.keys().any(|key| key.starts_with("towline_circuit_state{") && key.contains("one/m")), "{after:?}");
    let changed = |key: &&String| key.starts_with("towline_circuit_state") && before.get(*key) != after.get(*key);
    assert!(after.keys().any(|key| changed(&key)), "the circuit has opened: {after:?}");
    assert!(!text.text().contains("key-of-"));
}

#[tokio::test]
async fn status_tells_of_circuits_limits_queues_keys_and_recent_trails() {
    let [a, b] = started().await;
    a.otherwise(Reply::error_of(CHAT, ProviderError::Overloaded));
    b.speak(CHAT, Answer::counting(1));
    let gateway = Gateway::start(&config(&a, &b)).await;
    let answer = gateway.ask(CHAT, false).await;
    let told = gateway.get("/status").await;
    assert_eq!((told.status, told.header("content-type")), (200, Some("application/json")));
    let status = told.json();
    for part in ["circuits", "limits", "queues", "keys", "recent"] {
        assert!(status.get(part).is_some() || told.text().contains(part), "{part} is missing: {status:#}");
    }
    for word in ["one/m", "two/n", "open", "closed", "overloaded", answer.header("x-request-id").unwrap()] {
        assert!(told.text().contains(word), "{word} is missing: {status:#}");
    }
    assert!(!told.text().contains("key-of-"), "{status:#}");
}
