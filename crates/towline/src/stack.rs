//! The layers in the documented order.

use tower_layer::Layer;
use towline_call::{CallLayer, CallService};
use towline_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use towline_classify::{Classify, ClassifyLayer};
use towline_core::{InvalidConfig, Observer, Target};
use towline_fallback::{AuthorizeLayer, AuthorizeService, Degrade, DegradeLayer, Fallback, FallbackLayer};
use towline_rate_limit::{RateLimit, RateLimitLayer};
use towline_retry::{Retry, RetryLayer};
use towline_timeout::{Timeout, TimeoutLayer};

/// The service that [`Stack::build`] makes: every layer, outermost first.
pub type StackService<S> =
    CallService<Degrade<Timeout<Fallback<Retry<CircuitBreaker<RateLimit<Timeout<AuthorizeService<Classify<S>>>>>>>>>>;

/// All layers over a transport, in the order that the [crate's page](crate) draws.
///
/// Each comes with its defaults and can be replaced; those that need to be told something (targets, a rate) let everything through
/// until they are. A stack is nothing but a `ServiceBuilder` with the layers in this order: where another order is wanted, write that.
///
/// ```
/// # fn main() -> Result<(), towline::InvalidConfig> {
/// use std::{num::NonZeroU32, time::Duration};
///
/// use towline::{RateLimitLayer, RetryLayer, Target, TimeoutLayer};
///
/// # let client = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, towline::BoxError>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # });
/// let service = towline::stack(client)
///     .targets([Target::new("primary", "https://api.anthropic.com")?])?
///     .retry(RetryLayer::new().attempts(2)?)
///     .rate_limit(RateLimitLayer::requests_per_minute(NonZeroU32::MIN.saturating_add(599)))
///     .attempt_timeout(TimeoutLayer::attempt().head(Duration::from_secs(20))?)
///     .build()?;
/// # let _ = towline::for_body::<http_body_util::Full<bytes::Bytes>, _>(service);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a stack does nothing until it is built"]
pub struct Stack<S> {
    transport: S,
    call: CallLayer,
    degrade: DegradeLayer,
    call_timeout: TimeoutLayer,
    fallback: FallbackLayer,
    retry: RetryLayer,
    circuit_breaker: CircuitBreakerLayer,
    rate_limit: RateLimitLayer,
    attempt_timeout: TimeoutLayer,
    authorize: AuthorizeLayer,
    classify: ClassifyLayer,
}

/// A stack over `transport`, with the defaults of each layer, no targets and no rate limit.
pub fn stack<S>(transport: S) -> Stack<S> {
    Stack {
        transport,
        call: CallLayer::new(),
        degrade: DegradeLayer::new(),
        call_timeout: TimeoutLayer::call(),
        fallback: FallbackLayer::none(),
        retry: RetryLayer::new(),
        circuit_breaker: CircuitBreakerLayer::new(),
        rate_limit: RateLimitLayer::unlimited(),
        attempt_timeout: TimeoutLayer::attempt(),
        authorize: AuthorizeLayer::new(),
        classify: ClassifyLayer::new(),
    }
}

impl<S> Stack<S> {
    /// Where calls go, in order of preference.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name.
    pub fn targets(self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        Ok(self.fallback(FallbackLayer::new(targets)?))
    }

    /// How a request becomes a call: the limit of its body, its deadline.
    pub fn call(mut self, layer: CallLayer) -> Self {
        self.call = layer;
        self
    }

    /// What to answer when nobody could. Default: the failure, loudly.
    pub fn degrade(mut self, layer: DegradeLayer) -> Self {
        self.degrade = layer;
        self
    }

    /// The time limits of the whole call.
    pub fn call_timeout(mut self, layer: TimeoutLayer) -> Self {
        self.call_timeout = layer;
        self
    }

    /// The fallback, with more than its targets set.
    pub fn fallback(mut self, layer: FallbackLayer) -> Self {
        self.fallback = layer;
        self
    }

    /// The retries at one target.
    pub fn retry(mut self, layer: RetryLayer) -> Self {
        self.retry = layer;
        self
    }

    /// The circuit breaker of each target.
    pub fn circuit_breaker(mut self, layer: CircuitBreakerLayer) -> Self {
        self.circuit_breaker = layer;
        self
    }

    /// The rate limit of each target. Default: none.
    pub fn rate_limit(mut self, layer: RateLimitLayer) -> Self {
        self.rate_limit = layer;
        self
    }

    /// The time limits of each attempt.
    pub fn attempt_timeout(mut self, layer: TimeoutLayer) -> Self {
        self.attempt_timeout = layer;
        self
    }

    /// How long keys of a target that has several are left alone.
    pub fn authorize(mut self, layer: AuthorizeLayer) -> Self {
        self.authorize = layer;
        self
    }

    /// How outcomes are read.
    pub fn classify(mut self, layer: ClassifyLayer) -> Self {
        self.classify = layer;
        self
    }

    /// Tells `observer` what each layer decides. Layers that are set after this keep their own observer, so say it last.
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        Self {
            call_timeout: self.call_timeout.observer(observer.clone()),
            fallback: self.fallback.observer(observer.clone()),
            retry: self.retry.observer(observer.clone()),
            circuit_breaker: self.circuit_breaker.observer(observer.clone()),
            rate_limit: self.rate_limit.observer(observer.clone()),
            attempt_timeout: self.attempt_timeout.observer(observer),
            ..self
        }
    }

    /// The service. Those that are built of one stack share what its layers know: circuits, limits, budgets, answers kept.
    ///
    /// # Errors
    ///
    /// A policy that could never act.
    pub fn build(&self) -> Result<StackService<S>, InvalidConfig>
    where
        S: Clone,
    {
        let attempt = self.attempt_timeout.layer(self.authorize.layer(self.classify.layer(self.transport.clone())));
        let guarded = self.circuit_breaker.layer(self.rate_limit.layer(attempt));
        let targets = self.fallback.layer(self.retry.layer(guarded));
        Ok(self.call.layer(self.degrade.layer(self.call_timeout.layer(targets))))
    }
}
