//! The configuration.

use std::time::Duration;

use tower_layer::Layer;
use towline_core::{InvalidConfig, Observer};

use crate::{Timeout, limits::Limits};

/// Limits the time until the head of a response, between the bytes of its body, and of both together.
///
/// See the [crate's page](crate) for what each limit means. Every limit is off until it is set.
#[derive(Clone, Debug, Default)]
pub struct TimeoutLayer {
    limits: Limits,
    observer: Observer,
}

impl TimeoutLayer {
    /// No limit but the call's own deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self { limits: Limits { head: None, idle: None, total: None, stream_total: None }, observer: Observer::none() }
    }

    /// For one attempt, beneath retry: 120 s until the head, 60 s between the bytes of the body.
    #[must_use]
    pub const fn attempt() -> Self {
        let mut layer = Self::new();
        layer.limits.head = Some(Duration::from_secs(120));
        layer.limits.idle = Some(Duration::from_secs(60));
        layer
    }

    /// For a whole call, above retry: 600 s in total, 3600 s for a stream.
    #[must_use]
    pub const fn call() -> Self {
        let mut layer = Self::new();
        layer.limits.total = Some(Duration::from_secs(600));
        layer.limits.stream_total = Some(Duration::from_secs(3600));
        layer
    }

    /// How long the head of the response may take. `Timeout(Head)` after it.
    ///
    /// # Errors
    ///
    /// `head` if `limit` is zero.
    pub fn head(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.limits.head = Some(positive("head", limit)?);
        Ok(self)
    }

    /// How long the body may give nothing while somebody waits for it. `Timeout(Idle)` after it.
    ///
    /// # Errors
    ///
    /// `idle` if `limit` is zero.
    pub fn idle(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.limits.idle = Some(positive("idle", limit)?);
        Ok(self)
    }

    /// How long head and body may take together, of streams as well. `Timeout(Total)` after it.
    ///
    /// # Errors
    ///
    /// `total` if `limit` is zero.
    pub fn total(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.limits.total = Some(positive("total", limit)?);
        self.limits.stream_total = self.limits.total;
        Ok(self)
    }

    /// How long head and body of a stream may take together: what [`total`](Self::total), which sets both, has set is replaced.
    ///
    /// # Errors
    ///
    /// `stream_total` if `limit` is zero.
    pub fn stream_total(mut self, limit: Duration) -> Result<Self, InvalidConfig> {
        self.limits.stream_total = Some(positive("stream_total", limit)?);
        Ok(self)
    }

    /// Tells `observer` of each limit that passes.
    #[must_use]
    pub fn observer(mut self, observer: impl Into<Observer>) -> Self {
        self.observer = observer.into();
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.limits, self.observer.clone())
    }
}

fn positive(field: &'static str, limit: Duration) -> Result<Duration, InvalidConfig> {
    if limit.is_zero() { Err(InvalidConfig::new(field, "must be longer than zero")) } else { Ok(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_refused_by_name() {
        let zero = Duration::ZERO;
        let fields = [
            TimeoutLayer::new().head(zero).unwrap_err().field(),
            TimeoutLayer::new().idle(zero).unwrap_err().field(),
            TimeoutLayer::new().total(zero).unwrap_err().field(),
            TimeoutLayer::new().stream_total(zero).unwrap_err().field(),
        ];
        assert_eq!(fields, ["head", "idle", "total", "stream_total"]);
    }
}
