//! The documented stack, all layers at once.

use std::num::NonZeroU32;

use tokio::time::Instant;
use tower::ServiceExt;
use towline::{Call, CircuitBreakerLayer, CircuitState, FailureKind, RateLimitLayer, Target};

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn a_call_rides_through_all_that_can_go_wrong() {
    let provider = Provider::new([
        status(429).retry_after("2"),
        status(200).body(HIDDEN),
        silence(),
        refused(),
        status(503),
        stream().then(PING).then(CONTENT).then(DONE),
    ]);
    let (breaker, limiter) = (CircuitBreakerLayer::new(), limiter(5));
    let client = towline::stack(provider.transport())
        .call(call_within(MINUTE))
        .fallback(fallback())
        .retry(retry())
        .circuit_breaker(breaker.clone())
        .rate_limit(limiter.clone())
        .attempt_timeout(timeout(10 * SECOND))
        .build()
        .unwrap();
    let began = Instant::now();
    let body = axum::body::Body::from(r#"{"model":"m","stream":true}"#);
    let response = client.oneshot(request().map(|_| body)).await.unwrap();
    let call = Call::of(response.extensions()).unwrap().clone();
    assert_eq!(
        trail(&call),
        "a rate_limit, a overloaded, a timeout, b connect, b overloaded, b ok",
        "waited for, seen through, cut, at once again, backed off, answered"
    );
    assert_eq!(Target::of(response.extensions()).map(Target::name), Some("b"));
    let began_to_stream = began.elapsed();
    assert!((12 * SECOND..18 * SECOND).contains(&began_to_stream), "{began_to_stream:?}");
    assert_eq!(told(Ok(response)).await, format!("200 {PING}{CONTENT}{DONE}"));
    assert_eq!(provider.targets(), "a a a b b b");
    assert!(provider.log().windows(2).all(|two| two[0].left > two[1].left || two[0].at == two[1].at), "one deadline for all");
    // What a circuit counts is two failures of `a` and, after two of `b`, a success.
    let circuits = breaker.handle();
    assert_eq!((circuits.state(Some("a")), circuits.state(Some("b"))), (CircuitState::Closed, CircuitState::Closed));
    assert_eq!((limiter.handle().available(None), limiter.handle().waiting(Some("a"))), (5, 0), "each target has its own");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_all_targets_ends_in_refusals_that_cost_nothing() {
    let provider = Provider::new([]).always("a", status(503)).always("b", status(200).body(HIDDEN));
    let minute = NonZeroU32::new(6000).unwrap();
    let (breaker, limiter) = (CircuitBreakerLayer::new(), RateLimitLayer::requests_per_minute(minute));
    let client = towline::stack(provider.transport())
        .fallback(fallback().wait_for_recovery(ms(0)))
        .retry(retry())
        .circuit_breaker(breaker.clone())
        .rate_limit(limiter.clone())
        .build()
        .unwrap();
    for _ in 0..2 {
        client.clone().oneshot(request()).await.map(drop).or_else(|error| refusal(error.kind())).unwrap();
    }
    assert_eq!(provider.targets(), "a a a b b b a a b b", "each circuit opens with its fifth failure, in the midst of a call");
    let began = Instant::now();
    let error = client.oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), began.elapsed(), provider.sent()), (FailureKind::CircuitOpen, ms(0), 10));
    assert_eq!(trail(error.call().unwrap()), "a circuit_open, b circuit_open");
}

fn refusal(kind: FailureKind) -> Result<(), FailureKind> {
    if kind == FailureKind::CircuitOpen { Ok(()) } else { Err(kind) }
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_loses_its_turn_though_the_deadline_comes_before_any_limit() {
    let provider = Provider::new([]).always("a", silence());
    let breaker = CircuitBreakerLayer::new();
    let fallback = fallback().deadline_share(1.0).unwrap();
    let stack = towline::stack(provider.transport()).call(call_within(20 * SECOND)).fallback(fallback);
    let client = stack.circuit_breaker(breaker.clone()).build().unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&client).await, "DeadlineExceeded", "no time is left for another target");
    }
    assert!(is_open(&breaker.handle(), Some("a")));
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!(provider.targets(), "a a a a a b");
}
