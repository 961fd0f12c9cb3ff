//! What a provider refuses with, before any dialect.

use std::time::Duration;

use towline_core::{FailureKind, Phase};

/// A failure that a provider itself reports. [`Reply::error_of`](crate::Reply::error_of) says it with the status, the headers and
/// the body of a dialect, [`Reply::error_event`](crate::Reply::error_event) within a stream.
///
/// Failures that no provider reports (a reset, silence, a broken answer) are made of [`Reply`](crate::Reply)s and
/// [`Step`](crate::Step)s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderError {
    /// The rate is limited, and when to come back is told, or not: many providers do not.
    RateLimited(Option<Duration>),
    /// The money or the day's allowance is spent.
    QuotaExhausted,
    /// Over capacity.
    Overloaded,
    /// The provider failed.
    ServerError,
    /// The provider took too long by its own measure.
    Timeout,
    /// The prompt does not fit the model's window.
    ContextLength,
    /// Refused by a content policy.
    ContentPolicy,
    /// The key is wrong.
    Auth,
    /// The key is right and may not do this.
    Permission,
    /// There is no such model.
    NotFound,
    /// The request is larger than any that is accepted.
    PayloadTooLarge,
    /// The request is wrong.
    InvalidRequest,
}

impl ProviderError {
    /// One of each, and a limited rate both with and without a time to come back.
    pub const ALL: [Self; 13] = [
        Self::RateLimited(None),
        Self::RateLimited(Some(Duration::from_secs(2))),
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::ServerError,
        Self::Timeout,
        Self::ContextLength,
        Self::ContentPolicy,
        Self::Auth,
        Self::Permission,
        Self::NotFound,
        Self::PayloadTooLarge,
        Self::InvalidRequest,
    ];

    /// The kind of failure that is meant, and that a reader of the reply should come to.
    #[must_use]
    pub const fn kind(self) -> FailureKind {
        match self {
            Self::RateLimited(_) => FailureKind::RateLimited,
            Self::QuotaExhausted => FailureKind::QuotaExhausted,
            Self::Overloaded => FailureKind::Overloaded,
            Self::ServerError => FailureKind::ServerError,
            Self::Timeout => FailureKind::Timeout(Phase::Upstream),
            Self::ContextLength => FailureKind::ContextLength,
            Self::ContentPolicy => FailureKind::ContentPolicy,
            Self::Auth => FailureKind::Auth,
            Self::Permission => FailureKind::Permission,
            Self::NotFound => FailureKind::NotFound,
            Self::PayloadTooLarge => FailureKind::PayloadTooLarge,
            Self::InvalidRequest => FailureKind::InvalidRequest,
        }
    }

    /// When to come back, if that is told.
    pub(crate) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::RateLimited(wait) => wait,
            _ => None,
        }
    }
}
