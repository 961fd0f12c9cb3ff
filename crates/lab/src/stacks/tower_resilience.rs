//! tower-resilience's layers, with the settings of its own documentation and limits that are never met.

use std::time::Duration;

use http::{Request, Response};
use tower::ServiceBuilder;
use tower_resilience::{
    bulkhead::BulkheadLayer,
    circuitbreaker::{CircuitBreakerLayer, DefaultClassifier},
    fallback::FallbackLayer,
    ratelimiter::RateLimiterLayer,
    retry::{RetryBudgetBuilder, RetryLayer},
    timelimiter::{FixedTimeout, TimeLimiterLayer},
};

use crate::{
    BoxError,
    provider::{Body, Provider},
    stack::Stack,
};

pub(super) fn stacks(provider: &Provider) -> Result<Vec<Stack>, BoxError> {
    let new = || ServiceBuilder::new();
    Ok(vec![
        Stack::new("tower-resilience/breaker", provider, new().layer(breaker()?).service(provider.clone())),
        Stack::new("tower-resilience/retry", provider, new().layer(retry()?).service(provider.clone())),
        Stack::new("tower-resilience/limiter", provider, new().layer(limiter()?).service(provider.clone())),
        Stack::new("tower-resilience/timeout", provider, new().layer(timeout()).service(provider.clone())),
        Stack::new("tower-resilience/fallback", provider, new().layer(fallback()).service(provider.clone())),
        Stack::new("tower-resilience/bulkhead", provider, new().layer(bulkhead()?).service(provider.clone())),
        Stack::new(
            "tower-resilience/six",
            provider,
            new()
                .layer(timeout())
                .layer(fallback())
                .layer(limiter()?)
                .layer(breaker()?)
                .layer(retry()?)
                .layer(bulkhead()?)
                .service(provider.clone()),
        ),
    ])
}

fn breaker() -> Result<CircuitBreakerLayer<DefaultClassifier>, BoxError> {
    let breaker = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).sliding_window_size(100);
    Ok(breaker.build()?)
}

fn retry<E>() -> Result<RetryLayer<Request<Body>, Response<Body>, E>, BoxError> {
    let budget = RetryBudgetBuilder::new().token_bucket().tokens_per_second(10.0).max_tokens(100).build()?;
    Ok(RetryLayer::builder().max_attempts(3).exponential_backoff(Duration::from_millis(100)).budget(budget).build())
}

fn limiter() -> Result<RateLimiterLayer, BoxError> {
    let limiter = RateLimiterLayer::builder().limit_for_period(1_000_000_000).refresh_period(Duration::from_secs(1));
    Ok(limiter.build()?)
}

fn timeout() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder().timeout_duration(Duration::from_secs(60)).cancel_running_future(true).build()
}

fn fallback<E>() -> FallbackLayer<Request<Body>, Response<Body>, E> {
    FallbackLayer::value_fn(|| Response::new(Body::default()))
}

fn bulkhead() -> Result<BulkheadLayer, BoxError> {
    Ok(BulkheadLayer::builder().max_concurrent_calls(1000).build()?)
}
