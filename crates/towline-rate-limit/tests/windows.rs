//! Providers that count in windows: what passes in any of them, wherever it may begin.

mod common;

use std::time::Duration;

use common::tokens::*;
use http::Request;
use tower::{Layer, ServiceExt};
use towline_rate_limit::{Limits, Profile, RateLimitLayer};

/// Asks 1500 times at once, after a pause in which the buckets are full, and again when all are served.
#[allow(clippy::unwrap_used, reason = "a helper of tests may panic where a test may")]
async fn demand(layer: &RateLimitLayer, request: impl Fn() -> Request<usize>) -> Provider {
    let provider = Provider::new([]);
    let layer = layer.clone().max_wait(Duration::from_secs(600)).queue(2000);
    let service = layer.layer(provider.clone());
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(55)).await;
        let calls: Vec<_> = (0..1500).map(|_| tokio::spawn(service.clone().oneshot(request()))).collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
    provider
}

#[tokio::test(start_paused = true)]
async fn edge_26_a_provider_that_counts_by_the_minute_has_nobody_to_refuse_wherever_its_minute_begins() {
    let layer = RateLimitLayer::new(Limits::none().requests_per_minute(few(600)));
    let asked = demand(&layer, || asks(1, 1)).await.asked();
    assert_eq!(asked.len(), 3000);
    let most = most_within(&asked, Duration::from_secs(60));
    assert!((570..=600).contains(&most), "{most}");

    let layer = RateLimitLayer::new(Limits::none().tokens_per_minute(n(60_000)));
    let asked = demand(&layer, || asks(60, 40)).await.asked();
    let most = most_within(&asked, Duration::from_secs(60));
    assert!((570..=600).contains(&most), "of 100 tokens each: {most}");
}

#[tokio::test(start_paused = true)]
async fn edge_26_a_provider_that_counts_by_the_second_has_nobody_to_refuse_with_azures_profile() {
    let limits = Limits::none().requests_per_minute(few(600)).tokens_per_minute(n(60_000));
    let layer = RateLimitLayer::new(limits).profile(Profile::Azure);
    let asked = demand(&layer, || asks(60, 40)).await.asked();
    assert_eq!(asked.len(), 3000);
    for (seconds, most) in [(1, 10), (10, 100), (60, 600)] {
        let passed = most_within(&asked, Duration::from_secs(seconds));
        assert!(passed <= most, "{passed} in {seconds} s");
    }
    let time = asked[1499] - asked[0];
    assert!(time < Duration::from_secs(161), "and next to nothing is lost: {time:?}");
}
