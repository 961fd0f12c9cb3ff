//! `RateLimitLayer` above another layer: one permit for all that happens beneath it.

use tokio::time::Instant;
use tower::Layer;
use towline::{CircuitBreakerLayer, ClassifyLayer, FailureKind};

use crate::{provider::*, support::*};

#[tokio::test(start_paused = true)]
async fn the_time_in_line_comes_before_the_deadline_begins() {
    let provider = Provider::new([]);
    let limiter = limiter(1);
    let client = limiter.layer(call_within(SECOND / 2).layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 {}");
    let began = Instant::now();
    assert_eq!(ask(&client).await, "200 {}", "it waited for longer than its deadline");
    assert_eq!((began.elapsed(), provider.log()[1].left), (SECOND, Some(SECOND / 2)));
}

#[tokio::test(start_paused = true)]
async fn a_hidden_error_keeps_its_charge_and_a_refused_connection_does_not() {
    let provider = Provider::new([status(200).body(HIDDEN), refused(), status(200)]);
    let limiter = limiter(3);
    let client = limiter.layer(ClassifyLayer::new().layer(provider.transport()));
    assert_eq!(written(&head(&client).await.unwrap()), Some(FailureKind::Overloaded));
    assert_eq!(limiter.handle().available(None), 2);
    assert_eq!(ask(&client).await, "Connect");
    assert_eq!((limiter.handle().available(None), provider.sent()), (2, 2), "it never left");
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!(limiter.handle().available(None), 1);
}

#[tokio::test(start_paused = true)]
async fn one_permit_pays_for_all_attempts() {
    let provider = Provider::new([]).always("-", status(503).retry_after("0"));
    let limiter = limiter(3).max_wait(ms(0));
    let client = limiter.layer(retry().without_budget().layer(provider.transport()));
    let clients = [&client; 3].map(ask);
    let [one, two, three] = clients;
    let answers = tokio::join!(one, two, three);
    assert_eq!(answers, ("503 {}".into(), "503 {}".into(), "503 {}".into()));
    assert_eq!(provider.sent(), 9, "three times the limit has reached the provider");
}

#[tokio::test(start_paused = true)]
async fn what_an_open_circuit_refuses_is_given_back_after_the_wait_in_line() {
    let provider = Provider::new([]).always("-", status(503));
    let (limiter, breaker) = (limiter(1), CircuitBreakerLayer::new().consecutive_failures(1).unwrap());
    let client = limiter.layer(breaker.layer(provider.transport()));
    assert_eq!(ask(&client).await, "503 {}");
    let began = Instant::now();
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!(began.elapsed(), SECOND, "it stood in line to be refused");
    assert_eq!((limiter.handle().available(None), provider.sent()), (1, 1), "at no charge");
    assert_eq!(ask(&client).await, "CircuitOpen");
    assert_eq!((limiter.handle().available(None), began.elapsed()), (1, SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_time_in_line_is_not_the_providers() {
    let provider = Provider::new([status(200), status(200), silence()]);
    let limiter = limiter(1);
    let client = limiter.layer(timeout(SECOND / 2).layer(provider.transport()));
    assert_eq!(ask(&client).await, "200 {}");
    let began = Instant::now();
    assert_eq!(ask(&client).await, "200 {}");
    assert_eq!(began.elapsed(), SECOND, "twice the limit, and no timeout");
    assert_eq!(ask(&client).await, "Timeout(Head)");
    assert_eq!((provider.sent(), limiter.handle().available(None)), (3, 0), "what timed out was sent and keeps its charge");
}

#[tokio::test(start_paused = true)]
async fn one_limit_stands_for_all_targets() {
    let provider = Provider::new([]).always("a", status(503));
    let limiter = limiter(2).max_wait(ms(0));
    let client = limiter.layer(fallback().layer(provider.transport()));
    assert_eq!((ask(&client).await, ask(&client).await), ("200 {}".into(), "200 {}".into()));
    assert_eq!((provider.targets().as_str(), limiter.handle().available(None)), ("a b a b", 0), "two permits, four attempts");
    assert_eq!(limiter.handle().available(Some("b")), 2, "nobody has asked for a target's own limit");
    assert_eq!(ask(&client).await, "LimitedLocally", "and no target is left to go to");
}
