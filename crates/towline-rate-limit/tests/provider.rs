//! A real client against a provider that enforces its limit.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic where a test may")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::burst;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use towline_core::FailureKind;
use towline_rate_limit::RateLimitLayer;
use towline_testkit::{HeldClock, MockProvider, Reply};

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// 60 requests a minute, enforced strictly: no more than ten in any ten seconds.
async fn strict_provider() -> MockProvider {
    let provider = MockProvider::start().await.unwrap();
    let taken = Mutex::new(Vec::<Instant>::new());
    provider.respond_with(move |_| {
        let (now, mut taken) = (Instant::now(), taken.lock());
        taken.retain(|at| now - *at < Duration::from_secs(10));
        if taken.len() >= 10 {
            return Reply::status(429).header("retry-after", "1");
        }
        taken.push(now);
        Reply::status(200)
    });
    provider
}

/// How many of 30 calls at once are answered 429.
async fn refused_of_thirty(layer: &RateLimitLayer) -> usize {
    let clock = HeldClock::hold();
    let provider = strict_provider().await;
    let mut service = layer.layer(client());
    let mut calls = Vec::new();
    for _ in 0..30 {
        let request = Request::post(provider.url("/v1/messages")).body(Full::from("{}")).unwrap();
        calls.push(tokio::spawn(service.ready().await.unwrap().call(request)));
    }
    while layer.handle().waiting(None) > 0 {
        provider.answered(30 - layer.handle().waiting(None)).await;
        clock.advance(Duration::from_millis(250)).await;
    }
    let mut refused = 0;
    for call in calls {
        let response = call.await.unwrap().unwrap();
        refused += usize::from(response.status() == StatusCode::TOO_MANY_REQUESTS);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(provider.hits(), 30);
    refused
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_enforces_its_limit_has_nobody_to_refuse() {
    // The last of 30 waits a little longer than half a minute.
    let limited = RateLimitLayer::requests_per_minute(burst(60)).max_wait(Duration::from_secs(60));
    assert_eq!(refused_of_thirty(&limited).await, 0);
    assert_eq!(refused_of_thirty(&RateLimitLayer::unlimited()).await, 20, "as it has without a limiter");
}

#[tokio::test]
async fn a_connection_that_was_refused_costs_nothing() {
    let refused = MockProvider::refused().unwrap();
    let layer = RateLimitLayer::requests_per_minute(burst(60));
    for _ in 0..3 {
        let request = Request::post(refused.url("/")).body(Full::from("{}")).unwrap();
        let error = layer.layer(client()).oneshot(request).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Connect);
        assert_eq!(layer.handle().available(None), 1);
    }
}
