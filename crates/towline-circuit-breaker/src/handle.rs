//! Looking at circuits from outside.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{breaker::Breaker, circuit::Circuit};

/// Tells what the circuits of a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CircuitBreakerHandle {
    breaker: Arc<Breaker>,
}

/// What a circuit does with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// Lets it through.
    Closed,
    /// Refuses it.
    Open {
        /// When it will let a probe through.
        retry_after: Duration,
    },
    /// Lets it through as a probe, if there is a place for one.
    HalfOpen,
}

impl CircuitBreakerHandle {
    pub(crate) fn new(breaker: Arc<Breaker>) -> Self {
        Self { breaker }
    }

    /// The state of a target's circuit, by the target's name; `None` is the circuit of all requests without a target.
    ///
    /// A target that was never heard of, or not for so long that it has been forgotten, is `Closed`. A circuit whose open
    /// time is over is `HalfOpen`, though that is told to the observer only when its first probe comes.
    #[must_use]
    pub fn state(&self, target: Option<&str>) -> CircuitState {
        self.breaker.with_circuit(target, Circuit::state_now).unwrap_or(CircuitState::Closed)
    }
}

impl Circuit {
    fn state_now(&self) -> CircuitState {
        self.state(Instant::now())
    }
}
