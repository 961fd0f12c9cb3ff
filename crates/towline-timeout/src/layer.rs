//! The configuration.

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use towline_core::{Facts, InvalidConfig, Observer, Target};

use crate::{
    Timeout,
    limits::{Floor, Limits},
};

/// Limits the time until the head of a response and until its first content, between the bytes of its body and between its
/// content, and of all together.
///
/// See the [crate's page](crate) for what each limit means. Every limit is off until it is set.
#[derive(Clone, Debug, Default)]
pub struct TimeoutLayer {
    config: Config,
}

/// What the services are made of.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    profile: Option<Profile>,
    pub(crate) ignores_deadline: bool,
    pub(crate) observer: Observer,
}

type Profile = Arc<dyn Fn(&Facts, Option<&Target>) -> Option<Limits> + Send + Sync>;

impl TimeoutLayer {
    /// No limit but the call's own deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(Limits::NONE)
    }

    /// For one attempt, beneath retry: 120 s until the head or first content, 60 s between the bytes of the body, and of a stream
    /// 180 s between its content and at least 2 bytes a second within 300 s.
    #[must_use]
    pub const fn attempt() -> Self {
        Self::of(Limits::attempt(120, 60, 180))
    }

    /// For one attempt at a model that answers at once: as [`attempt`](Self::attempt), but 60 s until the head or first content.
    #[must_use]
    pub const fn chat() -> Self {
        Self::of(Limits::attempt(60, 60, 180))
    }

    /// For one attempt at a model that thinks first, and may think again: 300 s until the head or first content, between bytes, and
    /// between content; and of a stream at least 2 bytes a second within 600 s.
    #[must_use]
    pub const fn reasoning() -> Self {
        Self::of(Limits::attempt(300, 300, 300))
    }

    /// For a whole call, above retry: 600 s in total, 3600 s for a stream.
    #[must_use]
    pub const fn call() -> Self {
        let mut limits = Limits::NONE;
        limits.total = Some(Duration::from_secs(600));
        limits.stream_total = Some(Duration::from_secs(3600));
        Self::of(limits)
    }

    /// How long the head of the response may take, `Timeout(Head)` after it; and of a stream the first content,
    /// `Timeout(FirstContent)` after that.
    ///
    /// # Errors
    ///
    /// `head` if `limit` is zero.
    pub fn head(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.head = Some(positive("head", limit)?);
        self.config.limits.first_content = self.config.limits.head;
        Ok(self)
    }

    /// How long the first content of a stream may take, its head included: what [`head`](Self::head), which sets both, has set is
    /// replaced. `Timeout(FirstContent)` after it.
    ///
    /// # Errors
    ///
    /// `first_content` if `limit` is zero.
    pub fn first_content(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.first_content = Some(positive("first_content", limit)?);
        Ok(self)
    }

    /// How long the body may give nothing while somebody waits for it. `Timeout(Idle)` after it.
    ///
    /// # Errors
    ///
    /// `idle` if `limit` is zero.
    pub fn idle(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.idle = Some(positive("idle", limit)?);
        Ok(self)
    }

    /// How long a stream may give no content while somebody waits for it, whatever else it gives. `Timeout(ContentIdle)` after it.
    ///
    /// Kept only with `ClassifyLayer` beneath, which tells content from pings.
    ///
    /// # Errors
    ///
    /// `content_idle` if `limit` is zero.
    pub fn content_idle(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.content_idle = Some(positive("content_idle", limit)?);
        Ok(self)
    }

    /// How many bytes a second a stream must give at least, from its first content on. `Timeout(Throughput)` where somebody has
    /// waited for the whole of `window` and fewer than `bytes_per_second` times `window` have come.
    ///
    /// The bytes are those of frames that bear content, as they come over the wire; without `ClassifyLayer` beneath, of all frames.
    /// As silence is slow too, `window` is the longest pause that a stream may make.
    ///
    /// # Errors
    ///
    /// `min_throughput` if `bytes_per_second` is zero; `window` if it is zero.
    pub fn min_throughput(mut self, bytes_per_second: u32, window: Duration) -> Result<Self, InvalidConfig> {
        if bytes_per_second == 0 {
            return Err(InvalidConfig::new("min_throughput", "must be at least 1"));
        }
        self.config.limits.floor = Some(Floor::new(bytes_per_second, positive("window", window)?));
        Ok(self)
    }

    /// How long head and body may take together, of streams as well. `Timeout(Total)` after it.
    ///
    /// # Errors
    ///
    /// `total` if `limit` is zero.
    pub fn total(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.total = Some(positive("total", limit)?);
        self.config.limits.stream_total = self.config.limits.total;
        Ok(self)
    }

    /// How long head and body of a stream may take together: what [`total`](Self::total), which sets both, has set is replaced.
    ///
    /// # Errors
    ///
    /// `stream_total` if `limit` is zero.
    pub fn stream_total(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.config.limits.stream_total = Some(positive("stream_total", limit)?);
        Ok(self)
    }

    /// Chooses the limits of each request by what it says of itself, and by where it goes; where `profile` returns `None`, those
    /// of this layer hold. What the target says for itself ([`Target::with_timeout`]) goes before both. The facts of a request without a
    /// [`Call`](towline_core::Call) say nothing.
    ///
    /// Which models think for long is yours to say, since a list of their names would be wrong within months:
    ///
    /// ```
    /// use towline_core::{Facts, Target};
    /// use towline_timeout::TimeoutLayer;
    ///
    /// let slow = TimeoutLayer::reasoning().limits();
    /// let layer = TimeoutLayer::chat().profile(move |facts: &Facts, target: Option<&Target>| {
    ///     // A target may have its own name for the model.
    ///     let model = target.and_then(Target::model).or(facts.model.as_deref())?;
    ///     model.starts_with("o3").then_some(slow)
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn profile(mut self, profile: impl Fn(&Facts, Option<&Target>) -> Option<Limits> + Send + Sync + 'static) -> Self {
        self.config.profile = Some(Arc::new(profile));
        self
    }

    /// Leaves the deadline of the [`Call`](towline_core::Call) to others, which must keep it for head and body. A layer that has no limits
    /// either passes everything through, whatever limits a target has, and costs nothing.
    #[must_use]
    pub const fn without_deadline(mut self) -> Self {
        self.config.ignores_deadline = true;
        self
    }

    /// Whether it has no limit of its own, and none for certain requests either.
    #[must_use]
    pub fn has_no_limits(&self) -> bool {
        self.config.has_no_limits()
    }

    /// The limits that are set, for the [`profile`](Self::profile) of another layer.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.config.limits
    }

    /// Tells `observer` of each limit that passes.
    #[must_use]
    pub fn observer(mut self, observer: impl Into<Observer>) -> Self {
        self.config.observer = observer.into();
        self
    }

    pub(crate) const fn has_profile(&self) -> bool {
        self.config.profile.is_some()
    }

    const fn of(limits: Limits) -> Self {
        Self { config: Config { limits, profile: None, ignores_deadline: false, observer: Observer::none() } }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, (!self.config.is_idle()).then(|| Arc::new(self.config.clone())))
    }
}

impl Config {
    fn has_no_limits(&self) -> bool {
        self.limits == Limits::NONE && self.profile.is_none()
    }

    /// Whether there is nothing to keep. A target's own limits are for the layer of each attempt, which has some.
    pub(crate) fn is_idle(&self) -> bool {
        self.ignores_deadline && self.has_no_limits()
    }

    /// The limits of one request where they are not ours: what the target says for itself, else what the profile chooses.
    pub(crate) fn own_limits(&self, facts: Option<&Facts>, target: Option<&Target>) -> Option<Box<Limits>> {
        let (chosen, target) = (self.chosen(facts, target), target.filter(|target| Limits::are_told_by(target)));
        if chosen.is_none() && target.is_none() {
            return None;
        }
        let limits = chosen.unwrap_or(self.limits);
        Some(Box::new(target.map_or(limits, |target| limits.at(target))))
    }

    fn chosen(&self, facts: Option<&Facts>, target: Option<&Target>) -> Option<Limits> {
        let profile = self.profile.as_ref()?;
        match facts {
            Some(facts) => profile(facts, target),
            None => profile(&Facts::default(), target),
        }
    }
}

impl Limits {
    /// In seconds. The floor is so low, and its window so long, that only a trickle which content keeps alive falls below it.
    const fn attempt(first: u64, idle: u64, content_idle: u64) -> Self {
        let mut limits = Self::NONE;
        limits.head = Some(Duration::from_secs(first));
        limits.first_content = limits.head;
        limits.idle = Some(Duration::from_secs(idle));
        limits.content_idle = Some(Duration::from_secs(content_idle));
        let window = if content_idle < 300 { 300 } else { 2 * content_idle };
        limits.floor = Some(Floor { bytes: 2 * window, window: Duration::from_secs(window) });
        limits
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("limits", &self.limits)
            .field("profile", &self.profile.is_some())
            .field("ignores_deadline", &self.ignores_deadline)
            .field("observer", &self.observer)
            .finish()
    }
}

pub(crate) fn positive(field: &'static str, limit: Duration) -> Result<Duration, InvalidConfig> {
    if limit.is_zero() { Err(InvalidConfig::new(field, "must be longer than zero")) } else { Ok(limit) }
}

#[cfg(test)]
mod tests;
