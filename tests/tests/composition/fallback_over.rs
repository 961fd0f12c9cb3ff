//! `FallbackLayer` above another layer: what that layer does, it does for each target.

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use towline::{Call, CallLayer, CircuitBreakerLayer, CircuitState, ClassifyLayer, RetryBudget, Target};

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn each_target_is_a_call_with_a_deadline_of_its_own() {
    let provider = Provider::new([]).always("a", status(503).after(3 * SECOND));
    let client = fallback().layer(call_within(5 * SECOND).layer(provider.transport()));
    let response = head(&client).await.unwrap();
    assert_eq!((response.status().as_u16(), provider.targets().as_str()), (200, "a b"));
    assert!(provider.log().iter().all(|sent| sent.left == Some(5 * SECOND)));
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "", "of a call that the fallback knew nothing of");
    provider.now("a", silence());
    assert_eq!(ask(&client).await, "DeadlineExceeded", "which moves on to nobody");
    assert_eq!(provider.targets(), "a b a");
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_moves_on_and_a_prompt_that_is_too_long_stays() {
    const TOO_LONG: &str = r#"{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    let pinged = stream().then(PING).then("data: {\"error\":{\"message\":\"down\",\"type\":\"server_error\"}}\n\n");
    let provider = Provider::new([status(200).body(HIDDEN), status(200), pinged, status(200), status(400).body(TOO_LONG)]);
    let client = fallback().layer(ClassifyLayer::new().layer(provider.transport()));
    assert_eq!((ask(&client).await.as_str(), provider.targets().as_str()), ("200 {}", "a b"));
    assert_eq!(ask(&client).await, "200 {}", "a stream that failed before its first content was not handed on");
    assert_eq!(ask(&client).await, format!("400 {TOO_LONG}"));
    assert_eq!(provider.targets(), "a b a b a");
}

#[tokio::test(start_paused = true)]
async fn each_target_has_its_attempts_and_its_budget() {
    let provider = Provider::new([]).always("a", status(503)).always("b", status(503));
    let budget = RetryBudget::new(0.1, 20, 1).unwrap();
    let client = CallLayer::new().layer(fallback().layer(retry().budget(budget.clone()).layer(provider.transport())));
    let response = head(&client).await.unwrap();
    assert_eq!(provider.targets(), "a a b b", "one retry is all that each budget pays for");
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "a overloaded, a overloaded, b overloaded, b overloaded");
    assert_eq!(Target::of(response.extensions()).map(Target::name), Some("a"), "of failures alike the first is handed on");
    assert_eq!(budget.tokens(), 1.0, "that of requests without a target is untouched");
}

#[tokio::test(start_paused = true)]
async fn each_target_has_a_circuit_and_an_open_one_is_passed_by() {
    let provider = Provider::new([]).always("a", status(503));
    let breaker = CircuitBreakerLayer::new();
    let client = fallback().layer(breaker.layer(provider.transport()));
    for _ in 0..5 {
        assert_eq!(ask(&client).await, "200 {}");
    }
    let circuits = breaker.handle();
    assert!(is_open(&circuits, Some("a")));
    assert_eq!((circuits.state(Some("b")), circuits.state(None)), (CircuitState::Closed, CircuitState::Closed));
    let began = Instant::now();
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!((provider.targets().as_str(), began.elapsed()), ("a b a b a b a b a b b", ms(0)));
}

#[tokio::test(start_paused = true)]
async fn each_target_has_a_limit_and_who_would_wait_too_long_goes_on() {
    let provider = Provider::new([]);
    let limiter = limiter(2).max_wait(ms(0));
    let client = fallback().wait_for_recovery(ms(0)).layer(limiter.layer(provider.transport()));
    for _ in 0..4 {
        assert_eq!(ask(&client).await, "200 {}");
    }
    let left = |target| limiter.handle().available(target);
    assert_eq!((provider.targets().as_str(), left(Some("a")), left(Some("b")), left(None)), ("a a b b", 0, 0, 2));
    assert_eq!(ask(&client).await, "LimitedLocally");
    assert_eq!(provider.sent(), 4);
}

#[tokio::test(start_paused = true)]
async fn each_target_has_its_own_time_and_a_silent_one_costs_one_limit() {
    let provider = Provider::new([]).always("a", silence()).always("b", status(200).after(3 * SECOND / 2));
    let client = CallLayer::new().layer(fallback().layer(timeout(2 * SECOND).layer(provider.transport())));
    let began = Instant::now();
    let response = client.oneshot(request()).await.unwrap();
    assert_eq!((provider.targets().as_str(), began.elapsed()), ("a b", 7 * SECOND / 2));
    assert_eq!(trail(Call::of(response.extensions()).unwrap()), "a timeout, b ok");
}
