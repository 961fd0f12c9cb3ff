//! The layer: configuration and state.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tower_layer::Layer;
use towline_core::{Failure, InvalidConfig, Jitter, Observer};

use crate::{CircuitBreaker, CircuitBreakerHandle, Verdict, breaker::Breaker, policy::Policy};

/// Puts a service behind circuits, one for each [`Target`](towline_core::Target). See the [crate's page](crate).
///
/// Clones, and all services that they are layered on, share their circuits. Configure it first: each of the configuring
/// methods returns a layer with circuits of its own.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer {
    breaker: Arc<Breaker>,
}

/// More would be a mistake: in the unit, most likely.
const A_DAY: Duration = Duration::from_secs(86_400);

impl CircuitBreakerLayer {
    /// A layer that opens after five failures in a row.
    #[must_use]
    pub fn new() -> Self {
        Self::from_policy(Policy::default())
    }

    /// Opens after `n` failures without a success in between. Default: 5.
    ///
    /// # Errors
    ///
    /// `consecutive_failures` if it is zero.
    pub fn consecutive_failures(self, n: u32) -> Result<Self, InvalidConfig> {
        let n = positive("consecutive_failures", n)?;
        Ok(self.with(|policy| policy.rules.consecutive = Some(n)))
    }

    /// Does not open because of failures in a row, however many.
    ///
    /// # Errors
    ///
    /// `consecutive_failures` if nothing else opens the circuit: set [`failures_in`](Self::failures_in) first.
    pub fn without_consecutive_failures(self) -> Result<Self, InvalidConfig> {
        if self.breaker.policy.rules.window.is_none() {
            return Err(InvalidConfig::new(
                "consecutive_failures",
                "is the only rule that opens the circuit; set `failures_in` first",
            ));
        }
        Ok(self.with(|policy| policy.rules.consecutive = None))
    }

    /// Opens when `n` requests have failed within `window`, whatever else has succeeded. Default: off, since which number
    /// is a bad sign depends on how many requests there are.
    ///
    /// The window slides in twelve steps: it covers between 11/12 of `window` and all of it. A failure counts when it is
    /// complete.
    ///
    /// # Errors
    ///
    /// `failures_in` if `n` is zero; `window` unless it lies between 12 ms and a day.
    pub fn failures_in(self, n: u32, window: Duration) -> Result<Self, InvalidConfig> {
        let n = positive("failures_in", n)?;
        between("window", window, Duration::from_millis(12), "must lie between 12 ms and a day")?;
        Ok(self.with(|policy| policy.rules.window = Some((n, window))))
    }

    /// Stays open for `first`, and twice as long each further time, up to `longest`. Default: 5 s, up to 60 s.
    ///
    /// A random half of it comes on top, after the cap. The provider's own `retry-after` is waited for where it is longer,
    /// up to 300 s.
    ///
    /// # Errors
    ///
    /// `first` unless it lies between 1 ms and a day; `longest` unless it lies between `first` and a day.
    pub fn open_for(self, first: Duration, longest: Duration) -> Result<Self, InvalidConfig> {
        between("first", first, Duration::from_millis(1), "must lie between 1 ms and a day")?;
        between("longest", longest, first, "must lie between `first` and a day")?;
        Ok(self.with(|policy| policy.rules.open = (first, longest)))
    }

    /// Lets `n` probes through at once while half-open. Default: 1.
    ///
    /// # Errors
    ///
    /// `probes` if it is zero.
    pub fn probes(self, n: u32) -> Result<Self, InvalidConfig> {
        let n = positive("probes", n)?;
        Ok(self.with(|policy| policy.rules.probes = n))
    }

    /// Closes after `n` probes have succeeded. Default: 2.
    ///
    /// # Errors
    ///
    /// `success_threshold` if it is zero.
    pub fn success_threshold(self, n: u32) -> Result<Self, InvalidConfig> {
        let n = positive("success_threshold", n)?;
        Ok(self.with(|policy| policy.rules.successes = n))
    }

    /// Gives the place of a probe that is still under way after `deadline` to another. Default: 60 s.
    ///
    /// The late probe's own outcome still counts, so that a provider which is slow and well can close its circuit. If it is
    /// dropped, it counts as timed out.
    ///
    /// # Errors
    ///
    /// `probe_deadline` unless it lies between 1 ms and a day.
    pub fn probe_deadline(self, deadline: Duration) -> Result<Self, InvalidConfig> {
        between("probe_deadline", deadline, Duration::from_millis(1), "must lie between 1 ms and a day")?;
        Ok(self.with(|policy| policy.rules.probe_deadline = deadline))
    }

    /// Counts an attempt that is dropped at the age of `limit` or later as timed out. Default: off; a drop says nothing.
    ///
    /// This is for a timeout *above* the breaker, which can only drop: set its limit here. A call's own deadline needs no
    /// setting.
    #[must_use]
    pub fn drops_after(self, limit: Duration) -> Self {
        self.with(|policy| policy.drops_after = Some(limit))
    }

    /// Decides what failures say about the provider; where `counts` returns `None`, [`Verdict::of`] decides. Default:
    /// always that.
    ///
    /// Called once for each failure, outside all locks.
    #[must_use]
    pub fn counts(self, counts: impl Fn(&Failure) -> Option<Verdict> + Send + Sync + 'static) -> Self {
        self.with(|policy| policy.counts = Some(Arc::new(counts)))
    }

    /// Tells `observer` when a circuit opens, becomes half-open, closes, and refuses. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|policy| policy.observer = observer)
    }

    /// Takes its chance from `jitter`. Default: seeded by the operating system.
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.with(|policy| policy.rules.jitter = jitter)
    }

    /// Tells what its circuits do.
    #[must_use]
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle::new(Arc::clone(&self.breaker))
    }

    fn with(self, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::clone(&self.breaker.policy);
        change(&mut policy);
        Self::from_policy(policy)
    }

    fn from_policy(policy: Policy) -> Self {
        Self { breaker: Arc::new(Breaker::new(policy)) }
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> CircuitBreaker<S> {
        CircuitBreaker::new(inner, Arc::clone(&self.breaker))
    }
}

fn positive(field: &'static str, n: u32) -> Result<NonZeroU32, InvalidConfig> {
    NonZeroU32::new(n).ok_or_else(|| InvalidConfig::new(field, "must be at least 1"))
}

fn between(field: &'static str, value: Duration, least: Duration, why: &'static str) -> Result<(), InvalidConfig> {
    if (least..=A_DAY).contains(&value) { Ok(()) } else { Err(InvalidConfig::new(field, why)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let (new, second) = (CircuitBreakerLayer::new, Duration::from_secs(1));
        let refused = [
            (new().consecutive_failures(0), "consecutive_failures"),
            (new().without_consecutive_failures(), "consecutive_failures"),
            (new().failures_in(0, second), "failures_in"),
            (new().failures_in(5, Duration::ZERO), "window"),
            (new().failures_in(5, Duration::MAX), "window"),
            (new().open_for(Duration::ZERO, second), "first"),
            (new().open_for(second, second / 2), "longest"),
            (new().open_for(second, Duration::MAX), "longest"),
            (new().probes(0), "probes"),
            (new().success_threshold(0), "success_threshold"),
            (new().probe_deadline(Duration::ZERO), "probe_deadline"),
        ];
        for (result, field) in refused {
            assert_eq!(result.unwrap_err().field(), field);
        }
    }

    #[test]
    fn each_rule_may_be_off_but_not_all() -> Result<(), InvalidConfig> {
        let layer = CircuitBreakerLayer::new().failures_in(5, Duration::from_secs(60))?.without_consecutive_failures()?;
        assert!(layer.breaker.policy.rules.consecutive.is_none());
        assert!(layer.consecutive_failures(3)?.breaker.policy.rules.consecutive.is_some());
        Ok(())
    }
}
