//! Looking at circuits from outside, and deciding for them.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use crate::{CircuitState, CircuitStatus, Transitions, breaker::Breaker};

/// Tells what the circuits of a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) do, and decides for them. Cheap to clone.
///
/// A circuit is named by its target's name or the user's key; `None` is the circuit of all requests without one.
#[derive(Clone, Debug)]
pub struct CircuitBreakerHandle {
    breaker: Arc<Breaker>,
}

impl CircuitBreakerHandle {
    pub(crate) fn new(breaker: Arc<Breaker>) -> Self {
        Self { breaker }
    }

    /// The state of a circuit, as a request would meet it.
    ///
    /// One that was never heard of, or not for so long that it has been forgotten, is `Closed`. A circuit whose open time is
    /// over is `HalfOpen`, though that is told to the observer only when its first probe comes.
    #[must_use]
    pub fn state(&self, key: Option<&str>) -> CircuitState {
        self.breaker.with_line(key, |line| line.state(Instant::now())).unwrap_or(CircuitState::Closed)
    }

    /// All that there is to tell of a circuit; `None` if it was never heard of, or has been forgotten.
    #[must_use]
    pub fn status(&self, key: Option<&str>) -> Option<CircuitStatus> {
        self.breaker.with_line(key, |line| line.status(Instant::now()))
    }

    /// The keys of all circuits that are remembered, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<str>> {
        self.breaker.keys()
    }

    /// Has a circuit refuse everything until it is [`reset`](Self::reset), probes included: its provider is known to be out of
    /// order, or is to be left alone. Who is refused is told to come back after the longest open time.
    ///
    /// What is under way ends as it would, and is not counted.
    pub fn force_open(&self, key: Option<&str>) {
        self.breaker.force(key, true);
    }

    /// Has a circuit let everything through, whatever becomes of it, until it is [`reset`](Self::reset).
    pub fn force_closed(&self, key: Option<&str>) {
        self.breaker.force(key, false);
    }

    /// Closes a circuit as if it were new, and leaves it to itself again. What is under way is not counted.
    pub fn reset(&self, key: Option<&str>) {
        self.breaker.reset(key);
    }

    /// Has all circuits only watch: they count, open, close and tell of it, but refuse nothing, forced or not. With `false`
    /// they are in earnest again. Default: as the layer was [told](crate::CircuitBreakerLayer::metrics_only).
    ///
    /// Requests that would have been refused are not probes, so that the circuit closes as it would have done.
    /// [`CircuitStatus::refused`] counts them.
    pub fn metrics_only(&self, only: bool) {
        self.breaker.common.metrics_only.store(only, Ordering::Relaxed);
    }

    /// The changes of state of all circuits, from now on.
    ///
    /// Two that happen on two threads at the same instant may be told in either order. Nobody waits for a reader.
    #[must_use]
    pub fn transitions(&self) -> Transitions {
        self.breaker.common.feed.subscribe()
    }
}
