//! Defects of other breakers, each shown not to be ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn, timeout::Timeout};
use towline_circuit_breaker::CircuitState;
use towline_core::{Call, Error, Facts, Failure, FailureKind};
use towline_testkit::{Probe, ScriptedBody};

use crate::support::{Answer, SECOND, Upstream, ask, half_open, head, layer, request, settle, trip};

#[tokio::test(start_paused = true)]
async fn d1_a_long_healthy_past_does_not_outweigh_the_present() {
    for layer in [layer(), layer().failures_in(5, SECOND * 60).unwrap().without_consecutive_failures().unwrap()] {
        let upstream = Upstream::new(Answer::Status(200));
        let service = layer.layer(upstream.clone());
        for _ in 0..1000 {
            ask(&service).await.unwrap();
        }
        upstream.answers(Answer::Status(500));
        for _ in 0..5 {
            assert_eq!(layer.handle().state(None), CircuitState::Closed);
            ask(&service).await.unwrap();
        }
        assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen));
        assert_eq!(upstream.sent(), 1005);
    }
}

#[tokio::test(start_paused = true)]
async fn d1_failures_leave_the_window_as_it_slides() {
    let layer = layer().failures_in(5, SECOND * 60).unwrap().without_consecutive_failures().unwrap();
    let upstream = Upstream::new(Answer::Status(500));
    let service = layer.layer(upstream.clone());
    for _ in 0..100 {
        ask(&service).await.unwrap();
        advance(SECOND * 15).await;
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed, "never more than four in a minute");
    for _ in 0..2 {
        ask(&service).await.unwrap();
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }), "three of the last minute and two more");
}

#[tokio::test(start_paused = true)]
async fn d2_successes_of_probes_do_not_expire_however_far_apart_they_are() {
    let layer = layer().failures_in(5, SECOND * 60).unwrap().success_threshold(3).unwrap();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Status(200));
    for _ in 0..3 {
        assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
        ask(&service).await.unwrap();
        advance(SECOND * 600).await;
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
    for _ in 0..30 {
        ask(&service).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn d3_successes_from_before_the_outage_do_not_close_a_half_open_circuit() {
    let layer = layer();
    let upstream = Upstream::new(Answer::After(SECOND * 60, Box::new(Answer::Status(200))));
    let service = layer.layer(upstream.clone());
    let early: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn({
                let service = service.clone();
                async move { ask(&service).await }
            })
        })
        .collect();
    settle().await;
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::After(SECOND * 55, Box::new(Answer::Status(503))));
    let probe = tokio::spawn({
        let service = service.clone();
        async move { ask(&service).await }
    });
    for early in early {
        early.await.unwrap().unwrap();
    }
    assert_eq!(layer.handle().state(None), CircuitState::HalfOpen, "the probe is still under way");
    probe.await.unwrap().unwrap();
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }), "and it failed");
}

#[tokio::test(start_paused = true)]
async fn d4_a_probe_that_hangs_holds_others_back_until_its_deadline_and_no_longer() {
    let layer = layer().probe_deadline(SECOND * 30).unwrap();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Hang);
    let hung = tokio::spawn({
        let service = service.clone();
        async move { ask(&service).await }
    });
    settle().await;
    upstream.answers(Answer::Status(200));
    advance(SECOND * 30 - Duration::from_millis(1)).await;
    let refused = head(&service).await.unwrap_err();
    assert_eq!(refused.failure().hint.retry_after, Some(Duration::from_millis(1)), "when the place will be free");
    advance(Duration::from_millis(1)).await;
    for _ in 0..2 {
        ask(&service).await.unwrap();
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
    hung.abort();
    settle().await;
    assert_eq!(layer.handle().state(None), CircuitState::Closed, "its end is of another generation");
}

#[tokio::test(start_paused = true)]
async fn d4_a_slow_provider_that_is_well_closes_the_circuit_though_its_probes_are_late() {
    let layer = layer();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::After(SECOND * 90, Box::new(Answer::Status(200))));
    for _ in 0..2 {
        ask(&service).await.unwrap();
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn d4_a_probe_dropped_after_its_deadline_has_failed() {
    let layer = layer();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Hang);
    tokio::time::timeout(SECOND * 60, ask(&service)).await.unwrap_err();
    assert!(matches!(layer.handle().state(None), CircuitState::Open { retry_after } if retry_after >= SECOND * 10));
}

#[tokio::test(start_paused = true)]
async fn d5_a_timeout_above_the_breaker_opens_it_where_its_limit_is_known() {
    let layer = layer().drops_after(SECOND * 5);
    let upstream = Upstream::new(Answer::Hang);
    let service = Timeout::new(layer.layer(upstream.clone()), SECOND * 5);
    for _ in 0..5 {
        assert!(service.clone().oneshot(request()).await.unwrap_err().is::<tower::timeout::error::Elapsed>());
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }));
    assert_eq!(upstream.sent(), 5);
}

#[tokio::test(start_paused = true)]
async fn d5_a_drop_at_exactly_the_limit_is_a_timeout_and_a_moment_before_it_is_none() {
    let (limit, moment) = (SECOND * 5, Duration::from_nanos(1));
    for (age, opens) in [(limit, true), (limit - moment, false)] {
        let layer = layer().consecutive_failures(1).unwrap().drops_after(limit);
        let mut dropped = Box::pin(layer.layer(Upstream::new(Answer::Hang)).oneshot(request()));
        std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await;
        advance(age).await;
        drop(dropped);
        assert_eq!(matches!(layer.handle().state(None), CircuitState::Open { .. }), opens, "after {age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d5_a_drop_after_the_calls_deadline_is_a_timeout() {
    let layer = layer();
    let upstream = Upstream::new(Answer::Hang);
    let service = layer.layer(upstream.clone());
    for _ in 0..5 {
        tokio::time::timeout(SECOND * 5, service.clone().oneshot(hurried())).await.unwrap_err();
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }));
}

/// A request of a call that ends in five seconds.
fn hurried() -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let (now, mut request) = (Instant::now(), request());
    request.extensions_mut().insert(Call::new(Facts::default(), now, Some(now + SECOND * 5)));
    request
}

#[tokio::test(start_paused = true)]
async fn d5_a_deadline_that_a_layer_beneath_keeps_is_a_timeout_as_well() {
    for (age, opens) in [(SECOND * 5, true), (SECOND * 4, false)] {
        let layer = layer();
        let cut = layer.layer(service_fn(move |_: http::Request<_>| async move {
            tokio::time::sleep(age).await;
            Err::<http::Response<ScriptedBody>, _>(Error::new(Failure::new(FailureKind::DeadlineExceeded)))
        }));
        for _ in 0..5 {
            cut.clone().oneshot(hurried()).await.unwrap_err();
        }
        assert_eq!(matches!(layer.handle().state(None), CircuitState::Open { .. }), opens, "after {age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d5_a_provider_that_was_never_asked_is_not_blamed_for_the_deadline() {
    let layer = layer();
    let (busy, report) = Probe::new(Upstream::new(Answer::Status(200)));
    report.set_ready(false);
    let service = layer.layer(busy);
    for _ in 0..10 {
        tokio::time::timeout(SECOND * 5, service.clone().oneshot(hurried())).await.unwrap_err();
    }
    assert_eq!((layer.handle().state(None), report.calls()), (CircuitState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn d5_callers_who_leave_early_open_nothing() {
    let layer = layer().drops_after(SECOND * 5);
    let upstream = Upstream::new(Answer::Hang);
    let service = layer.layer(upstream.clone());
    for _ in 0..50 {
        tokio::time::timeout(SECOND * 4, ask(&service)).await.unwrap_err();
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
    trip(&layer, &service, &upstream).await;
}
