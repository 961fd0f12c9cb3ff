//! The layers in the documented order.

use std::sync::Arc;

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

mod explain;
mod layers;

use layers::Layers;

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
    layers: Layers,
}

/// A stack over `transport`, with the defaults of each layer, no targets and no rate limit.
pub fn stack<S>(transport: S) -> Stack<S> {
    Stack { transport, layers: Layers::new() }
}

impl<S> Stack<S> {
    /// Sets all layers as `preset` says. What is said after it overrules it; targets, hooks and a queue may be named before or after. A preset with a number
    /// that makes no sense cannot be [built](Self::build).
    pub fn preset(mut self, preset: Preset) -> Self {
        self.layers.wrong = self.layers.apply(&preset).err();
        self.layers.preset = Some(preset);
        self
    }

    /// Where calls go, in order of preference: after those that were named before, if there were any.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name.
    pub fn targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.layers.fallback = self.layers.fallback.add_targets(targets)?;
        Ok(self)
    }

    /// Where prompts go that do not fit the window of another target, as
    /// [`FallbackLayer::context_window_targets`] says.
    ///
    /// # Errors
    ///
    /// `context_window_targets` if two of them have the same name, or no [`targets`](Self::targets) were named before.
    pub fn context_window_targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.layers.fallback = self.layers.fallback.context_window_targets(targets)?;
        Ok(self)
    }

    /// Where requests go that the content policy of another target refuses, as [`FallbackLayer::content_policy_targets`] says.
    ///
    /// # Errors
    ///
    /// `content_policy_targets` if two of them have the same name, or no [`targets`](Self::targets) were named before.
    pub fn content_policy_targets(mut self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.layers.fallback = self.layers.fallback.content_policy_targets(targets)?;
        Ok(self)
    }

    /// Who is told, for review, of refusals by a content policy, as [`FallbackLayer::on_refusal`] says.
    pub fn on_refusal(mut self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.layers.fallback = self.layers.fallback.on_refusal(hook);
        self
    }

    /// Who is told that a credential was not accepted, as [`FallbackLayer::on_auth_failure`] says.
    pub fn on_auth_failure(mut self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.layers.fallback = self.layers.fallback.on_auth_failure(hook);
        self
    }

    /// What each target's provider allows, used as far as the preset says (0.95 of it without one). In place of a
    /// [`rate_limit`](Self::rate_limit).
    pub fn limits(self, limits: Limits) -> Self {
        let layer = RateLimitLayer::new(limits);
        // A share that makes no sense was found when the preset was applied.
        let of_preset = self.layers.preset.as_ref().and_then(|preset| preset.limited(layer.clone()).ok());
        self.rate_limit(of_preset.unwrap_or(layer))
    }

    /// Who takes requests over that nobody could answer, as [`DegradeLayer::queue`] says.
    pub fn queue(mut self, queue: impl Queue) -> Self {
        self.layers.degrade = self.layers.degrade.queue(queue);
        self
    }

    /// How a request becomes a call: the limit of its body, its deadline.
    pub fn call(mut self, layer: CallLayer) -> Self {
        self.layers.call = layer;
        self
    }

    /// What to answer when nobody could, with all of it. Default: the failure, loudly.
    pub fn degrade(mut self, layer: DegradeLayer) -> Self {
        self.layers.degrade = layer;
        self
    }

    /// The time limits of the whole call. Default: its deadline, and nothing else.
    pub fn call_timeout(mut self, layer: TimeoutLayer) -> Self {
        self.layers.call_timeout = layer;
        self
    }

    /// The fallback, with more than its targets set.
    pub fn fallback(mut self, layer: FallbackLayer) -> Self {
        self.layers.fallback = layer;
        self
    }

    /// The retries at one target.
    pub fn retry(mut self, layer: RetryLayer) -> Self {
        self.layers.retry = layer;
        self
    }

    /// The circuit breaker of each target.
    pub fn circuit_breaker(mut self, layer: CircuitBreakerLayer) -> Self {
        self.layers.circuit_breaker = layer;
        self
    }

    /// The rate limit of each target. Default: none.
    pub fn rate_limit(mut self, layer: RateLimitLayer) -> Self {
        self.layers.rate_limit = layer;
        self
    }

    /// The time limits of each attempt.
    pub fn attempt_timeout(mut self, layer: TimeoutLayer) -> Self {
        self.layers.attempt_timeout = Some(layer);
        self
    }

    /// How long keys of a target that has several are left alone.
    pub fn authorize(mut self, layer: AuthorizeLayer) -> Self {
        self.layers.authorize = layer;
        self
    }

    /// How outcomes are read.
    pub fn classify(mut self, layer: ClassifyLayer) -> Self {
        self.layers.classify = Some(layer);
        self
    }

    /// Tells `observer` what each layer decides. Layers that are set after this keep their own observer, so say it last.
    pub fn observer(mut self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.layers.observe(&observer);
        self.layers.observer = Some(observer);
        self
    }

    /// Names targets of other stacks that have layers of this one, such as a breaker with
    /// [settings for](CircuitBreakerLayer::settings_for) targets of all of them. Those are then no mistake here.
    pub fn shared_with(mut self, targets: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.layers.elsewhere.extend(targets.into_iter().map(Into::into));
        self
    }

    /// The stack, layer by layer, with each setting that is in effect, as a person reads it: targets, attempts, waits, limits, what moves on,
    /// and what is answered when all fail. No secret is in it. A stack that [cannot be built](Self::build) says why in its last line.
    #[must_use]
    pub fn explain(&self) -> String {
        self.layers.to_string()
    }

    /// The service. Those that are built of one stack share what its layers know: circuits, limits, budgets, answers kept.
    ///
    /// # Errors
    ///
    /// A policy that could never act, by its field, with what would be right:
    ///
    /// - a number of a preset that makes no sense, or a role that it needs and that nobody fills, or vectors of two models;
    /// - a time limit of an attempt, of a target (but its total) or of the call, a wait or an obeyed `Retry-After` that is no shorter than the call's deadline;
    ///   waits where there is one attempt;
    /// - a limit on first content that is longer than classify holds a stream;
    /// - `max_attempts` of the fallback that the first target takes alone; what is for a second target where there is one only; a list of
    ///   targets that no call could come to, or that have the name of another;
    /// - settings for a target, or limits, that there is not; a rule of the breaker that asks for more requests than the rate limit lets
    ///   pass; rests of keys where no target has several;
    /// - a degradation that has nothing to give.
    ///
    /// What was left at its default is never wrong.
    pub fn build(&self) -> Result<StackService<S>, InvalidConfig>
    where
        S: Clone,
    {
        self.layers.check()?;
        let layers = &self.layers;
        let attempt = layers.attempt_timeout().layer(layers.authorize.layer(layers.classify().layer(self.transport.clone())));
        let guarded = layers.circuit_breaker.layer(layers.rate_limit.layer(attempt));
        let targets = layers.fallback.layer(layers.retry.layer(guarded));
        // Its deadline the layer above keeps until there is a head, and the one of the attempt until the body has ended.
        let call_timeout = layers.call_timeout.clone();
        let call_timeout = if call_timeout.has_no_limits() { call_timeout.without_deadline() } else { call_timeout };
        Ok(layers.call.layer(layers.degrade.layer(call_timeout.layer(targets))))
    }
}
