//! The layer: configuration and state.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tower_layer::Layer;
use towline_core::{InvalidConfig, Observer};

use crate::{
    RateLimit, RateLimitHandle,
    limits::{Limits, Settings},
};

/// Keeps a service within a rate, one for each [`Target`](towline_core::Target). See the [crate's page](crate).
///
/// Clones, and all services that they are layered on, share their limits. Configure it first: each of the configuring
/// methods returns a layer with limits of its own.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limits: Option<Arc<Limits>>,
}

impl RateLimitLayer {
    /// A layer that lets `n` requests a minute pass to each target.
    #[must_use]
    pub fn requests_per_minute(n: NonZeroU32) -> Self {
        Self::from_settings(Settings::requests_per_minute(n))
    }

    /// A layer that lets everything pass: calls go to the service beneath as they are. Settings change nothing about
    /// it.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { limits: None }
    }

    /// The share of the limit that is used, to the thousandth. Default: 0.95, since the provider's clock and ours never
    /// agree quite.
    ///
    /// # Errors
    ///
    /// `share` unless it lies between 0.001 and 1.
    pub fn share(self, share: f64) -> Result<Self, InvalidConfig> {
        if !(0.001..=1.0).contains(&share) {
            return Err(InvalidConfig::new("share", "must lie between 0.001 and 1"));
        }
        // In range, as was just checked.
        Ok(self.with(|settings| settings.thousandths = (share * 1000.0).round() as u32))
    }

    /// How many requests may pass at once after a pause. Default: those of one second, at least one.
    ///
    /// In any minute at most those of a minute and `n` more pass. A provider that counts by the second, as Azure does,
    /// wants it small; one that counts by the minute suffers what the [crate's page](crate#how-much-passes) tells.
    #[must_use]
    pub fn burst(self, n: NonZeroU32) -> Self {
        self.with(|settings| settings.burst = Some(n))
    }

    /// The longest wait. Whoever would have to wait longer is refused at once. Default: 30 s; with zero nobody waits.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> Self {
        self.with(|settings| settings.bounds.max_wait = max_wait)
    }

    /// How many may wait for one target. Whoever comes when there are as many is refused at once. Default: 1000; with 0
    /// nobody waits.
    #[must_use]
    pub fn queue(self, n: usize) -> Self {
        self.with(|settings| settings.bounds.queue = n)
    }

    /// Tells `observer` who waits and who is refused. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: Observer) -> Self {
        self.with(|settings| settings.observer = observer)
    }

    /// A handle that tells what is left and who waits.
    #[must_use]
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(self.limits.clone())
    }

    fn from_settings(settings: Settings) -> Self {
        Self { limits: Some(Arc::new(Limits::new(settings))) }
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let Some(limits) = self.limits else { return self };
        let mut settings = limits.settings().clone();
        change(&mut settings);
        Self::from_settings(settings)
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, self.limits.clone())
    }
}
