//! From a preset to layers.

use std::num::NonZeroUsize;

use towline_call::CallLayer;
use towline_circuit_breaker::CircuitBreakerLayer;
use towline_core::InvalidConfig;
use towline_fallback::{Cache, DegradeLayer, FallbackLayer};
use towline_rate_limit::RateLimitLayer;
use towline_retry::RetryLayer;
use towline_timeout::TimeoutLayer;

use super::Preset;

/// Answers that are kept for when nobody can give one.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

impl Preset {
    /// The call as the preset says, for a stack that is to have more of it set.
    ///
    /// # Errors
    ///
    /// The number that makes no sense.
    pub fn call_layer(&self) -> Result<CallLayer, InvalidConfig> {
        CallLayer::new().deadline(self.deadline)?.stream_deadline(self.stream_deadline)
    }

    /// The same retries as the preset says, with the budgets that they share with others: one layer for several stacks, each with a preset
    /// of its own.
    ///
    /// ```
    /// use towline::{Preset, RetryLayer};
    ///
    /// let shared = RetryLayer::new();
    /// for preset in [Preset::chat(), Preset::batch()] {
    ///     let retry = preset.retrying(shared.clone())?;
    /// #   let _ = retry;
    /// }
    /// # Ok::<_, towline::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The number that makes no sense.
    pub fn retrying(&self, layer: RetryLayer) -> Result<RetryLayer, InvalidConfig> {
        let (waits, throttled) = (self.backoff, self.throttle_backoff);
        let layer = layer.attempts(self.attempts)?.max_server_delay(self.max_server_delay);
        layer.backoff(waits.0, waits.1)?.throttle_backoff(throttled.0, throttled.1)
    }

    /// The circuit breaker as the preset says, for one that several stacks share
    /// ([`CircuitBreakerLayer::settings_for`] gives each target what its stack's preset says).
    ///
    /// # Errors
    ///
    /// The number that makes no sense.
    pub fn circuit_breaker_layer(&self) -> Result<CircuitBreakerLayer, InvalidConfig> {
        let rule = &self.breaker;
        let layer = CircuitBreakerLayer::new().consecutive_failures(rule.failures)?;
        let layer = match rule.share {
            // As many samples as it takes for that share of them to be that many failures.
            Some(share) => layer.failure_ratio(share, rule.window, (f64::from(rule.failures) / share).ceil() as u32)?,
            None => layer.without_failure_ratio()?.failures_in(rule.failures, rule.window)?,
        };
        layer.open_for(rule.open.0, rule.open.1)?.success_threshold(rule.good_probes)
    }

    pub(crate) fn attempt_timeout_layer(&self) -> Result<TimeoutLayer, InvalidConfig> {
        let layer = TimeoutLayer::new().head(self.head)?.first_content(self.first_content)?;
        // So low that only a trickle falls below it, as in `TimeoutLayer::attempt`.
        layer.idle(self.idle)?.content_idle(self.content_idle)?.min_throughput(2, self.content_idle.saturating_mul(2))
    }

    /// The same limits, used as far as the preset says.
    pub(crate) fn limited(&self, layer: RateLimitLayer) -> Result<RateLimitLayer, InvalidConfig> {
        Ok(layer.share(self.limit_share)?.max_wait(self.limit_wait))
    }

    /// The same targets, tried as the preset says.
    pub(crate) fn falling_back(&self, layer: FallbackLayer) -> Result<FallbackLayer, InvalidConfig> {
        let layer = layer.max_targets(self.max_targets)?.max_attempts(self.max_attempts)?;
        let layer = layer.auth_moves_on(self.auth_moves_on).answer_headers(self.answer_headers);
        if self.moves_on.is_empty() {
            return Ok(layer);
        }
        let table = self.moves_on.clone();
        Ok(layer.moves_on(move |failure| table.iter().find(|(kind, _)| *kind == failure.kind).map(|(_, moves)| *moves)))
    }

    /// The same substitutes, and those of the preset.
    pub(crate) fn degrading(&self, layer: DegradeLayer) -> DegradeLayer {
        let layer = self.cached_for.map_or(layer.clone(), |ttl| layer.cache(Cache::new(KEPT, ttl)));
        self.answer.as_ref().map_or(layer.clone(), |text| layer.answer(text.as_ref()))
    }
}
