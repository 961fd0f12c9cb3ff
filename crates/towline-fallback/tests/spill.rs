//! A demand that is too high for the first target, and how much of it falls on the second.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};
use towline_core::{BoxError, Call, Error, Facts, Failure, FailureKind};
use towline_fallback::FallbackLayer;

mod support;

use support::*;

fn layer(share: f64, burst: u32) -> FallbackLayer {
    FallbackLayer::new(targets(&["a", "b"])).unwrap().spill_over(share, burst).unwrap()
}

/// How many of so many calls came to the second target, where the first answers like this.
async fn spilled(layer: &FallbackLayer, calls: u32, first: fn() -> Reply) -> u32 {
    let mut spilled = 0;
    for _ in 0..calls {
        let (answer, asked) = ask(layer, request(), move |host| if host == "a" { first() } else { status(200) }).await;
        spilled += u32::from(asked.len() > 1);
        assert_eq!(asked.len() > 1, answer.is_ok_and(|answer| answer.status() == 200), "who spills over is answered");
    }
    spilled
}

#[tokio::test(start_paused = true)]
async fn beyond_the_share_a_call_gets_the_failure_itself_with_its_wait() {
    let layer = layer(0.5, 1);
    let full = |host: &str| if host == "a" { limited("7") } else { status(200) };
    assert_eq!(ask(&layer, request(), full).await.1, ["a", "b"]);
    let (answer, asked) = ask(&layer, request(), full).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status().as_u16(), asked), (429, vec!["a".to_owned()]));
    assert_eq!(answer.headers()["retry-after"], "7");

    let began = Instant::now();
    assert!(spilled(&layer, 1, || kept_back(FailureKind::LimitedLocally, 3)).await == 1, "two calls have paid for one");
    let (answer, asked) = ask(&layer, request(), |_| kept_back(FailureKind::LimitedLocally, 3)).await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), asked.len(), began.elapsed()), (FailureKind::LimitedLocally, 1, Duration::ZERO));
    assert_eq!(error.failure().hint.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_capped_nor_is_anything_by_default() {
    for down in [|| status(503), || status(500), || kept_back(FailureKind::CircuitOpen, 9), || refused(FailureKind::Connect)] {
        assert_eq!(spilled(&layer(0.001, 1), 50, down).await, 50);
    }
    let layer = FallbackLayer::new(targets(&["a", "b"])).unwrap();
    assert_eq!(spilled(&layer, 50, || limited("1")).await, 50);
}

#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_the_cap_and_one_passes_every_ten_seconds() {
    let layer = layer(0.001, 3);
    let clone = layer.clone().answer_headers(true);
    assert_eq!(spilled(&layer, 2, || limited("1")).await, 2);
    assert_eq!(spilled(&clone, 20, || limited("1")).await, 1);
    for _ in 0..3 {
        advance(Duration::from_secs(10)).await;
        assert_eq!(spilled(&layer, 20, || limited("1")).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_beneath_is_told_whether_the_call_may_go_elsewhere() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let call = Call::of(request.extensions()).unwrap();
        log.lock().push((request.uri().host().unwrap().to_owned(), call.has_alternative()));
        async { Err::<Response<()>, BoxError>(Error::new(Failure::new(FailureKind::RateLimited)).into()) }
    });
    let layer = layer(0.001, 1);
    for _ in 0..2 {
        let call = Call::new(Facts::default(), Instant::now(), None);
        layer.layer(inner.clone()).oneshot(with_call(&call)).await.unwrap_err();
    }
    let told: Vec<_> = told.lock().drain(..).collect();
    let told: Vec<_> = told.iter().map(|(host, waits)| (host.as_str(), *waits)).collect();
    assert_eq!(told, [("a", true), ("b", false), ("a", false)]);
}

#[test]
fn a_share_or_a_burst_that_is_none_is_refused() {
    for (share, burst) in [(0.0, 1), (1.1, 1), (f64::NAN, 1), (0.5, 0)] {
        let layer = FallbackLayer::new(targets(&["a"])).unwrap();
        assert_eq!(layer.spill_over(share, burst).unwrap_err().field(), "spill_over");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Counted in whole thousandths, as a child would.
    #[test]
    fn of_any_number_of_calls_as_many_pass_as_have_been_paid_for(
        thousandths in 1..=1000_u32, burst in 1..20_u32, limited_ones in proptest::collection::vec(any::<bool>(), 0..200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let layer = layer(f64::from(thousandths) / 1000.0, burst);
        let mut tokens = burst * 1000;
        for is_limited in limited_ones {
            tokens = (tokens + thousandths).min(burst * 1000);
            let first = if is_limited { || limited("1") } else { || status(200) };
            let passes = is_limited && tokens >= 1000;
            tokens -= if passes { 1000 } else { 0 };
            let moved = runtime.block_on(ask(&layer, request(), move |host| if host == "a" { first() } else { status(200) })).1.len() > 1;
            prop_assert_eq!(moved, passes);
        }
    }
}
