//! Looking at limits from outside.

use std::sync::Arc;

use tokio::time::Instant;

use crate::limits::Limits;

/// Tells what the limits of a [`RateLimitLayer`](crate::RateLimitLayer) have left. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RateLimitHandle {
    limits: Option<Arc<Limits>>,
}

impl RateLimitHandle {
    pub(crate) const fn new(limits: Option<Arc<Limits>>) -> Self {
        Self { limits }
    }

    /// How many requests could pass to a target at once, by its name; `None` is the limit of all requests without a
    /// target.
    ///
    /// None while somebody waits. A target that was never heard of, or not for so long that it has been forgotten, has
    /// all of its burst; an unlimited layer has `u32::MAX`.
    #[must_use]
    pub fn available(&self, target: Option<&str>) -> u32 {
        let Some(limits) = &self.limits else { return u32::MAX };
        let left = limits.limiter(target).map_or_else(|| limits.full(), |limiter| limiter.available(Instant::now()));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// How many wait for their turn at a target, by its name; `None` is the line of all requests without a target.
    #[must_use]
    pub fn waiting(&self, target: Option<&str>) -> usize {
        let limiter = self.limits.as_ref().and_then(|limits| limits.limiter(target));
        limiter.map_or(0, |limiter| limiter.waiting())
    }
}
