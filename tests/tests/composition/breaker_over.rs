//! `CircuitBreakerLayer` above another layer: what comes out of that layer is what it counts.

use tokio::time::Instant;
use tower::Layer;
use towline::{CircuitBreakerLayer, CircuitState, ClassifyLayer, FailureKind};

use crate::{provider::*, support::*};

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new()
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_beneath_says_nothing() {
    let provider = Provider::new([]).always("-", silence());
    let breaker = breaker();
    let client = breaker.layer(call_within(SECOND).layer(provider.transport()));
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "DeadlineExceeded");
    }
    assert_eq!(
        (provider.sent(), breaker.handle().state(None)),
        (10, CircuitState::Closed),
        "it knows of no call and hears of us only"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_opens_it_and_a_spent_quota_does_not() {
    let provider = Provider::new([]).always("-", status(429).body(SPENT));
    let breaker = breaker();
    let client = breaker.layer(ClassifyLayer::new().layer(provider.transport()));
    for _ in 0..6 {
        assert_eq!(ask(&client).await, format!("429 {SPENT}"));
    }
    assert!(!is_open(&breaker.handle(), None));
    // An error in a 200, before the stream's first content, and in place of its end.
    let cut = || stream().then(CONTENT);
    for answer in [status(200).body(HIDDEN), stream().then("event: error\ndata: ").then(HIDDEN).then("\n\n"), cut(), cut(), cut()]
    {
        assert!(!is_open(&breaker.handle(), None));
        provider.now("-", answer);
        ask(&client).await;
    }
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!(provider.sent(), 11);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_call_are_one_result() {
    let provider = Provider::new([]).always("-", status(500));
    let breaker = breaker();
    let client = breaker.layer(retry().without_budget().layer(provider.transport()));
    for _ in 0..4 {
        assert_eq!(ask(&client).await, "500 {}");
    }
    assert_eq!((provider.sent(), is_open(&breaker.handle(), None)), (12, false));
    assert_eq!(ask(&client).await, "500 {}");
    assert_eq!((provider.sent(), is_open(&breaker.handle(), None)), (15, true), "five calls, fifteen failures");
    assert_eq!(ask(&client).await, "CircuitOpen");
    // Elsewhere, each call is saved by its second attempt: half of all requests fail, and it hears of none.
    let saved = Provider::new((0..20).flat_map(|_| [status(500), status(200)]));
    let second = breaker.clone().consecutive_failures(1).unwrap();
    let client = second.layer(retry().without_budget().layer(saved.transport()));
    for _ in 0..20 {
        assert_eq!(ask(&client).await, "200 {}");
    }
    assert_eq!((saved.sent(), second.handle().state(None)), (40, CircuitState::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_spends_no_permit_and_a_local_refusal_opens_none() {
    let provider = Provider::new([]).always("-", status(503));
    let (breaker, limiter) = (breaker(), limiter(5).max_wait(ms(0)));
    let client = breaker.layer(limiter.layer(provider.transport()));
    for _ in 0..4 {
        ask(&client).await;
    }
    tokio::time::advance(10 * SECOND).await;
    provider.now("-", status(429));
    assert_eq!(ask(&client).await, "429 {}");
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "LimitedLocally", "one 429 closes the gate for all");
    }
    assert!(!is_open(&breaker.handle(), None), "neither a 429 nor our own limit is a provider in trouble");
    provider.now("-", status(503));
    tokio::time::advance(20 * SECOND).await;
    assert_eq!((ask(&client).await.as_str(), is_open(&breaker.handle(), None)), ("503 {}", true));
    assert_eq!(limiter.handle().available(None), 4);
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "CircuitOpen");
    }
    assert_eq!((limiter.handle().available(None), provider.sent()), (4, 6));
}

#[tokio::test(start_paused = true)]
async fn a_probe_keeps_its_place_while_it_stands_in_line() {
    let provider = Provider::new([status(503)]);
    let (breaker, limiter) = (breaker().consecutive_failures(1).unwrap(), limiter(1));
    let client = breaker.layer(limiter.layer(provider.transport()));
    assert_eq!(ask(&client).await, "503 {}");
    tokio::time::advance(8 * SECOND).await;
    // Somebody who does not ask the breaker takes the last permit.
    assert_eq!(ask(&limiter.layer(provider.transport())).await, "200 {}");
    let began = Instant::now();
    let (probe, other) = tokio::join!(ask(&client), ask(&client));
    assert_eq!((probe.as_str(), other.as_str(), began.elapsed()), ("200 {}", "CircuitOpen", SECOND));
    assert_eq!((provider.sent(), breaker.handle().state(None)), (3, CircuitState::HalfOpen));
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_timeout_that_it_hears_of() {
    let provider = Provider::new([]).always("-", silence());
    let breaker = breaker();
    let client = breaker.layer(timeout(SECOND).layer(provider.transport()));
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(ask(&client).await, "Timeout(Head)");
    }
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((provider.sent(), began.elapsed()), (5, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn one_circuit_stands_for_all_targets_and_a_saved_call_is_a_success() {
    let provider = Provider::new([]).always("a", status(503));
    let breaker = breaker();
    let client = breaker.layer(fallback().layer(provider.transport()));
    for _ in 0..10 {
        assert_eq!(ask(&client).await, "200 {}");
    }
    assert_eq!(provider.sent(), 20, "the first target is asked each time, however long it has been down");
    assert_eq!(breaker.handle().state(None), CircuitState::Closed);
    provider.now("b", status(503));
    for _ in 0..5 {
        assert_eq!(ask(&client).await, "503 {}");
    }
    provider.recover();
    assert_eq!(head(&client).await.unwrap_err().kind(), FailureKind::CircuitOpen, "for the call, whichever target is well");
    assert_eq!((provider.sent(), breaker.handle().state(Some("a"))), (30, CircuitState::Closed));
}
