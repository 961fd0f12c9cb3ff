//! The configuration, as a user writes it.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;
use towline_core::{Call, Failure, InvalidConfig, Jitter, Observer, Target};

use crate::{
    config::Config,
    rewrite::Secrets,
    service::Fallback,
    spill::Spill,
    sticky::Sticky,
    targets::{Role, Targets},
};

/// Tries one target after the other. See the [crate's page](crate).
#[derive(Clone)]
pub struct FallbackLayer {
    pub(crate) config: Arc<Config>,
}

impl FallbackLayer {
    /// Tries `targets` in this order, or as they are drawn where they have [weights](Target::with_weight): each time one is
    /// needed, among those that are left; those without a weight come last. None at all hands every request on untouched.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name: their circuits and limits would be one.
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        let mut known = Targets::default();
        known.add(Role::Ordinary, "targets", targets)?;
        Ok(Self { config: Arc::new(Config::new(known)) })
    }

    /// Hands every request on untouched, as [`new`](Self::new) does without targets.
    #[must_use]
    pub fn none() -> Self {
        Self { config: Arc::new(Config::new(Targets::default())) }
    }

    /// Tries the ordinary targets in the order of what they charge ([`Target::with_price`]), the cheapest first, in the place of the
    /// order that they were named in. Compared is a million tokens of output with three million of input, uncached.
    ///
    /// # Errors
    ///
    /// `cheapest_first` if an ordinary target has no price, or has a weight, which would draw it all the same.
    pub fn cheapest_first(mut self) -> Result<Self, InvalidConfig> {
        Arc::make_mut(&mut self.config).targets.cheapest_first()?;
        Ok(self)
    }

    /// The same settings with more ordinary targets, after those that there are.
    ///
    /// # Errors
    ///
    /// `targets` if two of them have the same name.
    pub fn add_targets(self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.add(Role::Ordinary, "targets", targets)
    }

    /// Targets with a larger window, for prompts that do not fit another's (`ContextLength`), and for nothing else. A call that has
    /// come to them goes on among them. Default: none, and the caller is told that the prompt is too long.
    ///
    /// # Errors
    ///
    /// `context_window_targets` if two of them have the same name, or there are no ordinary targets to come from.
    pub fn context_window_targets(self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.add(Role::Window, "context_window_targets", targets)
    }

    /// Targets for what another's content policy refuses (`ContentPolicy`), and for nothing else. Default: none, and the refusal goes
    /// to the caller in the provider's own words. What a guard of the caller's own refused (scope `Request`) goes nowhere else in
    /// any case.
    ///
    /// # Errors
    ///
    /// `content_policy_targets` if two of them have the same name, or there are no ordinary targets to come from.
    pub fn content_policy_targets(self, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        self.add(Role::Policy, "content_policy_targets", targets)
    }

    /// How many targets one call tries at most, the first included. Those that a layer of ours refuses do not count. Default: 4.
    ///
    /// # Errors
    ///
    /// `max_targets` if it is zero.
    pub fn max_targets(self, most: usize) -> Result<Self, InvalidConfig> {
        let most = NonZeroUsize::new(most).ok_or_else(|| InvalidConfig::new("max_targets", "must be at least 1"))?;
        Ok(self.with(|config| config.max_targets = most))
    }

    /// After how many attempts, over all targets and with the retries beneath, no further target is tried. Retries at a target are
    /// the retry layer's own to limit, so the last target may exceed it. They are counted in the trail of the [`Call`]; without one, each
    /// target counts as one. What never left us (`Connect`, and what a layer of ours refused) does not count.
    ///
    /// Default: 4, or `max_targets` where that is more, but a second target has its turn in any case: three retries at the first
    /// would otherwise mean that there is none.
    ///
    /// # Errors
    ///
    /// `max_attempts` if it is zero.
    pub fn max_attempts(self, most: u32) -> Result<Self, InvalidConfig> {
        let most = NonZeroU32::new(most).ok_or_else(|| InvalidConfig::new("max_attempts", "must be at least 1"))?;
        Ok(self.with(|config| config.max_attempts = Some(most)))
    }

    /// How many calls may move on because a target has more to do than it can (`RateLimited`, and `LimitedLocally` of a limiter of ours):
    /// a `share` of all calls, to the thousandth, `burst` of them at once, and one more every 10 s while none is left. What is
    /// beyond that gets the failure itself, with its `Retry-After`; and a retry beneath is patient, as where no other target waits.
    ///
    /// Without it a demand that is too high for the first target falls on the second in whole, and a small one is brought down by
    /// it. A target that is down (an open circuit, overload, silence) is no matter of this: an outage is exactly when the others are
    /// needed, and the hops of one call are limited anyway. Shared by all services made from this layer and its clones.
    ///
    /// Default: no cap, since nobody but you knows how small a target is.
    ///
    /// # Errors
    ///
    /// `spill_over` unless `share` lies between 0.001 and 1, and `burst` between 1 and 1,000,000.
    pub fn spill_over(self, share: f64, burst: u32) -> Result<Self, InvalidConfig> {
        let spill = Spill::new(share, burst)?;
        Ok(self.with(|config| config.spill = spill))
    }

    /// Which conversation a request belongs to, by its head: a header, or what your own layers put into its extensions. A
    /// conversation stays with the ordinary target that answered it last, which holds its prompt cache, until `ttl` has passed without an
    /// answer. That target is asked first, whatever the order or the weights; if it is kept back or fails, the call goes on as
    /// usual, and the conversation stays with whoever answers.
    ///
    /// Providers keep a prompt for minutes rather than hours: a longer `ttl` keeps nothing warm. What is remembered is a name for
    /// each conversation that was answered within `ttl`, and at most as many again that were not yet forgotten. Shared by all services made from
    /// this layer and its clones. Default: conversations do not stick.
    #[must_use]
    pub fn sticky(self, key: impl Fn(&Parts) -> Option<Arc<str>> + Send + Sync + 'static, ttl: Duration) -> Self {
        let sticky = Sticky::new(key, ttl);
        self.with(|config| config.sticky = Some(Arc::new(sticky)))
    }

    /// An opinion of your own on which failures move on to the next target; `None` leaves it to the table of the crate's page.
    #[must_use]
    pub fn moves_on(self, opinion: impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static) -> Self {
        self.with(|config| config.moves_on = Some(Arc::new(opinion)))
    }

    /// The same for failures of one target, asked before that for all. The targets must have been named before.
    ///
    /// # Errors
    ///
    /// `moves_on_from` if there is no target of this name.
    pub fn moves_on_from(
        self,
        target: &str,
        opinion: impl Fn(&Failure) -> Option<bool> + Send + Sync + 'static,
    ) -> Result<Self, InvalidConfig> {
        let Some(name) = self.config.targets.all().iter().find(|known| known.name() == target).map(Target::key).cloned() else {
            return Err(InvalidConfig::new("moves_on_from", format!("there is no target called {target:?}")));
        };
        Ok(self.with(|config| {
            config.of_targets.retain(|(known, _)| *known != name);
            config.of_targets.push((name, Arc::new(opinion)));
        }))
    }

    /// Whether a credential that is not accepted (`Auth`, or `Permission` of scope `Credential`) moves on. Default: no.
    #[must_use]
    pub fn auth_moves_on(self, moves: bool) -> Self {
        self.with(|config| config.auth_moves_on = moves)
    }

    /// Who is told, at once, that a target did not accept its credential, whether or not the call moves on. Called on the path of
    /// the request: be quick. Default: nobody.
    #[must_use]
    pub fn on_auth_failure(self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.with(|config| config.on_auth_failure = Some(Arc::new(hook)))
    }

    /// Who is told, for review, that a target refused a request by its content policy. Called on the path of the request: be
    /// quick. Default: nobody.
    #[must_use]
    pub fn on_refusal(self, hook: impl Fn(&Target, &Failure, Option<&Call>) + Send + Sync + 'static) -> Self {
        self.with(|config| config.on_refusal = Some(Arc::new(hook)))
    }

    /// How long to wait for the target that is the first to recover, when layers of ours refused all of them. It is waited for
    /// once, and only where the call's deadline is later. A limiter that takes longer is asked all the same, since it has a line of its own.
    /// Zero waits for none. Default: 5 s.
    #[must_use]
    pub fn wait_for_recovery(self, longest: Duration) -> Self {
        self.with(|config| config.recovery = longest)
    }

    /// The part of the time until the call's deadline that a target may take to begin its answer while there is another to go to.
    /// One that takes longer has failed with `Timeout(Head)`. 1 lets each take all. Default: 0.5.
    ///
    /// # Errors
    ///
    /// `deadline_share` unless it is above 0 and at most 1.
    pub fn deadline_share(self, share: f64) -> Result<Self, InvalidConfig> {
        if share > 0.0 && share <= 1.0 {
            return Ok(self.with(|config| config.share = share));
        }
        Err(InvalidConfig::new("deadline_share", "must be above 0 and at most 1"))
    }

    /// Whether a response says in its headers who answered (`x-towline-target`), after how many attempts (`x-towline-attempts`; what a
    /// layer of ours refused was none), and, where that was not the first target, what had failed there (`x-towline-fallback`).
    /// Default: no; the extensions always say.
    #[must_use]
    pub fn answer_headers(self, say: bool) -> Self {
        self.with(|config| config.answer_headers = say)
    }

    /// The source of chance, for targets with weights and for waits. Default: one seeded by the operating system.
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.with(|config| config.jitter = jitter)
    }

    /// A source of chance that draws the same in the same order each time.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.jitter(Jitter::seeded(seed))
    }

    /// Whom to tell when a call moves on. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|config| config.observer = observer)
    }

    /// All targets, of whatever role, as they were named.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        self.config.targets.all()
    }

    fn add(mut self, role: Role, field: &'static str, targets: impl IntoIterator<Item = Target>) -> Result<Self, InvalidConfig> {
        if role != Role::Ordinary && !self.config.targets.has(Role::Ordinary) {
            return Err(InvalidConfig::new(field, "would never be asked without ordinary targets"));
        }
        let config = Arc::make_mut(&mut self.config);
        config.targets.add(role, field, targets)?;
        config.secrets = Secrets::of(config.targets.all());
        Ok(self)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S: Clone> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for FallbackLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
