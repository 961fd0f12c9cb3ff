//! What opens a circuit and what lets it come back, rule by rule, as a caller sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower::Layer;
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState};
use towline_core::{FailureKind, StreamHandle};

use crate::support::{Answer, Guarded, SECOND, Step, Upstream, ask, ask_with, half_open, head, layer, request, settle, trip};

fn is_open(layer: &CircuitBreakerLayer) -> bool {
    matches!(layer.handle().state(None), CircuitState::Open { .. })
}

async fn ends(service: &Guarded, upstream: &Upstream, status: u16) {
    upstream.answers(Answer::Status(status));
    ask(service).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn half_of_ten_within_a_minute_open_it_unless_told_otherwise() {
    let (layer, upstream) = (layer(), Upstream::new(Answer::Status(200)));
    let service = layer.layer(upstream.clone());
    for nth in 0..9 {
        ends(&service, &upstream, if nth % 2 == 0 { 200 } else { 500 }).await;
    }
    assert!(!is_open(&layer), "nine are too few");
    ends(&service, &upstream, 500).await;
    assert!(is_open(&layer), "five of ten");
}

#[tokio::test(start_paused = true)]
async fn a_ratio_forgets_what_has_left_its_window() {
    let layer = layer().failure_ratio(0.5, SECOND * 60, 10).unwrap().without_consecutive_failures().unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    for _ in 0..1000 {
        ends(&service, &upstream, 200).await;
    }
    for _ in 0..30 {
        ends(&service, &upstream, 500).await;
    }
    assert!(!is_open(&layer), "30 of 1030");
    advance(SECOND * 60).await;
    for _ in 0..9 {
        ends(&service, &upstream, 500).await;
    }
    assert!(!is_open(&layer), "nine of nine: the 1030 are gone, the failures among them too");
    ends(&service, &upstream, 500).await;
    assert!(is_open(&layer));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_five_minutes_is_a_sample_when_it_ends_and_once() {
    let layer = layer().failure_ratio(1.0, SECOND * 60, 3).unwrap().without_consecutive_failures().unwrap();
    let upstream = Upstream::new(Answer::After(SECOND * 300, Box::new(Answer::Status(504))));
    let service = layer.layer(upstream.clone());
    let long: Vec<_> = (0..2)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { ask(&service).await.unwrap() })
        })
        .collect();
    settle().await;
    for long in long {
        long.await.unwrap();
    }
    let status = layer.handle().status(None).unwrap();
    assert_eq!((status.failures, status.successes, status.state), (2, 0, CircuitState::Closed));
    advance(SECOND * 50).await;
    ends(&service, &upstream, 504).await;
    assert!(is_open(&layer), "with the two of fifty seconds ago it is three of three");
}

#[tokio::test(start_paused = true)]
async fn a_429_is_no_sample_of_the_ratio() {
    let layer = layer().failure_ratio(0.5, SECOND * 60, 4).unwrap().without_consecutive_failures().unwrap();
    let upstream = Upstream::new(Answer::Status(429));
    let service = layer.layer(upstream.clone());
    for status in [429, 429, 429, 500, 429, 500, 429, 500] {
        ends(&service, &upstream, status).await;
    }
    assert!(!is_open(&layer), "three samples, of which all failed");
    ends(&service, &upstream, 500).await;
    assert!(is_open(&layer));
}

#[tokio::test(start_paused = true)]
async fn slow_heads_open_it_though_each_request_succeeds() {
    let layer = layer().slow_ratio(SECOND * 2, 0.5, SECOND * 60, 4).unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    for (takes, opens) in [(1, false), (2, false), (3, false), (3, true)] {
        upstream.answers(Answer::After(SECOND * takes, Box::new(Answer::Status(200))));
        ask(&service).await.unwrap();
        assert_eq!(is_open(&layer), opens, "after {takes} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_content_of_a_stream_is_what_is_slow_and_neither_its_head_nor_its_end() {
    let layer = layer().slow_ratio(SECOND * 2, 1.0, SECOND * 60, 1).unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    let steps = vec![Step::Data(": ping"), Step::Wait(SECOND * 3), Step::Data("data: 1"), Step::Wait(SECOND * 60)];
    for slow in [false, true] {
        let handle = StreamHandle::new(Instant::now());
        upstream.answers(Answer::Stream(steps.clone(), Some(handle.clone())));
        let mut body = head(&service).await.unwrap().into_body();
        if !slow {
            handle.record_content(Instant::now(), 1);
        }
        body.frame().await.unwrap().unwrap();
        handle.record_content(Instant::now() + SECOND * 3, 1);
        body.frame().await.unwrap().unwrap();
        assert_eq!(is_open(&layer), slow, "with the stream still under way");
        body.collect().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_late_was_slow_and_what_failed_early_says_nothing_about_slowness() {
    for (takes, opens) in [(1, false), (3, true)] {
        let layer = layer().slow_ratio(SECOND * 2, 1.0, SECOND * 60, 1).unwrap();
        let upstream = Upstream::new(Answer::After(SECOND * takes, Box::new(Answer::Status(504))));
        ask(&layer.layer(upstream)).await.unwrap();
        assert_eq!(is_open(&layer), opens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_slow_has_failed_where_slowness_counts() {
    for (counts, opens) in [(false, false), (true, true)] {
        let layer = layer().success_threshold(1).unwrap();
        let layer = if counts { layer.slow_ratio(SECOND * 2, 0.5, SECOND * 60, 4).unwrap() } else { layer };
        let upstream = Upstream::new(Answer::Status(200));
        let service = layer.layer(upstream.clone());
        half_open(&layer, &service, &upstream).await;
        upstream.answers(Answer::After(SECOND * 3, Box::new(Answer::Status(200))));
        ask(&service).await.unwrap();
        assert_eq!(is_open(&layer), opens);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ramp_lets_a_tenth_through_and_more_as_time_goes_by() {
    let layer = layer().ramp(SECOND * 9).unwrap().success_threshold(1).unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Status(200));
    ask(&service).await.unwrap();
    let mut passed = Vec::new();
    for at in 0..10_u8 {
        let state = if at < 9 { CircuitState::Ramping { percent: 10 + 10 * at } } else { CircuitState::Closed };
        assert_eq!(layer.handle().state(None), state);
        let before = upstream.sent();
        for _ in 0..100 {
            let refused = ask(&service).await.err();
            assert!(refused.is_none_or(|kind| kind == FailureKind::CircuitOpen));
        }
        passed.push(upstream.sent() - before);
        advance(SECOND).await;
    }
    assert_eq!(passed, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
}

#[tokio::test(start_paused = true)]
async fn what_a_ramp_refuses_is_told_how_long_it_lasts_and_what_fails_in_it_opens_the_circuit() {
    let layer = layer().ramp(SECOND * 10).unwrap().success_threshold(1).unwrap().consecutive_failures(1).unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    let first = trip(&layer, &service, &upstream).await;
    advance(first).await;
    upstream.answers(Answer::Status(200));
    for _ in 0..2 {
        ask(&service).await.unwrap();
    }
    advance(SECOND).await;
    let refused = head(&service).await.unwrap_err();
    assert_eq!((refused.kind(), refused.failure().hint.retry_after), (FailureKind::CircuitOpen, Some(SECOND * 9)));
    let again = trip(&layer, &service, &upstream).await;
    assert!(again >= SECOND * 10, "no recovery yet: {again:?}");
}

/// A request of a tenant.
async fn ask_for(service: &Guarded, tenant: &str) -> Result<http::StatusCode, FailureKind> {
    let mut request = request();
    request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
    ask_with(service, request).await
}

fn tenant(headers: &HeaderMap) -> Option<std::sync::Arc<str>> {
    headers.get("x-tenant")?.to_str().ok().map(Into::into)
}

#[tokio::test(start_paused = true)]
async fn a_users_key_has_a_circuit_of_its_own_and_requests_without_one_share_theirs() {
    let layer = layer().key(|head| tenant(&head.headers));
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    for _ in 0..5 {
        ask_for(&service, "one").await.unwrap();
    }
    assert_eq!(ask_for(&service, "one").await, Err(FailureKind::CircuitOpen));
    ask_for(&service, "two").await.unwrap();
    ask(&service).await.unwrap();
    let handle = layer.handle();
    assert!(matches!(handle.state(Some("one")), CircuitState::Open { .. }));
    assert_eq!([handle.state(Some("two")), handle.state(None)], [CircuitState::Closed; 2]);
    // A target is no key where the user has one.
    ask_with(&service, support::request_to("target")).await.unwrap();
    assert_eq!(handle.status(None).unwrap().failures_in_a_row, 2);
    let mut keys = handle.keys();
    keys.sort();
    assert_eq!(keys, ["one".into(), "two".into()]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_nobody_asks_for_are_forgotten_and_those_under_way_are_not() {
    let layer = layer().key(|head| tenant(&head.headers));
    let upstream = Upstream::new(Answer::Hang);
    let service = layer.layer(upstream.clone());
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { ask_for(&service, "waiting").await }
    });
    settle().await;
    upstream.answers(Answer::Status(200));
    for nth in 0..20_000 {
        ask_for(&service, &nth.to_string()).await.unwrap();
        advance(Duration::from_millis(500)).await;
    }
    let keys = layer.handle().keys();
    assert!(keys.len() < 4000, "of 20,000 keys 1,200 were asked for in the last ten minutes: {}", keys.len());
    assert!(keys.contains(&"waiting".into()));
    waiting.abort();
}
