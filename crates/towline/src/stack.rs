//! The layers in the documented order.

use tower_layer::Layer;
use towline_call::{CallLayer, CallService};
use towline_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use towline_classify::{Classify, ClassifyLayer};
use towline_core::{Call, Failure, InvalidConfig, Observer, Target};
use towline_fallback::{AuthorizeLayer, AuthorizeService, Degrade, DegradeLayer, Fallback, FallbackLayer, Queue};
use towline_rate_limit::{Limits, RateLimit, RateLimitLayer};
use towline_retry::{Retry, RetryLayer};
use towline_timeout::{Timeout, TimeoutLayer};

use crate::Preset;

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
    preset: Option<Preset>,
    /// What was wrong with the preset.
    wrong: Option<InvalidConfig>,
}

/// A stack over `transport`, with the defaults of each layer, no targets and no rate limit.
pub fn stack<S>(transport: S) -> Stack<S> {
    Stack {
        transport,
        call: CallLayer::new(),
        degrade: DegradeLayer::new(),
        call_timeout: TimeoutLayer::new(),
        fallback: FallbackLayer::none(),
        retry: RetryLayer::new(),
        circuit_breaker: CircuitBreakerLayer::new(),
        rate_limit: RateLimitLayer::unlimited(),
        attempt_timeout: TimeoutLayer::attempt(),
        authorize: AuthorizeLayer::new(),
        classify: ClassifyLayer::new(),
        preset: None,
        wrong: None,
    }
}

impl<S> Stack<S> {
    /// Sets all layers as `preset` says. What is said after it overrules it; targets, hooks and a queue may be named before or after. A preset with a number
    /// that makes no sense cannot be [built](Self::build).
    pub fn preset(mut self, preset: Preset) -> Self {
        self.wrong = self.apply(&preset).err();
        self.preset = Some(preset);
        self
    }

    /// Where calls go, in order of preference: after those that were named before, if there were any.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name.
    pub fn targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.fallback = self.fallback.add_targets(targets)?;
        Ok(self)
    }

    /// Where prompts go that do not fit the window of another target, as
    /// [`FallbackLayer::context_window_targets`] says.
    ///
    /// # Errors
    ///
    /// `context_window_targets` if two of them have the same name, or no [`targets`](Self::targets) were named before.
    pub fn context_window_targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.fallback = self.fallback.context_window_targets(targets)?;
        Ok(self)
    }

    /// Where requests go that the content policy of another target refuses, as [`FallbackLayer::content_policy_targets`] says.
    ///
    /// # Errors
    ///
    /// `content_policy_targets` if two of them have the same name, or no [`targets`](Self::targets) were named before.
    pub fn content_policy_targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.fallback = self.fallback.content_policy_targets(targets)?;
        Ok(self)
    }

    /// Who is told, for review, of refusals by a content policy, as [`FallbackLayer::on_refusal`] says.
    pub fn on_refusal(mut self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.fallback = self.fallback.on_refusal(hook);
        self
    }

    /// Who is told that a credential was not accepted, as [`FallbackLayer::on_auth_failure`] says.
    pub fn on_auth_failure(mut self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.fallback = self.fallback.on_auth_failure(hook);
        self
    }

    /// What each target's provider allows, used as far as the preset says (0.95 of it without one). In place of a
    /// [`rate_limit`](Self::rate_limit).
    pub fn limits(mut self, limits: Limits) -> Self {
        let layer = RateLimitLayer::new(limits);
        match self.preset.as_ref().map(|preset| preset.limited(layer.clone())) {
            Some(Ok(layer)) => self.rate_limit(layer),
            None => self.rate_limit(layer),
            Some(Err(wrong)) => {
                self.wrong = Some(wrong);
                self
            }
        }
    }

    /// Who takes requests over that nobody could answer, as [`DegradeLayer::queue`] says.
    pub fn queue(mut self, queue: impl Queue) -> Self {
        self.degrade = self.degrade.queue(queue);
        self
    }

    /// How a request becomes a call: the limit of its body, its deadline.
    pub fn call(mut self, layer: CallLayer) -> Self {
        self.call = layer;
        self
    }

    /// What to answer when nobody could, with all of it. Default: the failure, loudly.
    pub fn degrade(mut self, layer: DegradeLayer) -> Self {
        self.degrade = layer;
        self
    }

    /// The time limits of the whole call. Default: its deadline, and nothing else.
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
            attempt_timeout: self.attempt_timeout.observer(observer.clone()),
            classify: self.classify.observer(observer),
            ..self
        }
    }

    /// The service. Those that are built of one stack share what its layers know: circuits, limits, budgets, answers kept.
    ///
    /// # Errors
    ///
    /// The field of a preset that makes no sense, or whatever fills a role that its [preset](crate::presets) needs and that nobody fills.
    pub fn build(&self) -> Result<StackService<S>, InvalidConfig>
    where
        S: Clone,
    {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        if let Some(preset) = &self.preset {
            preset.check(&self.fallback, &self.degrade)?;
        }
        let attempt = self.attempt_timeout.layer(self.authorize.layer(self.classify.layer(self.transport.clone())));
        let guarded = self.circuit_breaker.layer(self.rate_limit.layer(attempt));
        let targets = self.fallback.layer(self.retry.layer(guarded));
        Ok(self.call.layer(self.degrade.layer(self.call_timeout.layer(targets))))
    }

    fn apply(&mut self, preset: &Preset) -> Result<(), InvalidConfig> {
        self.call = preset.call_layer()?;
        let degrade = if self.preset.is_some() { DegradeLayer::new() } else { self.degrade.clone() };
        self.degrade = preset.degrading(degrade);
        self.call_timeout = TimeoutLayer::new();
        self.fallback = preset.falling_back(self.fallback.clone())?;
        self.retry = preset.retry_layer()?;
        self.circuit_breaker = preset.circuit_breaker_layer()?;
        self.rate_limit = preset.limited(self.rate_limit.clone())?;
        self.attempt_timeout = preset.attempt_timeout_layer()?;
        Ok(())
    }
}
