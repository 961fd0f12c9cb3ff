//! Edge cases of circuits, by their number in the list of the resilience semantics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::{sync::Barrier, time::advance};
use tower::Layer;
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState};
use towline_core::FailureKind;

use crate::support::{Answer, Guarded, SECOND, Step, Upstream, ask, half_open, head, layer, settle, trip};

async fn half_opened() -> (CircuitBreakerLayer, Guarded, Upstream) {
    let layer = layer();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    half_open(&layer, &service, &upstream).await;
    (layer, service, upstream)
}

/// A healthy provider closes the circuit: no place was lost.
async fn assert_recovers((layer, service, upstream): &(CircuitBreakerLayer, Guarded, Upstream)) {
    assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
    upstream.answers(Answer::Status(200));
    for _ in 0..2 {
        ask(service).await.unwrap();
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}

fn spawn(service: &Guarded) -> tokio::task::JoinHandle<Result<http::StatusCode, FailureKind>> {
    let service = service.clone();
    tokio::spawn(async move { ask(&service).await })
}

#[tokio::test(start_paused = true)]
async fn edge_14_a_failure_from_before_the_outage_does_not_reopen_a_half_open_circuit() {
    let layer = layer();
    let upstream = Upstream::new(Answer::After(SECOND * 60, Box::new(Answer::Status(500))));
    let service = layer.layer(upstream.clone());
    let early = spawn(&service);
    settle().await;
    half_open(&layer, &service, &upstream).await;
    upstream.answers(Answer::Hang);
    let probe = spawn(&service);
    settle().await;
    early.await.unwrap().unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::HalfOpen);
    assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen), "nor does it free the probe's place");
    probe.abort();
}

#[tokio::test(start_paused = true)]
async fn edge_15_a_call_of_five_minutes_counts_once_in_a_window_of_one() {
    let layer = layer().failures_in(2, SECOND * 60).unwrap().without_consecutive_failures().unwrap();
    let upstream = Upstream::new(Answer::After(SECOND * 300, Box::new(Answer::Status(504))));
    let service = layer.layer(upstream.clone());
    let long = spawn(&service);
    settle().await;
    long.await.unwrap().unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::Closed, "once");
    upstream.answers(Answer::Status(504));
    ask(&service).await.unwrap();
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }), "but once it does");
}

#[tokio::test(start_paused = true)]
async fn edge_16_a_probe_dropped_before_its_head_gives_its_place_back() {
    let all = half_opened().await;
    all.2.answers(Answer::Hang);
    drop(head(&all.1));
    tokio::time::timeout(SECOND, head(&all.1)).await.unwrap_err();
    assert_recovers(&all).await;
}

#[tokio::test(start_paused = true)]
async fn edge_16_a_probe_dropped_after_its_head_gives_its_place_back() {
    let all = half_opened().await;
    all.2.answers(Answer::Status(200));
    drop(head(&all.1).await.unwrap());
    assert_recovers(&all).await;
}

#[tokio::test(start_paused = true)]
async fn edge_16_a_probe_dropped_within_its_stream_has_succeeded_with_its_first_bytes() {
    let (layer, service, upstream) = half_opened().await;
    upstream.answers(Answer::Stream(vec![Step::Data(""), Step::Data("data: 1"), Step::Hang], None));
    for _ in 0..2 {
        let mut body = head(&service).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(layer.handle().state(None), CircuitState::HalfOpen, "an empty frame is nothing");
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(layer.handle().state(None), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn edge_16_a_probe_whose_task_is_aborted_gives_its_place_back() {
    let all = half_opened().await;
    all.2.answers(Answer::Hang);
    let task = spawn(&all.1);
    settle().await;
    assert_eq!(ask(&all.1).await, Err(FailureKind::CircuitOpen));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_recovers(&all).await;
}

#[tokio::test(start_paused = true)]
async fn edge_16_a_probe_that_panics_gives_its_place_back() {
    let all = half_opened().await;
    all.2.answers(Answer::Panic);
    assert!(spawn(&all.1).await.unwrap_err().is_panic());
    assert_recovers(&all).await;
}

#[tokio::test(start_paused = true)]
async fn edge_17_a_probe_that_ends_with_400_says_nothing() {
    let all = half_opened().await;
    all.2.answers(Answer::Status(400));
    for _ in 0..10 {
        ask(&all.1).await.unwrap();
    }
    assert_recovers(&all).await;
}

#[tokio::test(start_paused = true)]
async fn edge_17_a_probe_that_ends_with_429_reopens_for_as_long_as_it_says() {
    let (layer, service, upstream) = half_opened().await;
    upstream.answers(Answer::RetryAfter(429, 120));
    ask(&service).await.unwrap();
    assert_eq!(layer.handle().state(None), CircuitState::Open { retry_after: SECOND * 120 });
    upstream.answers(Answer::Status(200));
    let refused = head(&service).await.unwrap_err();
    assert_eq!((refused.kind(), refused.failure().hint.retry_after), (FailureKind::CircuitOpen, Some(SECOND * 120)));
}

#[tokio::test(start_paused = true)]
async fn edge_18_sixty_four_tasks_at_the_instant_of_half_open_are_one_probe_across_clones_and_layers() {
    let (layer, service, upstream) = half_opened().await;
    upstream.answers(Answer::Hang);
    let (before, barrier) = (upstream.sent(), Arc::new(Barrier::new(64)));
    let tasks: Vec<_> = (0..64)
        .map(|nth| {
            // A clone, or a service that the layer was applied to once more, or one that a clone of the layer was.
            let service = match nth % 3 {
                0 => service.clone(),
                1 => layer.layer(upstream.clone()),
                _ => layer.clone().layer(upstream.clone()),
            };
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                ask(&service).await
            })
        })
        .collect();
    settle().await;
    assert_eq!(upstream.sent() - before, 1);
    let (refused, waiting): (Vec<_>, Vec<_>) = tasks.into_iter().partition(tokio::task::JoinHandle::is_finished);
    assert_eq!((refused.len(), waiting.len()), (63, 1));
    for refused in refused {
        assert_eq!(refused.await.unwrap(), Err(FailureKind::CircuitOpen));
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn edge_19_only_the_runtimes_clock_moves_a_circuit() {
    let layer = layer();
    let upstream = Upstream::new(Answer::Status(503));
    let service = layer.layer(upstream.clone());
    let open = trip(&layer, &service, &upstream).await;
    assert_eq!(layer.handle().state(None), CircuitState::Open { retry_after: open }, "no time has passed");
    advance(open - SECOND).await;
    assert_eq!(layer.handle().state(None), CircuitState::Open { retry_after: SECOND });
    assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen));
    advance(SECOND * 3600).await;
    assert_recovers(&(layer, service, upstream)).await;
}

#[tokio::test(start_paused = true)]
async fn edge_20_a_provider_that_flaps_is_asked_less_and_less() {
    let layer = layer().open_for(SECOND * 5, SECOND * 60).unwrap();
    let upstream = Upstream::new(Answer::Status(200));
    let service = layer.layer(upstream.clone());
    let mut opened = Vec::new();
    for tick in 0..3000 {
        upstream.answers(Answer::Status(if tick / 100 % 2 == 0 { 200 } else { 503 }));
        let was = layer.handle().state(None);
        let _ = ask(&service).await;
        if let (false, CircuitState::Open { retry_after }) =
            (matches!(was, CircuitState::Open { .. }), layer.handle().state(None))
        {
            opened.push(retry_after);
        }
        advance(SECOND / 10).await;
    }
    assert!(opened.first().is_some_and(|first| *first < SECOND * 8), "{opened:?}");
    assert!(opened.len() < 9 && opened.last().is_some_and(|last| *last >= SECOND * 60), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn edge_21_a_storm_of_429_opens_nothing() {
    let layer = layer().failures_in(5, SECOND * 60).unwrap();
    let upstream = Upstream::new(Answer::RetryAfter(429, 1));
    let service = layer.layer(upstream.clone());
    for _ in 0..1000 {
        ask(&service).await.unwrap();
    }
    assert_eq!((layer.handle().state(None), upstream.sent()), (CircuitState::Closed, 1000));
    // Nor does it end a run.
    for status in [503, 503, 429, 503, 503, 429, 503] {
        upstream.answers(Answer::Status(status));
        ask(&service).await.unwrap();
    }
    assert!(matches!(layer.handle().state(None), CircuitState::Open { .. }));
}

#[tokio::test(start_paused = true)]
async fn edge_21_every_other_request_failing_opens_by_the_ratio_or_the_count_and_not_by_the_run() {
    let run_only = || layer().without_failure_ratio().unwrap();
    for (layer, sent) in [(run_only(), 20), (run_only().failures_in(5, SECOND * 60).unwrap(), 9), (layer(), 11)] {
        let upstream = Upstream::new(Answer::Status(200));
        let service = layer.layer(upstream.clone());
        for nth in 0..20 {
            upstream.answers(Answer::Status(if nth % 2 == 0 { 500 } else { 200 }));
            let _ = ask(&service).await;
        }
        assert_eq!(matches!(layer.handle().state(None), CircuitState::Open { .. }), sent < 20);
        assert_eq!(upstream.sent(), sent, "half of ten is met, but only a failure opens it: the eleventh is one");
    }
}
