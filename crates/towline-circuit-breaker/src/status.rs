//! What can be told of a circuit.

use std::{sync::Arc, time::Duration};

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
    /// Closed again, and lets some through: see [`ramp`](crate::CircuitBreakerLayer::ramp).
    Ramping {
        /// How many of a hundred.
        percent: u8,
    },
    /// Refuses it until it is [reset](crate::CircuitBreakerHandle::reset).
    ForcedOpen,
    /// Lets it through, whatever becomes of it, until it is [reset](crate::CircuitBreakerHandle::reset).
    ForcedClosed,
}

/// A circuit's state, how long it has been in it, and what it has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitStatus {
    /// What it does with the next request.
    pub state: CircuitState,
    /// How long ago it came to do that, or began. The end of an open time or of a ramp is a beginning only once a request has
    /// come.
    pub lasted: Duration,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Failures within the window of [`failure_ratio`](crate::CircuitBreakerLayer::failure_ratio), else within that of
    /// [`failures_in`](crate::CircuitBreakerLayer::failures_in), else none.
    pub failures: u32,
    /// Successes within the window of [`failure_ratio`](crate::CircuitBreakerLayer::failure_ratio), else none.
    pub successes: u64,
    /// Probes under way.
    pub probes: usize,
    /// How often it has opened without a recovery in between.
    pub openings: u32,
    /// How many requests it has refused since it began.
    pub refused: u64,
}

/// A change of a circuit's state, as [`Transitions`](crate::Transitions) tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Whose circuit: the target's name or the user's key; `None` is the circuit of all requests without one.
    pub key: Option<Arc<str>>,
    /// Its new state, as it was when it began.
    pub state: CircuitState,
}
