//! What a handle tells, and what it decides.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::{num::NonZeroU32, sync::Arc};

use tokio::time::advance;
use tower::Layer;
use towline_circuit_breaker::{CircuitBreakerLayer, CircuitState, Transitions};
use towline_core::FailureKind;

use crate::support::{Answer, Guarded, Log, SECOND, Upstream, ask, ask_with, half_open, layer, request_to, settle, trip};

const LANES: u32 = 8;

fn stack() -> (CircuitBreakerLayer, Guarded, Upstream) {
    let (layer, upstream) = (layer(), Upstream::new(Answer::Status(200)));
    (layer.clone(), layer.layer(upstream.clone()), upstream)
}

/// What has been told so far: whose state, and which.
async fn told(transitions: &mut Transitions) -> Vec<(Option<String>, CircuitState)> {
    let mut all = Vec::new();
    while let Ok(Some(transition)) = tokio::time::timeout(std::time::Duration::ZERO, transitions.next()).await {
        all.push((transition.key.map(|key| key.to_string()), transition.state));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn it_tells_the_state_since_when_and_what_was_counted() {
    let (layer, service, upstream) = stack();
    let status = || layer.handle().status(None).unwrap();
    advance(SECOND * 7).await;
    assert_eq!((status().state, status().lasted), (CircuitState::Closed, SECOND * 7));
    for status in [200, 200, 500, 200, 500, 500, 429, 400] {
        upstream.answers(Answer::Status(status));
        ask(&service).await.unwrap();
    }
    let now = status();
    assert_eq!((now.failures_in_a_row, now.failures, now.successes), (2, 3, 3));
    assert_eq!((now.openings, now.refused, now.probes), (0, 0, 0));
    let open = trip(&layer, &service, &upstream).await;
    for _ in 0..3 {
        ask(&service).await.unwrap_err();
    }
    advance(SECOND).await;
    let now = status();
    assert_eq!((now.state, now.lasted), (CircuitState::Open { retry_after: open - SECOND }, SECOND));
    assert_eq!((now.openings, now.refused, now.failures, now.successes), (1, 3, 0, 0));
    advance(open).await;
    upstream.answers(Answer::Hang);
    let probe = tokio::spawn({
        let service = service.clone();
        async move { ask(&service).await }
    });
    settle().await;
    assert_eq!((status().state, status().probes, status().lasted), (CircuitState::HalfOpen, 1, std::time::Duration::ZERO));
    probe.abort();
    settle().await;
    assert_eq!(status().probes, 0);
    assert_eq!(layer.handle().status(Some("never heard of")), None);
}

#[tokio::test(start_paused = true)]
async fn successes_are_counted_whichever_clone_they_went_through() {
    let (layer, service, _) = stack();
    for _ in 0..3 * LANES {
        ask(&service.clone()).await.unwrap();
    }
    let tasks: Vec<_> = (0..LANES + 1)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { ask(&service).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(layer.handle().status(None).unwrap().successes, u64::from(3 * LANES + LANES + 1));
}

#[tokio::test(start_paused = true)]
async fn forced_open_it_refuses_everything_until_it_is_reset() {
    let (layer, service, upstream) = stack();
    let handle = layer.handle();
    handle.force_open(None);
    for _ in 0..3 {
        assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen));
        advance(SECOND * 3600).await;
    }
    assert_eq!((handle.state(None), upstream.sent()), (CircuitState::ForcedOpen, 0));
    assert_eq!(handle.status(None).unwrap().lasted, SECOND * 3600 * 3);
    handle.reset(None);
    ask(&service).await.unwrap();
    assert_eq!((handle.state(None), handle.status(None).unwrap().refused), (CircuitState::Closed, 3));
}

#[tokio::test(start_paused = true)]
async fn forced_closed_it_lets_everything_through_whatever_becomes_of_it() {
    let (layer, service, upstream) = stack();
    let handle = layer.handle();
    trip(&layer, &service, &upstream).await;
    handle.force_closed(None);
    for _ in 0..100 {
        ask(&service).await.unwrap();
    }
    let status = handle.status(None).unwrap();
    assert_eq!((status.state, status.failures, status.failures_in_a_row), (CircuitState::ForcedClosed, 0, 0));
    handle.reset(None);
    assert_eq!(handle.state(None), CircuitState::Closed);
    let open = trip(&layer, &service, &upstream).await;
    assert!(open < SECOND * 8, "a first opening again: {open:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_it_was_forced_or_reset_changes_nothing() {
    for act in [0, 1, 2] {
        let layer = layer().consecutive_failures(1).unwrap();
        let upstream = Upstream::new(Answer::After(SECOND * 10, Box::new(Answer::Status(500))));
        let (service, handle) = (layer.layer(upstream), layer.handle());
        let early = tokio::spawn(async move { ask(&service).await });
        settle().await;
        match act {
            0 => handle.force_open(None),
            1 => handle.force_closed(None),
            _ => handle.reset(None),
        }
        let state = handle.state(None);
        early.await.unwrap().unwrap();
        assert_eq!(handle.state(None), state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_can_be_forced_open_before_it_is_heard_of_and_is_not_forgotten() {
    let (layer, service, upstream) = stack();
    let handle = layer.handle();
    handle.force_open(Some("drained"));
    for nth in 0..3000 {
        advance(SECOND).await;
        ask_with(&service, request_to(&format!("other {nth}"))).await.unwrap();
    }
    let sent = upstream.sent();
    assert_eq!(ask_with(&service, request_to("drained")).await, Err(FailureKind::CircuitOpen));
    assert_eq!((handle.state(Some("drained")), upstream.sent()), (CircuitState::ForcedOpen, sent));
    handle.reset(Some("drained"));
    ask_with(&service, request_to("drained")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_only_watches_does_everything_but_refuse() {
    let upstream = Upstream::new(Answer::Status(503));
    let log = Arc::new(Log::default());
    let layer = layer().observer(Arc::clone(&log)).metrics_only();
    let (service, handle) = (layer.layer(upstream.clone()), layer.handle());
    for _ in 0..20 {
        ask(&service).await.unwrap();
    }
    assert!(matches!(handle.state(None), CircuitState::Open { .. }));
    assert_eq!((upstream.sent(), handle.status(None).unwrap().refused), (20, 15));
    upstream.answers(Answer::Status(200));
    ask(&service).await.unwrap();
    assert!(matches!(handle.state(None), CircuitState::Open { .. }), "who would have been refused is no probe");
    advance(SECOND * 8).await;
    for _ in 0..2 {
        ask(&service).await.unwrap();
    }
    assert_eq!(handle.state(None), CircuitState::Closed);
    assert_eq!(*log.0.lock(), ["opened -", "half-opened -", "closed -"]);
    handle.metrics_only(false);
    trip(&layer, &service, &upstream).await;
    assert_eq!(ask(&service).await, Err(FailureKind::CircuitOpen));
    handle.metrics_only(true);
    ask(&service).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn transitions_are_told_in_order_with_whose_they_are() {
    let (layer, service, upstream) = stack();
    let layer = layer.ramp(SECOND).unwrap();
    let guarded = layer.layer(upstream.clone());
    let (mut transitions, handle) = (layer.handle().transitions(), layer.handle());
    assert_eq!(told(&mut transitions).await, []);
    half_open(&layer, &guarded, &upstream).await;
    let open = told(&mut transitions).await;
    assert!(matches!(open[..], [(None, CircuitState::Open { retry_after })] if retry_after >= SECOND * 5));
    upstream.answers(Answer::Status(200));
    for _ in 0..2 {
        ask(&guarded).await.unwrap();
    }
    advance(SECOND).await;
    ask(&guarded).await.unwrap();
    let closing = [CircuitState::HalfOpen, CircuitState::Ramping { percent: 10 }, CircuitState::Closed];
    assert_eq!(told(&mut transitions).await, closing.map(|state| (None, state)));
    handle.force_open(Some("a"));
    handle.force_open(Some("a"));
    handle.force_closed(Some("a"));
    handle.reset(Some("a"));
    let forced = [CircuitState::ForcedOpen, CircuitState::ForcedClosed, CircuitState::Closed];
    assert_eq!(told(&mut transitions).await, forced.map(|state| (Some("a".to_owned()), state)));
    let _another_layers = service;
    drop((layer, guarded, handle));
    assert_eq!(transitions.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_and_one_that_is_far_behind_goes_on_with_the_newest() {
    let (layer, _, _) = stack();
    let mut transitions = layer.handle().transitions();
    let waiting = tokio::spawn(async move { (transitions.next().await, transitions) });
    settle().await;
    layer.handle().force_open(None);
    let (first, mut transitions) = waiting.await.unwrap();
    assert_eq!(first.unwrap().state, CircuitState::ForcedOpen);
    for _ in 0..500 {
        layer.handle().reset(None);
        layer.handle().force_open(None);
    }
    let rest = told(&mut transitions).await;
    assert_eq!((rest.len(), rest.last().unwrap().1), (256, CircuitState::ForcedOpen));
}

#[tokio::test(start_paused = true)]
async fn sixty_four_tasks_at_half_open_are_as_many_probes_as_were_asked_for() {
    for probes in [1, 3, 64, 100] {
        let layer = layer().probes(probes).unwrap().success_threshold(NonZeroU32::MAX.get()).unwrap();
        let upstream = Upstream::new(Answer::Status(503));
        let service = layer.layer(upstream.clone());
        half_open(&layer, &service, &upstream).await;
        upstream.answers(Answer::Hang);
        let before = upstream.sent();
        let tasks: Vec<_> = (0..64)
            .map(|nth| {
                let service = if nth % 2 == 0 { service.clone() } else { layer.clone().layer(upstream.clone()) };
                tokio::spawn(async move { ask(&service).await })
            })
            .collect();
        settle().await;
        assert_eq!(upstream.sent() - before, 64.min(probes as usize));
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
