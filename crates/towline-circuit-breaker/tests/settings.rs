//! A circuit that goes by settings of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;

use tokio::time::advance;
use tower::Layer;
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState, Verdict};
use towline_core::Jitter;

use crate::support::{Answer, Log, SECOND, Upstream, ask_with, layer, request, request_to};

/// How many failures of that target the circuit lets through.
async fn failures_until_open(layer: &CircuitBreakerLayer, key: &str) -> usize {
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    while ask_with(&service, request_to(key)).await.is_ok() {}
    upstream.sent()
}

fn state(layer: &CircuitBreakerLayer, key: &str) -> CircuitState {
    layer.handle().state(Some(key))
}

fn patient() -> CircuitBreakerLayer {
    let patient = layer().consecutive_failures(8).unwrap().without_failure_ratio().unwrap();
    patient.open_for(SECOND * 100, SECOND * 100).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_targets_own_settings_hold_for_its_circuit_alone_whenever_they_are_told() {
    let layer = CircuitBreakerLayer::new()
        .settings_for("other", patient().consecutive_failures(1).unwrap())
        .settings_for("one", patient())
        .settings_for("other", patient().consecutive_failures(2).unwrap())
        .consecutive_failures(3)
        .unwrap()
        .jitter(Jitter::seeded(7));
    for (key, failures) in [("one", 8), ("other", 2), ("third", 3)] {
        assert_eq!(failures_until_open(&layer, key).await, failures, "{key}");
    }
    advance(SECOND * 10).await;
    assert_eq!(state(&layer, "third"), CircuitState::HalfOpen, "five seconds and a random half of that have passed");
    assert!(matches!(state(&layer, "one"), CircuitState::Open { retry_after } if retry_after >= SECOND * 90));
}

#[tokio::test(start_paused = true)]
async fn a_users_key_has_its_own_settings_too() {
    let tenant = |head: &http::request::Parts| head.headers.get("x-tenant")?.to_str().ok().map(Into::into);
    let layer = layer().key(tenant).settings_for("acme", patient());
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    for (tenant, most) in [(None, 5), (Some("acme"), 8), (Some("else"), 5)] {
        let before = upstream.sent();
        let asked = || {
            let mut asked = request();
            tenant.map(|tenant| asked.headers_mut().insert("x-tenant", http::HeaderValue::from_static(tenant)));
            asked
        };
        while ask_with(&service, asked()).await.is_ok() {}
        assert_eq!(upstream.sent() - before, most, "{tenant:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_counts_is_a_circuits_own_and_who_listens_is_the_layers() {
    let (heard, deaf) = (Arc::new(Log::default()), Arc::new(Log::default()));
    let harmless = patient().counts(|_| Some(Verdict::Neutral)).observer(Arc::clone(&deaf));
    let strict = patient().consecutive_failures(1).unwrap().observer(Arc::clone(&deaf));
    let layer = layer()
        .settings_for("harmless", harmless.metrics_only())
        .settings_for("strict", strict.metrics_only())
        .observer(Arc::clone(&heard));
    let service = layer.layer(Upstream::new(Answer::Status(503)));
    for _ in 0..20 {
        ask_with(&service, request_to("harmless")).await.unwrap();
    }
    assert_eq!(state(&layer, "harmless"), CircuitState::Closed);
    assert_eq!(failures_until_open(&layer, "strict").await, 1);
    assert_eq!((heard.0.lock().join(", "), deaf.0.lock().len()), ("opened strict, rejected strict".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn no_circuit_is_forgotten_while_its_own_settings_keep_it_open() {
    let hour = SECOND * 3600;
    let layer = layer().settings_for("one", patient().open_for(hour, hour).unwrap());
    failures_until_open(&layer, "one").await;
    let service = layer.layer(Upstream::new(Answer::Status(200)));
    advance(SECOND * 1800).await;
    for nth in 0..1000 {
        ask_with(&service, request_to(&nth.to_string())).await.unwrap();
    }
    assert!(matches!(state(&layer, "one"), CircuitState::Open { .. }), "with the default's twenty minutes it would be gone");
}
