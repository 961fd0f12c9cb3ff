//! Providers that are left alone, and how calls come back to them.

use std::{num::NonZeroU32, time::Duration};

use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use towline::{CircuitBreakerLayer, CircuitState, FailureKind as K, FallbackLayer, RateLimitLayer, RetryLayer, axum::EdgeLayer};
use towline_testkit::{Dialect, Reply};

use crate::support::{Pair, SECOND, chat};

/// While everything cooled down, nobody was told for how long.
#[tokio::test]
async fn litellm_27823_a_refusal_of_ours_says_when_to_come_back() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    for provider in [&pair.first, &pair.second] {
        provider.otherwise(Reply::status(503));
    }
    let breaker = CircuitBreakerLayer::new().consecutive_failures(1).unwrap().open_for(20 * SECOND, 20 * SECOND).unwrap();
    let targets = [pair.target("first", &pair.first), pair.target("second", &pair.second)];
    let fallback = FallbackLayer::new(targets).unwrap().wait_for_recovery(Duration::ZERO);
    let service = pair.stack().fallback(fallback).circuit_breaker(breaker).retry(RetryLayer::new().attempts(1).unwrap()).build();
    let app = axum::Router::new()
        .route_service("/v1/chat/completions", ServiceBuilder::new().layer(EdgeLayer::new()).service(service.unwrap()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let (mut parts, body) = chat(false).into_parts();
        parts.uri = url.parse().unwrap();
        let response = client.request(http::Request::from_parts(parts, body)).await.unwrap();
        let after = response.headers().get("retry-after").map(|after| after.to_str().unwrap().parse::<u64>().unwrap());
        let status = response.status().as_u16();
        answers.push((status, after, response.into_body().collect().await.unwrap().to_bytes()));
    }
    assert_eq!((answers[0].0, answers[0].1), (503, None), "the provider's own, who does not say");
    assert!(answers[1].0 == 503 && answers[1].1.is_some_and(|after| (19..=31).contains(&after)), "{answers:?}");
    assert_eq!(pair.hits(), [1, 1], "the second call asked nobody");
}

/// 25 failures in a row left a deployment in rotation.
#[tokio::test(start_paused = true)]
async fn litellm_34836_five_failures_in_a_row_take_a_target_out_at_once() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    pair.first.otherwise(Reply::status(500));
    let service = pair.stack().retry(RetryLayer::new().attempts(1).unwrap()).build().unwrap();
    for nth in 1..=25 {
        let got = pair.ask(&service, chat(false)).await;
        assert_eq!((&*got.who, got.counted()), ("second", 60));
        assert_eq!(pair.hits(), [nth.min(5), nth]);
    }
}

/// All traffic jumped back as soon as a provider answered again.
#[tokio::test(start_paused = true)]
async fn bifrost_125_traffic_comes_back_by_and_by() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    pair.first.script((0..5).map(|_| Reply::status(500)));
    let breaker = CircuitBreakerLayer::new().ramp(100 * SECOND).unwrap().open_for(SECOND, SECOND).unwrap();
    let stack = pair.stack().circuit_breaker(breaker.clone()).retry(RetryLayer::new().attempts(1).unwrap());
    let service = stack.build().unwrap();
    let share = async || {
        let before = pair.first.hits();
        for _ in 0..100 {
            assert_eq!(pair.ask(&service, chat(false)).await.status, 200);
        }
        pair.first.hits() - before
    };
    for _ in 0..5 {
        pair.ask(&service, chat(false)).await;
    }
    assert!(matches!(breaker.handle().state(Some("first")), CircuitState::Open { .. }));
    pair.wait(2 * SECOND).await;
    for _ in 0..2 {
        assert_eq!(pair.ask(&service, chat(false)).await.who, "first", "a probe");
    }
    let shares = [
        share().await,
        {
            pair.wait(50 * SECOND).await;
            share().await
        },
        {
            pair.wait(100 * SECOND).await;
            share().await
        },
    ];
    assert!(shares[0] <= 40 && shares[0] < shares[1] && shares[1] < 90 && shares[2] == 100, "{shares:?} of 100");
}

/// Errors of the gateway's own were counted against the deployment.
#[tokio::test(start_paused = true)]
async fn litellm_40958_refusals_of_our_own_say_nothing_of_the_provider() {
    let pair = Pair::start(Dialect::OpenAiChat).await;
    let breaker = CircuitBreakerLayer::new().consecutive_failures(2).unwrap();
    let limit = RateLimitLayer::requests_per_minute(NonZeroU32::MIN).share(1.0).unwrap().max_wait(Duration::ZERO);
    let targets = [pair.target("first", &pair.first)];
    let service = towline::stack(towline_tests::hyper()).targets(targets).unwrap();
    let service = service.circuit_breaker(breaker.clone()).rate_limit(limit).build().unwrap();
    assert_eq!(pair.ask(&service, chat(false)).await.status, 200);
    for _ in 0..20 {
        let got = pair.ask(&service, chat(false)).await;
        assert_eq!(got.error, Some(K::LimitedLocally), "and not that a circuit is open");
    }
    assert_eq!((breaker.handle().state(Some("first")), pair.first.hits()), (CircuitState::Closed, 1));
}
