//! The layers of a stack, and whether each can act.

use std::{sync::Arc, time::Duration};

use towline_call::CallLayer;
use towline_circuit_breaker::CircuitBreakerLayer;
use towline_classify::ClassifyLayer;
use towline_core::{InvalidConfig, Observer, Phase, Target, say::time};
use towline_fallback::{AuthorizeLayer, DegradeLayer, FallbackLayer};
use towline_rate_limit::RateLimitLayer;
use towline_retry::RetryLayer;
use towline_timeout::TimeoutLayer;

use crate::Preset;

#[derive(Clone, Debug)]
pub(super) struct Layers {
    pub(super) call: CallLayer,
    pub(super) degrade: DegradeLayer,
    pub(super) call_timeout: TimeoutLayer,
    pub(super) fallback: FallbackLayer,
    pub(super) retry: RetryLayer,
    pub(super) circuit_breaker: CircuitBreakerLayer,
    pub(super) rate_limit: RateLimitLayer,
    /// The defaults where nobody said anything, so that they are not to blame.
    pub(super) attempt_timeout: Option<TimeoutLayer>,
    pub(super) authorize: AuthorizeLayer,
    pub(super) classify: Option<ClassifyLayer>,
    pub(super) preset: Option<Preset>,
    /// What was wrong with the preset.
    pub(super) wrong: Option<InvalidConfig>,
    pub(super) observer: Option<Observer>,
    /// Targets of other stacks that have the same layers.
    pub(super) elsewhere: Vec<Arc<str>>,
}

impl Layers {
    pub(super) fn new() -> Self {
        Self {
            call: CallLayer::new(),
            degrade: DegradeLayer::new(),
            call_timeout: TimeoutLayer::new(),
            fallback: FallbackLayer::none(),
            retry: RetryLayer::new(),
            circuit_breaker: CircuitBreakerLayer::new(),
            rate_limit: RateLimitLayer::unlimited(),
            attempt_timeout: None,
            authorize: AuthorizeLayer::new(),
            classify: None,
            preset: None,
            wrong: None,
            observer: None,
            elsewhere: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, observer: &Observer) {
        self.call_timeout = self.call_timeout.clone().observer(observer.clone());
        self.fallback = self.fallback.clone().observer(observer.clone());
        self.retry = self.retry.clone().observer(observer.clone());
        self.circuit_breaker = self.circuit_breaker.clone().observer(observer.clone());
        self.rate_limit = self.rate_limit.clone().observer(observer.clone());
        self.attempt_timeout = self.attempt_timeout.take().map(|layer| layer.observer(observer.clone()));
        self.classify = self.classify.take().map(|layer| layer.observer(observer.clone()));
    }

    pub(super) fn apply(&mut self, preset: &Preset) -> Result<(), InvalidConfig> {
        self.call = preset.call_layer()?;
        let degrade = if self.preset.is_some() { DegradeLayer::new() } else { self.degrade.clone() };
        self.degrade = preset.degrading(degrade);
        self.call_timeout = TimeoutLayer::new();
        self.fallback = preset.falling_back(self.fallback.clone())?;
        self.retry = preset.retrying(RetryLayer::new())?;
        self.circuit_breaker = preset.circuit_breaker_layer()?;
        self.rate_limit = preset.limited(self.rate_limit.clone())?;
        self.attempt_timeout = Some(preset.attempt_timeout_layer()?);
        if let Some(observer) = self.observer.clone() {
            self.observe(&observer);
        }
        Ok(())
    }

    pub(super) fn attempt_timeout(&self) -> TimeoutLayer {
        let usual = || TimeoutLayer::attempt().observer(self.observer.clone().unwrap_or_default());
        self.attempt_timeout.clone().unwrap_or_else(usual)
    }

    /// A stream is held for as long as its first content may take, unless somebody said for how long.
    pub(super) fn classify(&self) -> ClassifyLayer {
        let usual = || {
            let layer = ClassifyLayer::new().hold_for_at_least(self.first_content());
            layer.observer(self.observer.clone().unwrap_or_default())
        };
        self.classify.clone().unwrap_or_else(usual)
    }

    /// Whether each policy can act.
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        if let Some(preset) = &self.preset {
            preset.check(&self.fallback, &self.degrade)?;
        }
        self.fallback.acts_with(self.retry.most_attempts())?;
        self.check_time()?;
        let targets = self.fallback.targets();
        let names: Vec<&str> = targets.iter().map(Target::name).chain(self.elsewhere.iter().map(|name| &**name)).collect();
        self.rate_limit.acts_for(&names)?;
        self.circuit_breaker.acts_for(&names, |name, within| self.rate_limit.passes(name, within))?;
        self.authorize.acts_for(targets)?;
        self.degrade.acts()
    }

    fn check_time(&self) -> Result<(), InvalidConfig> {
        let (plain, stream) = (self.call.deadline_of(false), self.call.deadline_of(true));
        let own = self.fallback.targets().iter().filter_map(Target::attempts).map(std::num::NonZeroU32::get).max();
        let most = own.unwrap_or(0).max(self.retry.most_attempts());
        self.retry.acts_within(plain.zip(stream).map(|(plain, stream)| plain.max(stream)), most)?;
        self.call_timeout.limits().act_within(plain, stream)?;
        self.fallback.targets().iter().try_for_each(|target| acts_within(target, plain, stream))?;
        let Some(attempt) = &self.attempt_timeout else { return Ok(()) };
        attempt.limits().act_within(plain, stream)?;
        self.classify().holds_for(self.first_content())
    }

    /// The longest that the first content of a stream may take.
    fn first_content(&self) -> Duration {
        let own = |target: &Target| target.timeout(Phase::FirstContent).or(target.timeout(Phase::Head));
        let all = self.attempt_timeout().limits().get(Phase::FirstContent);
        self.fallback.targets().iter().filter_map(own).chain(all).max().unwrap_or_default()
    }
}

/// Whether a target's own limits can pass before its call ends. Its total is not asked: it is the target's in each stack that it stands in, and
/// the earlier of both ends the call.
fn acts_within(target: &Target, plain: Option<Duration>, stream: Option<Duration>) -> Result<(), InvalidConfig> {
    let longest = plain.zip(stream).map(|(plain, stream)| plain.max(stream));
    let phases = [(Phase::Head, plain), (Phase::FirstContent, stream), (Phase::Idle, longest), (Phase::ContentIdle, stream)];
    for (phase, end) in phases {
        if let Some((limit, end)) = target.timeout(phase).zip(end).filter(|(limit, end)| limit >= end) {
            let (name, phase, limit, end) = (target.name(), phase.name(), time(limit), time(end));
            let why = format!("gives {name:?} {limit} for its {phase}, and a call ends after {end}; say less");
            return Err(InvalidConfig::new("with_timeout", why));
        }
    }
    Ok(())
}
