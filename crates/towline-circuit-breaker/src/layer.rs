//! The layer: configuration and state.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;
use towline_core::{Failure, InvalidConfig, Jitter, Observer};

use crate::{
    CircuitBreaker, CircuitBreakerHandle, Verdict,
    breaker::Breaker,
    layer::check::{between, positive, share},
    policy::{Policy, Settings},
    span::Span,
};

mod check;

/// Puts a service behind circuits, one for each [`Target`](towline_core::Target) or [`key`](Self::key). See the
/// [crate's page](crate).
///
/// Clones, and all services that they are layered on, share their circuits. Configure it first: each of the configuring
/// methods returns a layer with circuits of its own.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer {
    pub(crate) breaker: Arc<Breaker>,
}

impl CircuitBreakerLayer {
    /// A layer that opens after five failures in a row, or when of at least ten requests within a minute half have failed.
    #[must_use]
    pub fn new() -> Self {
        Self::from_settings(Settings::default())
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
    /// `consecutive_failures` if nothing else opens the circuit.
    pub fn without_consecutive_failures(self) -> Result<Self, InvalidConfig> {
        self.without("consecutive_failures", |policy| policy.rules.consecutive = None)
    }

    /// Opens when of all requests that ended within `window` the share `ratio` has failed, and there were `min_samples` of
    /// them. Default: 0.5, 60 s, 10.
    ///
    /// The window slides in twelve steps: it covers between 11/12 of `window` and all of it. A request counts when it is
    /// complete. A 429 is no sample, and only a failure opens the circuit, never the end of a success.
    ///
    /// # Errors
    ///
    /// `ratio` unless it is above 0 and at most 1 (to a millionth); `window` unless it lies between a second and an hour;
    /// `min_samples` if it is zero.
    pub fn failure_ratio(self, ratio: f64, window: Duration, min_samples: u32) -> Result<Self, InvalidConfig> {
        let ratio = share(ratio, window, min_samples)?;
        Ok(self.with(|policy| policy.rules.failures = Some(ratio)))
    }

    /// Does not open because of a share of failures, however large.
    ///
    /// # Errors
    ///
    /// `failure_ratio` if nothing else opens the circuit.
    pub fn without_failure_ratio(self) -> Result<Self, InvalidConfig> {
        self.without("failure_ratio", |policy| policy.rules.failures = None)
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
        Ok(self.with(|policy| policy.rules.window = Some((n, Span::new(window)))))
    }

    /// Opens when the first content of a share `ratio` of all answers within `window` took longer than `limit`, and there were
    /// `min_samples` of them. Default: off.
    ///
    /// First content is what `ClassifyLayer` beneath finds in a stream; without it, and for what is no stream, it is the head.
    /// What failed after the limit and had brought nothing was slow, what failed before it is no sample. A probe that is slow
    /// has failed.
    ///
    /// # Errors
    ///
    /// `limit` unless it lies between 1 ms and a day; the rest as [`failure_ratio`](Self::failure_ratio).
    pub fn slow_ratio(self, limit: Duration, ratio: f64, window: Duration, min_samples: u32) -> Result<Self, InvalidConfig> {
        between("limit", limit, Duration::from_millis(1), "must lie between 1 ms and a day")?;
        let ratio = share(ratio, window, min_samples)?;
        Ok(self.with(|policy| policy.rules.slow = Some((limit, ratio))))
    }

    /// Stays open for `first`, and twice as long each further time, up to `longest`. Default: 5 s, up to 10 s.
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

    /// Lets 10 % of the requests through when it has closed, and more, evenly, up to all of them after `time`. Default: off.
    ///
    /// The rest is refused with the time that is left, so that a fallback acts; a failure counts as it does when closed.
    ///
    /// # Errors
    ///
    /// `ramp` unless it lies between 1 ms and a day.
    pub fn ramp(self, time: Duration) -> Result<Self, InvalidConfig> {
        between("ramp", time, Duration::from_millis(1), "must lie between 1 ms and a day")?;
        Ok(self.with(|policy| policy.rules.ramp = Some(time)))
    }

    /// Has one circuit for each key that `key` finds in a request's head; where it finds none, the one that all such requests
    /// share. Default: the name of the request's [`Target`](towline_core::Target), if it has one.
    ///
    /// `key(|_| None)` is one circuit for all. A key that nobody asks for is forgotten, but one that each request makes up
    /// anew would never see a second failure.
    ///
    /// ```
    /// use towline_circuit_breaker::CircuitBreakerLayer;
    ///
    /// let by_host = CircuitBreakerLayer::new().key(|head| head.uri.host().map(Into::into));
    /// # let _ = by_host;
    /// ```
    #[must_use]
    pub fn key(self, key: impl Fn(&Parts) -> Option<Arc<str>> + Send + Sync + 'static) -> Self {
        self.with_settings(|settings| settings.key = Some(Arc::new(key)))
    }

    /// Has the circuit of one target, by its name, or of one [`key`](Self::key) go by what `settings` was told rather than by
    /// what this layer was. Default: all go by the same. Said twice of one key, the latter holds.
    ///
    /// It goes by all of the rules, times and limits of `settings`, by its [`counts`](Self::counts),
    /// [`drops_after`](Self::drops_after) and [`jitter`](Self::jitter). Whose circuit it is, who hears of it, and whether it only
    /// watches is this layer's to say; `settings` itself is left as it is, and has circuits of its own.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use towline_circuit_breaker::CircuitBreakerLayer;
    ///
    /// let patient = CircuitBreakerLayer::new().consecutive_failures(20)?.open_for(Duration::from_secs(1), Duration::from_secs(10))?;
    /// let breaker = CircuitBreakerLayer::new().settings_for("local-model", patient);
    /// # let _ = breaker;
    /// # Ok::<_, towline_core::InvalidConfig>(())
    /// ```
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a layer is said in place, as one line of the configuration")]
    pub fn settings_for(self, key: impl Into<Arc<str>>, settings: Self) -> Self {
        let own = settings.breaker.settings.policy.clone();
        self.with_settings(|settings| {
            settings.own.insert(key.into(), own);
        })
    }

    /// Only watches: counts, opens, closes and tells of it, but refuses nothing, until its handle says
    /// [otherwise](CircuitBreakerHandle::metrics_only). Default: off.
    ///
    /// Say this last: it is a state of the circuits, and configuring makes new ones.
    #[must_use]
    pub fn metrics_only(self) -> Self {
        self.breaker.common.metrics_only.store(true, Ordering::Relaxed);
        self
    }

    /// Counts an attempt that is dropped at the age of `limit` or later as timed out. Default: off; a drop says nothing.
    ///
    /// This is for a timeout *above* the breaker, which can only drop: set its limit here. A call's own deadline needs no
    /// setting, nor does a `TimeoutLayer` where requests carry a [`Call`](towline_core::Call).
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
        self.with_settings(|settings| settings.observer = observer)
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
        self.with_settings(|settings| change(&mut settings.policy))
    }

    fn with_settings(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.breaker.settings.clone();
        change(&mut settings);
        Self::from_settings(settings)
    }

    /// Turns the rule `name` off, if that is not the last one.
    fn without(self, name: &'static str, off: impl FnOnce(&mut Policy)) -> Result<Self, InvalidConfig> {
        let layer = self.with(off);
        let opens = layer.breaker.settings.policy.rules.can_open();
        opens
            .then_some(layer)
            .ok_or_else(|| InvalidConfig::new(name, "is the only rule that opens the circuit; set another first"))
    }

    fn from_settings(settings: Settings) -> Self {
        Self { breaker: Arc::new(Breaker::new(settings)) }
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

#[cfg(test)]
mod tests;
