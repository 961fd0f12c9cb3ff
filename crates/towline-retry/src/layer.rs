//! The configuration, and the state that all services made from one layer share.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderName;
use tower_layer::Layer;
use towline_core::{Failure, InvalidConfig, Jitter, Observer, RetryBudget};

use crate::{backoff::Backoff, budgets::Budgets, policy::Policy, service::Retry};

/// Sends what failed again: see the [crate's page](crate) for when and how often.
///
/// All services made from one layer, and from its clones, share its retry budgets. Cheap to clone.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RetryLayer {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) budgets: Option<Arc<Budgets>>,
    pub(crate) jitter: Jitter,
    pub(crate) observer: Observer,
    pub(crate) count_header: Option<HeaderName>,
}

impl RetryLayer {
    /// A layer with the defaults of the [crate's page](crate#defaults).
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                policy: Policy::default(),
                budgets: Some(Arc::new(Budgets::new(RetryBudget::default()))),
                jitter: Jitter::new(),
                observer: Observer::none(),
                count_header: None,
            }),
        }
    }

    /// The most attempts of a call, the first one included, unless its target has a number of its own
    /// ([`Target::with_attempts`](towline_core::Target::with_attempts)). Default: 3. With 1, and no [`table`](Self::table), no
    /// request is kept.
    ///
    /// # Errors
    ///
    /// `attempts` if it is 0.
    pub fn attempts(self, most: u32) -> Result<Self, InvalidConfig> {
        let most = NonZeroU32::new(most)
            .ok_or_else(|| InvalidConfig::new("attempts", "counts the first attempt too: must be at least 1"))?;
        Ok(self.with(|shared| shared.policy.attempts = most))
    }

    /// The wait after a failure that will pass: between zero and `base * 2^n`, at most `cap`. Default: 500 ms and 8 s.
    ///
    /// # Errors
    ///
    /// `base` if it is zero; `cap` if it is below `base`.
    pub fn backoff(self, base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        let backoff = Backoff::new(base, cap)?;
        Ok(self.with(|shared| shared.policy.transient = backoff))
    }

    /// The same for a provider that limits the rate or is overloaded and does not say when to come back. Default: 1 s
    /// and 20 s.
    ///
    /// # Errors
    ///
    /// `base` if it is zero; `cap` if it is below `base`.
    pub fn throttle_backoff(self, base: Duration, cap: Duration) -> Result<Self, InvalidConfig> {
        let backoff = Backoff::new(base, cap)?;
        Ok(self.with(|shared| shared.policy.throttled = backoff))
    }

    /// The longest wait that a provider may ask for; the answer that asks for more is handed on at once. Default: 60 s.
    pub fn max_server_delay(self, longest: Duration) -> Self {
        self.with(|shared| shared.policy.max_server_delay = longest)
    }

    /// The most attempts for a given failure, in place of [`attempts`](Self::attempts), of the two for [`Once`] and of
    /// the one for a silent target. `None` leaves it at those; 0 is read as 1. It is asked after each failure that is
    /// worth a retry at all, and makes none worth it that is not. Default: none.
    ///
    /// Where another target waits, a limited one need not be asked thrice:
    ///
    /// ```
    /// use towline_core::FailureKind;
    /// use towline_retry::RetryLayer;
    ///
    /// let layer = RetryLayer::new().table(|failure| match failure.kind {
    ///     FailureKind::RateLimited => Some(1),
    ///     _ => None,
    /// });
    /// # let _ = layer;
    /// ```
    ///
    /// [`Once`]: towline_core::RetryVerdict::Once
    pub fn table(self, most: impl Fn(&Failure) -> Option<u32> + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.policy.table = Some(Arc::new(most)))
    }

    /// The retry budget. Each target gets a fresh one with these settings; requests without a target share this very
    /// one. Default: [`RetryBudget::default`].
    pub fn budget(self, template: RetryBudget) -> Self {
        self.with(|shared| shared.budgets = Some(Arc::new(Budgets::new(template))))
    }

    /// No retry budget. In an outage each call is then sent as often as `attempts` allows: only where another part
    /// bounds that.
    pub fn without_budget(self) -> Self {
        self.with(|shared| shared.budgets = None)
    }

    /// A header that tells the provider how many retries went before, from `1`; the first attempt goes without.
    /// Default: none.
    pub fn retry_count_header(self, name: HeaderName) -> Self {
        self.with(|shared| shared.count_header = Some(name))
    }

    /// The source of chance. Default: one seeded by the operating system.
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.with(|shared| shared.jitter = jitter)
    }

    /// A source of chance that draws the same waits in the same order each time.
    pub fn seed(self, seed: u64) -> Self {
        self.jitter(Jitter::seeded(seed))
    }

    /// Who is told of failed attempts, retries and giving up. Default: nobody.
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|shared| shared.observer = observer)
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}
