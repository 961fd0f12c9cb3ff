//! The layer: configuration and state.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;
use towline_core::{InvalidConfig, Observer};

use crate::{
    Estimate, Limits, Profile, RateLimit, RateLimitHandle,
    books::Terms,
    cost::Estimator,
    shared::{Own, Settings, Shared},
};

/// Keeps a service within limits, apart for each [`Target`](towline_core::Target). See the [crate's page](crate).
///
/// Clones, and all services that they are layered on, share their limits. Configure it first: each of the configuring
/// methods returns a layer with limits of its own.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    pub(crate) shared: Option<Arc<Shared>>,
}

impl RateLimitLayer {
    /// A layer that keeps `limits` for each target.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let terms = Terms {
            limits,
            profile: Profile::Any,
            thousandths: 950,
            burst: None,
            token_burst: None,
            find: false,
            max_wait: None,
        };
        Self::from_settings(Settings::new(terms))
    }

    /// A layer that lets `n` requests a minute pass to each target.
    #[must_use]
    pub fn requests_per_minute(n: NonZeroU32) -> Self {
        Self::new(Limits::none().requests_per_minute(n))
    }

    /// A layer that does not know how many requests a minute are allowed: it begins with `start` for each target, and finds out.
    ///
    /// See the [crate's page](crate#limits-that-are-not-known). Whatever else is limited can be added by the
    /// [handle](RateLimitHandle::set_limits), and starts the search anew.
    #[must_use]
    pub fn find_requests_per_minute(start: NonZeroU32) -> Self {
        Self::requests_per_minute(start).with(|settings| settings.terms.find = true)
    }

    /// A layer that lets everything pass: calls go to the service beneath as they are. Settings change nothing about
    /// it.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { shared: None }
    }

    /// The share of the limit that is used, to the thousandth. Default: 0.95, since the provider's clock and ours never
    /// agree quite.
    ///
    /// # Errors
    ///
    /// `share` unless it lies between 0.001 and 1.
    pub fn share(self, share: f64) -> Result<Self, InvalidConfig> {
        let thousandths = thousandths("share", share)?;
        Ok(self.with(|settings| settings.terms.thousandths = thousandths))
    }

    /// A [`share`](Self::share) of its own for a target by its name, or for a key.
    ///
    /// # Errors
    ///
    /// `share_for` unless it lies between 0.001 and 1.
    pub fn share_for(self, name: impl Into<Arc<str>>, share: f64) -> Result<Self, InvalidConfig> {
        let thousandths = thousandths("share_for", share)?;
        Ok(self.with_own(name, |own| own.share = Some(thousandths)))
    }

    /// How many requests may pass at once after a pause. Default: those of one second, at least one.
    ///
    /// In any minute at most those of a minute and `n` more pass. A provider that counts by the second, as Azure does,
    /// wants it small; one that counts by the minute suffers what the [crate's page](crate#how-much-passes) tells.
    #[must_use]
    pub fn burst(self, n: NonZeroU32) -> Self {
        self.with(|settings| settings.terms.burst = Some(n.get().into()))
    }

    /// How many tokens may pass at once after a pause, in each dimension that is limited by the minute. Default: those of three
    /// seconds, at least one. A request that costs more waits until all of them are there, and owes the rest.
    #[must_use]
    pub fn token_burst(self, n: NonZeroU64) -> Self {
        self.with(|settings| settings.terms.token_burst = Some(n.get()))
    }

    /// How the provider counts tokens. Default: [`Profile::Any`].
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.with(|settings| settings.terms.profile = profile)
    }

    /// A [`profile`](Self::profile) of its own for a target by its name, or for a key.
    #[must_use]
    pub fn profile_for(self, name: impl Into<Arc<str>>, profile: Profile) -> Self {
        self.with_own(name, |own| own.profile = Some(profile))
    }

    /// Limits of its own for a target by its name, or for a key.
    #[must_use]
    pub fn limits_for(self, name: impl Into<Arc<str>>, limits: Limits) -> Self {
        self.with_own(name, |own| own.limits = Some(limits))
    }

    /// A [`burst`](Self::burst) of its own for a target by its name, or for a key.
    #[must_use]
    pub fn burst_for(self, name: impl Into<Arc<str>>, n: NonZeroU32) -> Self {
        self.with_own(name, |own| own.burst = Some(n.get().into()))
    }

    /// Who estimates what a request costs. Default: its [facts](towline_core::Facts).
    #[must_use]
    pub fn estimator(self, estimate: impl Estimate) -> Self {
        self.with(|settings| settings.estimator = Estimator::new(estimate))
    }

    /// Keeps limits for each key that `key` finds in a request's head; where it finds none, those that all such requests share.
    /// Default: the name of the request's [`Target`](towline_core::Target), if it has one.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    ///
    /// use towline_rate_limit::RateLimitLayer;
    ///
    /// let tenant = |head: &http::request::Parts| head.headers.get("x-tenant")?.to_str().ok().map(Into::into);
    /// let by_tenant = RateLimitLayer::requests_per_minute(NonZeroU32::MIN).key(tenant);
    /// # let _ = by_tenant;
    /// ```
    #[must_use]
    pub fn key(self, key: impl Fn(&Parts) -> Option<Arc<str>> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.key = Some(Arc::new(key)))
    }

    /// The longest wait. Whoever would have to wait longer is refused at once. Default: 30 s; with zero nobody waits. A call for which
    /// another target waits stands in line for 2 s at most.
    #[must_use]
    pub fn max_wait(self, max_wait: Duration) -> Self {
        self.with(|settings| settings.bounds.max_wait = max_wait)
    }

    /// A [`max_wait`](Self::max_wait) of its own for a target by its name, or for a key.
    #[must_use]
    pub fn max_wait_for(self, name: impl Into<Arc<str>>, max_wait: Duration) -> Self {
        self.with_own(name, |own| own.max_wait = Some(max_wait))
    }

    /// How many may wait for one target. Whoever comes when there are as many is refused at once. Default: 1000; with 0
    /// nobody waits.
    #[must_use]
    pub fn queue(self, n: usize) -> Self {
        self.with(|settings| settings.bounds.queue = n)
    }

    /// Tells `observer` who waits, who is refused, and when a 429 closes the gate and the first passes again. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|settings| settings.observer = observer)
    }

    /// A handle that tells what is left and who waits.
    #[must_use]
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(self.shared.clone())
    }

    pub(crate) const fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    fn from_settings(settings: Settings) -> Self {
        Self { shared: Some(Arc::new(Shared::new(settings))) }
    }

    fn with_own(self, name: impl Into<Arc<str>>, change: impl FnOnce(&mut Own)) -> Self {
        self.with(|settings| change(settings.own.entry(name.into()).or_default()))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let Some(shared) = self.shared else { return self };
        let mut settings = shared.settings().clone();
        change(&mut settings);
        Self::from_settings(settings)
    }
}

fn thousandths(field: &'static str, share: f64) -> Result<u32, InvalidConfig> {
    if !(0.001..=1.0).contains(&share) {
        return Err(InvalidConfig::new(field, "must lie between 0.001 and 1"));
    }
    // In range, as was just checked.
    Ok((share * 1000.0).round() as u32)
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, self.shared.clone())
    }
}
