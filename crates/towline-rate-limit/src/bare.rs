//! The limiter without a service, for the bench that sets it beside others.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    RateLimitLayer,
    cost::Estimated,
    limiter::{Bounds, Entry, Limiter},
};

/// The limits that requests without a target share, with neither requests nor a service. No part of what is promised: it may change at
/// any time.
#[derive(Clone, Debug)]
pub struct Bare {
    limiter: Arc<Limiter>,
    bounds: Bounds,
}

impl Bare {
    /// The limits of a layer; none if it is unlimited.
    #[must_use]
    pub fn of(layer: &RateLimitLayer) -> Option<Self> {
        let shared = layer.shared()?;
        Some(Self { limiter: shared.limiter(None)?, bounds: shared.settings().bounds })
    }

    /// Reserves at `now` for a request of so many tokens; `false` if it would have to wait.
    #[must_use]
    pub fn reserve(&self, now: Instant, input: u64, max_output: u64) -> bool {
        self.limiter.reserve(now, told(input, max_output)).is_some()
    }

    /// The same, and then sends the request, and lets it end without a word on what it cost.
    #[must_use]
    pub fn pass(&self, now: Instant, input: u64, max_output: u64) -> bool {
        match Arc::clone(&self.limiter).enter(now, told(input, max_output), self.bounds, || None) {
            Entry::Admitted(mut reservation) => {
                reservation.sent();
                true
            }
            _ => false,
        }
    }
}

const fn told(input: u64, max_output: u64) -> Estimated {
    Estimated { input: Some(input), max_output: Some(max_output) }
}
