//! Our layers: each alone, the five that guard one provider, and the facade's whole stack.

use std::{num::NonZeroU32, time::Duration};

use tower::ServiceBuilder;
use towline::{
    BoxError, CircuitBreakerLayer, ClassifyLayer, Credential, FallbackLayer, RateLimitLayer, RetryLayer, Target, TimeoutLayer,
};

use crate::{provider::Provider, stack::Stack};

pub(super) fn stacks(provider: &Provider) -> Result<Vec<Stack>, BoxError> {
    let new = || ServiceBuilder::new();
    let one = || provider.clone();
    Ok(vec![
        Stack::new("towline/classify", provider, new().layer(ClassifyLayer::new()).service(one())),
        Stack::new("towline/retry", provider, new().layer(RetryLayer::new()).service(one())),
        Stack::new("towline/breaker", provider, new().layer(CircuitBreakerLayer::new()).service(one())),
        Stack::new("towline/breaker, windowed", provider, new().layer(windowed()?).service(one())),
        Stack::new("towline/limiter", provider, new().layer(limiter()).service(one())),
        Stack::new("towline/timeout", provider, new().layer(TimeoutLayer::attempt()).service(one())),
        Stack::new("towline/fallback, 1 target", provider, new().layer(FallbackLayer::new(targets(1)?)?).service(one())),
        Stack::new("towline/fallback, 2 targets", provider, new().layer(FallbackLayer::new(targets(2)?)?).service(one())),
        Stack::new("towline/fallback, 4 targets", provider, new().layer(FallbackLayer::new(targets(4)?)?).service(one())),
        Stack::new(
            "towline/five",
            provider,
            new()
                .layer(RetryLayer::new())
                .layer(CircuitBreakerLayer::new())
                .layer(limiter())
                .layer(TimeoutLayer::attempt())
                .layer(ClassifyLayer::new())
                .service(one()),
        ),
        Stack::new(
            "towline/whole, 1 target",
            provider,
            towline::stack(one()).targets(targets(1)?)?.rate_limit(limiter()).build()?,
        ),
        Stack::new(
            "towline/whole, 4 targets",
            provider,
            towline::stack(one()).targets(targets(4)?)?.rate_limit(limiter()).build()?,
        ),
    ])
}

/// The breaker that also counts failures within a time.
fn windowed() -> Result<CircuitBreakerLayer, BoxError> {
    Ok(CircuitBreakerLayer::new().failures_in(5, Duration::from_secs(60))?)
}

/// A rate that no loop reaches.
fn limiter() -> RateLimitLayer {
    RateLimitLayer::requests_per_minute(NonZeroU32::MAX).burst(NonZeroU32::MAX)
}

/// Providers that speak the same dialect; the calls end at the first.
fn targets(n: usize) -> Result<Vec<Target>, BoxError> {
    let target = |at| {
        let target = Target::new(format!("target-{at}"), format!("https://target-{at}.example.com/v1"))?;
        Ok(target.with_credential(Credential::bearer("sk-0123456789abcdef")?))
    };
    (1..=n).map(target).collect()
}
