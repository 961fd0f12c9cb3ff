//! Limiters whose gates are closed, and a fallback above that passes them over.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{collections::HashSet, num::NonZeroU32, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use towline::{BoxError, Call, CallLayer, FallbackLayer, RateLimitLayer, Target};
use towline_tests::{Body, post};

/// Who answers, and after how many whole seconds, where a target's gate is closed for so long.
async fn answers(gates: &[(&str, u64)], layer: impl FnOnce(FallbackLayer) -> FallbackLayer) -> (String, u64) {
    let targets: Vec<_> = gates.iter().map(|(name, _)| Target::new(name, format!("http://{name}")).unwrap()).collect();
    let limited: Arc<Mutex<HashSet<String>>> = Arc::default();
    let seconds: Vec<_> = gates.iter().map(|(name, closed)| ((*name).to_owned(), *closed)).collect();
    let provider = service_fn(move |request: Request<Body>| {
        let name = Target::of(request.extensions()).unwrap().name().to_owned();
        let closed = seconds.iter().find(|(known, _)| *known == name).map_or(0, |(_, closed)| *closed);
        let first = closed > 0 && limited.lock().insert(name);
        let (status, after) = if first { (429, closed.to_string()) } else { (200, "0".to_owned()) };
        async move {
            Ok::<_, BoxError>(
                Response::builder().status(status).header("retry-after", after).body(Full::<bytes::Bytes>::default())?,
            )
        }
    });
    let limits = RateLimitLayer::requests_per_minute(NonZeroU32::MIN.saturating_add(5999));
    let limiter = limits.layer(provider);
    for target in targets.iter().zip(gates).filter(|(_, (_, closed))| *closed > 0).map(|(target, _)| target) {
        let mut request = post("/v1/messages");
        request.extensions_mut().insert(target.clone());
        assert_eq!(limiter.clone().oneshot(request).await.unwrap().status(), 429);
    }
    let service = CallLayer::new().layer(layer(FallbackLayer::new(targets).unwrap().seed(7)).layer(limiter));
    let began = Instant::now();
    let response = service.oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(Call::of(response.extensions()).is_some());
    (Target::of(response.extensions()).unwrap().name().to_owned(), began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_gate_is_closed_is_passed_over_at_once() {
    assert_eq!(answers(&[("a", 20), ("b", 0)], |layer| layer).await, ("b".to_owned(), 0));
    assert_eq!(answers(&[("a", 20), ("b", 600), ("c", 30), ("d", 0)], |layer| layer).await, ("d".to_owned(), 0));
    assert_eq!(
        answers(&[("a", 1), ("b", 0)], |layer| layer).await,
        ("a".to_owned(), 1),
        "so short that it is not worth the move"
    );
}

#[tokio::test(start_paused = true)]
async fn where_all_gates_are_closed_the_first_to_open_is_waited_for() {
    assert_eq!(answers(&[("a", 3), ("b", 20)], |layer| layer).await, ("a".to_owned(), 3));
    assert_eq!(answers(&[("a", 20), ("b", 4)], |layer| layer).await, ("b".to_owned(), 4));
    assert_eq!(answers(&[("a", 25), ("b", 28), ("c", 12)], |layer| layer).await, ("c".to_owned(), 12), "in its own line");
    assert_eq!(answers(&[("a", 12), ("b", 28), ("c", 25)], |layer| layer).await, ("a".to_owned(), 12));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_not_spill_over_stands_in_line() {
    let capped = |layer: FallbackLayer| layer.spill_over(0.001, 1).unwrap();
    assert_eq!(answers(&[("a", 20), ("b", 0)], capped).await, ("b".to_owned(), 0), "the one that may");
    let layer =
        capped(FallbackLayer::new([Target::new("a", "http://a").unwrap(), Target::new("b", "http://b").unwrap()]).unwrap());
    let full =
        |_: Request<Body>| async { Ok::<_, BoxError>(Response::builder().status(429).body(Full::<bytes::Bytes>::default())?) };
    layer.layer(service_fn(full)).oneshot(post("/v1/messages")).await.unwrap();
    assert_eq!(answers(&[("a", 20), ("b", 0)], |_| layer).await, ("a".to_owned(), 20));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_gate_where_waiting_is_off_but_in_the_last_targets_own_line() {
    let never = |layer: FallbackLayer| layer.wait_for_recovery(Duration::ZERO);
    assert_eq!(answers(&[("a", 4), ("b", 9)], never).await, ("b".to_owned(), 9));
}
